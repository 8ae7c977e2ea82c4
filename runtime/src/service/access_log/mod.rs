//! The access log: a line for each request that is over.
//!
//! Lines are written by a thread of their own, so that a slow disk or a full pipe holds up no
//! handler. If it falls too far behind, lines are dropped and counted rather than kept.

mod format;
mod json;
mod text;

pub(crate) use format::Format;

use super::LogWants;
use super::log_file::LogFile;
use crate::green::embed::Count;
use crate::service::RequestLine;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use greenway_app::{ConnectionInfo, Head};
use http::StatusCode;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// Lines that may wait to be written.
const BACKLOG: usize = 16 * 1024;

/// How long a stop waits for the last lines.
const FLUSH: Duration = Duration::from_secs(1);

/// A request that is over.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) facts: &'a ConnectionInfo,
    /// `None` if what came was no request.
    pub(crate) line: Option<&'a RequestLine>,
    pub(crate) status: StatusCode,
    /// Bytes of the response's body.
    pub(crate) sent: u64,
    /// Bytes of the request's head and body.
    pub(crate) received: u64,
    /// From the complete head to the end of the response.
    pub(crate) duration: Option<Duration>,
    /// The request's head, if [`Format::wants_variables`].
    pub(crate) head: Option<&'a Head>,
    /// The response's head as it was sent, if [`Format::wants_response`].
    pub(crate) response: Option<&'a [u8]>,
}

#[derive(Debug)]
pub(crate) struct AccessLog {
    format: Format,
    wants: LogWants,
    /// `None` for the writer to end.
    lines: Option<Sender<Message>>,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer is told.
enum Message {
    Line(String),
    /// Look at `Shared`.
    Wake,
    /// Say when all that came before is written.
    Flush(Sender<()>),
}

#[derive(Debug, Default)]
struct Shared {
    dropped: AtomicU64,
    reopen: AtomicBool,
}

impl AccessLog {
    /// Opens the log; `-` is the standard output.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub(crate) fn open(path: &str, format: Format) -> io::Result<Self> {
        let file = match path {
            "-" => LogFile::Stdout,
            path => LogFile::open(path)?,
        };
        let (lines, inbox) = bounded(BACKLOG);
        let shared = Arc::new(Shared::default());
        let writers = shared.clone();
        let writer = std::thread::Builder::new()
            .name("greenway-access-log".into())
            .spawn(move || write_lines(&inbox, BufWriter::new(file), &writers))?;
        Ok(Self {
            wants: LogWants {
                variables: format.wants_variables(),
                response: format.wants_response(),
            },
            format,
            lines: Some(lines),
            shared,
            writer: Some(writer),
        })
    }

    /// What the format needs.
    pub(crate) fn wants(&self) -> LogWants {
        self.wants
    }

    pub(crate) fn write(&self, entry: &Entry<'_>) {
        let text = self.format.line(entry, SystemTime::now());
        let Some(lines) = &self.lines else { return };
        if let Err(TrySendError::Full(_)) = lines.try_send(Message::Line(text)) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the file anew, before the next line is written.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        if let Some(lines) = &self.lines {
            // If there is no room for it, the writer is awake.
            let _ = lines.try_send(Message::Wake);
        }
    }

    /// Waits until all lines so far are written, but not for long: who reads the log may be stuck.
    pub(crate) fn flush(&self) {
        let (done, wait) = bounded(1);
        if let Some(lines) = &self.lines
            && lines.send_timeout(Message::Flush(done), FLUSH).is_ok()
            && wait.recv_timeout(FLUSH).is_ok()
        {
            return;
        }
        log::warn!("the access log is stuck: its last lines may be missing");
    }

    /// Lines that are not written yet.
    pub(crate) fn waiting(&self) -> usize {
        self.lines.as_ref().map_or(0, Sender::len)
    }

    /// Lines that were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.lines = None; // ends the writer, once it has written what there is
        if let Some(writer) = self.writer.take() {
            let _it_cannot_panic = writer.join();
        }
    }
}

fn write_lines(lines: &Receiver<Message>, mut out: BufWriter<LogFile>, shared: &Shared) {
    let mut told = 0;
    let mut failing = false;
    for message in lines {
        if shared.reopen.swap(false, Ordering::Acquire) {
            let _ = out.flush();
            if let Err(error) = out.get_mut().reopen() {
                log::error!("the access log cannot be opened anew: {error}");
            }
        }
        // A log that cannot be written (disk full, reader gone) must not end the server.
        match message {
            Message::Line(line) => {
                if let Err(error) = out.write_all(line.as_bytes()) {
                    report(&mut failing, &error);
                }
            }
            Message::Wake => {}
            Message::Flush(done) => {
                let _ = out.flush();
                let _the_other_has_given_up = done.send(());
            }
        }
        if lines.is_empty() {
            let dropped = shared.dropped.load(Ordering::Relaxed);
            if dropped > told {
                let lost = dropped - told;
                told = dropped;
                let lost = Count(lost, "line");
                log::warn!("the access log was too slow, and is without {lost}");
            }
            match out.flush() {
                Ok(()) => failing = false,
                Err(error) => report(&mut failing, &error),
            }
        }
    }
}

/// Says that lines are lost, once for as long as it lasts.
fn report(failing: &mut bool, error: &io::Error) {
    if !std::mem::replace(failing, true) {
        log::error!("the access log cannot be written, lines are lost: {error}");
    }
}
