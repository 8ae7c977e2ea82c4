//! Connections and the green threads that they have while there is something to do.
//!
//! A connection that has been idle for [`PATIENCE`] gives its green thread up and waits in the
//! lot of its worker (`green::lot`): about 0.5 kB instead of 10. When its next request comes, it
//! gets another on the same worker.

use super::super::accept::lost;
use crate::connection::{Connection, Incoming, Served, Wire};
use crate::green::embed::{
    IdlePoller, Stream, Worker, current_worker, deadline_in, least_loaded, spawn_on, workers,
};
use crate::service::{Admission, ConnContext, ConnState, Service, proxy_protocol};
use greenway_app::ConnectionInfo;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A connection that has been idle for so long gives its green thread up. Shorter, and browsers
/// would pay for a new one with each click; longer, and idle clients would hold the memory.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the connections of a server share.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) service: Arc<Service>,
    /// One for each worker. Set once, by [`start`](Self::start).
    lots: OnceLock<Vec<IdlePoller<Parked>>>,
}

/// A connection without a green thread.
struct Parked {
    stream: Stream,
    incoming: Incoming,
    facts: Arc<ConnectionInfo>,
    admission: Admission,
    counted: Counted,
}

/// Counts a parked connection as idle.
struct Counted(Arc<Host>);

impl Host {
    pub(super) fn start(service: Arc<Service>) -> io::Result<Arc<Self>> {
        let host = Arc::new(Self {
            service,
            lots: OnceLock::new(),
        });
        let lots = workers().iter().map(|&worker| {
            IdlePoller::new(worker, move |parked: Box<Parked>| {
                spawn_on(worker, move || parked.go_on());
            })
        });
        let lots = lots.collect::<io::Result<_>>()?;
        host.lots.set(lots).expect("nobody else has the host yet");
        Ok(host)
    }

    /// Starts a connection's green thread on a worker of our choice.
    pub(super) fn place(
        self: &Arc<Self>,
        stream: TcpStream,
        facts: Arc<ConnectionInfo>,
        admission: Admission,
    ) {
        self.service.metrics.accepted();
        let host = self.clone();
        spawn_on(choose_worker(stream.as_raw_fd()), move || {
            if let Some((admission, connection)) = open(&host.service, stream, facts, admission) {
                host.serve(admission, connection);
            }
        });
    }

    // The parameters in this order, so that the socket is closed before its place is free again.
    fn serve(self: &Arc<Self>, admission: Admission, connection: Connection<Stream>) {
        if let Served::Idle(until) = connection.serve(PATIENCE) {
            self.park(admission, connection, until);
        }
    }

    #[inline(never)]
    fn park(
        self: &Arc<Self>,
        mut admission: Admission,
        connection: Connection<Stream>,
        until: Option<Instant>,
    ) {
        admission.leave_seat();
        let facts = connection.facts().clone();
        let Some(wire) = connection.into_wire() else {
            return;
        };
        let (stream, incoming) = wire.into_parts();
        let parked = Box::new(Parked {
            stream,
            incoming,
            facts,
            admission,
            counted: Counted::new(self.clone()),
        });
        let lots = self.lots.get().expect("set before the first connection");
        let here = current_worker().expect("connections live on workers");
        // If there is no room for it, it is closed: it is idle.
        let _parked_or_closed = lots[here.index()].park(parked, until);
    }

    /// Wakes the parked connections that have something to say, and closes the others.
    pub(super) fn close_parked(&self) {
        for lot in self.lots.get().into_iter().flatten() {
            lot.close();
        }
    }
}

impl Parked {
    /// Goes on with the connection, on the green thread that calls.
    fn go_on(self: Box<Self>) {
        let (host, admission, connection) = self.wake_up();
        host.serve(admission, connection);
    }

    #[inline(never)]
    fn wake_up(self: Box<Self>) -> (Arc<Host>, Admission, Connection<Stream>) {
        let Self {
            stream,
            incoming,
            facts,
            mut admission,
            counted,
        } = *self;
        let host = counted.0.clone();
        let seat = ConnContext::new(ConnState::Busy);
        admission.take_seat(seat.clone());
        let wire = Wire::new(stream, incoming, &host.service);
        let connection = Connection::new(host.service.clone(), seat, facts, wire);
        (host, admission, connection)
    }
}

impl AsFd for Parked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.std().as_fd()
    }
}

impl Counted {
    fn new(host: Arc<Host>) -> Self {
        host.service.metrics.parked.idle.fetch_add(1, Relaxed);
        Self(host)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.service.metrics.parked.idle.fetch_sub(1, Relaxed);
    }
}

/// Makes a connection of a socket, on the green thread that will serve it. `None`: it cannot be
/// served. Not inlined, so that what is needed here only does not lie on the stack below every
/// handler: see "Stack" in [`crate::connection`].
#[inline(never)]
fn open(
    service: &Arc<Service>,
    stream: TcpStream,
    mut facts: Arc<ConnectionInfo>,
    mut admission: Admission,
) -> Option<(Admission, Connection<Stream>)> {
    let seat = ConnContext::new(ConnState::Busy);
    admission.take_seat(seat.clone());
    let stream = Stream::new(stream)
        .inspect_err(|error| lost(service, error))
        .ok()?;
    let mut incoming = Incoming::default();
    if service.expects_proxy(&facts) {
        facts = read_proxy_header(service, &seat, &facts, &stream, &mut incoming)?;
    }
    let wire = Wire::new(stream, incoming, service);
    let connection = Connection::new(service.clone(), seat, facts, wire);
    Some((admission, connection))
}

/// Reads the PROXY header, under the clock for heads. `None`: there is none, close.
fn read_proxy_header(
    service: &Service,
    seat: &ConnContext,
    facts: &ConnectionInfo,
    stream: &Stream,
    incoming: &mut Incoming,
) -> Option<Arc<ConnectionInfo>> {
    let deadline = deadline_in(service.config.clocks.head);
    let told = loop {
        match proxy_protocol::take(&mut incoming.buf, facts, &service.config.forwarded_allow) {
            Ok(Some(told)) => break told,
            Ok(None) => {}
            Err(why) => {
                proxy_protocol::report(service, facts, why);
                return None;
            }
        }
        // Who has sent nothing need not be waited for when the server stops. Looked at after the
        // place is set: whoever stops the server does it the other way round.
        let idle = incoming.buf.is_empty();
        seat.set(if idle {
            ConnState::Idle
        } else {
            ConnState::Reading
        });
        let take = |bytes: &[u8]| incoming.buf.extend_from_slice(bytes);
        let read = if idle {
            stream.read_unless(service.lifecycle.stop_flag(), deadline, take)
        } else {
            stream.read(deadline, take)
        };
        if !matches!(read, Ok(1..)) {
            return None;
        }
    };
    seat.set(ConnState::Busy);
    Some(told)
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
