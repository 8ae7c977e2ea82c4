//! The minihttp engine: the application hosted by the crate `may_minihttp`, as a WSGI
//! application can be hosted by any WSGI server.
//!
//! That server has no streaming, no upgrades, no chunked requests, no time limits and no
//! admission, and cannot be stopped once it runs; a handler that waits is fine. What the
//! application asks for beyond that is answered with 501. Heads go through our own parser as
//! well, so that what Greenway refuses is refused here, too. It is a baseline to compare with,
//! not a server for a public port.

use super::{AcceptQueue, Engine};
use crate::connection::read_again;
use crate::green::embed::{current, end_of_work, lock};
use crate::service::{Service, panics};
use bytes::{BufMut, Bytes, BytesMut};
use greenway_app::{
    ConnectionInfo, HttpError, Input, IntoResponse, Request, Response, ResponseParts,
    error_response,
};
use greenway_proto::http1::{BodyLength, HeadReader};
use http::{HeaderMap, StatusCode};
use may_minihttp::{HttpService, HttpServiceFactory};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// `may_minihttp` takes header lines with the lifetime `static`, so each different one is leaked. At
/// most so many are.
const MOST_LINES: usize = 1024;
/// Header lines that a response of `may_minihttp` has room for.
const MOST_FIELDS: usize = 16;

#[derive(Debug)]
pub(super) struct MiniHttpEngine;

impl MiniHttpEngine {
    pub(super) fn start(service: &Arc<Service>, listeners: Vec<TcpListener>) -> io::Result<Self> {
        for listener in listeners {
            let addr = listener.local_addr().map_err(|_not_tcp| {
                let why = "the minihttp engine listens on host:port only";
                io::Error::new(io::ErrorKind::Unsupported, why)
            })?;
            // That server binds the address itself. Ours has shown that it was free.
            drop(listener);
            let info = Arc::new(
                ConnectionInfo::new(Some(addr), None)
                    .with_engine(service.config.engine.name())
                    .with_multithread(true)
                    .with_debug(service.config.debug),
            );
            let _runs_for_ever = Factory {
                service: service.clone(),
                info,
            }
            .start(addr)?;
        }
        Ok(Self)
    }
}

impl Engine for MiniHttpEngine {
    fn stop_accepting(&self, _: AcceptQueue, _deadline: Instant) {
        log::warn!("the minihttp engine cannot stop accepting: it ends with the process");
    }

    fn close_idle(&self, _deadline: Instant) {}

    fn join(self: Box<Self>) {}
}

struct Factory {
    service: Arc<Service>,
    info: Arc<ConnectionInfo>,
}

impl HttpServiceFactory for Factory {
    type Service = Host;

    // Called once for each connection, whose coroutine then runs on the worker that its
    // descriptor belongs to: pinned, as far as our waits are concerned.
    fn new_service(&self, _id: usize) -> Host {
        Host {
            service: self.service.clone(),
            info: self.info.clone(),
        }
    }
}

/// The application, as `may_minihttp` sees it.
struct Host {
    service: Arc<Service>,
    info: Arc<ConnectionInfo>,
}

impl HttpService for Host {
    fn call(
        &mut self,
        request: may_minihttp::Request<'_, '_, '_>,
        out: &mut may_minihttp::Response<'_>,
    ) -> io::Result<()> {
        // Counted, so that a stop waits for it; there is no other admission here.
        let _admission = self.service.lifecycle.admit(|| false);
        let is_head = request.method() == "HEAD";
        let line = format!("{} {}", request.method(), request.path());
        let service = &*self.service;
        let mut response = match self.read(request) {
            Ok(request) => call_catching(service, &line, || service.app.call(request)),
            Err(error) => error.into_response(),
        };
        response.fit_to(&self.info);
        let response = match response.error() {
            None => response,
            Some(_) => {
                let head = format!("{line} HTTP/1.1\r\n\r\n");
                let asked = read_again(
                    head.as_bytes(),
                    &service.config.head_limits,
                    self.info.clone(),
                );
                call_catching(service, &line, || {
                    error_response(&*service.app, asked.as_ref(), response)
                })
            }
        };
        let error_log = &self.service.error_log;
        error_log.failure(&response, || {
            let kind = line.split('?').next().unwrap_or(&line);
            (kind.to_owned(), line.clone())
        });
        let status = response.status();
        if status.is_informational() {
            let kind = line.split('?').next().unwrap_or(&line);
            let what = format_args!("{line}: {status} is no final response");
            error_log.error(&format!("responses of {kind}"), what);
        }
        give(response, is_head, out);
        Ok(())
    }
}

