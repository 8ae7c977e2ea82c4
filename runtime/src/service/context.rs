//! Where in a connection's life a thread is, and whom it serves: for the lifecycle, which ends it,
//! and for those who look from outside.

use super::{Lifecycle, RequestLine};
use crate::green::embed::{Interrupt, RequestInfo, TaskContext, Thread, current};
use greenway_app::ConnectionInfo;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the server knows of a thread that serves connections.
#[derive(Debug)]
pub(crate) struct ConnContext {
    pub(crate) thread: Arc<Thread>,
    place: AtomicU8,
    guest: Mutex<Guest>,
}

/// Whom the thread serves.
#[derive(Debug, Default)]
struct Guest {
    client: Option<Arc<ConnectionInfo>>,
    /// The client of the request, as a proxy that is the connection's client tells of it.
    proxied: Option<Arc<ConnectionInfo>>,
    line: Option<RequestLine>,
    route: Option<Arc<str>>,
}

/// Where in a connection's life a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ConnState {
    /// It serves a request.
    Busy,
    /// It waits for a connection's next request: it may be ended at once when the server stops.
    Idle,
    /// It waits for the rest of a request's head.
    Reading,
    /// It has no connection (a thread of the pool).
    Free,
    /// It serves a stream that may be ended at once when the server stops.
    Willing,
    /// It is being ended: it was willing, and its interrupt has come or is about to.
    Ending,
}

impl ConnContext {
    /// A seat for the thread that calls.
    pub(crate) fn new(place: ConnState) -> Arc<Self> {
        let seat = Arc::new(Self {
            thread: current().handle(),
            place: AtomicU8::new(place as u8),
            guest: Mutex::default(),
        });
        let errand: Arc<dyn TaskContext> = seat.clone();
        seat.thread.set_context(Arc::downgrade(&errand));
        seat
    }

    pub(crate) fn place(&self) -> ConnState {
        match self.place.load(Ordering::SeqCst) {
            0 => ConnState::Busy,
            1 => ConnState::Idle,
            2 => ConnState::Reading,
            3 => ConnState::Free,
            4 => ConnState::Willing,
            _ => ConnState::Ending,
        }
    }

    pub(crate) fn set(&self, place: ConnState) {
        self.place.store(place as u8, Ordering::SeqCst);
    }

    /// Interrupts the thread if it is willing to be ended. Whoever has been asked and did not get
    /// to its wait takes that back in [`unwilling`](Self::unwilling), so nobody else is hit.
    pub(crate) fn end_if_willing(&self) {
        let (willing, ending) = (ConnState::Willing as u8, ConnState::Ending as u8);
        let asked =
            self.place
                .compare_exchange(willing, ending, Ordering::SeqCst, Ordering::SeqCst);
        if asked.is_ok() {
            self.thread.interrupt(Interrupt::Stop);
        }
    }

    /// The thread may be ended at its wait as soon as the server stops.
    pub(crate) fn willing(&self, lifecycle: &Lifecycle) {
        self.set(ConnState::Willing);
        // Whoever stops the server does it the other way round.
        if lifecycle.is_stopping() {
            self.end_if_willing();
        }
    }

    /// The thread goes on with what must not be ended at once.
    pub(crate) fn unwilling(&self, lifecycle: &Lifecycle) {
        let before = self.place.swap(ConnState::Busy as u8, Ordering::SeqCst);
        if before == ConnState::Ending as u8 {
            self.take_back(lifecycle);
        }
    }

    #[cold]
    fn take_back(&self, lifecycle: &Lifecycle) {
        // Who has asked us to end is between that and the interrupt, at most.
        while !matches!(
            self.thread.interrupted(),
            Some(Interrupt::Stop | Interrupt::Kill)
        ) {
            std::thread::yield_now();
        }
        self.thread.clear_stop();
        if lifecycle.is_ending() {
            self.thread.interrupt(Interrupt::Stop); // it was, or might have been, the last call
        }
    }

    fn guest(&self) -> MutexGuard<'_, Guest> {
        // Nothing under the lock can panic half-way through a change.
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of the connection that the thread has, if it has one.
    pub(crate) fn set_client(&self, client: Option<Arc<ConnectionInfo>>) {
        *self.guest() = Guest {
            client,
            ..Guest::default()
        };
    }

    /// A request begins, with its own client if that is not the connection's.
    pub(crate) fn set_request(&self, line: RequestLine, client: Option<Arc<ConnectionInfo>>) {
        let mut guest = self.guest();
        guest.line = Some(line);
        guest.proxied = client;
        guest.route = None;
    }

    /// The line of the present request.
    pub(crate) fn line(&self) -> Option<RequestLine> {
        self.guest().line.clone()
    }

    /// The request is over; gives its line.
    pub(crate) fn take_request(&self) -> Option<RequestLine> {
        let mut guest = self.guest();
        guest.proxied = None;
        guest.route = None;
        guest.line.take()
    }

    /// The request has found its route.
    pub(crate) fn set_route(&self, route: &Arc<str>) {
        self.guest().route = Some(route.clone());
    }
}

impl ConnState {
    fn name(self) -> &'static str {
        match self {
            Self::Busy | Self::Willing | Self::Ending => "busy",
            Self::Idle => "idle",
            Self::Reading => "reading",
            Self::Free => "free",
        }
    }
}

impl TaskContext for ConnContext {
    fn request_info(&self) -> RequestInfo {
        let guest = self.guest();
        let peer = guest.proxied.as_ref().or(guest.client.as_ref());
        let peer = peer.and_then(|client| client.peer);
        let request = guest.line.as_ref().map(|line| line.text().to_owned());
        let route = guest.route.as_deref().map(str::to_owned);
        RequestInfo::new(self.place().name(), peer, request, route)
    }

    fn show(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(self.place().name())?;
        let Ok(guest) = self.guest.try_lock() else {
            return Ok(());
        };
        if let Some(line) = &guest.line {
            write!(out, " with {:?}", line.text())?;
        }
        match &guest.route {
            Some(route) => write!(out, " (route {route})"),
            None => Ok(()),
        }
    }
}
