//! Connections and the green threads that they have while there is something to do.
//!
//! A connection that has been idle for [`PATIENCE`] gives its green thread up and waits in the
//! idle poller of its worker: about 0.5 kB instead of 10. When its next request comes, it gets
//! another green thread on the same worker. When there are as many connections as there may be, one
//! that has been parked for long makes room for a new one.

use super::accept::lost;
#[cfg(feature = "tls")]
use super::secure::Accepted;
use super::{HandlerThreads, Returns};
use crate::connection::{
    Connection, Detached, Handlers, Incoming, IoParts, Served, Socket, Transport, WritePace, linger,
};
use crate::green::embed::{
    IdlePoller, Stream, Worker, current_worker, deadline_in, least_loaded, spawn_on, workers,
};
use crate::service::{Admission, ConnContext, ConnState, Service, proxy_protocol};
use greenway_app::ConnectionInfo;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A connection that has been idle for so long gives its green thread up. Shorter, and browsers
/// would pay for a new one with each click; longer, and idle clients would hold the memory.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the connections of a server share.
pub(super) struct Host<H: HandlerThreads> {
    pub(super) service: Arc<Service>,
    pub(super) handlers: H,
    /// One idle poller for each worker. Set once, by [`start`](Self::start).
    idle: OnceLock<Vec<IdlePoller<Idle<H>>>>,
    /// Counts the calls of [`make_room`](Self::make_room).
    turn: AtomicUsize,
}

/// A connection without a green thread.
struct Parked {
    connection: Box<Detached<Socket>>,
    admission: Admission,
}

/// One that waits for its next request.
struct Idle<H: HandlerThreads> {
    parked: Parked,
    counted: Counted<H>,
}

/// One whose request waits for the thread of a handler, or has had it.
struct Queued<H: HandlerThreads> {
    parked: Parked,
    host: Arc<Host<H>>,
}

/// Counts an idle connection.
struct Counted<H: HandlerThreads>(Arc<Host<H>>);

impl<H: HandlerThreads> Host<H> {
    pub(super) fn start(service: Arc<Service>, handlers: H) -> io::Result<Arc<Self>> {
        let host = Arc::new(Self {
            service,
            handlers,
            idle: OnceLock::new(),
            turn: AtomicUsize::new(0),
        });
        let pollers = workers().iter().map(|&worker| {
            IdlePoller::new(worker, move |idle: Box<Idle<H>>| {
                spawn_on(worker, move || idle.go_on());
            })
        });
        let pollers = pollers.collect::<io::Result<_>>()?;
        let first = host.idle.set(pollers).is_ok();
        debug_assert!(first, "nobody else has the host yet");
        Ok(host)
    }

