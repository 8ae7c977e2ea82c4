//! From names to addresses.
//!
//! The system's resolver blocks, so names are looked up on OS threads. These are not those of
//! [`unblock`](crate::unblock): a name server that does not answer holds up other names,
//! and nothing else.

use crate::os::ThreadPool;
use crate::scheduler::thread::deadline_in;
use crate::scheduler::timed_out::TimedOut;
use sealed::Target;
use std::io;
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Names that are looked up at once, and that may wait for their turn.
const THREADS: usize = 8;
const QUEUE: usize = 1000;

/// The threads that look names up, apart from those that run other closures.
pub fn name_threads() -> &'static ThreadPool {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| ThreadPool::new(THREADS, QUEUE))
}

/// The addresses of a host, each with `port`, in the order in which the system's resolver (`getaddrinfo`,
/// so `/etc/hosts` and `/etc/resolv.conf` count) wants them tried. A literal address is its own
/// answer, at once.
///
/// At most 8 names are looked up at once, each for as long as the resolver tries: often 5 s for each
/// name server and attempt. A wait that ends early leaves the look-up to itself.
///
/// ```
/// use greenway_green::net::resolve;
///
/// assert_eq!(resolve("127.0.0.1", 80)?, ["127.0.0.1:80".parse().unwrap()]);
/// assert!(resolve("localhost", 80)?.iter().all(|addr| addr.ip().is_loopback()));
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// # Errors
/// Why the name is not known, with the name.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    resolve_until(host, port, None)
}

/// As [`resolve`], waiting at most `timeout`.
///
/// # Errors
/// `TimedOut` when there was no answer in time; otherwise as `resolve`.
pub fn resolve_timeout(host: &str, port: u16, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    resolve_until(host, port, deadline_in(timeout))
}

fn resolve_until(host: &str, port: u16, deadline: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
    if let Some(ip) = literal(host) {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = host.to_owned();
    let lookup = move || {
        let found = net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), port));
        found.map(|addrs| addrs.collect::<Vec<_>>())
    };
    let failed = |kind, why: &str| io::Error::new(kind, format!("cannot resolve {host:?}: {why}"));
    match name_threads().apply_until(deadline, lookup) {
        Ok(Ok(Ok(addrs))) if addrs.is_empty() => {
            Err(failed(io::ErrorKind::NotFound, "it has no address"))
        }
        Ok(Ok(Ok(addrs))) => Ok(addrs),
        Ok(Ok(Err(error))) => Err(failed(error.kind(), &error.to_string())),
        Ok(Err(panicked)) => Err(failed(io::ErrorKind::Other, &panicked.to_string())),
        Err(TimedOut) => Err(failed(io::ErrorKind::TimedOut, "no answer in time")),
    }
}

/// The address that a host is already. In a URL that of IPv6 stands in brackets.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// The addresses of a target.
pub(super) fn addresses(
    target: &impl ToSocketAddrs,
    deadline: Option<Instant>,
) -> io::Result<Vec<SocketAddr>> {
    match target.target()? {
        sealed::Place::Known(addrs) => Ok(addrs),
        sealed::Place::Named(host, port) => resolve_until(&host, port, deadline),
    }
}

pub(super) mod sealed {
    use std::io;
    use std::net::SocketAddr;

    /// Something that says where to connect to.
    pub trait Target {
        /// Where, without looking a name up.
        ///
        /// # Errors
        /// When it cannot be understood.
        fn target(&self) -> io::Result<Place>;
    }

    /// Where to connect to.
    #[derive(Debug)]
    pub enum Place {
        /// Addresses, in the order of preference.
        Known(Vec<SocketAddr>),
        /// A host that has to be looked up, and the port.
        Named(String, u16),
    }
}

use sealed::Place;

/// What can be connected to or bound: std's trait of this name, but looking a name up does not
/// block the worker.
///
/// It is there for [`SocketAddr`], `(IpAddr, u16)`, `(&str, u16)`, `(String, u16)`, `"host:port"`,
/// slices of addresses, and references to these. The trait is sealed: it can be used, not
/// implemented.
pub trait ToSocketAddrs: Target {}

impl<T: Target + ?Sized> ToSocketAddrs for T {}

impl<T: Target + ?Sized> Target for &T {
    fn target(&self) -> io::Result<Place> {
        (**self).target()
    }
}

macro_rules! known {
    ($($Type:ty),*) => {$(
        impl Target for $Type {
            fn target(&self) -> io::Result<Place> {
                Ok(Place::Known(vec![SocketAddr::from(*self)]))
            }
        }
    )*};
}

known!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

impl Target for [SocketAddr] {
    fn target(&self) -> io::Result<Place> {
        Ok(Place::Known(self.to_vec()))
    }
}

impl<const N: usize> Target for [SocketAddr; N] {
    fn target(&self) -> io::Result<Place> {
        self[..].target()
    }
}

impl Target for Vec<SocketAddr> {
    fn target(&self) -> io::Result<Place> {
        self[..].target()
    }
}

impl Target for (&str, u16) {
    fn target(&self) -> io::Result<Place> {
        Ok(Place::Named(self.0.to_owned(), self.1))
    }
}

impl Target for (String, u16) {
    fn target(&self) -> io::Result<Place> {
        (self.0.as_str(), self.1).target()
    }
}

impl Target for str {
    fn target(&self) -> io::Result<Place> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return Ok(Place::Known(vec![addr]));
        }
        let parts = self.rsplit_once(':');
        let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = parts.ok_or_else(|| {
            let why = format!("{self:?} is not host:port");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        (host, port).target()
    }
}

impl Target for String {
    fn target(&self) -> io::Result<Place> {
        self.as_str().target()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, JoinError, Timeout, spawn};

    const SHORT: Duration = Duration::from_millis(20);

    /// As a name server that does not answer would have it.
    #[test]
    fn a_resolver_that_hangs_holds_up_names_and_nothing_else() {
        let answer = Event::new();
        let hanging: Vec<_> = (0..THREADS)
            .map(|_| {
                let answer = answer.clone();
                name_threads().spawn(move || answer.wait())
            })
            .collect();
        let error = resolve_timeout("localhost", 1, SHORT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("localhost"), "{error}");
        let limited = Timeout::run(SHORT, || resolve("localhost", 1));
        assert_eq!(limited.unwrap_err(), TimedOut);
        let killed = spawn(|| resolve("localhost", 1).is_ok());
        // The two look-ups that were given up are still counted.
        let start = Instant::now();
        while name_threads().stats().queued < 3 && start.elapsed() < Duration::from_secs(60) {
            crate::yield_now();
        }
        killed.kill();
        assert!(matches!(killed.join(), Err(JoinError::Killed)));
        let literal = spawn(|| resolve("127.0.0.1", 1).unwrap());
        literal.join().unwrap();
        crate::unblock(|| ()); // is elsewhere
        answer.set();
        for job in hanging {
            job.join().unwrap();
        }
        assert!(!resolve("localhost", 1).unwrap().is_empty());
        assert_eq!(name_threads().stats().panicked, 0);
    }
}
