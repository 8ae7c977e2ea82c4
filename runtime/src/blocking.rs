//! [`blocking`]: a handler that runs on an OS thread, whatever the engine.
//!
//! What must stay true: whatever becomes of the handler or of the client, the request is answered
//! or its connection cut, as if the handler had run here; the handler's values never leave its
//! thread; and nothing is buffered without a bound.
//!
//! # Implementation
//!
//! A request is tied to the thread of its connection, so what goes to the pool is a
//! [`Detached`] one, with the beginning of its body. Of a longer one the handler asks for piece
//! after piece, and the thread of the connection reads it. The handler answers with pieces over a bounded queue:
//! the head first, and then the chunks of a body that is a stream, which is driven there. The
//! thread of the connection waits for them, and puts them on the wire. If it is unwound (the client
//! has left, the time is over), a guard takes the job back or closes the queue, so that the
//! handler's next chunk fails.

use crate::green::{Event, Job, JoinError, Queue, ThreadPool, is_green, with_fresh_locals};
use bytes::Buf;
use greenway_app::{
    Application, Body, BodyError, Bytes, Detached, Gone, HeaderMap, HttpError, Input, InputSource,
    IntoResponse, Peer, Request, Response, ResponseParts, Sink, WholeBody,
};
use std::io::{self, BufRead};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Threads of the pool that handlers run on, and how many may wait for one: the former as in the
/// threads engine.
const DEFAULT_POOL: (usize, usize) = (20, 100);

/// Bytes of a request's body that are read before the handler is called.
const DEFAULT_AHEAD: usize = 1024 * 1024;

/// Bytes of a request's body that are on their way to the handler at most.
const MOST_AT_ONCE: usize = 64 * 1024;

/// Chunks that may wait for the client.
const CHUNKS: usize = 4;

/// Lets `handler` run on an OS thread, for one that computes for long or uses a library that
/// blocks: other green threads of its worker go on meanwhile.
///
/// ```no_run
/// use greenway::{App, HttpError, Request, blocking};
///
/// fn thumbnail(req: Request) -> Result<Vec<u8>, HttpError> {
///     let picture = req.body(1024 * 1024)?;
///     Ok(picture.iter().rev().copied().collect()) // for a second, say
/// }
///
/// let mut app = App::new();
/// app.post("/thumbnail", blocking(thumbnail));
/// app.get("/", |_: Request| "this one runs in a green thread");
/// greenway::serve(app)
/// ```
///
/// What is different for the handler:
///
/// - A request's body of up to [`Blocking::read_ahead`] bytes has been read when it is called, so
///   that a slow client holds no thread. A longer one it reads as it comes, as any handler does, in
///   constant memory.
/// - It cannot be ended: a client that has left, `--timeout` (504) and a stop of the server end
///   the wait for it, and not the handler. [`Request::disconnected`] tells it; sending a chunk of
///   a streamed body fails then. One that has not begun by then is not called.
/// - [`Request::early_hints`] does nothing, and the connection cannot become a WebSocket.
/// - [`Local`](crate::green::Local) values are its own.
///
/// It is called on a pool of 20 threads that all such handlers share, with room for 100 that wait
/// for one, or on [a pool of one's own](Blocking::pool). When that is full, the answer is 503 with
/// `Retry-After`. Where a request is served by an OS thread anyway, by the threads engine, the
/// handler is called there, and none of the above applies.
///
/// For a part of a handler, use [`unblock`](crate::green::unblock).
pub fn blocking(handler: impl Application) -> Blocking {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    let (threads, queue) = DEFAULT_POOL;
    let pool = POOL.get_or_init(|| ThreadPool::new(threads, queue));
    Blocking {
        handler: Arc::new(handler),
        pool: pool.clone(),
        read_ahead: DEFAULT_AHEAD,
    }
}

/// A handler that runs on an OS thread; see [`blocking`].
pub struct Blocking {
    handler: Arc<dyn Application>,
    pool: ThreadPool,
    read_ahead: usize,
}

impl Blocking {
    /// The threads that it runs on: few, for handlers that use a few connections to a database.
    #[must_use]
    pub fn pool(mut self, pool: &ThreadPool) -> Self {
        self.pool = pool.clone();
        self
    }

