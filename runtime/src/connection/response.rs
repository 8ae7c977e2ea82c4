//! A response on its way to the client: the head with the first chunk, then chunk by chunk.

use super::Connection;
use super::framed::FramedHead;
use super::io::BufferedIo;
use super::transport::Transport;
use crate::green::embed::{
    Interrupt, LimitGuard, LimitNumber, Thread, Unwind, checkpoint, current, prepare_file,
    read_file,
};
use crate::green::{shield, take_turn, yield_now};
use crate::service::date;
use bytes::Bytes;
use greenway_app::{Body, BodyError, HttpError, IntoResponse, Response, Sink, WireResponse};
use greenway_proto::http1::exchange::Input;
use greenway_proto::http1::{self, Framing, Plan, RequestInfo};
use http::{HeaderMap, HeaderValue, StatusCode};
use log::Level;
use std::fmt;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

/// A body of at most this many bytes is copied behind its head; a longer one is written from
/// where it lies.
const COPY_BYTES: usize = 16 * 1024;

/// So much of a file is sent before others of the worker have their turn. With 64 KiB, the time of
/// the kernel for each byte is half as much again.
const PIECE_BYTES: u64 = 512 * 1024;

/// Sends one response.
pub(super) struct ResponseWriter<'a, T: Transport> {
    connection: &'a Connection<T>,
    /// The handler's clock, which runs between chunks: moved with every one that is sent.
    limit: LimitGuard<&'a Thread>,
    progress: Box<Progress>,
}

/// How far a response has come. On the heap: see "Stack" in [`super`]. One serves all requests of
/// a connection.
#[derive(Debug)]
pub(super) struct Progress {
    asked: RequestInfo,
    status: StatusCode,
    plan: Option<Plan>,
    body_bytes: u64,
    /// Everything that the plan promised was sent.
    complete: bool,
    /// The head as it was written, if the access log wants it.
    head: Option<Vec<u8>>,
    /// The body may be ended at once when the server stops, and what it says then.
    final_chunk: Option<Bytes>,
    /// When its last step was taken.
    at: Instant,
}

/// What has become of a response.
pub(super) struct Written {
    pub(super) status: StatusCode,
    pub(super) body_bytes: u64,
    /// The head as it was written, if the access log wants it.
    pub(super) head: Option<Vec<u8>>,
    /// Everything that its head has promised was sent.
    pub(super) complete: bool,
    /// When its last step was taken.
    pub(super) at: Instant,
}

impl<'a, T: Transport> ResponseWriter<'a, T> {
    pub(super) fn new(
        connection: &'a Connection<T>,
        asked: RequestInfo,
        limit: LimitGuard<&'a Thread>,
    ) -> Self {
        let at = connection.since.get();
        let progress = match connection.progress.take() {
            Some(mut progress) => {
                progress.restart(asked, at);
                progress
            }
            None => Progress::new(asked, at),
        };
        Self {
            connection,
            limit,
            progress,
        }
    }

    /// Whether the head is to be kept for the log.
    pub(super) fn keep_head(&mut self, keep: bool) {
        self.progress.head = keep.then(Vec::new);
    }

    /// The number of the handler's clock.
    pub(super) fn limit(&self) -> LimitNumber {
        self.limit.number()
    }

    /// Part of the response is on its way: another cannot be sent instead.
    pub(super) fn has_started(&self) -> bool {
        self.progress.plan.is_some()
    }

    /// The response, or what belongs to it, has gone on until now.
    pub(super) fn touch(&mut self) {
        self.progress.at = Instant::now();
    }

    /// The client has left: 499, as nginx calls it. Nobody but the log will see it.
    pub(super) fn note_departure(&mut self) {
        self.progress.status = StatusCode::from_u16(499).expect("three digits");
    }

    /// Another protocol has taken over after its 101, and is over.
    pub(super) fn note_upgrade(&mut self) {
        self.progress.status = StatusCode::SWITCHING_PROTOCOLS;
    }

    /// The end of what was sent looks like the end of the whole, though it is not.
    pub(super) fn looks_complete(&self) -> bool {
        let by_close = self.progress.plan.as_ref().is_some_and(|plan| {
            // A stream that is dropped is one that nobody wants; this one has failed.
            plan.framing == Framing::Close || self.io().stream.framed().is_some()
        });
        by_close && !self.progress.complete
    }

    /// Ends the handler's clock, and tells what has become of the response.
    pub(super) fn end(self) -> Written {
        let mut progress = self.progress;
        let written = Written {
            status: progress.status,
            body_bytes: progress.body_bytes,
            complete: progress.complete,
            head: progress.head.take(),
            at: progress.at,
        };
        self.connection.progress.set(Some(progress));
        written
    }

