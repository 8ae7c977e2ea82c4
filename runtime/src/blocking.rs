//! [`blocking`]: a handler that runs on an OS thread, whatever the engine.
//!
//! What must stay true: whatever becomes of the handler or of the client, the request is answered
//! or its connection cut, as if the handler had run here; the handler's values never leave its
//! thread; and nothing is buffered without a bound.
//!
//! # Implementation
//!
//! A request is tied to the thread of its connection, so what goes to the pool is a
//! [`Detached`] one, with its whole body. The handler answers with pieces over a bounded queue:
//! the head first, and then the chunks of a body that is a stream, which is driven there. The
//! thread of the connection waits for them, and puts them on the wire. If it is unwound (the client
//! has left, the time is over), a guard takes the job back or closes the queue, so that the
//! handler's next chunk fails.

use crate::green::{Event, Job, JoinError, Queue, ThreadPool, is_green, with_fresh_locals};
use greenway_app::{
    Application, Body, BodyError, Bytes, Detached, HeaderMap, HttpError, IntoResponse, Peer,
    Request, Response, ResponseParts, Sink,
};
use std::io;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Threads of the pool that handlers run on, and how many may wait for one: the former as in the
/// threads engine.
const DEFAULT_POOL: (usize, usize) = (20, 100);

/// Bytes of a request's body.
const DEFAULT_BODY: usize = 1024 * 1024;

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
/// - The request's body has been read when it is called, up to [`Blocking::body_limit`] (413
///   beyond it).
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
        body_limit: DEFAULT_BODY,
    }
}

/// A handler that runs on an OS thread; see [`blocking`].
pub struct Blocking {
    handler: Arc<dyn Application>,
    pool: ThreadPool,
    body_limit: usize,
}

impl Blocking {
    /// The threads that it runs on: few, for handlers that use a few connections to a database.
    #[must_use]
    pub fn pool(mut self, pool: &ThreadPool) -> Self {
        self.pool = pool.clone();
        self
    }

    /// Bytes of a request's body at most, which are in memory all at once. Default: 1 MiB.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }
}

impl Application for Blocking {
    fn call(&self, request: Request) -> Response {
        if !is_green() {
            return self.handler.call(request);
        }
        let request = match request.detach(self.body_limit) {
            Ok(request) => request,
            Err(error) => return error.into_response(),
        };
        let link = Arc::new(Link {
            pieces: Queue::new(CHUNKS),
            left: Event::new(),
        });
        let (handler, there) = (self.handler.clone(), link.clone());
        let Ok(job) = self.pool.try_spawn(move || there.run(&*handler, request)) else {
            return HttpError::new(503, "too many requests at once")
                .with_header("retry-after", "1")
                .into_response();
        };
        Call { link, job }.answer()
    }
}

impl std::fmt::Debug for Blocking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocking")
            .field("pool", &self.pool)
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}

/// What handler and connection have between them.
struct Link {
    pieces: Queue<Piece>,
    /// Set when nobody waits for the handler any more.
    left: Event,
}

/// Of an answer, in this order: one head; then, if the body is a stream, starts and chunks, and
/// how it ended.
enum Piece {
    Head(ResponseParts, Content),
    Start,
    Chunk(Bytes),
    End(Result<(), BodyError>),
}

enum Content {
    Full(Bytes),
    Stream { length: Option<u64> },
}

impl Link {
    /// The handler's side, on its OS thread. A panic of the handler closes the queue, and is the
    /// job's outcome.
    fn run(self: Arc<Self>, handler: &dyn Application, request: Detached) {
        let pieces = self.pieces.feeder();
        let client = Rc::new(Client(self.clone()));
        with_fresh_locals(|| {
            let response = handler.call(request.attach().with_peer(client));
            let (parts, body) = response.into_parts();
            // When nobody wants a piece any more, there is nothing to be done about it.
            let _ = match body.into_full() {
                Ok(bytes) => pieces.put(Piece::Head(parts, Content::Full(bytes))),
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
}

impl Call {
    fn answer(self) -> Response {
        match self.link.pieces.get() {
            Some(Piece::Head(parts, Content::Full(bytes))) => {
                Response::from_parts(parts, Body::full(bytes))
            }
            Some(Piece::Head(parts, Content::Stream { length })) => {
                let body = Body::stream(move |out| {
                    loop {
                        match self.link.pieces.get() {
                            Some(Piece::Start) => out.start()?,
                            Some(Piece::Chunk(chunk)) => out.send(chunk)?,
                            Some(Piece::End(end)) => return end,
                            Some(Piece::Head(..)) | None => self.fail(),
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
        self.job.kill(); // has an effect if it has not begun
    }
}
