//! The life of a connection: one green thread that drives its state machine.
//!
//! Each turn polls the state machine until it has nothing more to do, starts the requests that
//! have come, and then waits, in one wait, for the transport, for a waker, or for a clock. The
//! clocks are those of HTTP/1: for heads, for idleness, and for a client that takes nothing.

use super::polled_io::{PolledIo, Shared};
use super::request::head_of;
use super::running::Requests;
use super::stream::RequestStream;
use super::waiters::Driver;
use crate::connection::{Detached, Incoming, IoParts, Transport, linger};
use crate::green::embed::{Awaited, Io, TimedOut, current, take_turn, trim, wait_for};
use crate::green::yield_now;
use crate::service::metrics::Http2Event;
use crate::service::{ConnContext, ConnState, Service, Spoken};
use bytes::Bytes;
use greenway_app::ConnectionInfo;
use greenway_proto::http1::{Reject, RequestHead};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use log::Level;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// An idle connection is not kept for longer, whatever `--keep-alive` says. GOAWAY names the last
/// request that was taken, so its end loses none, and the long patience that HTTP/1 needs behind
/// proxies would be memory for nothing: it holds a green thread.
const MOST_IDLE: Duration = Duration::from_secs(180);
/// A connection that has been idle for so long gives the lower part of its stack back.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a client that was told that the connection ends may take to end it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The same when the grace period of a stop is over.
const LAST: Duration = Duration::from_millis(200);

/// Serves a connection that speaks HTTP/2, on the thread whose context this is. `start` is given
/// each request, or why it cannot be served, and is to start a thread for it.
pub(crate) fn serve<T: Transport>(
    detached: Box<Detached<T>>,
    service: &Arc<Service>,
    context: &ConnContext,
    start: impl Fn(Box<Detached<RequestStream>>, Result<RequestHead, Reject>),
) {
    let (stream, first, info, since, pace) = detached.into_transport(service.config.clocks.write);
    let driver = Arc::new(Driver::new(current().handle()));
    let shared = Shared::new(stream, first, pace);
    let mut drive = Drive {
        shared: shared.clone(),
        service,
        context,
        info,
        requests: Requests::new(driver.clone(), service.clone()),
        driver,
        start,
        idle_since: since,
        was_running: false,
        head: None,
        leaving_since: None,
        ending_since: None,
        misused: false,
        trimmed: false,
    };
    context.speak(Spoken::Http2);
    service.metrics.http2(Http2Event::Connection);
    let end = drive.run();
    match if drive.misused { End::Short } else { end } {
        End::Gentle => linger(&shared.stream, service, shared.pace.get(), true),
        End::Short => {
            let _said_if_there_is_room = shared.stream.finish();
        }
        End::Cut => shared.stream.reset(),
    }
    drive.wait_for_handlers();
}

/// How a connection is closed.
enum End {
    /// So that its client gets what it was sent.
    Gentle,
    /// With a word to its client, which goes on sending and is not read.
    Short,
    /// Its client is gone, or takes nothing.
    Cut,
}

struct Drive<'a, T, S> {
    shared: Rc<Shared<T>>,
    service: &'a Service,
    context: &'a ConnContext,
    info: Arc<ConnectionInfo>,
    requests: Arc<Requests>,
    driver: Arc<Driver>,
    start: S,
    /// When the last request has ended, or the connection has begun.
    idle_since: Instant,
    /// A request ran at the last look.
    was_running: bool,
    /// The head that is under way, and when it was seen first.
    head: Option<(u64, Instant)>,
    /// When the client was told that the connection ends.
    leaving_since: Option<Instant>,
    /// When the grace period of a stop was seen to be over.
    ending_since: Option<Instant>,
    /// The client does too much of something.
    misused: bool,
    /// The lower part of the stack was given back since the last request.
    trimmed: bool,
}

type Machine<T> = Connection<PolledIo<T>, Bytes>;

