//! Peer: hyper 1 with HTTP/1 on tokio, in the form that its fastest published entries
//! use: a current-thread runtime per core, each with a listening socket of its own
//! (`SO_REUSEPORT`), `pipeline_flush` for pipelined requests, `TCP_NODELAY`. With `BENCH_HTTP2` in
//! its environment it speaks HTTP/2 instead.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::iter::Map;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::Iter;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use peer_common::{Ask, Order, Waiting};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::sync::Notify;

/// Waked by `/publish`, whichever runtime the waiting handler is on.
static NEWS: Notify = Notify::const_new();

type Chunk = Result<Frame<Bytes>, Infallible>;
type Chunks = Map<Range<u64>, fn(u64) -> Chunk>;
type Ticks = Pin<Box<dyn Stream<Item = Chunk>>>;
type Streamed = Either<StreamBody<Iter<Chunks>>, StreamBody<Ticks>>;
type Answer = Response<Either<Full<Bytes>, Streamed>>;

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn full(content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn streamed(body: Streamed) -> Answer {
    let mut response = Response::new(Either::Right(body));
    response.headers_mut().insert(CONTENT_TYPE, OCTETS);
    response
}

fn ticks(n: u64, pause: Duration) -> Ticks {
    Box::pin(futures_util::stream::unfold(n, move |left| async move {
        let rest = left.checked_sub(1)?;
        tokio::time::sleep(pause).await;
        Some((Ok(Frame::data(peer_common::tick().into())), rest))
    }))
}

fn chunk(_: u64) -> Chunk {
    Ok(Frame::data(Bytes::from_static(peer_common::CHUNK)))
}

async fn order(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let answer =
        serde_json::from_slice(&body).and_then(|order: Order| serde_json::to_vec(&order.receipt()));
    Ok(match answer {
        Ok(receipt) => full(JSON, receipt),
        Err(error) => {
            let mut answer = full(PLAIN, error.to_string());
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            answer
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    match peer_common::ask(target) {
        Ask::Hello => {}
        Ask::Sleep(time) => tokio::time::sleep(time).await,
        Ask::Compute(time) => peer_common::compute(time),
        Ask::Json => return Ok(full(JSON, peer_common::json())),
        Ask::Echo => {
            let body = request.into_body().collect().await?.to_bytes();
            return Ok(full(OCTETS, body));
        }
        Ask::Stream(n) => {
            let chunks = (0..n).map(chunk as fn(u64) -> Chunk);
            let body = StreamBody::new(futures_util::stream::iter(chunks));
            return Ok(streamed(Either::Left(body)));
        }
        Ask::Order => return order(request).await,
        Ask::Ticks(n, pause) => {
            return Ok(streamed(Either::Right(StreamBody::new(ticks(n, pause)))));
        }
        Ask::Large => return Ok(full(OCTETS, &peer_common::LARGE[..])),
        Ask::Poll => {
            // Hears of what is published from here on, polled or not.
            let news = NEWS.notified();
            let _counted = Waiting::new();
            news.await;
        }
        Ask::Publish => NEWS.notify_waiters(),
        Ask::Waiting => return Ok(full(PLAIN, Waiting::count().to_string())),
    }
    Ok(full(PLAIN, peer_common::HELLO))
}

fn main() -> io::Result<()> {
    let flags = peer_common::flags();
    let first = listen(flags.bind)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..flags.cores {
        listeners.push(listen(address)?);
    }
    peer_common::listening_on(address);
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| std::thread::spawn(move || run(listener, flags.head_timeout)))
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| io::Error::other("a runtime panicked"))??;
    }
    Ok(())
}

fn run(listener: TcpListener, head_timeout: Option<Duration>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let speaks_http2 = std::env::var_os("BENCH_HTTP2").is_some();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            // Out of descriptors, or a client that left before it was accepted.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            stream.set_nodelay(true)?;
            if speaks_http2 {
                let connection = http2::Builder::new(Here)
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                // As below.
                tokio::task::spawn_local(async move { drop(connection.await) });
                continue;
            }
            tokio::task::spawn_local(async move {
                let mut builder = http1::Builder::new();
                builder.pipeline_flush(true);
                if let Some(time) = head_timeout {
                    builder.timer(TokioTimer::new()).header_read_timeout(time);
                }
                // A client that leaves is the normal end of a connection here.
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await;
            });
        }
    })
}

/// Streams of HTTP/2 stay on the runtime of their connection.
#[derive(Clone, Copy)]
struct Here;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Here {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 4096)?;
    Ok(TcpListener::from(socket))
}
