//! What the server knows of a thread that serves connections: its state, and whom it serves.
//!
//! A server keeps one [`ConnContext`] for each such thread, because two parties look at a
//! connection from other threads. A stop has to know which threads it may end at once, and ends
//! them through the context. Whoever asks what the process does (USR2, `/threads`, a report of a
//! worker that is held up) is shown the state, the client and the request.
//!
//! What must stay true: the thread itself sets its state, before the waits that the state speaks
//! of; a stop changes it only from [`ConnState::Stoppable`] to [`ConnState::Stopping`]. Why that
//! loses no stop is explained in [`lifecycle`](super::lifecycle#the-stop-handshake).

use super::{Lifecycle, RequestLine};
use crate::green::embed::{Interrupt, RequestInfo, TaskContext, Thread, current, lock};
use greenway_app::ConnectionInfo;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// The context of one thread that serves connections: a green thread of one connection, or a
/// thread of the pool, which serves one after the other.
#[derive(Debug)]
pub(crate) struct ConnContext {
    pub(crate) thread: Arc<Thread>,
    /// A [`ConnState`].
    state: AtomicU8,
    /// A [`Spoken`].
    spoken: AtomicU8,
    /// Where that is HTTP/2, the requests of the connection.
    requests: AtomicU32,
    /// Not for the thread's own use: for those who ask what it does.
    request: Mutex<ServedRequest>,
}

/// Whom a thread serves.
#[derive(Debug, Default)]
struct ServedRequest {
    /// The other end of the connection.
    client: Option<Arc<ConnectionInfo>>,
    /// The client of the request, where the connection's client is a proxy that names it.
    proxied: Option<Arc<ConnectionInfo>>,
    line: Option<RequestLine>,
    route: Option<Arc<str>>,
}

/// The state of the connection that a thread has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ConnState {
    /// It serves a request, which may go on for the grace period of a stop.
    Busy,
    /// It waits for a connection's next request: it may be ended at once when the server stops.
    Idle,
    /// It waits for the rest of a request's head.
    Reading,
    /// It has no connection (a thread of the pool).
    Free,
    /// It waits for a thread of the pool, which has its request.
    Pooled,
    /// It serves a stream that may be ended at once when the server stops.
    Stoppable,
    /// It was stoppable, and a stop ends it: the interrupt has come, or is about to.
    Stopping,
    /// Its requests have threads of their own (HTTP/2). A stop wakes it.
    Shared,
    /// It is being closed, and its client has not got everything yet. The end of a stop's grace
    /// period hastens it, and does not interrupt it.
    Closing,
}

/// What is spoken on the connection that a thread has, for those who ask what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Spoken {
    /// Nothing that its state and its request would not tell.
    Http1,
    /// The handshake of TLS is under way.
    Handshake,
    /// HTTP/2: the thread drives the connection, whose requests have threads of their own.
    Http2,
}

impl ConnContext {
    /// A context for the thread that calls.
    pub(crate) fn new(state: ConnState) -> Arc<Self> {
        let context = Arc::new(Self {
            thread: current().handle(),
            state: AtomicU8::new(state as u8),
            spoken: AtomicU8::new(Spoken::Http1 as u8),
            requests: AtomicU32::new(0),
            request: Mutex::default(),
        });
        let as_context: Arc<dyn TaskContext> = context.clone();
        context.thread.set_context(Arc::downgrade(&as_context));
        context
    }

    pub(crate) fn state(&self) -> ConnState {
        match self.state.load(Ordering::SeqCst) {
            0 => ConnState::Busy,
            1 => ConnState::Idle,
            2 => ConnState::Reading,
            3 => ConnState::Free,
            4 => ConnState::Pooled,
            5 => ConnState::Stoppable,
            6 => ConnState::Stopping,
            7 => ConnState::Shared,
            _ => ConnState::Closing,
        }
    }

    /// Sets the state. The caller looks at the lifecycle's stop flag afterwards, if it is going to
    /// wait for what a stop should end.
    pub(crate) fn set(&self, state: ConnState) {
        self.state.store(state as u8, Ordering::SeqCst);
    }

    pub(crate) fn spoken(&self) -> Spoken {
        match self.spoken.load(Ordering::Relaxed) {
            0 => Spoken::Http1,
            1 => Spoken::Handshake,
            _ => Spoken::Http2,
        }
    }

    #[cfg(any(feature = "tls", feature = "http2"))]
    pub(crate) fn speak(&self, spoken: Spoken) {
        self.spoken.store(spoken as u8, Ordering::Relaxed);
    }

    /// The requests of the connection of HTTP/2 that the thread drives.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    #[cfg(feature = "http2")]
    pub(crate) fn set_requests(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.requests.store(count, Ordering::Relaxed);
    }

    /// Whether the thread serves a request that has come over HTTP/2.
    pub(crate) fn serves_stream(&self) -> bool {
        lock(&self.request)
            .line
            .as_ref()
            .is_some_and(RequestLine::is_http2)
    }

