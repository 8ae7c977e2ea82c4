//! What is sent for an error: the application is asked for its page.
//!
//! What must stay true: all of this is kept out of the way of requests that go well, of their time
//! and of their stack; and whatever a page does, there is a response.

use super::Connection;
use super::framed::{Framed, FramedHead};
use super::transport::Transport;
use crate::green::embed::{Unwind, current};
use crate::service::{date, panics};
use bytes::BytesMut;
use greenway_app::{
    ConnectionInfo, Failure, HttpError, Input, IntoResponse, Request, Response, Version,
    WireResponse, error_response,
};
use greenway_proto::http1::{self, HeadLimits, HeadReader, Reject, RequestInfo};
use greenway_proto::http2;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// What is said of a handler that has failed.
const FAILED: &str = "the handler failed";

impl<T: Transport> Connection<T> {
    /// The response to be sent for one that was made of an error, within what catches a handler's
    /// unwinding.
    #[cold]
    #[inline(never)] // not to be part of the frame of those below which handlers run
    pub(super) fn paged(&self, response: Response) -> Response {
        let told = self.unless_it_unwinds(&response);
        let response = error_response(&*self.io.service.app, self.asked().as_ref(), response);
        told.forget();
        response
    }

    /// Logs why a response is a 5xx if its page unwinds, in which case the response is lost.
    fn unless_it_unwinds(&self, response: &Response) -> Untold<'_, T> {
        Untold {
            connection: self,
            failure: response.extensions().get::<Failure>().cloned(),
        }
    }

    /// The same where nothing catches it.
    #[cold]
    #[inline(never)]
    pub(super) fn paged_in_any_case(&self, response: Response) -> Response {
        let status = response.status();
        let service = &*self.io.service;
        let asked = self.asked();
        let result = {
            let me = current();
            let _noted = panics::Noted::new(&me);
            // Unwind safety: as with a handler, the application is what is shared.
            catch_unwind(AssertUnwindSafe(|| {
                let told = self.unless_it_unwinds(&response);
                let response = error_response(&*service.app, asked.as_ref(), response);
                told.forget();
                response
            }))
        };
        result.unwrap_or_else(|payload| {
            // One that was interrupted is not in the log: the reason for it is, or will be.
            if Unwind::of(&*payload).is_none() {
                let line = self.io.context.line().unwrap_or_default();
                self.report_panic(&line, payload);
            }
            HttpError::new(status, "").into_response()
        })
    }

    /// What a handler that has panicked is answered with. The panic is in the log already, so its
    /// text is for a page of the application's author only.
    #[cold]
    pub(super) fn panicked(&self, text: String) -> Response {
        let mut response = HttpError::new(500, FAILED)
            .with_source(text)
            .into_response();
        response.extensions_mut().remove::<Failure>();
        response
    }

    /// The response to what is no request, as it stands on the wire.
    #[cold]
    pub(super) fn refusal(&self, reject: &Reject, date: &http1::Date) -> Vec<u8> {
        let mut out = Vec::new();
        let wire = self.refused(reject);
        let (status, headers) = (wire.status, wire.headers.as_deref());
        let Ok(body) = wire.body.into_full() else {
            http1::error_response(&mut out, reject.status, reject.reason, None, date);
            return out;
        };
        let asked = RequestInfo {
            head: false,
            version: Version::HTTP_11,
            keep_alive: false,
        };
        let plan = http1::plan(&asked, status, headers, Some(body.len() as u64));
        let content_type = wire.content_type.as_ref();
        http1::write_head(
            &mut out,
            asked.version,
            status,
            content_type,
            headers,
            &plan,
            date,
        );
        if plan.send_body {
            out.extend_from_slice(&body);
        }
        out
    }

    /// The response to what is no request.
    #[cold]
    fn refused(&self, reject: &Reject) -> WireResponse {
        let refused = HttpError::new(reject.status, reject.reason).into_response();
        self.paged_in_any_case(refused).into_wire()
    }

    /// Answers what is no request on a framed stream.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse_framed(&self, framed: &dyn Framed, reject: &Reject) -> io::Result<()> {
        let wire = self.refused(reject);
        let (status, headers) = (wire.status, wire.headers.as_deref());
        let body = wire.body.into_full().unwrap_or_default();
        let asked = RequestInfo {
            head: false,
            version: Version::HTTP_2,
            keep_alive: false,
        };
        let plan = http1::plan(&asked, status, headers, Some(body.len() as u64));
        framed.send_head(&FramedHead {
            status,
            content_type: wire.content_type.as_ref(),
            headers,
            plan: &plan,
            date: &date(Instant::now()),
        })?;
        if plan.send_body {
            self.io.send(&[&body])?;
        }
        framed.end_message()
    }

    /// The present request without its body, read anew from its head, as the application has the
    /// first one. `None` where it could not be read.
    fn asked(&self) -> Option<Request> {
        let line = self.io.context.line()?;
        let info = self.io.context.proxied();
        let info = info.unwrap_or_else(|| self.info.clone());
        let limits = &self.io.service.config.head_limits;
        if line.is_http2() {
            let head = http2::read_again(line.head(), limits)?.head;
            return Request::new(head, Input::empty(), info).ok();
        }
        read_again(line.head(), limits, info)
    }
}

/// A failure that is in the log once its response is sent, or when this is dropped.
struct Untold<'a, T: Transport> {
    connection: &'a Connection<T>,
    failure: Option<Failure>,
}

impl<T: Transport> Untold<'_, T> {
    /// The response is there, and has the failure.
    fn forget(mut self) {
        self.failure = None;
    }
}

impl<T: Transport> Drop for Untold<'_, T> {
    fn drop(&mut self) {
        if let Some(failure) = &self.failure {
            self.connection.report(failure);
        }
    }
}

/// A request of this head, which a server has read before.
#[cold]
pub(crate) fn read_again(
    head: &[u8],
    limits: &HeadLimits,
    info: Arc<ConnectionInfo>,
) -> Option<Request> {
    let read = HeadReader::default().read(&mut BytesMut::from(head), limits);
    Request::new(read.ok().flatten()?.head, Input::empty(), info).ok()
}