impl Host {
    /// Our request for theirs.
    fn read(&self, request: may_minihttp::Request<'_, '_, '_>) -> Result<Request, HttpError> {
        let config = &self.service.config;
        let parsed = HeadReader::default()
            .read(&mut head_of(&request), &config.head_limits)
            .map_err(|reject| HttpError::new(reject.status, reject.reason))?
            .ok_or_else(|| HttpError::new(400, "the request head is incomplete"))?;
        let input = match parsed.body {
            BodyLength::None => Input::empty(),
            BodyLength::Length(n) if n > config.body_limit => {
                return Err(HttpError::new(413, "the request body is too large"));
            }
            BodyLength::Length(_) => {
                let mut body = Vec::new();
                request.body().read_to_end(&mut body)?;
                Input::full(Bytes::from(body))
            }
            BodyLength::Chunked | BodyLength::UntilEnd => {
                return Err(unsupported("chunked request bodies"));
            }
        };
        Request::new(parsed.head, input, self.info.clone())
    }
}

/// Asks the application for a response, and makes one of whatever unwinds out of it.
fn call_catching(service: &Service, line: &str, call: impl FnOnce() -> Response) -> Response {
    let result = {
        let me = current();
        let _noted = panics::Noted::new(&me);
        catch_unwind(AssertUnwindSafe(call))
    };
    end_of_work(&current());
    result.unwrap_or_else(|payload| match payload.downcast::<HttpError>() {
        Ok(error) => error.into_response(),
        Err(payload) => {
            let kind = line.split('?').next().unwrap_or(line);
            let _in_the_log = panics::report(service, kind, &line, payload);
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                HttpError::new(500, "the handler failed"),
            )
                .into_response()
        }
    })
}

/// Their request's head, as it stood on the wire.
fn head_of(request: &may_minihttp::Request<'_, '_, '_>) -> BytesMut {
    let mut head = BytesMut::with_capacity(512);
    let version = request.version();
    let line = format!(
        "{} {} HTTP/1.{version}\r\n",
        request.method(),
        request.path()
    );
    head.put_slice(line.as_bytes());
    for header in request.headers() {
        head.put_slice(header.name.as_bytes());
        head.put_slice(b": ");
        head.put_slice(header.value);
        head.put_slice(b"\r\n");
    }
    head.put_slice(b"\r\n");
    head
}

/// Gives our response to them.
fn give(response: Response, is_head: bool, out: &mut may_minihttp::Response<'_>) {
    let (
        ResponseParts {
            status, headers, ..
        },
        body,
    ) = response.into_parts();
    if status.is_informational() {
        return give_error(HttpError::new(500, "the handler failed"), out);
    }
    match body.into_full() {
        Err(_stream) => give_error(unsupported("streamed responses"), out),
        Ok(body) => match header_lines(&headers) {
            Err(error) => give_error(error, out),
            Ok(lines) => {
                for line in lines {
                    out.header(line);
                }
                set_status(status, out);
                if !is_head {
                    out.body_vec(body.into());
                }
            }
        },
    }
}

fn unsupported(what: &str) -> HttpError {
    let message =
        format!("{what} are more than the minihttp engine can do: use --engine green or threads");
    HttpError::new(501, message)
}

fn give_error(error: HttpError, out: &mut may_minihttp::Response<'_>) {
    set_status(error.status(), out);
    out.header("Content-Type: text/plain; charset=utf-8");
    out.body_vec(format!("{error}\n").into());
}

fn set_status(status: StatusCode, out: &mut may_minihttp::Response<'_>) {
    out.status_code(
        status.as_u16().into(),
        status.canonical_reason().unwrap_or(""),
    );
}

/// The header lines, each made to live for ever once.
fn header_lines(headers: &HeaderMap) -> Result<Vec<&'static str>, HttpError> {
    static LINES: Mutex<Option<HashMap<String, &'static str>>> = Mutex::new(None);
    let mut result = Vec::new();
    for (name, value) in headers {
        if matches!(
            *name,
            http::header::CONTENT_LENGTH | http::header::DATE | http::header::SERVER
        ) {
            continue; // written by that server
        }
        let mut line = format!("{name}: ");
        let _infallible = write!(line, "{}", String::from_utf8_lossy(value.as_bytes()));
        let mut lines = lock(&LINES);
        let lines = lines.get_or_insert_default();
        if let Some(known) = lines.get(&line) {
            result.push(*known);
        } else if lines.len() < MOST_LINES {
            let for_ever: &'static str = Box::leak(line.clone().into_boxed_str());
            lines.insert(line, for_ever);
            result.push(for_ever);
        } else {
            return Err(unsupported("more than 1,024 different header lines"));
        }
    }
    if result.len() > MOST_FIELDS {
        return Err(unsupported("more than 16 header fields"));
    }
    Ok(result)
}