    /// Sends a response. Its body is dropped before this returns.
    pub(super) fn send(&mut self, response: Response) -> Result<(), BodyError> {
        self.connection.report_failure(&response);
        let WireResponse {
            status,
            content_type,
            headers,
            body,
            ..
        } = response.into_wire();
        let headers = headers.as_deref();
        if status.is_informational() {
            // RFC 9110 section 15.2: the client would wait for the response behind it. A 101 is no
            // exception: who has upgraded the connection does not come here.
            let what = format_args!("{status} is no final response");
            self.complain(Level::Error, &what);
            drop(body);
            return self.send(HttpError::new(500, "the handler failed").into_response());
        }
        self.progress.status = status;
        let length = body.length();
        let mut stream = Streaming {
            writer: self,
            content_type: content_type.as_ref(),
            headers,
            length,
        };
        match body.into_full() {
            Ok(whole) => {
                stream.start();
                stream.writer.send_whole(whole)
            }
            Err(body) => {
                let plan = http1::plan(&stream.writer.progress.asked, status, headers, length);
                if !plan.send_body {
                    // HEAD, 204, 304: nobody will see the body, so it is not asked for any.
                    drop(body);
                    stream.start();
                    return stream.writer.finish();
                }
                stream.drive(body)?;
                stream.start();
                stream.writer.finish()
            }
        }
    }

    /// Logs that something is wrong with the response.
    #[cold]
    #[inline(never)] // not to be part of the frame of those with which nothing is wrong
    fn complain(&self, level: Level, what: &dyn fmt::Display) {
        let connection = self.connection;
        let request = connection.kind();
        let kind = format!("odd answers to {request}");
        let what = format_args!("what answers {request} is odd: {what}");
        connection.io.service.error_log.log(level, &kind, what);
    }

    fn send_whole(&mut self, body: Bytes) -> Result<(), BodyError> {
        let plan = self.plan();
        if !plan.send_body || body.is_empty() {
            return self.finish();
        }
        self.progress.body_bytes = body.len() as u64;
        if let Some(framed) = self.io().stream.framed() {
            self.io().send_bytes(framed, body, true)?;
            self.progress.at = Instant::now();
        } else if body.len() <= COPY_BYTES {
            self.io().queue(|out| out.extend_from_slice(&body));
        } else {
            self.io().send_end(&[&body])?;
            self.progress.at = Instant::now();
        }
        self.progress.complete = true;
        Ok(())
    }

    /// Sends a piece of a file, of `length` bytes at most: what the kernel takes at once of it, if
    /// nothing stands between the file's bytes on the wire.
    fn send_piece(&mut self, file: &File, length: u64) -> Result<u64, BodyError> {
        let most = match self.plan().framing {
            Framing::Length(promised) => promised - self.progress.body_bytes,
            Framing::Close => length,
            Framing::Chunked | Framing::None => 0,
        };
        // At most PIECE_BYTES, so it fits.
        let piece = length.min(most).min(PIECE_BYTES) as usize;
        let sent = self.io().send_file(file, piece)? as u64;
        if sent > 0 {
            self.moved(sent, Instant::now());
        }
        Ok(sent)
    }

    /// Sends a chunk of a stream, with whatever goes before it: at once, or with those that follow.
    fn send_chunk(&mut self, chunk: &Bytes, now: Instant) -> Result<(), BodyError> {
        let sent = match self.plan().framing {
            Framing::Chunked => {
                let size = http1::chunk_head(chunk.len());
                let parts = [size.as_bytes(), chunk, http1::CHUNK_END];
                self.io().send_or_gather(&parts, now)?
            }
            Framing::Length(length) => {
                let left = length - self.progress.body_bytes;
                if chunk.len() as u64 > left {
                    // What the head has promised is the end of the response for the client; more
                    // would be taken for the next one.
                    let fitting = usize::try_from(left).unwrap_or(chunk.len());
                    self.send_plain(&chunk.slice(..fitting), now)?;
                    self.progress.body_bytes += left;
                    return Err(std::io::Error::other(format!(
                        "the body is longer than its Content-Length of {length}"
                    ))
                    .into());
                }
                self.send_plain(chunk, now)?
            }
            Framing::Close => self.send_plain(chunk, now)?,
            Framing::None => false,
        };
        // A chunk that was sent may have waited for its client.
        let now = if sent { Instant::now() } else { now };
        self.moved(chunk.len() as u64, now);
        Ok(())
    }

    /// Sends bytes of the body that have nothing around them, as [`send_chunk`](Self::send_chunk).
    /// Whether they were sent.
    fn send_plain(&self, bytes: &Bytes, now: Instant) -> io::Result<bool> {
        match self.io().stream.framed() {
            Some(framed) => {
                let sent = self.io().send_bytes(framed, bytes.clone(), false);
                sent.map(|()| true)
            }
            None => self.io().send_or_gather(&[bytes], now),
        }
    }

