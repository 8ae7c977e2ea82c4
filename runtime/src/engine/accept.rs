//! Taking connections: what both engines do with a new one, with one too many, and when the
//! process has run out of descriptors.

use crate::connection::{Socket, WritePace, linger};
use crate::green::embed::{Accepted, Stream, accept_now, lock, spawn_on, workers};
use crate::service::{Refused, Service, date};
use greenway_app::ConnectionInfo;
use greenway_proto::http1;
use http::StatusCode;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Says that a connection is lost to an error that is not its client's.
#[cold]
pub(super) fn lost(service: &Service, error: &io::Error) {
    let what = format_args!("a connection cannot be served: {error}");
    let kind = "connections that cannot be served";
    service.error_log.error(kind, what);
}

/// Whether the process or the machine is out of descriptors.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// What our end of a listener's connections is.
#[derive(Debug, Clone, Copy)]
pub(super) enum OurEnd {
    /// Where it listens; nowhere for a unix socket. (Also for one whom BPF's `sk_lookup` gives the
    /// connections of other addresses.)
    Listens(Option<SocketAddr>),
    /// It listens on all addresses, or for those of others (a transparent proxy): each connection
    /// has to be asked.
    Differs,
}

impl OurEnd {
    pub(super) fn of(listener: &TcpListener) -> Self {
        let asked = SockRef::from(listener);
        let Ok(address) = asked.local_addr() else {
            return Self::Differs;
        };
        match address.as_socket() {
            None if address.is_unix() => Self::Listens(None),
            Some(address) if !address.ip().is_unspecified() => {
                let transparent = if address.is_ipv4() {
                    asked.ip_transparent_v4()
                } else {
                    asked.ip_transparent_v6()
                };
                match transparent {
                    Ok(false) => Self::Listens(Some(address)),
                    Ok(true) | Err(_) => Self::Differs,
                }
            }
            _ => Self::Differs,
        }
    }

    fn of_connection(self, stream: &TcpStream) -> Option<SocketAddr> {
        match self {
            Self::Listens(address) => address,
            Self::Differs => stream.local_addr().ok(),
        }
    }
}

/// What is known of a connection when it is accepted.
pub(super) fn connection_info(
    service: &Service,
    accepted: &Accepted,
    our_end: OurEnd,
) -> Arc<ConnectionInfo> {
    let local = our_end.of_connection(&accepted.stream).map(canonical);
    let info = ConnectionInfo::new(local, accepted.peer.map(canonical))
        .with_engine(service.config.engine.name())
        .with_multithread(true)
        .with_debug(service.config.debug);
    let trusted = service.config.forwarded_allow.trusts_peer_of(&info);
    Arc::new(info.with_trusted_proxy(trusted))
}

/// A client with an IPv4 address has that, also where we listen on `[::]` for both families.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Refused connections of the process that are being closed in good order at a time. Each has a
/// descriptor and a green thread.
const MOST_LINGERING: usize = 64;

/// One of the refused connections that are being closed in good order.
struct Lingering;

impl Lingering {
    /// `None` if there are too many.
    fn take() -> Option<Self> {
        let more = |count| (count < MOST_LINGERING).then_some(count + 1);
        let taken = LINGERING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then_some(Self)
    }
}

static LINGERING: AtomicUsize = AtomicUsize::new(0);

