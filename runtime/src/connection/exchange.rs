//! One request and its response.

use super::input::BodySource;
use super::output::{ResponseWriter, Written};
use super::transport::Transport;
use super::{After, Connection};
use crate::green::embed::{
    Interrupt, LimitGuard, Measure, TaskContext, Unwind, current, end_of_work,
};
use crate::service::{Entry, RequestLine, Service, panics};
use bytes::Bytes;
use greenway_app::{
    BodyError, ConnectionInfo, Head, HttpError, Input, IntoResponse, Peer, Request, Response,
};
use greenway_proto::http1::{self, RequestFacts, RequestHead};
use http::{Method, StatusCode};
use log::Level;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// What a handler leaves unread of a request's body is read and thrown away up to this many
/// bytes, so that the connection can be used again; beyond it, closing is cheaper.
const DRAIN_BYTES: usize = 64 * 1024;

/// How the application's part of an exchange ended.
pub(super) enum Outcome {
    Sent,
    /// Nothing can be added to what was sent, or nobody is there to send it to.
    Cut,
}

/// A request whose response is sent, as far as it will be.
struct Ended<'a> {
    client: &'a Arc<ConnectionInfo>,
    /// Kept if the log wants it.
    head: Option<&'a Head>,
    asked_upgrade: bool,
}

impl<T: Transport> Connection<T> {
    /// Calls the application and sends its response.
    pub(crate) fn exchange(&self, mut request: RequestHead) -> After {
        let facts = RequestFacts {
            head: request.head.method == Method::HEAD,
            version: request.head.version,
            keep_alive: request.keep_alive && !self.service.lifecycle.is_stopping(),
        };
        let asked_upgrade = request.upgrade;
        self.wire.begin(&request);
        if !self.wire.stream.may_hold_back() && self.wire.flush().is_err() {
            return After::Close;
        }

        let measure = Measure::begin();
        let told = self.service.client_of(&mut request.head, &self.facts);
        let logs = self.service.log_wants();
        let head = logs.variables.then(|| request.head.clone());
        let client = told.as_ref().ok().and_then(Option::as_ref);
        self.seat
            .set_request(RequestLine::of(&request), client.cloned());
        let client = client.unwrap_or(&self.facts);

        let timeout = self.service.config.clocks.handler;
        let limit = LimitGuard::on(&*self.seat.thread, self.since.get() + timeout);
        self.wire.set_handlers_clock(Some(limit.number()));
        let mut writer = ResponseWriter::new(self, facts, limit);
        writer.keep_head(logs.response);
        let outcome = match &told {
            Ok(_) => self.answer(request, client, &mut writer),
            Err(why) => self.send_error(&mut writer, HttpError::new(400, *why)),
        };
        measure.end(|| self.seat.request_info().kind());
        let ended = Ended {
            client,
            head: head.as_deref(),
            asked_upgrade,
        };
        self.settle(outcome, writer, &ended)
    }

    /// Does what is left to do after a response: for the client, for the log, for the next one.
    #[inline(never)]
    fn settle(
        &self,
        outcome: Outcome,
        writer: ResponseWriter<'_, T>,
        request: &Ended<'_>,
    ) -> After {
        if writer.looks_complete() {
            self.wire.cut();
        }
        let Written {
            status,
            body_bytes,
            head,
            may_reuse,
            at,
        } = writer.end();
        self.wire.set_handlers_clock(None);
        self.wire.end();
        let line = self.seat.take_request();
        if request.asked_upgrade
            && self.wire.upgraded.get().is_none()
            && let Some(line) = &line
        {
            log::debug!("{line}: the upgrade it asks for is ignored"); // RFC 9110 section 7.8
        }
        let sent = matches!(outcome, Outcome::Sent);
        let at = if sent { at } else { Instant::now() };
        let since = self.since.replace(at);
        let reuse = may_reuse && sent && self.finish_input();
        let head_bytes = line.as_ref().map_or(0, |line| line.head_len());
        self.service.access(&Entry {
            facts: request.client,
            line: line.as_ref(),
            status,
            sent: body_bytes,
            received: head_bytes as u64 + self.wire.body_total(),
            duration: Some(at.saturating_duration_since(since)),
            head: request.head,
            response: head.as_deref(),
        });
        if reuse {
            let must_go = self.wire.is_full() && self.wire.stream.may_hold_back();
            if must_go {
                let flushed = self.wire.flush();
                self.since.set(Instant::now());
                if flushed.is_err() {
                    return After::Close;
                }
            }
            return After::Reuse;
        }
        After::Close
    }