impl<T, S> Drive<'_, T, S>
where
    T: Transport,
    S: Fn(Box<Detached<RequestStream>>, Result<RequestHead, Reject>),
{
    fn run(&mut self) -> End {
        let waker = Waker::from(self.driver.clone());
        let mut machine = match self.shake_hands(&waker) {
            Ok(machine) => machine,
            Err(end) => return end,
        };
        loop {
            self.begin_turn();
            match self.poll(&mut machine, &mut Context::from_waker(&waker)) {
                Poll::Ready(Some(Ok((request, response)))) => {
                    self.begin_request(request, response);
                    // Also here: while requests come without a pause, nothing is waited for.
                    let lifecycle = &self.service.lifecycle;
                    if self.service.config.clocks.keep_alive.is_zero() || lifecycle.is_leaving() {
                        self.leave(&mut machine);
                    }
                    self.end_misuse(&mut machine);
                    take_turn();
                    continue;
                }
                Poll::Ready(None) => return End::Gentle,
                Poll::Ready(Some(Err(error))) => return self.failed(&error),
                Poll::Pending => {}
            }
            self.end_misuse(&mut machine);
            if let Some(end) = self.wait(&mut machine) {
                return end;
            }
        }
    }

    fn begin_turn(&self) {
        self.driver.woken.store(false, SeqCst);
        self.shared.begin_turn();
    }

    /// The settings are exchanged, and the preface has come.
    fn shake_hands(&mut self, waker: &Waker) -> Result<Machine<T>, End> {
        let builder = builder(self.service);
        let mut handshake = pin!(builder.handshake(PolledIo(self.shared.clone())));
        let began = Instant::now();
        let deadline = began.checked_add(self.service.config.clocks.head);
        loop {
            self.begin_turn();
            match handshake.as_mut().poll(&mut Context::from_waker(waker)) {
                Poll::Ready(Ok(machine)) => return Ok(machine),
                Poll::Ready(Err(error)) => return Err(self.failed(&error)),
                Poll::Pending => {}
            }
            self.context.set(ConnState::Idle);
            let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if late || self.service.lifecycle.is_leaving() {
                return Err(End::Gentle);
            }
            match self.shared.wait(&self.driver.woken, deadline) {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(End::Cut),
            }
        }
    }

    /// Advances the state machine, and takes a request unless as many run as may.
    #[expect(clippy::type_complexity, reason = "it is what `h2` gives")]
    fn poll(
        &self,
        machine: &mut Machine<T>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>> {
        if self.requests.running() < self.service.config.http2.streams as usize {
            return machine.poll_accept(context);
        }
        machine.poll_closed(context).map(|done| done.err().map(Err))
    }

    fn begin_request(&mut self, request: Request<RecvStream>, response: SendResponse<Bytes>) {
        let head = head_of(&request, &self.service.config.head_limits);
        let running = self.requests.begin();
        self.trimmed = false;
        let stream = RequestStream::new(response, request.into_body(), running);
        let io = IoParts::new(stream, Incoming::default());
        (self.start)(Detached::new(io, self.info.clone()), head);
    }

    /// Waits for whatever comes next. How the connection ends, if its time is over.
    fn wait(&mut self, machine: &mut Machine<T>) -> Option<End> {
        let running = self.requests.running();
        self.context.set_requests(running);
        let running = running > 0;
        // The state is set before the stop is looked at: see "Stopping" in `lifecycle`.
        self.context
            .set(match running || self.leaving_since.is_some() {
                true => ConnState::Shared,
                false => ConnState::Idle,
            });
        let lifecycle = &self.service.lifecycle;
        if lifecycle.is_leaving() && self.leaving_since.is_none() {
            self.leave(machine);
            return None;
        }
        let now = Instant::now();
        // Also the last of them, which may have ended long after the last look.
        if std::mem::replace(&mut self.was_running, running) || running {
            self.idle_since = now;
        }
        let number = self.shared.head_under_way();
        if number != self.head.map(|(number, _)| number) {
            self.head = number.map(|number| (number, now));
        }
        if lifecycle.is_ending() && self.ending_since.is_none() {
            self.ending_since = Some(now);
        }
        let (deadline, leaves) = self.deadline(running, machine.has_streams());
        if deadline.is_some_and(|deadline| deadline <= now) {
            if leaves {
                return Some(End::Gentle);
            }
            self.leave(machine);
            return None;
        }
        if self.shared.is_spent() {
            yield_now();
        }
        let trims = !running && !self.trimmed;
        if trims && now >= self.idle_since + PATIENCE {
            self.trimmed = true;
            trim(); // what has been served was deeper than this wait, which may be long
        }
        let pause = (trims && !self.trimmed).then(|| self.idle_since + PATIENCE);
        let next = deadline.into_iter().chain(pause).min();
        match self.shared.wait(&self.driver.woken, next) {
            Ok(true) => None,
            Ok(false) | Err(_) => Some(End::Cut),
        }
    }

    /// The next clock that runs out, and whether that is the end without further words.
    fn deadline(&self, running: bool, has_streams: bool) -> (Option<Instant>, bool) {
        let clocks = &self.service.config.clocks;
        let last = self.ending_since.map(|since| since + LAST);
        if let Some(since) = self.leaving_since {
            // What is left of responses has to leave yet.
            let time = if has_streams {
                clocks.write
            } else {
                LAST_WORDS
            };
            let since = since.max(self.idle_since);
            let said = (!running).then(|| since.checked_add(time)).flatten();
            return (said.into_iter().chain(last).min(), true);
        }
        let idle = match clocks.keep_alive.is_zero() {
            true => clocks.head,
            false => clocks.keep_alive.min(MOST_IDLE),
        };
        let idle = if has_streams {
            idle.max(clocks.write) // as above
        } else {
            idle
        };
        let idle = (!running && self.head.is_none())
            .then(|| self.idle_since.checked_add(idle))
            .flatten();
        let head = self
            .head
            .and_then(|(_, since)| since.checked_add(clocks.head));
        (idle.into_iter().chain(head).min(), false)
    }

    /// Tells the client that the connection ends with the requests that it has sent.
    fn leave(&mut self, machine: &mut Machine<T>) {
        if self.leaving_since.is_none() {
            machine.graceful_shutdown();
            self.leaving_since = Some(Instant::now());
        }
    }

    /// Ends the connection if its client does too much of something.
    fn end_misuse(&mut self, machine: &mut Machine<T>) {
        if self.misused {
            // It was told so already.
        } else if self.requests.are_abused() {
            self.end_abuse(machine, "it resets most of its requests");
        } else if let Some(misuse) = self.shared.misuse() {
            self.end_abuse(machine, &format!("{misuse:?}"));
        }
    }

    #[cold]
    fn end_abuse(&mut self, machine: &mut Machine<T>, why: &str) {
        let kind = "connections that ask too much";
        let what = format_args!("a connection is ended: {why}");
        self.service.error_log.log(Level::Warn, kind, what);
        machine.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        self.misused = true;
        self.service.metrics.http2(Http2Event::Flood);
        self.leaving_since = Some(Instant::now());
    }

    #[cold]
    fn failed(&self, error: &h2::Error) -> End {
        log::debug!("a connection of HTTP/2 has failed: {error}");
        if error.is_io() || error.is_remote() {
            return End::Cut;
        }
        self.service
            .access_bad(&self.info, http::StatusCode::BAD_REQUEST);
        if error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
            if !self.misused {
                self.service.metrics.http2(Http2Event::Flood);
            }
            return End::Short;
        }
        End::Gentle
    }

    /// Those whose connection is lost are ended at their next wait, and all of them are part of it.
    fn wait_for_handlers(&self) {
        self.context.set(ConnState::Closing);
        let done = |_: &_, _| {
            self.driver.woken.store(false, SeqCst); // or the last one would wake nobody
            let running = self.requests.running();
            self.context.set_requests(running);
            (running == 0).then_some(())
        };
        let awaited = Awaited::Other("handlers to end");
        let (Ok(()) | Err(TimedOut)) = wait_for(awaited, None, Io::None, done);
    }
}

/// How connections are served.
fn builder(service: &Service) -> Builder {
    let limits = &service.config.http2;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.streams)
        .initial_window_size(limits.window)
        .initial_connection_window_size(limits.connection_window())
        .max_frame_size(limits.frame)
        .max_header_list_size(limits.header_list)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol();
    builder
}

/// Bytes of a response that may wait for the transport.
const SEND_BUFFER: usize = 128 * 1024;