    /// Starts a connection's green thread on a worker of our choice.
    pub(super) fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        info: Arc<ConnectionInfo>,
        admission: Admission,
    ) {
        self.service.metrics.accepted();
        let host = self.clone();
        spawn_on(choose_worker(stream.as_raw_fd()), move || {
            if let Some(opened) = open(&host.service, stream, info, admission) {
                let (admission, connection) = opened.attach(&host.service);
                host.serve(admission, connection);
            }
        });
    }

    // The parameters in this order, so that the socket is closed before the admission ends.
    fn serve(self: &Arc<Self>, admission: Admission, connection: Connection<Socket>) {
        match connection.serve(&self.handlers, PATIENCE) {
            Served::Closed => {}
            Served::Idle(connection, until) => self.wait_idle(admission, connection, until),
            Served::Queued(queued) => self.wait_queued(admission, queued),
            #[cfg(feature = "http2")]
            Served::Http2(connection) => self.serve_http2(admission, connection),
        }
    }

    /// Gives the green thread up while the request waits for its handler's thread.
    #[inline(never)]
    fn wait_queued(
        self: &Arc<Self>,
        mut admission: Admission,
        queued: <H as Handlers<Socket>>::Queued,
    ) {
        admission.detach();
        let host = self.clone();
        let worker = current_worker().unwrap_or_else(least_loaded);
        let go_on = move |connection: Option<Box<Detached<Socket>>>| {
            let Some(connection) = connection else {
                return;
            };
            let parked = Parked {
                connection,
                admission,
            };
            let queued = Queued { parked, host };
            spawn_on(worker, move || queued.go_on());
        };
        Returns::<Socket>::when_back(&self.handlers, queued, Box::new(go_on));
    }

    #[inline(never)]
    fn wait_idle(
        self: &Arc<Self>,
        mut admission: Admission,
        connection: Connection<Socket>,
        until: Option<Instant>,
    ) {
        let Some(connection) = connection.detach() else {
            return;
        };
        admission.detach();
        let idle = Box::new(Idle {
            parked: Parked {
                connection,
                admission,
            },
            counted: Counted::new(self.clone()),
        });
        let here = current_worker().and_then(|here| self.idle.get()?.get(here.index()));
        if let Some(poller) = here {
            // If there is no room for it, it is closed: nothing was asked of it.
            let _waits_or_closed = poller.park(idle, until);
        }
    }

    /// Closes a connection that has been idle for long, in exchange for one that comes. False if no
    /// connection is parked.
    pub(super) fn make_room(&self) -> bool {
        let Some(pollers) = self.idle.get() else {
            return false;
        };
        // Connections are spread evenly over the workers: in turn, each gives its oldest.
        let turn = self.turn.fetch_add(1, Relaxed);
        let (before, from) = pollers.split_at(turn % pollers.len().max(1));
        from.iter().chain(before).any(IdlePoller::drop_oldest)
    }

    /// Wakes the idle connections that have something to say, and closes the others.
    /// Returns by `deadline`, also when workers are held up.
    pub(super) fn close_idle(&self, deadline: Instant) {
        let pollers = || self.idle.get().into_iter().flatten();
        pollers().for_each(IdlePoller::close);
        pollers().for_each(|poller| poller.wait_closed(deadline));
    }
}

impl Parked {
    /// Gives it to the green thread that calls.
    fn attach(self, service: &Arc<Service>) -> (Admission, Connection<Socket>) {
        let Self {
            connection,
            mut admission,
        } = self;
        connection.io.stream.came_back();
        let context = ConnContext::new(ConnState::Busy);
        admission.attach(context.clone());
        let connection = Connection::attach(connection, service.clone(), context);
        (admission, connection)
    }
}

impl<H: HandlerThreads> Idle<H> {
    /// Goes on with the connection, on the green thread that calls.
    fn go_on(self) {
        let (host, admission, connection) = self.attach();
        host.serve(admission, connection);
    }

    #[inline(never)]
    fn attach(self) -> (Arc<Host<H>>, Admission, Connection<Socket>) {
        let Self { parked, counted } = self;
        let host = counted.0.clone();
        let (admission, connection) = parked.attach(&host.service);
        (host, admission, connection)
    }
}

impl<H: HandlerThreads> Queued<H> {
    /// Goes on with the connection after its request, on the green thread that calls.
    fn go_on(self) {
        let (host, admission, connection) = self.attach();
        if connection.finish_exchange() {
            host.serve(admission, connection);
        }
    }

    #[inline(never)]
    fn attach(self) -> (Arc<Host<H>>, Admission, Connection<Socket>) {
        let Self { parked, host } = self;
        let (admission, connection) = parked.attach(&host.service);
        (host, admission, connection)
    }
}

impl<H: HandlerThreads> AsFd for Idle<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.parked.connection.io.stream.stream().std().as_fd()
    }
}

impl<H: HandlerThreads> Counted<H> {
    fn new(host: Arc<Host<H>>) -> Self {
        host.service.metrics.idle.fetch_add(1, Relaxed);
        Self(host)
    }
}

impl<H: HandlerThreads> Drop for Counted<H> {
    fn drop(&mut self) {
        self.0.service.metrics.idle.fetch_sub(1, Relaxed);
    }
}

