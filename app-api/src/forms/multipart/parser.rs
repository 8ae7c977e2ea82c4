//! The parser of multipart bodies: bytes in, events out, no I/O.
//!
//! ```text
//!   Preamble --delimiter--> Header --blank line--> Start -> Body --delimiter--> Header ...
//!                                                             \--close--> Closed
//! ```
//!
//! What must stay true: whatever the body is cut into, the events are the same; and the buffer
//! holds no more than one read, or the headers of one part up to their limit.

use super::Refusal;
use super::head::PartHead;
use crate::Limits;
use memchr::memmem::{self, Finder};

/// What one call of [`Parser::space`] offers at least.
const READ: usize = 16 * 1024;

/// Spaces behind a boundary, which RFC 2046 lets gateways add.
const MAX_PADDING: usize = 128;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A part begins.
    Head(PartHead),
    /// So many bytes of the part are in [`Parser::data`]; at least 1.
    Data(usize),
    /// The part is complete.
    PartEnd,
    /// Nothing can be said before more bytes are there.
    NeedMore,
    /// The form is complete. Whatever follows is of no meaning.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    /// The buffer starts with the delimiter, if what follows it agrees. Of the bytes so far,
    /// `skip` are no data in any case.
    Delimiter {
        in_part: bool,
        skip: usize,
    },
    Header,
    /// The buffer starts with the blank line, which is part of the delimiter if there is no body.
    Start,
    Body,
    Closed,
    Failed(Refusal),
}

/// A parser of one `multipart/form-data` body.
#[derive(Debug)]
pub(super) struct Parser {
    /// Finds CRLF, two dashes and the boundary.
    delimiter: Finder<'static>,
    limits: Limits,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    /// No more bytes will come.
    complete: bool,
    state: State,
    /// So many bytes at the front are known to be data.
    ready: usize,
    /// So many bytes of a header were searched for its end.
    scanned: usize,
    parts: usize,
    /// Something stands before the first boundary.
    preamble: bool,
    total: u64,
    /// What the current part may still bring.
    part_left: u64,
}