    /// Bytes of a request's body that are read, into memory, before the handler is called. It is
    /// no limit: what is longer comes while the handler reads it. Default: 1 MiB.
    #[must_use]
    pub fn read_ahead(mut self, bytes: usize) -> Self {
        self.read_ahead = bytes;
        self
    }
}

impl Application for Blocking {
    fn call(&self, mut request: Request) -> Response {
        if !is_green() {
            return self.handler.call(request);
        }
        let mut input = request.take_input();
        let length = input.length();
        let begin = match read_ahead(&mut input, self.read_ahead) {
            Ok(begin) => begin,
            Err(error) => return error.into_response(),
        };
        let is_whole = input.is_empty() || length == Some(begin.len() as u64);
        let request = match request.detach(0) {
            Ok(request) => request,
            Err(error) => return error.into_response(),
        };
        let link = Arc::new(Link {
            pieces: Queue::new(CHUNKS),
            body: Queue::new(1),
            left: Event::new(),
        });
        let (handler, there) = (self.handler.clone(), link.clone());
        let asks = link.clone();
        let body = move || match is_whole {
            true => Input::full(begin),
            false => Input::new(Box::new(Rest {
                link: asks,
                here: begin,
                length,
            })),
        };
        let Ok(job) = self
            .pool
            .try_spawn(move || there.run(&*handler, request, body))
        else {
            return HttpError::new(503, "too many requests at once")
                .with_header("retry-after", "1")
                .into_response();
        };
        Call { link, job, input }.answer()
    }

    /// On the thread of the connection: pages are short.
    fn answer_error(&self, request: &Request, error: &HttpError) -> Option<Response> {
        self.handler.answer_error(request, error)
    }
}

impl std::fmt::Debug for Blocking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocking")
            .field("pool", &self.pool)
            .field("read_ahead", &self.read_ahead)
            .finish_non_exhaustive()
    }
}

/// What handler and connection have between them.
struct Link {
    pieces: Queue<Piece>,
    /// Of the request's body, each after the handler has asked for it; empty at its end.
    body: Queue<io::Result<Bytes>>,
    /// Set when nobody waits for the handler any more.
    left: Event,
}

/// Of an answer, in this order: one head; then, if the body is a stream, starts and chunks, and
/// how it ended. In between the handler may ask for more of the request's body.
enum Piece {
    Ask,
    Head(ResponseParts, Content),
    Start,
    Chunk(Bytes),
    End(Result<(), BodyError>),
}

enum Content {
    Whole(WholeBody),
    Stream { length: Option<u64> },
}

impl Link {
    /// The handler's side, on its OS thread. A panic of the handler closes the queue, and is the
    /// job's outcome.
    fn run(
        self: Arc<Self>,
        handler: &dyn Application,
        request: Detached,
        body: impl FnOnce() -> Input,
    ) {
        let pieces = self.pieces.feeder();
        let client = Rc::new(Client(self.clone()));
        with_fresh_locals(|| {
            let mut request = request.attach().with_peer(client);
            *request.input() = body();
            let response = handler.call(request);
            let (parts, body) = response.into_parts();
            // When nobody wants a piece any more, there is nothing to be done about it.
            let _ = match body.into_whole() {
                Ok(body) => pieces.put(Piece::Head(parts, Content::Whole(body))),
                Err(stream) => {
                    let length = stream.length();
                    let _ = pieces.put(Piece::Head(parts, Content::Stream { length }));
                    let end = stream.send_to(&mut Relay(&self.pieces));
                    pieces.put(Piece::End(end))
                }
            };
        });
    }
}

/// Reads the beginning of a body: more than `wanted` only if that much has come.
///
/// # Errors
/// What a body that cannot be read is answered with.
fn read_ahead(input: &mut Input, wanted: usize) -> Result<Bytes, HttpError> {
    let mut begin = Vec::new();
    while begin.len() < wanted {
        match input.fill_buf() {
            Ok([]) => break,
            Ok(chunk) => {
                let taken = chunk.len().min(MOST_AT_ONCE);
                begin.extend_from_slice(&chunk[..taken]);
                input.consume(taken);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Input::new(Box::new(Failed(Some(error)))).read_all(0);
            }
        }
    }
    Ok(begin.into())
}