impl Drop for Lingering {
    fn drop(&mut self) {
        LINGERING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells a client that there is no room for it, without waiting for it here. `may_linger` says
/// whether its descriptor can be spared until it has seen that.
pub(super) fn refuse(service: &Arc<Service>, stream: TcpStream, why: Refused, may_linger: bool) {
    service.metrics.refused(why);
    let reason = match why {
        Refused::Connections => "too many connections",
        Refused::Handlers => "too many requests at once",
        Refused::Descriptors => "out of descriptors",
    };
    let mut response = Vec::new();
    http1::error_response(
        &mut response,
        StatusCode::SERVICE_UNAVAILABLE,
        reason,
        Some(1),
        &date(Instant::now()),
    );
    // The socket's empty buffer takes the response at once. If not, the client is gone.
    let _taken_or_gone = (&stream).write(&response);
    let _not_connected = stream.shutdown(Shutdown::Write);
    match may_linger.then(Lingering::take).flatten() {
        Some(lingering) => close_gently(service, stream, lingering),
        None => {
            // What has come is read, so that the close is no reset; what comes now makes it one.
            let _best_effort = (&stream).read(&mut [0; 4096]);
        }
    }
}

/// Closes a refused connection when its client has had the time to see why. If there is no memory
/// for that, it is closed at once.
fn close_gently(service: &Arc<Service>, stream: TcpStream, lingering: Lingering) {
    let workers = workers();
    // The one that its number fits: there may be no other number.
    let worker = workers[stream.as_raw_fd() as usize % workers.len()];
    let service = service.clone();
    spawn_on(worker, move || {
        if let Ok(stream) = Stream::new(stream) {
            let pace = WritePace::new(service.config.clocks.write);
            linger(&Socket::from(stream), &service, pace, true);
        }
        drop(lingering);
    });
}

/// How many descriptors the reserve has.
const SPARE: usize = 4;

/// Descriptors that are kept for telling clients that there is none for them.
///
/// When the process (EMFILE) or the machine (ENFILE) is out of descriptors, `accept` fails and
/// leaves the client in the kernel's queue, where it hangs. Then one of the reserve is given up for
/// the client, who is told 503 and closed, and is taken back. All who accept share it: while one is
/// missing nobody lets a connection in, so none of them can lose it to another for long.
///
/// The last one is never lent for longer than the telling takes.
#[derive(Debug)]
pub(super) struct Reserve {
    /// Nothing under the lock waits.
    spares: Mutex<Vec<UnixDatagram>>,
    /// Some may be missing; set before one is given up.
    missing: AtomicBool,
}

impl Reserve {
    pub(super) fn new() -> Arc<Self> {
        let spares: Vec<_> = (0..SPARE).map_while(|_| spare()).collect();
        Arc::new(Self {
            missing: AtomicBool::new(spares.len() < SPARE),
            spares: Mutex::new(spares),
        })
    }

    /// Gives one of the reserve up while `f` runs, which is told whether others are left. False if
    /// there is none to give up.
    fn lend(&self, f: impl FnOnce(bool) -> bool) -> bool {
        let mut spares = lock(&self.spares);
        self.missing.store(true, Ordering::SeqCst);
        let had = spares.pop().or_else(spare).is_some();
        let result = had && f(!spares.is_empty());
        self.refill(&mut spares);
        result
    }

    fn refill(&self, spares: &mut Vec<UnixDatagram>) {
        while spares.len() < SPARE
            && let Some(spare) = spare()
        {
            spares.push(spare);
        }
        self.missing.store(spares.len() < SPARE, Ordering::SeqCst);
    }

    /// Whether a connection that was accepted may stay. If some of the reserve is missing, it has
    /// the descriptor that should be the reserve's; then this gives whether there are others.
    fn is_there(&self) -> Result<(), bool> {
        if !self.missing.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut spares = lock(&self.spares);
        self.refill(&mut spares);
        match spares.len() {
            SPARE => Ok(()),
            left => Err(left > 0),
        }
    }
}

/// A descriptor for nothing. Not `/dev/null`, which a container may be without.
fn spare() -> Option<UnixDatagram> {
    UnixDatagram::unbound().ok()
}

/// What to do when `accept` fails; each who accepts has one.
#[derive(Debug)]
pub(super) struct AcceptBackoff {
    reserve: Arc<Reserve>,
    pause: Duration,
    /// An episode of failures is logged once.
    reported: bool,
}

/// What keeps failing pauses accepting for so long at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Without descriptors, `accept` fails whether or not somebody waits, so the queue has to be
/// looked at now and then. A client waits for its 503 so long at most.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl AcceptBackoff {
    pub(super) fn new(reserve: Arc<Reserve>) -> Self {
        Self {
            reserve,
            pause: FIRST_PAUSE,
            reported: false,
        }
    }

    /// `accept` has given a connection. `None` if it cannot stay; then it was told so.
    pub(super) fn accepted(
        &mut self,
        service: &Arc<Service>,
        accepted: Accepted,
    ) -> Option<Accepted> {
        if let Err(others) = self.reserve.is_there() {
            refuse(service, accepted.stream, Refused::Descriptors, others);
            let _takes_what_is_free_now = self.reserve.is_there();
            return None;
        }
        self.reported = false;
        self.pause = FIRST_PAUSE;
        Some(accepted)
    }

    /// How long to leave `accept` alone after this error; zero if it concerns only the one
    /// connection, or was dealt with.
    pub(super) fn failed(
        &mut self,
        error: &io::Error,
        service: &Arc<Service>,
        listener: &TcpListener,
    ) -> Duration {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionReset | Interrupted
        ) {
            return Duration::ZERO;
        }
        if !self.reported {
            self.reported = true;
            let what = format_args!("connections cannot be accepted: {error}");
            let kind = "connections that cannot be accepted";
            service.error_log.error(kind, what);
        }
        if is_out_of_descriptors(error) {
            let sent_away = self.reserve.lend(|others| {
                accept_now(listener)
                    .map(|one| refuse(service, one.stream, Refused::Descriptors, others))
                    .is_ok()
            });
            return if sent_away {
                Duration::ZERO
            } else {
                LOOK_AGAIN
            };
        }
        // Doubling from 5 ms to 1 s, as Go does.
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_end_is_asked_for_only_where_connections_differ() {
        for (bind, differs) in [
            ("127.0.0.1:0", false),
            ("0.0.0.0:0", true),
            ("[::]:0", true),
        ] {
            let listener = TcpListener::bind(bind).unwrap();
            let port = listener.local_addr().unwrap().port();
            let our_end = OurEnd::of(&listener);
            assert_eq!(matches!(our_end, OurEnd::Differs), differs, "{bind}");
            let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let accepted = accept_now(&listener).unwrap();
            // One who listens on [::] sees addresses of the old kind in a form of their own.
            let canonical = |addr: Option<SocketAddr>| addr.map(super::canonical);
            let local = our_end.of_connection(&accepted.stream);
            assert_eq!(canonical(local), canonical(client.peer_addr().ok()));
            assert_eq!(
                canonical(accepted.peer),
                canonical(client.local_addr().ok())
            );
        }
    }

    #[test]
    fn a_unix_socket_has_no_ends() {
        let folder = std::env::temp_dir().join(format!("greenway-ends-{}", std::process::id()));
        let _left_over = std::fs::remove_file(&folder);
        let listener = std::os::unix::net::UnixListener::bind(&folder).unwrap();
        let _client = std::os::unix::net::UnixStream::connect(&folder).unwrap();
        std::fs::remove_file(&folder).unwrap();
        let listener = TcpListener::from(std::os::fd::OwnedFd::from(listener));
        assert!(matches!(OurEnd::of(&listener), OurEnd::Listens(None)));
        assert_eq!(accept_now(&listener).unwrap().peer, None);
    }
}
