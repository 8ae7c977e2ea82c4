//! One request and its response: the application's part of an exchange.

use super::Connection;
use super::handler_end::{HandlerEnd, HandlerResult};
use super::request_body::RequestBody;
use super::response::{ResponseWriter, Written};
use super::transport::Transport;
use crate::green::embed::{
    Interrupt, LimitGuard, Measure, TaskContext, Unwind, current, end_of_work,
};
use crate::service::{Entry, RequestLine, panics};
use greenway_app::{
    ConnectionInfo, Failure, Head, HttpError, Input, IntoResponse, Request, Response,
};
use greenway_proto::http1::exchange::State;
use greenway_proto::http1::{self, RequestHead, RequestInfo};
use http::Method;
use log::Level;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// How the application's part of an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Sent,
    /// Nothing can be added to what was sent, or nobody is there to send it to.
    Cut,
}

impl<T: Transport> Connection<T> {
    /// Calls the application and sends its response. `queued` says that the request has waited for
    /// its thread, long enough for its client to leave.
    pub(crate) fn exchange(&self, mut request: RequestHead, queued: bool) {
        let _hook = self.hook();
        let service = &*self.io.service;
        self.io.begin(&request);
        if !self.io.stream.is_green() && self.io.flush().is_err() {
            return self.io.exchange(|exchange| exchange.close());
        }
        let asked = RequestInfo {
            head: request.head.method == Method::HEAD,
            version: request.head.version,
            keep_alive: self.io.exchange.get().keep_alive(),
        };
        let measure = Measure::begin();
        let client = service.client_of(&mut request.head, &self.info);
        let logs = service.log_wants();
        let head = logs.variables.then(|| copy_of(&request.head));
        let context = &self.io.context;
        let proxied = client.as_ref().ok().and_then(Option::as_ref);
        context.set_request(RequestLine::of(&request), proxied.cloned());
        let info = proxied.unwrap_or(&self.info);

        let timeout = service.config.clocks.handler;
        let limit = LimitGuard::on(&context.thread, self.since.get() + timeout);
        self.io.set_handlers_clock(Some(limit.number()));
        let mut writer = ResponseWriter::new(self, asked, limit);
        writer.keep_head(logs.response);
        let outcome = match &client {
            Ok(_) => self.call(request, info, queued, &mut writer),
            Err(why) => self.refuse_forwarded(&mut writer, why),
        };
        measure.end(|| context.request_info().kind());
        self.settle(outcome, writer, info, head.as_deref());
    }

    /// Does what is left to do after a response: for the client, for the log, for the next one.
    #[inline(never)]
    fn settle(
        &self,
        outcome: Outcome,
        writer: ResponseWriter<'_, T>,
        info: &ConnectionInfo,
        head: Option<&Head>,
    ) {
        if writer.looks_complete() {
            self.io.cut();
        }
        let Written {
            status,
            body_bytes,
            head: response,
            complete,
            at,
        } = writer.end();
        self.io.set_handlers_clock(None);
        self.io.end();
        let line = self.io.context.take_request();
        if self.io.exchange.get().ignored_upgrade()
            && let Some(line) = &line
        {
            log::debug!("{line}: the upgrade it asks for is ignored"); // RFC 9110 section 7.8
        }
        let sent = outcome == Outcome::Sent;
        let at = if sent { at } else { Instant::now() };
        let since = self.since.replace(at);
        let unread = self.io.unread_input();
        let state = self
            .io
            .exchange(|exchange| exchange.finish(sent && complete, unread));
        if state == State::Draining && self.io.stream.is_green() {
            self.drain();
        }
        let head_bytes = line.as_ref().map_or(0, RequestLine::head_len);
        self.io.service.access(&Entry {
            info,
            line: line.as_ref(),
            status,
            sent: body_bytes,
            received: head_bytes as u64 + self.io.body_total(),
            duration: Some(at.saturating_duration_since(since)),
            head,
            response: response.as_deref(),
        });
        if self.may_be_reused() && self.io.is_full() && self.io.stream.is_green() {
            let flushed = self.io.flush();
            self.since.set(Instant::now());
            if flushed.is_err() {
                self.io.exchange(|exchange| exchange.close());
            }
        }
    }

