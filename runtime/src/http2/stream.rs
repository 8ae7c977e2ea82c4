//! A stream of HTTP/2 as the transport of one exchange.
//!
//! What is read and written are the bytes of the bodies. The request's are taken from the state
//! machine frame by frame, and the window is given back with each frame that is taken, so a handler that does not
//! read holds its client up and nobody else. The response's are given to it as far as there is
//! capacity, which is the client's window, the connection's, and a bound of ours.

use super::running::Running;
use super::waiters::Waiters;
use crate::connection::shared_socket::{SharedSocket, Writer};
use crate::connection::{Framed, FramedHead, Transport};
use crate::green;
use crate::green::embed::{Awaited, Io, Thread, TimedOut, current, lock, take_turn, wait_for};
use crate::service::metrics::Http2Event;
use bytes::{Bytes, BytesMut};
use greenway_proto::http1::Framing;
use greenway_proto::http2::{interim_fields, response_fields};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, StatusCode};
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

/// So much is given to the state machine at once.
const PIECE: usize = 64 * 1024;

/// One stream: a request's body and its response.
pub(crate) struct RequestStream {
    shared: Arc<Shared>,
    running: Running,
}

/// The two directions. Nothing under the locks waits.
struct Shared {
    sending: Mutex<Sending>,
    /// `None` when the exchange is over: what has come and was not read then counts no more for the
    /// connection's window, however long others have a way to the stream.
    receiving: Mutex<Option<RecvStream>>,
    waiters: Arc<Waiters>,
    waker: Waker,
}

struct Sending {
    half: Half,
    /// Bytes of the response's body that its head has promised and that are to come.
    left: Option<u64>,
    /// The response is whole.
    ended: bool,
    /// Another protocol has the stream.
    switched: bool,
    /// It was reset here.
    reset: bool,
}

enum Half {
    /// Before the response's head.
    Head(SendResponse<Bytes>),
    /// After it.
    Body(SendStream<Bytes>),
    /// The exchange is over.
    Over,
}

/// The client has reset the stream, or its connection is lost.
#[cold]
fn lost(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

fn ended() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Half {
    fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        match self {
            Self::Head(response) => response.poll_reset(context),
            Self::Body(stream) => stream.poll_reset(context),
            Self::Over => Poll::Ready(Ok(Reason::NO_ERROR)),
        }
    }

    fn send_reset(&mut self, reason: Reason) {
        match self {
            Self::Head(response) => response.send_reset(reason),
            Self::Body(stream) => stream.send_reset(reason),
            Self::Over => {}
        }
    }
}

impl Sending {
    fn head(&mut self) -> io::Result<&mut SendResponse<Bytes>> {
        match &mut self.half {
            Half::Head(response) => Ok(response),
            Half::Body(_) | Half::Over => Err(ended()),
        }
    }

    /// Sends the response's head.
    fn begin(&mut self, head: Response<()>, left: Option<u64>) -> io::Result<()> {
        let end = left == Some(0);
        let stream = self.head()?.send_response(head, end).map_err(lost)?;
        self.half = Half::Body(stream);
        self.left = left;
        self.ended = end;
        Ok(())
    }