/// Makes a connection of a socket, on the green thread that will serve it. `None`: it cannot be
/// served. Not inlined, so that what is needed here only does not lie on the stack below every
/// handler: see "Stack" in [`crate::connection`].
#[inline(never)]
fn open(
    service: &Arc<Service>,
    stream: TcpStream,
    mut info: Arc<ConnectionInfo>,
    mut admission: Admission,
) -> Option<Opened> {
    let context = ConnContext::new(ConnState::Busy);
    admission.attach(context.clone());
    // For those who ask who takes so long, before there is a request.
    context.set_client(Some(info.clone()));
    let stream = Stream::new(stream)
        .inspect_err(|error| lost(service, error))
        .ok()?;
    let mut incoming = Incoming::default();
    if service.expects_proxy(&info) {
        match read_proxy_header(service, &context, &info, &stream, &mut incoming) {
            Ok(found) => info = found,
            Err(Ended::Gone) => return None,
            Err(Ended::Malformed) => {
                context.set(ConnState::Closing);
                let pace = WritePace::new(service.config.clocks.write);
                linger(&Socket::from(stream), service, pace, true);
                return None;
            }
        }
    }
    #[cfg(feature = "tls")]
    let (socket, info) = match &service.tls {
        None => (Socket::from(stream), info),
        Some(tls) => {
            let accepted = Accepted {
                service,
                context: &context,
                info,
            };
            accepted.shake_hands(tls, stream, &mut incoming)?
        }
    };
    #[cfg(not(feature = "tls"))]
    let socket = Socket::from(stream);
    Some(Opened {
        connection: Detached::new(IoParts::new(socket, incoming), info),
        admission,
        context,
    })
}

/// A connection that was accepted, and the green thread that will serve it. Attached by a function of
/// its own: it and [`open`] together would take more than a page of stack.
struct Opened {
    connection: Box<Detached<Socket>>,
    admission: Admission,
    context: Arc<ConnContext>,
}

impl Opened {
    #[inline(never)]
    fn attach(self, service: &Arc<Service>) -> (Admission, Connection<Socket>) {
        let Self {
            connection,
            admission,
            context,
        } = self;
        let connection = Connection::attach(connection, service.clone(), context);
        (admission, connection)
    }
}

/// How a connection waits on which nothing has come since it was accepted: the flag that ends the
/// wait, and when it ends at the latest. A stop waits for one that is new, whose first bytes may be
/// on their way.
pub(super) fn wait_for_first(service: &Service, since: Instant) -> (&AtomicBool, Option<Instant>) {
    let lifecycle = &service.lifecycle;
    if lifecycle.is_stopping() {
        return (lifecycle.ending_flag(), Some(since + PATIENCE));
    }
    (lifecycle.stop_flag(), None)
}

/// Why a connection has no PROXY header.
enum Ended {
    /// It has ended, or nothing has come in time.
    Gone,
    /// Its client is to see the end in good order.
    Malformed,
}

/// Reads the PROXY header, under the clock for heads.
fn read_proxy_header(
    service: &Service,
    context: &ConnContext,
    info: &ConnectionInfo,
    stream: &Stream,
    incoming: &mut Incoming,
) -> Result<Arc<ConnectionInfo>, Ended> {
    let deadline = deadline_in(service.config.clocks.head);
    let (since, mut stopped) = (Instant::now(), false);
    let info = loop {
        let config = &service.config;
        let (expected, trust) = (config.proxy_protocol, &config.forwarded_allow);
        match proxy_protocol::take(&mut incoming.buf, expected, info, trust) {
            Ok(Some(found)) => break found,
            Ok(None) => {}
            Err(why) => {
                proxy_protocol::report(service, info, why);
                return Err(Ended::Malformed);
            }
        }
        // Who has sent nothing need not be waited for when the server stops. The state is set
        // before the stop is looked at: see "Stopping" in the module `lifecycle`.
        let idle = incoming.buf.is_empty();
        context.set(if idle {
            ConnState::Idle
        } else {
            ConnState::Reading
        });
        let take = |bytes: &mut [u8]| incoming.buf.extend_from_slice(bytes);
        let read = if idle {
            let (stop, latest) = wait_for_first(service, since);
            let deadline = latest.into_iter().chain(deadline).min();
            let read = stream.read_unless(stop, deadline, take);
            if matches!(read, Ok(0)) && stop.load(SeqCst) && !stopped {
                stopped = true;
                continue;
            }
            read
        } else {
            stream.read(deadline, take)
        };
        if !matches!(read, Ok(1..)) {
            return Err(Ended::Gone);
        }
    };
    context.set(ConnState::Busy);
    Ok(info)
}

fn choose_worker(fd: i32) -> &'static Worker {
    let workers = workers();
    let by_number = workers[fd as usize % workers.len()];
    let least = least_loaded();
    // A little unevenness costs less than copying a descriptor.
    if by_number.population() <= least.population() + 4 + least.population() / 16 {
        by_number
    } else {
        least
    }
}
