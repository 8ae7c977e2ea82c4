//! The access log: a line for each request that is over.
//!
//! Its lines are made here and written by a [`LogWriter`], so that a slow disk or a full pipe
//! holds up no handler.

mod format;
mod json;
mod text;

pub(crate) use format::Format;

use crate::service::log_writer::Troubles;
use crate::service::{LogFile, LogWriter, RequestLine};
use greenway_app::{ConnectionInfo, Head};
use http::StatusCode;
use std::io;
use std::time::{Duration, SystemTime};

/// What the access log needs of a request, beyond what costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogWants {
    /// The request's head.
    pub(crate) variables: bool,
    /// The response's head.
    pub(crate) response: bool,
}

/// A request that is over.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) info: &'a ConnectionInfo,
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
    writer: LogWriter,
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
        Ok(Self {
            wants: LogWants {
                variables: format.wants_variables(),
                response: format.wants_response(),
            },
            format,
            writer: LogWriter::start("access log", file, Troubles::ServersLog)?,
        })
    }

    /// What the format needs.
    pub(crate) fn wants(&self) -> LogWants {
        self.wants
    }

    pub(crate) fn write(&self, entry: &Entry<'_>) {
        self.writer
            .write(self.format.line(entry, SystemTime::now()));
    }

    /// What writes it.
    pub(crate) fn writer(&self) -> &LogWriter {
        &self.writer
    }
}