    /// How many of `wanted` bytes may be sent; `WouldBlock` if there is no capacity, of which the
    /// waker is told.
    fn room(&mut self, wanted: usize, context: &mut Context<'_>) -> io::Result<usize> {
        let stream = self.body()?;
        stream.reserve_capacity(wanted);
        let mut room = stream.capacity();
        while room == 0 {
            match stream.poll_capacity(context) {
                Poll::Ready(Some(capacity)) => room = capacity.map_err(lost)?,
                Poll::Ready(None) => return Err(lost("the stream was reset")),
                Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        Ok(wanted.min(room))
    }

    /// Sends some of `bufs`; `WouldBlock` as in [`room`](Self::room).
    fn write(&mut self, bufs: &[IoSlice<'_>], context: &mut Context<'_>) -> io::Result<usize> {
        let wanted = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(PIECE);
        let n = self.room(wanted, context)?;
        let mut data = BytesMut::with_capacity(n);
        for buf in bufs {
            let part = buf.len().min(n - data.len());
            data.extend_from_slice(&buf[..part]);
        }
        self.send_some(data.freeze())
    }

    /// As [`write`](Self::write), of bytes that are kept and not copied.
    fn give(&mut self, bytes: &Bytes, context: &mut Context<'_>) -> io::Result<usize> {
        let n = self.room(bytes.len().min(PIECE), context)?;
        self.send_some(bytes.slice(..n))
    }

    fn send_some(&mut self, data: Bytes) -> io::Result<usize> {
        let n = data.len();
        let left = self.left.map(|left| left.saturating_sub(n as u64));
        self.send(data, left)?;
        Ok(n)
    }

    /// What the response's body goes to, until its end.
    fn body(&mut self) -> io::Result<&mut SendStream<Bytes>> {
        match &mut self.half {
            Half::Body(stream) if !self.ended => Ok(stream),
            Half::Body(_) | Half::Head(_) | Half::Over => Err(ended()),
        }
    }

    fn send(&mut self, data: Bytes, left: Option<u64>) -> io::Result<()> {
        let end = left == Some(0);
        self.body()?.send_data(data, end).map_err(lost)?;
        self.left = left;
        self.ended = end;
        Ok(())
    }
}

impl RequestStream {
    pub(super) fn new(
        response: SendResponse<Bytes>,
        request: RecvStream,
        running: Running,
    ) -> Self {
        let waiters = Arc::new(Waiters::default());
        let shared = Shared {
            sending: Mutex::new(Sending {
                half: Half::Head(response),
                left: None,
                ended: false,
                switched: false,
                reset: false,
            }),
            receiving: Mutex::new(Some(request)),
            waker: waiters.clone().into(),
            waiters,
        };
        Self {
            shared: Arc::new(shared),
            running,
        }
    }
}

impl RequestStream {
    /// Whether the response is whole, and the request's body is not.
    pub(crate) fn has_rest(&self) -> bool {
        let receiving = lock(&self.shared.receiving);
        let more = receiving.as_ref().is_some_and(|body| !body.is_end_stream());
        drop(receiving);
        more && lock(&self.shared.sending).ended
    }

    /// Takes what is still to come of a request's body and throws it away, until its end or `deadline`.
    pub(crate) fn discard_rest(&self, deadline: Instant) {
        static NEVER: AtomicBool = AtomicBool::new(false);
        while self.has_rest()
            && matches!(
                self.read_unless(&NEVER, Some(deadline), &mut |_| {}),
                Ok(1..)
            )
        {
            take_turn();
        }
    }
}

impl Shared {
    /// Takes the next piece of the request's body and shows it to `take`. `None` if nothing is
    /// there, of which `me` is told.
    fn read(&self, me: &Arc<Thread>, take: &mut dyn FnMut(&[u8])) -> Option<io::Result<usize>> {
        self.waiters.add(me);
        self.read_some(take)
    }

    /// As [`read`](Self::read), for one who does not wait.
    fn read_some(&self, take: &mut dyn FnMut(&[u8])) -> Option<io::Result<usize>> {
        let mut context = Context::from_waker(&self.waker);
        let mut receiving = lock(&self.receiving);
        let Some(receiving) = &mut *receiving else {
            return Some(Err(lost("the exchange is over")));
        };
        loop {
            match receiving.poll_data(&mut context) {
                Poll::Pending => return None,
                Poll::Ready(None) => return Some(Ok(0)),
                Poll::Ready(Some(Err(error))) => return Some(Err(lost(error))),
                Poll::Ready(Some(Ok(data))) => {
                    take(&data);
                    // Fails only where the stream is over: then nobody waits for a window.
                    let _over = receiving.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        return Some(Ok(data.len()));
                    }
                }
            }
        }
    }

    fn write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut context = Context::from_waker(&self.waker);
        lock(&self.sending).write(bufs, &mut context)
    }

    fn give(&self, bytes: &Bytes) -> io::Result<usize> {
        let mut context = Context::from_waker(&self.waker);
        lock(&self.sending).give(bytes, &mut context)
    }

    fn write_until(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.when_there_is_room(deadline, || self.write(bufs))
    }

    fn when_there_is_room(
        &self,
        deadline: Option<Instant>,
        attempt: impl Fn() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let result = wait_for(Awaited::Writable, deadline, Io::None, |me, _| {
            self.waiters.add(me);
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                done => Some(done),
            }
        });
        result.unwrap_or_else(|TimedOut| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Ends the response, unless it has ended.
    fn end_message(&self) -> io::Result<()> {
        let mut sending = lock(&self.sending);
        match sending.half {
            Half::Body(_) if !sending.ended => sending.send(Bytes::new(), Some(0)),
            Half::Body(_) | Half::Head(_) | Half::Over => Ok(()),
        }
    }

    /// The same, for one who does not care whether the client is there.
    fn end(&self) {
        if let Err(error) = self.end_message() {
            log::debug!("a stream has ended before its end: {error}");
        }
    }

    fn reset(&self, reason: Reason) {
        let mut sending = lock(&self.sending);
        sending.half.send_reset(reason);
        sending.reset = true;
        drop(sending);
        self.waiters.wake_by_ref(); // whoever reads
    }

    /// Whether the client has reset the stream, or left. If not, `me` is woken when it does.
    fn has_left(&self, me: &Arc<Thread>) -> bool {
        self.waiters.add(me);
        let mut context = Context::from_waker(&self.waker);
        lock(&self.sending).half.poll_reset(&mut context).is_ready()
    }
}

/// For a WebSocket, whose senders may be anywhere.
impl SharedSocket for Shared {
    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(bufs)
    }

    fn read_now(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        let nothing = || Err(io::ErrorKind::WouldBlock.into());
        self.read_some(take).unwrap_or_else(nothing)
    }

    fn unsent(&self) -> u64 {
        0 // as in `Transport::unsent`
    }

    fn finish(&self) {
        self.end();
    }

    fn shutdown(&self) {
        self.end();
        self.reset(Reason::CANCEL);
    }

    fn reset(&self) {
        self.reset(Reason::CANCEL);
    }

    fn writer(self: Arc<Self>) -> io::Result<Box<dyn Writer>> {
        Ok(Box::new(StreamWriter(self)))
    }
}

struct StreamWriter(Arc<Shared>);

impl Writer for StreamWriter {
    fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.0.write_until(bufs, deadline)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestStream")
    }
}

