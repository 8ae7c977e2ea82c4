//! Shows the numbers to whoever asks, on an address of their own.
//!
//! Never on the application's: numbers are for operators. And on an OS thread: they have to be
//! had when all workers are held up, which is when they are of most interest. Clients are served
//! one after the other, each within [`PATIENCE`].

use super::{LagProbes, text};
use crate::green::embed::{Awaited, Interest, Io, Stream, TimedOut, deadline_in, wait_for};
use crate::green::run_info;
use crate::service::{OsThread, Service, date};
use bytes::BytesMut;
use greenway_proto::http1::{HeadLimits, HeadReader, error_response};
use http::{Method, StatusCode};
use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a client may take for its request and the response together.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long `accept` is left alone after an error.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts to answer on `listener`, until the task is ended.
///
/// # Errors
/// When the process can have no more threads.
pub(crate) fn start(service: Arc<Service>, listener: TcpListener) -> io::Result<OsThread> {
    OsThread::start("greenway-metrics", move || {
        let lag = LagProbes::start();
        loop {
            match accept(&listener) {
                Ok(stream) => {
                    if let Err(error) = serve(&service, &lag, stream) {
                        log::debug!("metrics were asked for, but not taken: {error}");
                    }
                }
                Err(error) => {
                    log::warn!("metrics cannot be asked for: {error}");
                    crate::green::sleep(PAUSE);
                }
            }
        }
    })
}

fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let io = Io::Poll(listener.as_fd(), Interest::Readable);
    let result = wait_for(Awaited::Accept, None, io, |_, _| match listener.accept() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Ok((stream, _)) => Some(stream.set_nonblocking(true).map(|()| stream)),
        Err(error) => Some(Err(error)),
    });
    result.unwrap_or_else(|TimedOut| Err(io::ErrorKind::TimedOut.into()))
}

fn serve(service: &Service, lag: &LagProbes, stream: TcpStream) -> io::Result<()> {
    let stream = Stream::new(stream)?;
    let deadline = deadline_in(PATIENCE);
    let mut buf = BytesMut::new();
    let mut heads = HeadReader::default();
    let head = loop {
        match heads.read(&mut buf, &HeadLimits::default()) {
            Ok(Some(request)) => break Ok(request.head),
            Err(reject) => break Err((reject.status, reject.reason)),
            Ok(None) => {}
        }
        if stream.read(deadline, |bytes| buf.extend_from_slice(bytes))? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut response = Vec::new();
    let date = date(Instant::now());
    match head {
        Err((status, reason)) => error_response(&mut response, status, reason, None, &date),
        Ok(head) if !matches!(head.method, Method::GET | Method::HEAD) => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            error_response(&mut response, status, "only GET and HEAD", None, &date);
        }
        Ok(head) => {
            let path = head.text(head.path);
            let query = head.query.map(|query| head.text(query));
            let Some((kind, body)) = page(path, query, service, lag) else {
                let status = StatusCode::NOT_FOUND;
                error_response(
                    &mut response,
                    status,
                    "see /metrics and /threads",
                    None,
                    &date,
                );
                return send(&stream, &response, deadline);
            };
            let length = body.len();
            response = format!(
                "HTTP/1.1 200 OK\r\nserver: greenway\r\nconnection: close\r\n\
                 content-type: {kind}; charset=utf-8\r\n\
                 cache-control: no-store\r\ncontent-length: {length}\r\n\r\n"
            )
            .into_bytes();
            if head.method == Method::GET {
                response.extend_from_slice(body.as_bytes());
            }
        }
    }
    send(&stream, &response, deadline)
}

/// What is shown under a path: its content type, and the text.
fn page(
    path: &str,
    query: Option<&str>,
    service: &Service,
    lag: &LagProbes,
) -> Option<(&'static str, String)> {
    match (path, query) {
        ("/metrics", _) => Some(("text/plain; version=0.0.4", text::render(service, lag))),
        ("/threads", Some("all")) => Some(("text/plain", format!("{:#}", run_info()))),
        ("/threads", _) => Some(("text/plain", run_info().to_string())),
        _ => None,
    }
}

fn send(stream: &Stream, response: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    write_all(stream, response, deadline)?;
    stream.shutdown(Shutdown::Write);
    Ok(())
}

fn write_all(stream: &Stream, mut bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = stream.write_vectored(&[IoSlice::new(bytes)], deadline)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
    }
    Ok(())
}
