//! Peer: hyper 1 with HTTP/1 on tokio, in the form that its fastest published entries
//! use: a current-thread runtime per core, each with a listening socket of its own
//! (`SO_REUSEPORT`), `pipeline_flush` for pipelined requests, `TCP_NODELAY`.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    if let Some(time) = peer_common::sleep_asked(target) {
        tokio::time::sleep(time).await;
    }
    let mut response = Response::new(Full::new(Bytes::from_static(peer_common::HELLO.as_bytes())));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
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
        .map(|listener| std::thread::spawn(move || run(listener)))
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| io::Error::other("a runtime panicked"))??;
    }
    Ok(())
}

fn run(listener: TcpListener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            // Out of descriptors, or a client that left before it was accepted.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            };
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                // A client that leaves is the normal end of a connection here.
                let _ = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await;
            });
        }
    })
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