impl Transport for RequestStream {
    fn read_unless(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize> {
        let result = wait_for(Awaited::Readable, deadline, Io::None, |me, _| {
            let stopped = || stop.load(Ordering::SeqCst).then_some(Ok(0));
            self.shared.read(me, take).or_else(stopped)
        });
        result.unwrap_or_else(|TimedOut| Err(io::ErrorKind::TimedOut.into()))
    }

    fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.shared.write_until(bufs, deadline)
    }

    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.shared.write(bufs)
    }

    /// What the window takes counts as arrived: the client has made room for it.
    fn unsent(&self) -> Option<u64> {
        None
    }

    fn finish(&self) -> bool {
        self.shared.end();
        true
    }

    fn shutdown(&self) {
        self.shared.end();
        self.shared.reset(Reason::CANCEL);
    }

    fn reset(&self) {
        self.shared.reset(Reason::INTERNAL_ERROR);
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn is_green(&self) -> bool {
        green::is_green()
    }

    fn framed(&self) -> Option<&dyn Framed> {
        Some(self)
    }

    fn shared(&self) -> Option<Arc<dyn SharedSocket>> {
        Some(self.shared.clone())
    }
}

impl Framed for RequestStream {
    fn send_head(&self, head: &FramedHead<'_>) -> io::Result<()> {
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        *response.headers_mut() =
            response_fields(head.content_type, head.headers, head.plan, head.date);
        let left = match head.plan.framing {
            _ if !head.plan.send_body => Some(0),
            Framing::Length(length) => Some(length),
            Framing::None => Some(0),
            Framing::Close | Framing::Chunked => None,
        };
        lock(&self.shared.sending).begin(response, left)
    }

    fn send_interim(&self, status: StatusCode, headers: Option<&HeaderMap>) -> io::Result<()> {
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = interim_fields(headers);
        let mut sending = lock(&self.shared.sending);
        sending.head()?.send_informational(response).map_err(lost)
    }

    fn send_switch(&self, headers: &HeaderMap) -> io::Result<()> {
        let mut response = Response::new(());
        *response.headers_mut() = interim_fields(Some(headers));
        response.headers_mut().remove("sec-websocket-accept"); // RFC 8441 section 5
        let mut sending = lock(&self.shared.sending);
        sending.switched = true;
        sending.begin(response, None)
    }

    fn give_now(&self, bytes: &Bytes) -> io::Result<usize> {
        self.shared.give(bytes)
    }

    fn give(&self, bytes: &Bytes, deadline: Option<Instant>) -> io::Result<usize> {
        let shared = &self.shared;
        shared.when_there_is_room(deadline, || shared.give(bytes))
    }

    fn end_message(&self) -> io::Result<()> {
        self.shared.end_message()
    }

    fn has_left(&self) -> bool {
        self.shared.has_left(&current().handle())
    }
}

impl Drop for RequestStream {
    fn drop(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut sending = lock(&self.shared.sending);
        if sending.ended {
            // Nothing is left to be said.
        } else if sending.reset {
            self.running.count(Http2Event::ResetByServer);
        } else if sending.half.poll_reset(&mut context).is_ready() {
            self.running.given_up();
        } else if sending.switched {
            // A reset would overtake the protocol's last word, as that of a socket would.
            let _lost_by_now = sending.send(Bytes::new(), Some(0));
        }
        let half = std::mem::replace(&mut sending.half, Half::Over);
        drop(sending);
        let rest = lock(&self.shared.receiving).take();
        // Together they end the stream behind what was sent. Whoever still has a way to it is told.
        drop((half, rest));
        self.shared.waiters.wake_by_ref();
    }
}