    /// Gets a response out of the application and to the client.
    fn call(
        &self,
        request: RequestHead,
        info: &Arc<ConnectionInfo>,
        queued: bool,
        writer: &mut ResponseWriter<'_, T>,
    ) -> Outcome {
        let request = match self.request_of(request, info) {
            Ok(request) => request,
            Err(error) => return self.send_error(writer, error),
        };
        let service = &*self.io.service;
        let Some(_handling) = service.metrics.handler() else {
            return self.refuse_busy(writer);
        };
        if service.lifecycle.is_ending() {
            return self.refuse_at_end(writer); // it would be interrupted, if it is not too late
        }
        if queued && self.io.peer_has_left() {
            writer.note_departure(); // while it waited: nobody wants this answer
            return Outcome::Cut;
        }
        // Unwind safety: the application is shared by all requests and must stand this in any
        // engine (a panicking OS thread leaves it in the same state); the writer is ours.
        let result = {
            let _noted = panics::Noted::new(&self.io.context.thread);
            catch_unwind(AssertUnwindSafe(|| {
                let mut response = service.app.call(request);
                if self.io.exchange.get().is_upgraded() {
                    return self.unsent(response);
                }
                self.unless_ended(&response);
                self.finish_response(&mut response, info);
                writer.send(response)
            }))
        };
        if end_of_work(&self.io.context.thread) {
            writer.touch(); // destructors may have waited
        }
        match result {
            Ok(Ok(())) if !self.io.exchange.get().is_upgraded() => {
                self.report_caught();
                Outcome::Sent
            }
            other => self.conclude(other, writer),
        }
    }

    /// Ends a handler that has met its end and gives a response all the same: an error of the call
    /// that was ended, for nobody if its client has left. What it has to say nevertheless when its
    /// time is over or the server stops is sent, unless that is a failure, which would be the end's.
    #[inline(never)] // off the stack of handlers
    fn unless_ended(&self, response: &Response) {
        if let Some(end) = self.io.context.thread.here().swallowed_end()
            && (end == Unwind::Interrupted(Interrupt::Departed)
                || response.status().is_server_error())
        {
            end_now();
        }
    }

    /// Does to a response of the application's what servers do.
    #[inline(never)] // in place: a second response would lie on the stack below every handler
    fn finish_response(&self, response: &mut Response, info: &ConnectionInfo) {
        response.fit_to(info);
        if response.error().is_some() {
            *response = self.paged(std::mem::take(response));
        }
    }

    /// Makes of a head what the application is given.
    #[inline(never)]
    fn request_of(
        &self,
        request: RequestHead,
        info: &Arc<ConnectionInfo>,
    ) -> Result<Request, HttpError> {
        let input = self.input_of(&request)?;
        let request = Request::new(request.head, input, info.clone())?;
        Ok(request.with_peer(self.client.clone()))
    }

    /// Does what is left to do for a response that has not been sent to its end.
    #[cold]
    #[inline(never)]
    fn conclude(&self, result: HandlerResult, writer: &mut ResponseWriter<'_, T>) -> Outcome {
        let end = HandlerEnd::of(result).or_cause();
        let line = &self.io.context.line().unwrap_or_default();
        if let Some(upgraded) = self.io.upgraded.get() {
            return self.finish_upgraded(upgraded, end, writer, line);
        }
        let service = &*self.io.service;
        if !matches!(end, HandlerEnd::Panicked(_)) {
            self.report_caught();
        }
        match end {
            HandlerEnd::Returned => Outcome::Sent,
            HandlerEnd::ClientGone => {
                writer.note_departure();
                Outcome::Cut
            }
            HandlerEnd::Departed => {
                current().clear_departure();
                writer.note_departure();
                Outcome::Cut
            }
            // The write clock has run out: no fault of the handler's.
            HandlerEnd::BodyFailed(error) if self.io.is_broken() => {
                log::debug!("{line}: the client is too slow: {error}");
                Outcome::Cut
            }
            // What has failed may be the request's body, and then it says which answer it is.
            HandlerEnd::BodyFailed(error) if !writer.has_started() => {
                self.send_error(writer, HttpError::from(error))
            }
            HandlerEnd::BodyFailed(error) => {
                let kind = format!("failed response bodies of {}", self.kind());
                let what = format_args!("{line}: the response body failed: {error}");
                service.error_log.error(&kind, what);
                Outcome::Cut
            }
            HandlerEnd::TimedOut(number) if number == writer.limit() => {
                let kind = format!("handlers cut by a timeout of {}", self.kind());
                let timeout = self.io.handlers_time();
                let whose = match timeout == service.config.clocks.handler {
                    true => "--timeout",
                    false => "a timeout of its own",
                };
                let what = format_args!("{line}: nothing for {timeout:?}: cut by {whose}");
                service.error_log.log(Level::Warn, &kind, what);
                self.send_error(writer, HttpError::new(504, "the handler took too long"))
            }
            // A limit that is not this request's can only be one that somebody has set around the
            // whole thread, which is to end.
            HandlerEnd::TimedOut(_) | HandlerEnd::Stopped => {
                // The thread is ours again, and has one thing left to say.
                self.note_stopped(line);
                self.send_error(writer, HttpError::new(503, "the server is stopping"));
                Outcome::Cut
            }
            HandlerEnd::Aborted(error) => self.send_error(writer, *error),
            HandlerEnd::Panicked(payload) => {
                let text = self.report_panic(line, payload);
                self.send_instead(writer, self.panicked(text))
            }
        }
    }

