//! What all peers share, so that the programs differ in nothing but the server
//! under them: the flags (`--bind ADDR`, `--cores N`, `--threads N`, `--head-timeout MS`),
//! the line that says the socket is open, and what each route does, without I/O.
//!
//! Each peer does the same work, as far as it can:
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /` | [`HELLO`] as `text/plain` |
//! | `GET /sleep?ms=N` | the same after N milliseconds; others are served meanwhile |
//! | `GET /compute?ms=N` | the same after N milliseconds of computing |
//! | `GET /json` | [`json`] |
//! | `POST /echo` | the body, at most [`MAX_ECHO`] bytes |
//! | `GET /stream?n=N` | N times [`CHUNK`], each handed to the server by itself |
//! | `GET /ticks?n=N&ms=M` | N times [`tick`], M milliseconds apart |
//! | `GET /large` | [`LARGE`] |
//! | `GET /file/NAME` | that file of [`files`], in servers that have files |
//! | `GET /poll` | [`HELLO`] after the next `GET /publish`; `GET /waiting` counts them |
//! | `GET /rNN/<id>/<name>` | id and name; [`ROUTES`] routes, in servers that have a router |
//! | `GET` of [`many_rules`] | what the wildcards matched; only if [`has_many_routes`] |
//! | `POST /order` | an [`Order`] in JSON, answered with its [`Receipt`] |
//! | `POST /form` | a URL-encoded [`Profile`], answered with [`Profile::summary`] |
//! | `POST /upload` | a multipart form of a [`Profile`]'s `name` and `note` and of a small file, read whole; the length of each |
//! | `POST /upload/count` | the file of a multipart form as a stream: its length |
//! | `POST /upload/disk` | the same, written to a file of its own below [`files`], which is removed again |
//! | `GET /ws` | a WebSocket whose messages are echoed, in servers that have them |
//! | `GET /room` | one that hears of each `GET /room/publish` with [`tick`]; `GET /room/members` counts them |

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The body of every answer: 13 bytes.
pub const HELLO: &str = "Hello, World!";

/// Longest sleep that a client may ask for: a bound, as for everything here.
pub const MAX_SLEEP: Duration = Duration::from_secs(600);

/// Largest body that is echoed.
pub const MAX_ECHO: usize = 4 << 20;

/// One chunk of `/stream`: 32 bytes.
pub const CHUNK: &[u8] = b"thirty-two bytes make one chunk\n";

/// Most chunks of one `/stream`.
pub const MAX_CHUNKS: u64 = 100_000;

/// What slow readers are sent: more than kernels hold for a client that does not read.
pub static LARGE: [u8; 256 << 10] = [b'x'; 256 << 10];

/// Routes with wildcards.
pub const ROUTES: usize = 100;

/// Largest upload that is streamed.
pub const MAX_UPLOAD: u64 = 2 << 30;

/// What the command line asked for.
#[derive(Debug, Clone, Copy)]
pub struct Flags {
    /// Address to listen on (default 127.0.0.1:8080; port 0 takes a free one).
    pub bind: SocketAddr,
    /// Scheduler threads, or event loops (default 1).
    pub cores: usize,
    /// Threads that run handlers, for servers that have such a pool (default 20).
    pub threads: usize,
    /// How long a client may take with a head, for servers that have such a clock
    /// (default: what the server does by itself).
    pub head_timeout: Option<Duration>,
}

/// Reads the process's flags.
///
/// On a bad flag it prints one line and exits with status 2.
#[must_use]
pub fn flags() -> Flags {
    parse(std::env::args().skip(1)).unwrap_or_else(|message| {
        eprintln!("{message}\nflags: --bind ADDR --cores N --threads N --head-timeout MS");
        std::process::exit(2)
    })
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Flags, String> {
    let mut flags = Flags {
        bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
        cores: 1,
        threads: 20,
        head_timeout: None,
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
            "--head-timeout" => {
                let ms = value
                    .parse()
                    .map_err(|_| format!("--head-timeout wants milliseconds, not {value}"))?;
                flags.head_timeout = Some(Duration::from_millis(ms));
            }
            _ => return Err(format!("no such flag: {flag}")),
        }
    }
    Ok(flags)
}

/// Tells whoever started this server that its socket is open.
pub fn listening_on(address: SocketAddr) {
    println!("listening on {address}");
}

/// What a request asks for; routes with wildcards are the business of routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `/`, and everything that is not known.
    Hello,
    /// `/sleep?ms=N`, at most [`MAX_SLEEP`].
    Sleep(Duration),
    /// `/compute?ms=N`.
    Compute(Duration),
    /// `/json`.
    Json,
    /// `/echo`.
    Echo,
    /// `/order`.
    Order,
    /// `/stream?n=N`, at most [`MAX_CHUNKS`].
    Stream(u64),
    /// `/ticks?n=N&ms=M`: how many, and the pause before each.
    Ticks(u64, Duration),
    /// `/large`.
    Large,
    /// `/poll`.
    Poll,
    /// `/publish`.
    Publish,
    /// `/waiting`.
    Waiting,
}

/// Reads a request target, for servers without a router.
#[must_use]
pub fn ask(target: &str) -> Ask {
    let number = |prefix| target.strip_prefix(prefix)?.parse().ok();
    match target {
        "/" => Ask::Hello,
        "/json" => Ask::Json,
        "/echo" => Ask::Echo,
        "/order" => Ask::Order,
        "/large" => Ask::Large,
        "/poll" => Ask::Poll,
        "/publish" => Ask::Publish,
        "/waiting" => Ask::Waiting,
        _ => {
            if let Some(ms) = number("/sleep?ms=") {
                Ask::Sleep(Duration::from_millis(ms).min(MAX_SLEEP))
            } else if let Some(ms) = number("/compute?ms=") {
                Ask::Compute(Duration::from_millis(ms))
            } else if let Some((n, pause)) = target
                .strip_prefix("/ticks?n=")
                .and_then(|rest| rest.split_once("&ms="))
                .and_then(|(n, ms)| Some((n.parse::<u64>().ok()?, ms.parse().ok()?)))
            {
                Ask::Ticks(
                    n.min(MAX_CHUNKS),
                    Duration::from_millis(pause).min(MAX_SLEEP),
                )
            } else if let Some(n) = number("/stream?n=") {
                Ask::Stream(n.min(MAX_CHUNKS))
            } else {
                Ask::Hello
            }
        }
    }
}

/// A chunk, or message, of 32 bytes that tells when it was made: nanoseconds since 1970.
#[must_use]
pub fn tick() -> String {
    // Before 1970 the figures would be wrong, and nothing else.
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("t={:<29}\n", now.as_nanos())
}

/// The folder of the files that are served; empty when nobody named one.
#[must_use]
pub fn files() -> PathBuf {
    std::env::var_os("BENCH_FILES").unwrap_or_default().into()
}

/// TechEmpower's JSON object.
#[derive(Debug, Serialize)]
pub struct Message {
    /// The greeting.
    pub message: &'static str,
}

impl Message {
    /// The one that is sent.
    pub const HELLO: Self = Self { message: HELLO };
}

/// [`Message::HELLO`] as text, serialized anew each time.
#[must_use]
pub fn json() -> Vec<u8> {
    // An object of one string has nothing that JSON cannot say.
    serde_json::to_vec(&Message::HELLO).expect("a string can be serialized")
}

/// Whether a thousand more routes are wanted ([`many_rules`]): they cost memory, and time at the
/// start, that other scenarios are not to see.
#[must_use]
pub fn has_many_routes() -> bool {
    std::env::var_os("BENCH_MANY_ROUTES").is_some()
}

/// A thousand rules that share their beginnings, as those of large interfaces do; wildcards stand
/// between `open` and `close`. With each rule comes the number of its wildcards.
pub fn many_rules(open: char, close: char) -> impl Iterator<Item = (String, usize)> {
    let wild = move |name: &str| format!("{open}{name}{close}");
    (0..250).flat_map(move |n| {
        [
            (format!("/api/v1/thing{n}"), 0),
            (format!("/api/v1/thing{n}/{}", wild("id")), 1),
            (format!("/users/{}/thing{n}", wild("user")), 1),
            (
                format!("/users/{}/thing{n}/{}", wild("user"), wild("id")),
                2,
            ),
        ]
    })
}

/// What a client orders: about a kilobyte of JSON.
#[derive(Debug, Deserialize)]
pub struct Order {
    /// Who.
    pub customer: String,
    /// What.
    pub items: Vec<Item>,
    /// Anything else; may be absent.
    pub note: Option<String>,
}

/// A line of an [`Order`].
#[derive(Debug, Deserialize)]
pub struct Item {
    /// What it is called.
    pub name: String,
    /// How many.
    pub count: u32,
    /// In cents, each.
    pub price: u32,
}

/// The answer to an [`Order`].
#[derive(Debug, Serialize)]
pub struct Receipt {
    /// Who.
    pub customer: String,
    /// How many pieces.
    pub pieces: u32,
    /// In cents, all together.
    pub total: u64,
}

impl Order {
    /// Adds it up.
    #[must_use]
    pub fn receipt(self) -> Receipt {
        let price = |item: &Item| u64::from(item.count) * u64::from(item.price);
        Receipt {
            pieces: self.items.iter().map(|item| item.count).sum(),
            total: self.items.iter().map(price).sum(),
            customer: self.customer,
        }
    }
}

/// A form of five fields.
#[derive(Debug, Deserialize)]
pub struct Profile {
    /// First and last name.
    pub name: String,
    /// Where letters go.
    pub email: String,
    /// Where it lives.
    pub city: String,
    /// In years.
    pub age: u8,
    /// Some lines of text.
    pub note: String,
}

impl Profile {
    /// What is answered: a field, a number and the length of all text.
    #[must_use]
    pub fn summary(&self) -> String {
        let texts = [&self.name, &self.email, &self.city, &self.note];
        let length: usize = texts.iter().map(|text| text.len()).sum();
        format!("{} {} {length}", self.name, self.age)
    }
}

/// Holds the CPU for so much CPU time of the calling thread, at most a second.
pub fn compute(time: Duration) {
    let used = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        // The clock counts from zero upwards, so neither part is negative.
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
    };
    let until = used() + time.min(Duration::from_secs(1));
    while used() < until {
        for turn in 0..1_000_u32 {
            std::hint::black_box(turn);
        }
    }
}

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A handler of `/poll`, counted as long as this lives.
#[derive(Debug)]
pub struct Waiting(());

impl Waiting {
    /// One more.
    #[must_use]
    pub fn new() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }

    /// How many there are.
    #[must_use]
    pub fn count() -> usize {
        WAITING.load(Ordering::Relaxed)
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
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
        let clock = parsed("--head-timeout 1500").unwrap().head_timeout;
        assert_eq!(clock, Some(Duration::from_millis(1_500)));
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
    fn targets_are_read() {
        let ms = Duration::from_millis;
        assert_eq!(ask("/sleep?ms=250"), Ask::Sleep(ms(250)));
        assert_eq!(ask("/sleep?ms=99999999999"), Ask::Sleep(MAX_SLEEP));
        assert_eq!(ask("/compute?ms=50"), Ask::Compute(ms(50)));
        assert_eq!(ask("/stream?n=7"), Ask::Stream(7));
        assert_eq!(ask("/stream?n=99999999999"), Ask::Stream(MAX_CHUNKS));
        assert_eq!(ask("/ticks?n=7&ms=2"), Ask::Ticks(7, ms(2)));
        assert_eq!(ask("/ticks?n=7"), Ask::Hello);
        assert_eq!(ask("/poll"), Ask::Poll);
        for other in ["/", "/sleep", "/sleep?ms=", "/sleep?ms=-1", "/stream?n=x"] {
            assert_eq!(ask(other), Ask::Hello, "{other}");
        }
    }

    #[test]
    fn ticks_have_32_bytes() {
        let tick = tick();
        assert!(tick.len() == 32 && tick.starts_with("t=1") && tick.ends_with(" \n"));
    }

    #[test]
    fn the_message_is_techempowers() {
        assert_eq!(json(), br#"{"message":"Hello, World!"}"#);
    }

    #[test]
    fn there_are_a_thousand_rules() {
        let rules: Vec<_> = many_rules('<', '>').collect();
        assert_eq!(rules.len(), 1_000);
        assert_eq!(rules[999], ("/users/<user>/thing249/<id>".to_owned(), 2));
    }

    #[test]
    fn orders_are_added_up() {
        let order = r#"{"customer": "Ada", "items": [{"name": "a", "count": 2, "price": 150}]}"#;
        let order: Order = serde_json::from_str(order).unwrap();
        let receipt = serde_json::to_string(&order.receipt()).unwrap();
        assert_eq!(receipt, r#"{"customer":"Ada","pieces":2,"total":300}"#);
    }

    #[test]
    fn those_who_wait_are_counted() {
        let before = Waiting::count();
        let one = Waiting::new();
        assert_eq!(Waiting::count(), before + 1);
        drop(one);
        assert_eq!(Waiting::count(), before);
    }

    #[test]
    fn computing_takes_cpu_time() {
        let started = std::time::Instant::now();
        compute(Duration::from_millis(20));
        assert!(started.elapsed() >= Duration::from_millis(20));
    }
}