    /// What the connection does, in a word or two.
    fn name(&self) -> &'static str {
        match (self.spoken(), self.state()) {
            (Spoken::Http1, state) => state.name(),
            (Spoken::Handshake, _) => "TLS handshake",
            (Spoken::Http2, ConnState::Idle) => "HTTP/2, idle",
            (Spoken::Http2, ConnState::Closing) => "HTTP/2, closing",
            (Spoken::Http2, _) => "HTTP/2",
        }
    }

    /// Interrupts the thread if it is [`ConnState::Stoppable`]. The interrupt may come when the
    /// thread is past its wait; [`forbid_stop`](Self::forbid_stop) takes it back then.
    pub(crate) fn stop_if_allowed(&self) {
        let (from, to) = (ConnState::Stoppable as u8, ConnState::Stopping as u8);
        let changed = self
            .state
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst);
        if changed.is_ok() {
            self.thread.interrupt(Interrupt::Stop);
        }
    }

    /// From now on, the thread may be ended at its wait as soon as the server stops.
    pub(crate) fn allow_stop(&self, lifecycle: &Lifecycle) {
        self.set(ConnState::Stoppable);
        // The connection's half of the stop handshake: first the state, then the flag.
        if lifecycle.is_leaving() {
            self.stop_if_allowed();
        }
    }

    /// The thread goes on with what must not be ended at once.
    pub(crate) fn forbid_stop(&self, lifecycle: &Lifecycle) {
        let before = self.state.swap(ConnState::Busy as u8, Ordering::SeqCst);
        if before == ConnState::Stopping as u8 {
            self.take_back(lifecycle);
        }
    }

    /// Takes back an interrupt that has come too late to end the wait it was meant for.
    #[cold]
    fn take_back(&self, lifecycle: &Lifecycle) {
        // The stop has changed the state and may not have interrupted yet: it is between two
        // instructions of `stop_if_allowed`, so this loop is short.
        while !matches!(
            self.thread.interrupted(),
            Some(Interrupt::Stop | Interrupt::Kill)
        ) {
            std::thread::yield_now();
        }
        self.thread.clear_stop();
        if lifecycle.is_ending() {
            // The grace period has ended meanwhile, and its interrupt may be the one taken back.
            self.thread.interrupt(Interrupt::Stop);
        }
    }

    /// The client of the connection that the thread has, if it has one.
    pub(crate) fn set_client(&self, client: Option<Arc<ConnectionInfo>>) {
        *lock(&self.request) = ServedRequest {
            client,
            ..ServedRequest::default()
        };
    }

    /// A request begins, with its own client if that is not the connection's.
    pub(crate) fn set_request(&self, line: RequestLine, client: Option<Arc<ConnectionInfo>>) {
        let mut info = lock(&self.request);
        info.line = Some(line);
        info.proxied = client;
        info.route = None;
    }

    /// The line of the present request.
    pub(crate) fn line(&self) -> Option<RequestLine> {
        lock(&self.request).line.clone()
    }

    /// What a trusted proxy has told of the present request's connection.
    pub(crate) fn proxied(&self) -> Option<Arc<ConnectionInfo>> {
        lock(&self.request).proxied.clone()
    }

    /// The request is over; gives its line.
    pub(crate) fn take_request(&self) -> Option<RequestLine> {
        let mut info = lock(&self.request);
        info.proxied = None;
        info.route = None;
        info.line.take()
    }

    /// The request is known by this id.
    pub(crate) fn set_id(&self, id: &str) {
        if let Some(line) = &mut lock(&self.request).line {
            line.set_id(id);
        }
    }

    /// The request has found its route.
    pub(crate) fn set_route(&self, route: &Arc<str>) {
        lock(&self.request).route = Some(route.clone());
    }
}

impl ConnState {
    fn name(self) -> &'static str {
        match self {
            Self::Busy | Self::Pooled | Self::Stoppable | Self::Stopping => "busy",
            Self::Idle => "idle",
            Self::Reading => "reading",
            Self::Free => "free",
            Self::Shared => "shared",
            Self::Closing => "closing",
        }
    }
}

impl TaskContext for ConnContext {
    fn request_info(&self) -> RequestInfo {
        let info = lock(&self.request);
        let peer = info.proxied.as_ref().or(info.client.as_ref());
        let peer = peer.and_then(|client| client.peer);
        let request = info.line.as_ref().map(|line| line.text().to_owned());
        let route = info.route.as_deref().map(str::to_owned);
        RequestInfo::new(self.name(), peer, request, route)
    }

    fn show(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(self.name())?;
        match self.requests() {
            0 => {}
            1 => out.write_str(" with 1 request")?,
            count => write!(out, " with {count} requests")?,
        }
        let Ok(info) = self.request.try_lock() else {
            return Ok(());
        };
        if let Some(line) = &info.line {
            write!(out, " with {:?}", line.text())?;
        }
        match &info.route {
            Some(route) => write!(out, " (route {route})"),
            None => Ok(()),
        }
    }
}