    /// Gets a response out of the application and onto the wire.
    fn answer(
        &self,
        request: RequestHead,
        client: &Arc<ConnectionInfo>,
        writer: &mut ResponseWriter<'_, T>,
    ) -> Outcome {
        let request = match self.request_of(request, client) {
            Ok(request) => request,
            Err(error) => return self.send_error(writer, error),
        };
        let Some(_handling) = self.service.metrics.handler() else {
            return self.refuse_busy(writer);
        };
        if self.service.lifecycle.is_ending() {
            return self.refuse_at_end(writer); // it would be interrupted, if it is not too late
        }
        if self.wire.queued.take() && self.wire.has_left() {
            writer.note_departure(); // while it waited: nobody wants this answer
            return Outcome::Cut;
        }
        // Unwind safety: the application is shared by all requests and must stand this in any
        // engine (a panicking OS thread leaves it in the same state); the writer is ours.
        let result = {
            let _noted = panics::Noted::new(&self.seat.thread);
            catch_unwind(AssertUnwindSafe(|| {
                let response = self.service.app.call(request);
                if self.wire.upgraded.get().is_some() {
                    return self.unsent(response);
                }
                writer.send(response)
            }))
        };
        if end_of_work(&self.seat.thread) {
            writer.touch(); // destructors may have waited
        }
        match result {
            Ok(Ok(())) if self.wire.upgraded.get().is_none() => Outcome::Sent,
            other => self.conclude(other, writer),
        }
    }

    /// Makes of a head what the application is given.
    #[inline(never)]
    fn request_of(
        &self,
        request: RequestHead,
        client: &Arc<ConnectionInfo>,
    ) -> Result<Request, HttpError> {
        let input = self.input_of(&request)?;
        let request = Request::new(request.head, input, client.clone())?;
        Ok(request.with_peer(self.wire.clone()))
    }

    /// Does what is left to do for a response that has not been sent to its end.
    #[cold]
    #[inline(never)]
    fn conclude(
        &self,
        result: std::thread::Result<Result<(), BodyError>>,
        writer: &mut ResponseWriter<'_, T>,
    ) -> Outcome {
        let line = &self.seat.line().unwrap_or_default();
        if let Some(upgraded) = self.wire.upgraded.get() {
            return self.finish_upgraded(upgraded, result, writer, line);
        }
        let payload = match result {
            Ok(Ok(())) => return Outcome::Sent,
            Ok(Err(error)) if error.is_gone() => {
                writer.note_departure();
                return Outcome::Cut;
            }
            // The write clock has run out: no fault of the handler's.
            Ok(Err(error)) if self.wire.is_broken() => {
                log::debug!("{line}: the client is too slow: {error}");
                return Outcome::Cut;
            }
            // What has failed may be the request's body, and then it says which answer it is.
            Ok(Err(error)) if !writer.has_started() => {
                return self.send_error(writer, HttpError::from(error));
            }
            Ok(Err(error)) => {
                let kind = format!("failed response bodies of {}", self.kind());
                let what = format_args!("{line}: the response body failed: {error}");
                self.service.error_log.error(&kind, what);
                return Outcome::Cut;
            }
            Err(payload) => payload,
        };
        match (Unwind::of(&*payload), payload.downcast::<HttpError>()) {
            (Some(Unwind::LimitPassed(number)), _) if number == writer.limit() => {
                let kind = format!("handlers cut by --timeout of {}", self.kind());
                let timeout = self.service.config.clocks.handler;
                let what = format_args!("{line}: nothing for {timeout:?}: cut by --timeout");
                self.service.error_log.say(Level::Warn, &kind, what);
                self.send_error(writer, HttpError::new(504, "the handler took too long"))
            }
            (Some(Unwind::Interrupted(Interrupt::Departed)), _) => {
                current().clear_departure();
                writer.note_departure();
                Outcome::Cut
            }
            (Some(_), _) => {
                // Stopped or killed. The thread is ours again, and has one thing left to say.
                current().clear_interrupt();
                log::info!("{line}: cut by the server's stop");
                self.service.lifecycle.note_cut();
                self.send_error(writer, HttpError::new(503, "the server is stopping"));
                Outcome::Cut
            }
            (None, Ok(error)) => self.send_error(writer, *error),
            (None, Err(payload)) => {
                self.report_panic(line, payload);
                self.send_error(writer, HttpError::new(500, "the handler failed"))
            }
        }
    }

