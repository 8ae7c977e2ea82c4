//! What the master and the processes that it starts say to each other, over a socket pair.
//!
//! Not by signals, which cannot carry a reason, are lost in a process that has just begun, and come
//! from others as well: a terminal and a service manager send them to master and processes alike.
//!
//! What must stay true: neither side waits for the other's answer, and what is kept of the other's
//! words is bounded.

use crate::server::StopKind;
use crate::ticket_keys::TicketKeys;
use http::StatusCode;
use std::io;
use zeroize::{Zeroize, Zeroizing};

/// The longest message: a page that shows all green threads.
const LONGEST: usize = 64 << 20;
/// Kind, and length of what follows.
const HEAD: usize = 5;

/// What the master tells a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop gracefully.
    Stop(StopKind),
    /// End all requests now.
    End,
    /// Open the logs anew.
    Reopen,
    /// Whether no process has room for another client.
    AllFull(bool),
    /// Show what is under a path, which may have a query.
    Page { question: u32, path: String },
    /// Seal TLS tickets with these keys.
    TicketKeys(TicketKeys),
}

/// What a process tells the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// It serves. What it is, for the operator.
    Serving(String),
    /// Whether it has no room for another client.
    Full(bool),
    /// What it was asked for.
    Page {
        question: u32,
        status: StatusCode,
        body: String,
    },
    /// Its numbers before it ends.
    Last(String),
}

impl Order {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Stop(kind) => {
                let letter = match kind {
                    StopKind::End => b'e',
                    StopKind::HandOver => b'h',
                    StopKind::Reload => b'r',
                };
                frame(b'S', &[letter])
            }
            Self::End => frame(b'E', &[]),
            Self::Reopen => frame(b'R', &[]),
            Self::AllFull(full) => frame(b'F', &[u8::from(*full)]),
            Self::Page { question, path } => {
                let parts = [&question.to_be_bytes(), path.as_bytes()];
                frame(b'P', &parts.concat())
            }
            Self::TicketKeys(keys) => frame(b'K', &keys.to_bytes()),
        }
    }

    fn read(kind: u8, bytes: &[u8]) -> Option<Self> {
        Some(match (kind, bytes) {
            (b'S', b"e") => Self::Stop(StopKind::End),
            (b'S', b"h") => Self::Stop(StopKind::HandOver),
            (b'S', b"r") => Self::Stop(StopKind::Reload),
            (b'E', _) => Self::End,
            (b'R', _) => Self::Reopen,
            (b'F', [full]) => Self::AllFull(*full != 0),
            (b'P', bytes) => {
                let (question, path) = bytes.split_first_chunk()?;
                Self::Page {
                    question: u32::from_be_bytes(*question),
                    path: text(path),
                }
            }
            (b'K', bytes) => Self::TicketKeys(TicketKeys::read(bytes)?),
            _ => return None,
        })
    }
}

impl Report {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Serving(what) => frame(b'Y', what.as_bytes()),
            Self::Page {
                question,
                status,
                body,
            } => {
                let (question, status) = (question.to_be_bytes(), status.as_u16().to_be_bytes());
                frame(b'P', &[&question, &status[..], body.as_bytes()].concat())
            }
            Self::Full(full) => frame(b'F', &[u8::from(*full)]),
            Self::Last(numbers) => frame(b'L', numbers.as_bytes()),
        }
    }

    fn read(kind: u8, bytes: &[u8]) -> Option<Self> {
        Some(match kind {
            b'Y' => Self::Serving(text(bytes)),
            b'P' => {
                let (question, rest) = bytes.split_first_chunk()?;
                let (status, body) = rest.split_first_chunk()?;
                Self::Page {
                    question: u32::from_be_bytes(*question),
                    status: StatusCode::from_u16(u16::from_be_bytes(*status)).ok()?,
                    body: text(body),
                }
            }
            b'F' => Self::Full(bytes == [1]),
            b'L' => Self::Last(text(bytes)),
            _ => return None,
        })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is too long is cut: whoever reads it gets to know the beginning. What it says may be keys, so
/// it is overwritten when it is dropped.
fn frame(kind: u8, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let length = u32::try_from(bytes.len()).expect("LONGEST fits");
    Zeroizing::new([&[kind], &length.to_be_bytes()[..], bytes].concat())
}

/// Messages, as they come in pieces.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<u8>);

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// As [`push`](Self::push), for what may hold keys: leaves nothing behind in `bytes`.
    pub(super) fn take(&mut self, bytes: &mut [u8]) {
        self.push(bytes);
        bytes.zeroize();
    }

    /// The next order that is whole.
    pub(super) fn order(&mut self) -> io::Result<Option<Order>> {
        self.next(Order::read)
    }

    /// The next report that is whole.
    pub(super) fn report(&mut self) -> io::Result<Option<Report>> {
        self.next(Report::read)
    }

    /// # Errors
    /// When this is not what our own programs send. Messages of a kind that this version does not
    /// know are passed over: the two sides may be of two versions.
    fn next<T>(&mut self, read: fn(u8, &[u8]) -> Option<T>) -> io::Result<Option<T>> {
        loop {
            let Some((&[kind, a, b, c, d], rest)) = self.0.split_first_chunk::<HEAD>() else {
                return Ok(None);
            };
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if length > LONGEST {
                let why = "a message is longer than any may be";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            let Some(bytes) = rest.get(..length) else {
                return Ok(None);
            };
            let found = read(kind, bytes);
            self.0[..HEAD + length].zeroize();
            self.0.drain(..HEAD + length);
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read() {
        let orders = [
            Order::Stop(StopKind::End),
            Order::Stop(StopKind::HandOver),
            Order::Stop(StopKind::Reload),
            Order::End,
            Order::Reopen,
            Order::AllFull(true),
            Order::Page {
                question: 7,
                path: "/threads?all".to_owned(),
            },
            Order::TicketKeys(TicketKeys::new().unwrap()),
        ];
        let reports = [
            Report::Serving("it".to_owned()),
            Report::Page {
                question: u32::MAX,
                status: StatusCode::NOT_FOUND,
                body: String::new(),
            },
            Report::Full(true),
            Report::Full(false),
            Report::Last("a 1\n".to_owned()),
        ];
        let mut bytes: Vec<u8> = orders
            .iter()
            .flat_map(|order| order.to_bytes().to_vec())
            .collect();
        bytes.extend_from_slice(&frame(b'?', b"of a later version"));
        bytes.extend_from_slice(&Order::End.to_bytes());
        let mut frames = Frames::default();
        let mut read = Vec::new();
        for byte in bytes {
            frames.push(&[byte]);
            read.extend(frames.order().unwrap());
        }
        assert_eq!(read[..8], orders);
        assert_eq!(read[8..], [Order::End]);
        for report in &reports {
            frames.push(&report.to_bytes());
        }
        for report in reports {
            assert_eq!(frames.report().unwrap(), Some(report));
        }
        assert_eq!(frames.report().unwrap(), None);
        frames.push(&[b'Y', 255, 255, 255, 255]);
        assert!(frames.report().is_err());
    }
}