impl Parser {
    pub(super) fn new(boundary: &str, limits: &Limits) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        let mut buf = vec![0; READ];
        // The first delimiter stands at the start of a line, as all do.
        buf[..2].copy_from_slice(b"\r\n");
        Self {
            delimiter: Finder::new(delimiter.as_bytes()).into_owned(),
            limits: limits.clone(),
            buf,
            start: 0,
            end: 2,
            complete: false,
            state: State::Preamble,
            ready: 0,
            scanned: 0,
            parts: 0,
            preamble: false,
            total: 0,
            part_left: 0,
        }
    }

    /// Room for more bytes; never empty. To be asked for after [`Step::NeedMore`].
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buf.len() {
            self.buf.resize(self.end + READ, 0);
        }
        &mut self.buf[self.end..]
    }

    /// Notes that the first `n` bytes of the room were filled.
    pub(super) fn filled(&mut self, n: usize) {
        self.end += n;
        self.total += n as u64;
    }

    /// Notes that no more bytes will come.
    pub(super) fn end_of_input(&mut self) {
        self.complete = true;
    }

    /// The bytes of the last [`Step::Data`].
    pub(super) fn data(&self) -> &[u8] {
        &self.buf[self.start..self.start + self.ready]
    }

    /// Notes that `n` bytes of [`data`](Parser::data) were taken.
    pub(super) fn consume(&mut self, n: usize) {
        let n = n.min(self.ready);
        self.ready -= n;
        self.start += n;
    }

    /// What comes next. The same [`Step::Data`] comes until it is consumed.
    ///
    /// # Errors
    ///
    /// When the form is malformed or beyond a limit. Further calls repeat the error.
    pub(super) fn next(&mut self) -> Result<Step, Refusal> {
        if self.total > self.limits.total && !matches!(self.state, State::Failed(_)) {
            self.state = State::Failed(Refusal::new(413, "the form is too large"));
        }
        let step = self
            .advance()
            .inspect_err(|refusal| self.state = State::Failed(*refusal))?;
        if step == Step::NeedMore && self.complete {
            let refusal = Refusal::malformed("the form ended early");
            self.state = State::Failed(refusal);
            return Err(refusal);
        }
        Ok(step)
    }

    fn advance(&mut self) -> Result<Step, Refusal> {
        loop {
            let here = &self.buf[self.start..self.end];
            let delimiter = self.delimiter.needle();
            match self.state {
                State::Preamble | State::Body => {
                    if self.ready > 0 {
                        return Ok(Step::Data(self.ready));
                    }
                    let in_part = self.state == State::Body;
                    match self.delimiter.find(here) {
                        Some(0) => self.state = State::Delimiter { in_part, skip: 0 },
                        found => {
                            let n = found.unwrap_or_else(|| here.len() - held(here, delimiter));
                            if n == 0 {
                                return Ok(Step::NeedMore);
                            }
                            self.pass(n)?;
                        }
                    }
                }
                State::Delimiter { in_part, skip } => {
                    match line_end(&here[delimiter.len()..], self.complete) {
                        Line::NeedMore => return Ok(Step::NeedMore),
                        Line::Other => {
                            // A longer boundary, or text that looks like one.
                            let n = delimiter.len() - skip;
                            self.start += skip;
                            self.state = if in_part {
                                State::Body
                            } else {
                                State::Preamble
                            };
                            self.pass(n)?;
                        }
                        Line::Next(n) => {
                            self.start += delimiter.len() + n;
                            self.parts += 1;
                            if self.parts > self.limits.parts {
                                return Err(Refusal::new(413, "the form has too many parts"));
                            }
                            self.state = State::Header;
                            if in_part {
                                return Ok(Step::PartEnd);
                            }
                        }
                        Line::Close if self.preamble && self.parts == 0 => {
                            // Line ends that are not CRLF, or another boundary: not to be taken
                            // for a form without parts.
                            return Err(Refusal::malformed("the form has no parts"));
                        }
                        Line::Close => {
                            self.state = State::Closed;
                            if in_part {
                                return Ok(Step::PartEnd);
                            }
                        }
                    }
                }
                State::Header => {
                    let Some(end) = self.header_end()? else {
                        return Ok(Step::NeedMore);
                    };
                    let head = PartHead::parse(&self.buf[self.start..self.start + end])?;
                    // Of the blank line, the second CRLF stays.
                    self.start += if end == 0 { 0 } else { end + 2 };
                    self.part_left = match head.filename {
                        Some(_) => self.limits.file,
                        None => self.limits.field,
                    };
                    self.state = State::Start;
                    return Ok(Step::Head(head));
                }
                State::Start => {
                    if here.starts_with(delimiter) {
                        self.state = State::Delimiter {
                            in_part: true,
                            skip: 2,
                        };
                    } else if delimiter.starts_with(here) && !self.complete {
                        return Ok(Step::NeedMore);
                    } else {
                        self.start += 2;
                        self.state = State::Body;
                    }
                }
                State::Closed => {
                    self.start = self.end;
                    return Ok(Step::End);
                }
                State::Failed(refusal) => return Err(refusal),
            }
        }
    }

    /// Passes over `n` bytes in front, which are the part's if there is one.
    fn pass(&mut self, n: usize) -> Result<(), Refusal> {
        if self.state == State::Preamble {
            self.preamble = true;
            self.start += n;
            return Ok(());
        }
        match self.part_left.checked_sub(n as u64) {
            Some(left) => self.part_left = left,
            None => return Err(Refusal::new(413, "a part of the form is too large")),
        }
        self.ready = n;
        Ok(())
    }

    /// How many bytes the header lines have, without the CRLF of the last one.
    fn header_end(&mut self) -> Result<Option<usize>, Refusal> {
        let here = &self.buf[self.start..self.end];
        if here.starts_with(b"\r\n") {
            return Ok(Some(0));
        }
        let from = self.scanned.saturating_sub(3).min(here.len());
        let end = memmem::find(&here[from..], b"\r\n\r\n").map(|at| from + at);
        // Of an end that has not come yet, at most three bytes may be here.
        if end.unwrap_or(here.len().saturating_sub(3)) > self.limits.part_header {
            return Err(Refusal::new(431, "the headers of a part are too large"));
        }
        self.scanned = if end.is_some() { 0 } else { here.len() };
        Ok(end)
    }
}

/// How many bytes at the end of `here` may be the start of a delimiter.
fn held(here: &[u8], delimiter: &[u8]) -> usize {
    let tail = here.len().saturating_sub(delimiter.len() - 1);
    // A delimiter has its only CR in front, so there is one candidate, the last.
    match memchr::memrchr(b'\r', &here[tail..]) {
        Some(at) if delimiter.starts_with(&here[tail + at..]) => here.len() - tail - at,
        _ => 0,
    }
}

/// What stands behind a boundary.
enum Line {
    /// The end of the line, after so many bytes.
    Next(usize),
    /// Two dashes: it is the last boundary.
    Close,
    /// Something else: it is none.
    Other,
    NeedMore,
}

fn line_end(rest: &[u8], complete: bool) -> Line {
    let (close, rest) = match rest {
        [b'-', b'-', rest @ ..] => (true, rest),
        [] | [b'-'] if !complete => return Line::NeedMore,
        _ => (false, rest),
    };
    let padding = rest
        .iter()
        .take_while(|&&b| b == b' ' || b == b'\t')
        .count();
    if padding > MAX_PADDING {
        return Line::Other;
    }
    match &rest[padding..] {
        [b'\r', b'\n', ..] if close => Line::Close,
        [b'\r', b'\n', ..] => Line::Next(padding + 2),
        [] if complete && close => Line::Close,
        [] | [b'\r'] if !complete => Line::NeedMore,
        _ => Line::Other,
    }
}