    /// The server's stop has ended a handler, whose thread is ours again.
    pub(super) fn note_stopped(&self, line: &RequestLine) {
        current().clear_interrupt();
        log::info!("{line}: cut by the server's stop");
        self.io.service.lifecycle.note_cut();
    }

    /// What requests such as this one have in common, for the log.
    #[cold]
    pub(super) fn kind(&self) -> String {
        let kind = self.io.context.request_info().kind();
        kind.unwrap_or_else(|| "handlers".to_owned())
    }

    /// Logs why a response is a 5xx, if it tells.
    pub(super) fn report_failure(&self, response: &Response) {
        let asked = || {
            let line = self.io.context.line().unwrap_or_default();
            (self.kind(), line.to_string())
        };
        self.io.service.error_log.failure(response, asked);
    }

    /// Logs why a response was to be a 5xx that is not sent.
    #[cold]
    pub(super) fn report(&self, failure: &Failure) {
        let line = self.io.context.line().unwrap_or_default();
        let kind = format!("server errors of {}", self.kind());
        let what = format_args!("{line}: {failure}");
        self.io.service.error_log.error(&kind, what);
    }

    /// Counts and logs the panic of this request's handler.
    #[cold]
    #[inline(never)]
    pub(super) fn report_panic(&self, line: &RequestLine, payload: Box<dyn Any + Send>) -> String {
        panics::report(&self.io.service, &self.kind(), line, payload)
    }

    /// Counts and logs a panic that the application has caught itself, if there was one: it must not
    /// vanish.
    #[inline(never)] // off the stack of handlers
    fn report_caught(&self) {
        let Some(note) = self.io.context.thread.here().take_note() else {
            return;
        };
        let service = &*self.io.service;
        service.metrics.panicked();
        let kind = format!("panics of {}", self.kind());
        let line = self.io.context.line().unwrap_or_default();
        let note = panics::text_of(note);
        let what = format_args!("{line}: the application has caught a panic: {note}");
        service.error_log.error(&kind, what);
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
        self.io.service.lifecycle.note_cut();
        current().clear_stop();
        self.send_error(writer, HttpError::new(503, "the server is stopping"))
    }

    fn input_of(&self, request: &RequestHead) -> Result<Input, HttpError> {
        let limit = self.io.service.config.body_limit;
        match request.body {
            http1::BodyLength::None => Ok(Input::empty()),
            http1::BodyLength::Length(n) if n > limit => {
                self.io.refuse_body();
                Err(HttpError::new(413, "the request body is too large"))
            }
            http1::BodyLength::Length(_)
            | http1::BodyLength::Chunked
            | http1::BodyLength::UntilEnd => Ok(Input::new(Box::new(RequestBody::new(&self.io)))),
        }
    }

    /// Sends an error instead of a response, if nothing was sent; else the connection is cut, so
    /// that the client sees that the response is not whole.
    /// What a trusted proxy says of the client cannot be believed.
    #[cold]
    #[inline(never)]
    fn refuse_forwarded(&self, writer: &mut ResponseWriter<'_, T>, why: &'static str) -> Outcome {
        self.send_error(writer, HttpError::new(400, why))
    }

    #[cold]
    #[inline(never)]
    fn send_error(&self, writer: &mut ResponseWriter<'_, T>, error: HttpError) -> Outcome {
        self.send_instead(writer, error.into_response())
    }

    /// Sends a response that was made of an error, by the application's page.
    #[cold]
    #[inline(never)]
    fn send_instead(&self, writer: &mut ResponseWriter<'_, T>, response: Response) -> Outcome {
        if writer.has_started() {
            return Outcome::Cut;
        }
        match writer.send(self.paged_in_any_case(response)) {
            Ok(()) => Outcome::Sent,
            Err(_) => Outcome::Cut,
        }
    }

    /// Reads what the handler has left of the body, if that was not done with the response: a thread
    /// of the pool is not for that.
    pub(super) fn drain_rest(&self) {
        if self.io.exchange.get().state() == State::Draining {
            self.drain();
        }
    }

    #[cold]
    #[inline(never)]
    fn drain(&self) {
        let to_its_end =
            self.io.flush().is_ok() && RequestBody::new(&self.io).drain(&self.io.service.lifecycle);
        self.io.exchange(|exchange| exchange.drained(to_its_end));
        self.since.set(Instant::now());
    }
}

/// Unwinds as the wait ought to have done that has met the end of this thread.
#[cold]
#[inline(never)] // off the stack of handlers
fn end_now() {
    current().raise_if_over();
}

#[inline(never)] // off the stack of handlers
fn copy_of(head: &Head) -> Box<Head> {
    Box::new(head.clone())
}