    /// What requests such as this one have in common, for the log.
    #[cold]
    pub(super) fn kind(&self) -> String {
        let kind = self.seat.request_info().kind();
        kind.unwrap_or_else(|| "handlers".to_owned())
    }

    /// Logs why a response is a 5xx, if it tells.
    pub(super) fn report_failure(&self, response: &Response) {
        let asked = || {
            let line = self.seat.request_info().request;
            (self.kind(), line.unwrap_or_default())
        };
        self.service.error_log.failure(response, asked);
    }

    /// Counts and logs the panic of this request's handler.
    #[cold]
    #[inline(never)]
    pub(super) fn report_panic(&self, line: &RequestLine, payload: Box<dyn Any + Send>) {
        panics::report(&self.service, &self.kind(), line, payload);
    }

    #[cold]
    #[inline(never)]
    fn refuse_busy(&self, writer: &mut ResponseWriter<'_, T>) -> Outcome {
        let error = HttpError::new(503, "too many requests at once");
        self.send_error(writer, error.with_header("retry-after", "1"))
    }

    #[cold]
    #[inline(never)]
    fn refuse_at_end(&self, writer: &mut ResponseWriter<'_, T>) -> Outcome {
        self.service.lifecycle.note_cut();
        current().clear_stop();
        self.send_error(writer, HttpError::new(503, "the server is stopping"))
    }

    fn input_of(&self, request: &RequestHead) -> Result<Input, HttpError> {
        let limit = self.service.config.body_limit;
        match request.body {
            http1::BodyLength::None => Ok(Input::empty()),
            http1::BodyLength::Length(n) if n > limit => {
                self.wire.refuse_body();
                Err(HttpError::new(413, "the request body is too large"))
            }
            http1::BodyLength::Length(_) | http1::BodyLength::Chunked => {
                Ok(Input::new(Box::new(self.body_source())))
            }
        }
    }

    fn body_source(&self) -> BodySource<T> {
        BodySource::new(self.wire.clone(), self.service.config.body_limit)
    }

    /// Sends an error instead of a response, if nothing was sent; else the connection is cut, so
    /// that the client sees that the response is not whole.
    #[cold]
    #[inline(never)]
    fn send_error(&self, writer: &mut ResponseWriter<'_, T>, error: HttpError) -> Outcome {
        if writer.has_started() {
            return Outcome::Cut;
        }
        match writer.send(error.into_response()) {
            Ok(()) => Outcome::Sent,
            Err(_) => Outcome::Cut,
        }
    }

    /// Reads what the handler has left of the body. False if the connection cannot be reused.
    fn finish_input(&self) -> bool {
        let unread = self.wire.with_incoming(|incoming| {
            // Also ends the reign of an `Input` that the handler has put elsewhere.
            match &incoming.body {
                None => Some(false),
                Some(body) if body.failed || body.continue_expected => None,
                Some(body) => Some(!body.decoder.is_done()),
            }
        });
        match unread {
            None => false,
            Some(false) => true,
            Some(true) => {
                let drained = self.wire.flush().is_ok() && self.body_source().drain(DRAIN_BYTES);
                self.since.set(Instant::now());
                drained
            }
        }
    }
}

/// Asks the application for a response where no connection is at hand (the minihttp engine).
pub(crate) fn call_catching(service: &Service, request: Request, line: &str) -> Response {
    let result = {
        let me = current();
        let _noted = panics::Noted::new(&me);
        catch_unwind(AssertUnwindSafe(|| service.app.call(request)))
    };
    end_of_work(&current());
    result.unwrap_or_else(|payload| match payload.downcast::<HttpError>() {
        Ok(error) => error.into_response(),
        Err(payload) => {
            let kind = line.split('?').next().unwrap_or(line);
            panics::report(service, kind, &line, payload);
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                HttpError::new(500, "the handler failed"),
            )
                .into_response()
        }
    })
}
