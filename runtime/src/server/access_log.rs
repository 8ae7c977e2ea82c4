//! The access log, in the combined format that gunicorn, Apache and nginx share.
//!
//! Lines are written by a thread of their own, so that a slow disk or a full pipe holds up no
//! handler. If it falls too far behind, lines are dropped and counted rather than kept.

use crate::connection::RequestLine;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use greenway_app::Connection as Facts;
use http::StatusCode;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

/// Lines that may wait to be written.
const BACKLOG: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct AccessLog {
    lines: Option<Sender<String>>,
    dropped: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the log; `-` is the standard output.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub(super) fn open(path: &str) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match path {
            "-" => Box::new(io::stdout()),
            path => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let (lines, inbox) = bounded(BACKLOG);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = dropped.clone();
        let writer = std::thread::Builder::new()
            .name("greenway-access-log".into())
            .spawn(move || write_lines(&inbox, &mut BufWriter::new(out), &lost))?;
        Ok(Self {
            lines: Some(lines),
            dropped,
            writer: Some(writer),
        })
    }

    pub(super) fn write(
        &self,
        facts: &Facts,
        line: Option<&RequestLine>,
        status: StatusCode,
        bytes: u64,
        started: Option<Instant>,
    ) {
        let text = combined(facts, line, status, bytes, started, SystemTime::now());
        let Some(lines) = &self.lines else { return };
        if let Err(TrySendError::Full(_)) = lines.try_send(text) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
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

fn write_lines(lines: &Receiver<String>, out: &mut impl Write, lost: &AtomicU64) {
    for line in lines {
        // A log that cannot be written (disk full, reader gone) must not end the server.
        let _ = out.write_all(line.as_bytes());
        if lines.is_empty() {
            let lost = lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                log::warn!("the access log was too slow: {lost} lines were dropped");
            }
            let _ = out.flush();
        }
    }
}

/// `h l u t "r" s b "f" "a" D`: gunicorn's default format, and the duration in microseconds.
fn combined(
    facts: &Facts,
    line: Option<&RequestLine>,
    status: StatusCode,
    bytes: u64,
    started: Option<Instant>,
    now: SystemTime,
) -> String {
    let mut out = String::with_capacity(192);
    // Writing to a String cannot fail.
    let _ = match facts.peer {
        Some(peer) => write!(out, "{}", peer.ip()),
        None => write!(out, "-"),
    };
    // "Sun, 06 Nov 1994 08:49:37 GMT" -> "06/Nov/1994:08:49:37 +0000"
    let date = httpdate::fmt_http_date(now);
    let _ = write!(
        out,
        " - - [{}/{}/{}:{} +0000] \"",
        &date[5..7],
        &date[8..11],
        &date[12..16],
        &date[17..25]
    );
    let field = |name| line.and_then(|line| line.field(name));
    match line {
        Some(line) => quote(&mut out, line.to_string().as_bytes()),
        None => out.push('-'),
    }
    let _ = write!(out, "\" {} ", status.as_u16());
    let _ = if bytes == 0 {
        write!(out, "-")
    } else {
        write!(out, "{bytes}")
    };
    for name in ["referer", "user-agent"] {
        out.push_str(" \"");
        quote(&mut out, field(name).unwrap_or(b"-"));
        out.push('"');
    }
    let micros = started.map_or(0, |started| started.elapsed().as_micros());
    let _ = writeln!(out, " {micros}");
    out
}

/// What a client sends must not forge a log line or end a quotation.
fn quote(out: &mut String, value: &[u8]) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte.into());
            }
            0x20..=0x7e => out.push(byte.into()),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_is_in_the_combined_format() {
        let facts = Facts::new(None, Some("127.0.0.9:4711".parse().unwrap()));
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let line = combined(&facts, None, StatusCode::BAD_REQUEST, 0, None, then);
        assert_eq!(
            line,
            "127.0.0.9 - - [06/Nov/1994:08:49:37 +0000] \"-\" 400 - \"-\" \"-\" 0\n"
        );
    }

    #[test]
    fn a_client_cannot_forge_a_line() {
        let mut out = String::new();
        quote(&mut out, b"a\"b\\c\n\xff");
        assert_eq!(out, "a\\\"b\\\\c\\x0a\\xff");
    }
}
