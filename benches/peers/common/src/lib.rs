//! What all peers share, so that the programs differ in nothing but the server
//! under them: the flags `--bind ADDR`, `--cores N` and `--threads N`, the line that
//! says the socket is open, and the reading of `/sleep?ms=N`.
//!
//! Each peer does the same work: `GET /` is answered with [`HELLO`] as
//! `text/plain`, `GET /sleep?ms=N` with the same after N milliseconds during which
//! other requests are served, where the peer can do that.

use std::net::SocketAddr;
use std::time::Duration;

/// The body of every answer: 13 bytes.
pub const HELLO: &str = "Hello, World!";

/// Longest sleep that a client may ask for: a bound, as for everything here.
pub const MAX_SLEEP: Duration = Duration::from_secs(600);

/// What the command line asked for.
#[derive(Debug, Clone, Copy)]
pub struct Flags {
    /// Address to listen on (default 127.0.0.1:8080; port 0 takes a free one).
    pub bind: SocketAddr,
    /// Scheduler threads, or event loops (default 1).
    pub cores: usize,
    /// Threads that run handlers, for servers that have such a pool (default 20).
    pub threads: usize,
}

/// Reads the process's flags.
///
/// On a bad flag it prints one line and exits with status 2.
#[must_use]
pub fn flags() -> Flags {
    parse(std::env::args().skip(1)).unwrap_or_else(|message| {
        eprintln!("{message}\nflags: --bind ADDR --cores N --threads N");
        std::process::exit(2)
    })
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Flags, String> {
    let mut flags = Flags {
        bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
        cores: 1,
        threads: 20,
    };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} wants a value"))?;
        let count = |value: &str| match value.parse() {
            Ok(n @ 1..=1024) => Ok(n),
            _ => Err(format!("{flag} wants a number from 1 to 1024, not {value}")),
        };
        match flag.as_str() {
            "--bind" => {
                flags.bind = value
                    .parse()
                    .map_err(|_| format!("--bind wants an address, not {value}"))?;
            }
            "--cores" => flags.cores = count(&value)?,
            "--threads" => flags.threads = count(&value)?,
            _ => return Err(format!("no such flag: {flag}")),
        }
    }
    Ok(flags)
}

/// Tells whoever started this server that its socket is open.
pub fn listening_on(address: SocketAddr) {
    println!("listening on {address}");
}

/// How long a request target asks to sleep: `/sleep?ms=250` gives a quarter of a
/// second (at most [`MAX_SLEEP`]), every other target gives `None`.
#[must_use]
pub fn sleep_asked(target: &str) -> Option<Duration> {
    let ms = target.strip_prefix("/sleep?ms=")?.parse().ok()?;
    Some(Duration::from_millis(ms).min(MAX_SLEEP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Flags, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_read_and_refused() {
        let flags = parsed("--cores 2 --bind 127.0.0.1:0").unwrap();
        assert_eq!((flags.cores, flags.threads, flags.bind.port()), (2, 20, 0));
        for bad in [
            "--cores",
            "--cores 0",
            "--cores x",
            "--bind here",
            "--color 1",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_sleep_target_sleeps() {
        assert_eq!(
            sleep_asked("/sleep?ms=250"),
            Some(Duration::from_millis(250))
        );
        assert_eq!(sleep_asked("/sleep?ms=99999999999"), Some(MAX_SLEEP));
        for other in [
            "/",
            "/sleep",
            "/sleep?ms=",
            "/sleep?ms=-1",
            "/sleep?ms=soon",
        ] {
            assert_eq!(sleep_asked(other), None, "{other}");
        }
    }
}
