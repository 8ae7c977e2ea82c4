//! A log that is written by a thread of its own: the access log, the server's log, and the lines
//! about start and stop are all written this way.
//!
//! Whoever has something to say hands it over and goes on. So a slow disk, a pipe that nobody
//! empties and a FIFO that nobody opens hold up no request, no signal and no stop.
//!
//! What must stay true:
//! - [`LogWriter::write`] never waits, and what waits to be written is bounded in messages and in
//!   bytes. What finds no room is counted, and the count is told when there is room again.
//! - The process may end at any time: [`LogWriter::flush`] waits for the last lines, but not
//!   beyond its deadline.
//! - An error of the log (a full disk, a limit on the size of files, a reader that has gone) is
//!   told once for as long as it lasts, and ends nothing.

use super::LogFile;
use super::service_thread::ServiceThread;
use crate::green::embed::Count;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// Messages that may wait to be written, and one more for each thread that writes just then. A
/// bounded channel would hold half a megabyte from the start.
const MESSAGES: usize = 16 * 1024;
/// Bytes that may wait to be written.
const BYTES: usize = 16 * 1024 * 1024;

/// A log, for all who write to it. Its thread ends with the last handle, when all is written.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter {
    messages: Sender<ToWriter>,
    shared: Arc<Shared>,
}

/// What the writer is sent.
enum ToWriter {
    Text(String),
    /// Look at [`Shared::reopen`].
    Wake,
    /// Say when all that came before is written.
    Flush(Sender<()>),
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes that wait to be written.
    bytes: AtomicUsize,
    dropped: AtomicU64,
    reopen: AtomicBool,
}

/// Where a log's own troubles are told.
#[derive(Debug)]
pub(crate) enum Troubles {
    /// In the server's log, which is another one.
    ServersLog,
    /// By another writer.
    By(LogWriter),
    /// In this log itself, as far as it can be written again.
    Here,
}

impl LogWriter {
    /// Starts the thread that writes to `file`. `name` is what people call the log.
    ///
    /// # Errors
    /// When the process can have no more threads.
    pub(crate) fn start(name: &'static str, file: LogFile, troubles: Troubles) -> io::Result<Self> {
        let (messages, queue) = unbounded();
        let shared = Arc::new(Shared::default());
        let mut writing = Writing {
            name,
            queue,
            shared: shared.clone(),
            out: BufWriter::new(file),
            troubles,
            told: 0,
            failing: false,
        };
        // Goes on alone: who ends the process flushes, with a deadline.
        let _detached = ServiceThread::start("greenway-log", move || writing.run())?;
        Ok(Self { messages, shared })
    }

    /// Hands over what is to be written, its line ends included. Never waits.
    pub(crate) fn write(&self, text: String) {
        let length = text.len();
        let before = self.shared.bytes.fetch_add(length, Relaxed);
        let fits = before.saturating_add(length) <= BYTES && self.messages.len() < MESSAGES;
        if !fits || self.messages.send(ToWriter::Text(text)).is_err() {
            self.shared.bytes.fetch_sub(length, Relaxed);
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Opens the file anew, before the next line is written.
    pub(crate) fn reopen(&self) {
        if !self.shared.reopen.swap(true, Relaxed) {
            let _the_writer_lives = self.messages.send(ToWriter::Wake);
        }
    }

    /// Waits until all lines so far are written, or the deadline has come. False if lines may be
    /// missing.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        let (done, wait) = bounded(1);
        let flush = ToWriter::Flush(done);
        self.messages.send(flush).is_ok() && wait.recv_deadline(deadline).is_ok()
    }

    /// Messages that are not written yet.
    pub(crate) fn waiting(&self) -> usize {
        self.messages.len()
    }

    /// Messages that were dropped since the start, because there was no room for them.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }
}

/// For `env_logger`, which writes each record at once.
impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::write(self, String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread's side.
struct Writing {
    name: &'static str,
    queue: Receiver<ToWriter>,
    shared: Arc<Shared>,
    out: BufWriter<LogFile>,
    troubles: Troubles,
    /// Losses that were told.
    told: u64,
    failing: bool,
}

impl Writing {
    fn run(&mut self) {
        while let Ok(message) = self.queue.recv() {
            if self.shared.reopen.swap(false, Relaxed) {
                self.flush();
                if let Err(error) = self.out.get_mut().reopen() {
                    let what = format!("the {} cannot be opened anew: {error}", self.name);
                    self.tell(log::Level::Error, &what);
                }
            }
            match message {
                ToWriter::Text(text) => {
                    let result = self.out.write_all(text.as_bytes());
                    self.shared.bytes.fetch_sub(text.len(), Relaxed);
                    self.judge(result);
                }
                ToWriter::Wake => {}
                ToWriter::Flush(done) => {
                    self.flush();
                    let _the_other_has_given_up = done.send(());
                }
            }
            if self.queue.is_empty() {
                self.tell_losses();
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if self.out.buffer().is_empty() {
            return; // and nothing is known of the file
        }
        let result = self.out.flush();
        self.judge(result);
    }

    /// Tells of an error once for as long as it lasts.
    fn judge(&mut self, result: io::Result<()>) {
        match result {
            // What is only in the buffer says nothing.
            Ok(()) => self.failing &= !self.out.buffer().is_empty(),
            Err(error) => {
                // What could not be written would fail the next lines as well.
                self.forget_buffer();
                if !std::mem::replace(&mut self.failing, true) {
                    let name = self.name;
                    let what = format!("the {name} cannot be written, lines are lost: {error}");
                    self.tell(log::Level::Error, &what);
                }
            }
        }
    }

    /// Drops what is in the buffer, and goes on with the same file.
    fn forget_buffer(&mut self) {
        let empty = BufWriter::new(LogFile::Stderr);
        let (file, _lost) = std::mem::replace(&mut self.out, empty).into_parts();
        self.out = BufWriter::new(file);
    }

    fn tell_losses(&mut self) {
        let dropped = self.shared.dropped.load(Relaxed);
        let lost = dropped - self.told;
        if lost > 0 {
            self.told = dropped;
            let lost = Count(lost, "line");
            let what = format!("the {} was too slow, and is without {lost}", self.name);
            self.tell(log::Level::Warn, &what);
        }
    }

    fn tell(&mut self, level: log::Level, what: &str) {
        match &self.troubles {
            Troubles::ServersLog => log::log!(level, "{what}"),
            Troubles::By(other) => other.write(format!("greenway: {what}\n")),
            // If that fails as well, there is nobody left to tell.
            Troubles::Here => {
                let _ = writeln!(self.out, "greenway: {what}");
            }
        }
    }
}