    /// So many bytes of the body are on their way: the handler's clock starts anew.
    fn moved(&mut self, bytes: u64, now: Instant) {
        self.progress.body_bytes += bytes;
        if self.progress.at == now {
            return; // as is that of a chunk that was gathered
        }
        self.progress.at = now;
        if let Some(end) = now.checked_add(self.io().handlers_time()) {
            self.limit.set(end);
        }
    }

    /// Ends the response.
    fn finish(&mut self) -> Result<(), BodyError> {
        let plan = self.plan();
        match plan.framing {
            Framing::Chunked if plan.send_body => {
                self.io()
                    .queue(|out| out.extend_from_slice(http1::LAST_CHUNK));
                // A stream's end is as eagerly awaited as its chunks.
                self.io().send_end(&[])?;
            }
            Framing::Length(length) if plan.send_body && self.progress.body_bytes < length => {
                return Err(std::io::Error::other(format!(
                    "the body ended after {} of {length} bytes",
                    self.progress.body_bytes
                ))
                .into());
            }
            Framing::Chunked | Framing::Length(_) | Framing::Close | Framing::None => {
                if self.io().gatherer.holds() {
                    self.io().send_end(&[])?;
                }
            }
        }
        if let Some(framed) = self.io().stream.framed() {
            framed.end_message()?;
        }
        self.progress.at = Instant::now();
        self.progress.complete = true;
        Ok(())
    }

    fn io(&self) -> &'a BufferedIo<T> {
        &self.connection.io
    }

    fn plan(&self) -> &Plan {
        self.progress.plan.as_ref().expect("start() has made it")
    }
}

impl Progress {
    #[inline(never)] // not to be made on the stack of whoever is about to call a handler
    fn new(asked: RequestInfo, at: Instant) -> Box<Self> {
        Box::new(Self {
            asked,
            status: StatusCode::OK,
            plan: None,
            body_bytes: 0,
            complete: false,
            head: None,
            final_chunk: None,
            at,
        })
    }

    /// Forgets the last response.
    fn restart(&mut self, asked: RequestInfo, at: Instant) {
        self.asked = asked;
        self.status = StatusCode::OK;
        self.plan = None;
        self.body_bytes = 0;
        self.complete = false;
        self.head = None;
        self.final_chunk = None;
        self.at = at;
    }
}

/// A body that comes in pieces, and the head that is still to go before the first of them.
struct Streaming<'w, 'a, 'h, T: Transport> {
    writer: &'w mut ResponseWriter<'a, T>,
    content_type: Option<&'h HeaderValue>,
    headers: Option<&'h HeaderMap>,
    length: Option<u64>,
}

impl<T: Transport> Streaming<'_, '_, '_, T> {
    /// Writes the head, unless it is written already. It leaves with what follows it.
    fn start(&mut self) {
        let io = self.writer.io();
        let progress = &mut *self.writer.progress;
        if progress.plan.is_none() {
            progress.asked.keep_alive &= !io.service.lifecycle.is_leaving();
            progress.at = Instant::now();
            let (status, date) = (progress.status, date(progress.at));
            let mut plan = http1::plan(&progress.asked, status, self.headers, self.length);
            plan.keep_alive &= io.unread_input() != Input::Abandoned;
            io.exchange(|exchange| exchange.answer(plan.keep_alive));
            let (content_type, headers) = (self.content_type, self.headers);
            if let Some(framed) = io.stream.framed() {
                let _seen_with_what_follows = framed.send_head(&FramedHead {
                    status,
                    content_type,
                    headers,
                    plan: &plan,
                    date: &date,
                });
                if let Some(kept) = &mut progress.head {
                    let version = progress.asked.version;
                    http1::write_head(kept, version, status, content_type, headers, &plan, &date);
                }
                progress.plan = Some(plan);
                return self.tell_mismatch(plan);
            }
            io.queue(|out| {
                let start = out.len();
                let version = progress.asked.version;
                http1::write_head(out, version, status, content_type, headers, &plan, &date);
                if let Some(kept) = &mut progress.head {
                    kept.extend_from_slice(&out[start..]);
                }
            });
            progress.plan = Some(plan);
            self.tell_mismatch(plan);
        }
    }

    fn tell_mismatch(&self, plan: Plan) {
        if let Some(mismatch) = plan.mismatch {
            let what = format_args!("the Content-Length is not used: {mismatch:?}");
            self.writer.complain(Level::Warn, &what);
        }
    }
}