/// A body that cannot be read.
struct Failed(Option<io::Error>);

impl InputSource for Failed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.take().map_or(Ok(&[]), Err)
    }

    fn consume(&mut self, _: usize) {}

    fn length(&self) -> Option<u64> {
        None
    }
}

/// A body that is read on the thread of its connection.
struct Rest {
    link: Arc<Link>,
    here: Bytes,
    length: Option<u64>,
}

impl InputSource for Rest {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.here.is_empty() {
            let gone = || io::Error::new(io::ErrorKind::BrokenPipe, Gone);
            let asked = self.link.pieces.put(Piece::Ask);
            asked.map_err(|_closed| gone())?;
            self.here = self.link.body.get().ok_or_else(gone)??;
        }
        Ok(&self.here)
    }

    fn consume(&mut self, n: usize) {
        self.here.advance(n.min(self.here.len()));
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

/// Where the handler's body is sent to.
struct Relay<'a>(&'a Queue<Piece>);

impl Sink for Relay<'_> {
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        let sent = self.0.put(Piece::Chunk(chunk));
        sent.map_err(|_closed| BodyError::gone())
    }

    fn start(&mut self) -> Result<(), BodyError> {
        let sent = self.0.put(Piece::Start);
        sent.map_err(|_closed| BodyError::gone())
    }
}

/// The client, as the handler on its OS thread can ask for it.
struct Client(Arc<Link>);

impl Peer for Client {
    fn has_left(&self) -> bool {
        self.0.left.is_set()
    }

    fn wait_until_left(&self, timeout: Duration) -> bool {
        self.0.left.wait_timeout(timeout).is_ok()
    }

    fn early_hints(&self, _headers: &HeaderMap) -> io::Result<()> {
        Ok(())
    }
}

/// The connection's side. Dropping it tells the handler that nobody waits any more.
struct Call {
    link: Arc<Link>,
    job: Job<()>,
    input: Input,
}

impl Call {
    /// The next piece of the answer. Meanwhile reads what the handler asks for.
    fn next(&mut self) -> Option<Piece> {
        loop {
            match self.link.pieces.get() {
                Some(Piece::Ask) => {
                    let chunk = self.read();
                    // There is room: one is asked for at a time. When the handler is gone, nobody
                    // wants it.
                    let _ = self.link.body.put(chunk);
                }
                piece => return piece,
            }
        }
    }

    fn read(&mut self) -> io::Result<Bytes> {
        let chunk = self.input.fill_buf()?;
        let chunk = Bytes::copy_from_slice(&chunk[..chunk.len().min(MOST_AT_ONCE)]);
        self.input.consume(chunk.len());
        Ok(chunk)
    }

    fn answer(mut self) -> Response {
        match self.next() {
            Some(Piece::Head(parts, Content::Whole(body))) => {
                Response::from_parts(parts, body.into())
            }
            Some(Piece::Head(parts, Content::Stream { length })) => {
                let body = Body::stream(move |out| {
                    loop {
                        match self.next() {
                            Some(Piece::Start) => out.start()?,
                            Some(Piece::Chunk(chunk)) => out.send(chunk)?,
                            Some(Piece::End(end)) => return end,
                            Some(Piece::Head(..) | Piece::Ask) | None => self.fail(),
                        }
                    }
                });
                let body = match length {
                    Some(length) => body.with_length(length),
                    None => body,
                };
                Response::from_parts(parts, body)
            }
            _ => self.fail(),
        }
    }

    /// Goes on with the handler's panic, as if it had happened here.
    fn fail(&self) -> ! {
        match self.job.join_timeout(Duration::MAX) {
            Some(Err(JoinError::Panicked(payload))) => resume_unwind(payload),
            _ => panic!("the handler has ended without an answer"),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.link.left.set();
        self.link.pieces.close();
        self.link.body.close();
        self.job.kill(); // has an effect if it has not begun
    }
}