impl<T: Transport> Streaming<'_, '_, '_, T> {
    /// What was given to a framed stream is written by the thread of its connection, which may live
    /// on this worker: it has its turn now, unless the chunk follows another without a pause.
    #[inline(never)] // not to be part of the frame of those that are not framed
    fn let_framed_leave(&self, now: Instant) {
        let io = self.writer.io();
        if io.stream.is_green() && !io.gatherer.is_in_burst(now) {
            shield(yield_now); // what ends the body does so before the next chunk
            io.gatherer.has_sent(); // the turn was no pause of the body's
        }
    }

    /// Sends the chunks of a body; if the stop ends it as it has allowed, its final_chunk as well.
    fn drive(&mut self, body: Body) -> Result<(), BodyError> {
        // Unwind safety: the writer is ours, and knows whether the output was left in order.
        let result = catch_unwind(AssertUnwindSafe(|| body.send_to(self)));
        if self.writer.progress.final_chunk.is_some() {
            return self.part(result);
        }
        result.unwrap_or_else(|payload| resume_unwind(payload))
    }

    /// What is left to do when a body ends that might have been ended by the stop.
    #[cold]
    #[inline(never)]
    fn part(
        &mut self,
        result: std::thread::Result<Result<(), BodyError>>,
    ) -> Result<(), BodyError> {
        let writer = &mut *self.writer;
        writer.connection.unwilling();
        let final_chunk = writer.progress.final_chunk.take().unwrap_or_default();
        let payload = match result {
            Ok(result) => return result,
            Err(payload) => payload,
        };
        let stopped = Unwind::of(&*payload) == Some(Unwind::Interrupted(Interrupt::Stop));
        if !stopped || writer.io().is_writing() {
            resume_unwind(payload); // or the grace period is over, and half a chunk is sent
        }
        // The thread is ours again.
        current().clear_stop();
        if final_chunk.is_empty() {
            return Ok(());
        }
        self.start();
        self.writer.send_chunk(&final_chunk, Instant::now())
    }

    /// Does something that must not be left half done, though the body may be ended at once.
    fn undisturbed(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        if self.writer.progress.final_chunk.is_none() {
            return act(self);
        }
        self.writer.connection.unwilling();
        let result = act(self);
        self.writer.connection.willing();
        result
    }
}

impl<T: Transport> Sink for Streaming<'_, '_, '_, T> {
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        // An endless body that never waits must end, too, when the server stops: before the chunk
        // and not behind it, since what is said at the end has to fit to what was sent. And others
        // have their turn when this body has sent much, or computed for long.
        let io = self.writer.io();
        let now = io.gatherer.now();
        if !io.gatherer.holds() {
            take_turn();
        } else if io.context.thread.here().is_over_at(now) {
            checkpoint();
        }
        if io.gatherer.has_gone_on(now) && io.stream.is_green() {
            yield_now();
        }
        self.undisturbed(|stream| {
            stream.start();
            stream.writer.send_chunk(&chunk, now)
        })?;
        if io.stream.framed().is_some() {
            self.let_framed_leave(now);
        }
        Ok(())
    }

    fn nothing_yet(&mut self) -> Result<(), BodyError> {
        // A body that waits by giving nothing never blocks. Giving way is a wait of a green thread,
        // and all that ends a wait ends it; an OS thread looks after its client here.
        let io = self.writer.io();
        if !io.stream.is_green() {
            io.before_block();
        }
        yield_now();
        Ok(())
    }

    fn start(&mut self) -> Result<(), BodyError> {
        self.undisturbed(|stream| {
            Streaming::start(stream);
            Ok(stream.writer.io().flush()?)
        })
    }

    fn flush(&mut self) -> Result<(), BodyError> {
        self.undisturbed(|stream| Ok(stream.writer.io().flush()?))?;
        let io = self.writer.io();
        if io.stream.framed().is_some() && io.stream.is_green() {
            yield_now(); // see `let_framed_leave`
        }
        Ok(())
    }

    fn send_file(&mut self, file: &File, length: u64) -> Result<u64, BodyError> {
        let mut sent = 0;
        take_turn();
        loop {
            // Sending from a file waits for the disk in the kernel, with all of this worker.
            let readable = prepare_file(file, (length - sent).min(PIECE_BYTES) as usize); // which fits
            if !readable && self.writer.progress.plan.is_none() {
                return Ok(0); // before the head has gone, reading can fail with an answer
            }
            let mut piece = 0;
            self.undisturbed(|stream| {
                stream.start();
                piece = stream.writer.send_piece(file, length - sent)?;
                Ok(())
            })?;
            if piece == 0 {
                break;
            }
            sent += piece;
            if sent >= length {
                break;
            }
            yield_now();
        }
        Ok(sent)
    }

    fn read_file(&mut self, file: &File, buf: &mut [u8]) -> io::Result<usize> {
        read_file(file, buf)
    }

    fn end_at_stop(&mut self, final_chunk: Bytes) {
        self.writer.progress.final_chunk = Some(final_chunk);
        self.writer.connection.willing();
    }
}
