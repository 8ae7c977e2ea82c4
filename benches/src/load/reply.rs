//! Finding the ends of answers in a byte stream: HTTP/1 framing as a client sees it
//! (RFC 9112, sections 6 and 7), without I/O.
//!
//! It is deliberately cheap, since it runs on the machine that is being measured: an
//! answer whose head is byte for byte the one before (all but one a second, because of
//! `Date`) is not parsed again.

use memchr::memmem;

/// Largest head accepted.
const MAX_HEAD: usize = 64 * 1024;

/// An answer that cannot be framed; the connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadReply(pub(super) &'static str);

/// The last head seen on any connection of this thread, and what it says.
#[derive(Debug, Default)]
pub(super) struct HeadCache {
    head: Vec<u8>,
    meaning: Option<(u16, Framing)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    Trailer,
}

/// The reading side of one connection. Holds bytes only of a line or head that has
/// not ended, so that an idle connection costs nothing.
#[derive(Debug)]
pub(super) struct ReplyReader {
    state: State,
    status: u16,
    partial: Vec<u8>,
}

impl ReplyReader {
    pub(super) fn new() -> Self {
        Self {
            state: State::Head,
            status: 0,
            partial: Vec::new(),
        }
    }

    /// Takes what was read and calls `done` with the status of each answer that ended.
    ///
    /// # Errors
    /// On anything that is not an HTTP/1 answer with a length or chunks.
    pub(super) fn feed(
        &mut self,
        read: &[u8],
        cache: &mut HeadCache,
        mut done: impl FnMut(u16),
    ) -> Result<(), BadReply> {
        let joined;
        let mut rest = if self.partial.is_empty() {
            read
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(read);
            joined = whole;
            &joined[..]
        };
        loop {
            match self.state {
                State::Head => {
                    if rest.is_empty() {
                        return Ok(());
                    }
                    let Some((used, status, framing)) = cache.head(rest)? else {
                        return self.keep(rest);
                    };
                    rest = &rest[used..];
                    self.status = status;
                    match framing {
                        // 1xx is not the answer (RFC 9110, 15.2).
                        _ if status < 200 => {}
                        Framing::Length(length) => self.state = State::Length(length),
                        Framing::Chunked => self.state = State::ChunkSize,
                    }
                }
                State::Length(left) => {
                    let taken = left.min(rest.len() as u64);
                    rest = &rest[taken as usize..];
                    if taken < left {
                        self.state = State::Length(left - taken);
                        return Ok(());
                    }
                    self.state = State::Head;
                    done(self.status);
                }
                State::ChunkSize => {
                    let Some(line) = line(rest) else {
                        return self.keep(rest);
                    };
                    let size = chunk_size(line)?;
                    rest = &rest[line.len() + 2..];
                    // The data is followed by CRLF, which is skipped with it.
                    self.state = if size == 0 {
                        State::Trailer
                    } else {
                        State::ChunkData(size + 2)
                    };
                }
                State::ChunkData(left) => {
                    let taken = left.min(rest.len() as u64);
                    rest = &rest[taken as usize..];
                    if taken < left {
                        self.state = State::ChunkData(left - taken);
                        return Ok(());
                    }
                    self.state = State::ChunkSize;
                }
                State::Trailer => {
                    let Some(line) = line(rest) else {
                        return self.keep(rest);
                    };
                    rest = &rest[line.len() + 2..];
                    if line.is_empty() {
                        self.state = State::Head;
                        done(self.status);
                    }
                }
            }
        }
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), BadReply> {
        if rest.len() > MAX_HEAD {
            return Err(BadReply("the head or chunk line is larger than 64 KiB"));
        }
        self.partial = rest.to_vec();
        Ok(())
    }
}

impl HeadCache {
    /// Length, status and framing of the head that `bytes` starts with; `None` if it
    /// has not ended.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<(usize, u16, Framing)>, BadReply> {
        if let Some((status, framing)) = self.meaning
            && bytes.starts_with(&self.head)
        {
            return Ok(Some((self.head.len(), status, framing)));
        }
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = &bytes[..end + 4];
        let (status, framing) = parse(&head[..end])?;
        self.head.clear();
        self.head.extend_from_slice(head);
        self.meaning = Some((status, framing));
        Ok(Some((head.len(), status, framing)))
    }
}

fn line(bytes: &[u8]) -> Option<&[u8]> {
    memmem::find(bytes, b"\r\n").map(|end| &bytes[..end])
}

fn chunk_size(line: &[u8]) -> Result<u64, BadReply> {
    let bad = BadReply("a chunk size is not a hexadecimal number");
    let digits = line.split(|&byte| byte == b';').next().unwrap_or(line);
    let digits = std::str::from_utf8(digits).map_err(|_| bad)?.trim();
    match u64::from_str_radix(digits, 16) {
        Ok(size) if size <= u64::MAX / 2 => Ok(size),
        _ => Err(bad),
    }
}

fn parse(head: &[u8]) -> Result<(u16, Framing), BadReply> {
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix(b"HTTP/1."))
        .and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok())
        .ok_or(BadReply(
            "the answer does not start with an HTTP/1 status line",
        ))?;
    // 1xx, 204 and 304 have no body whatever they say (RFC 9112, 6.3).
    let mut framing =
        (status < 200 || status == 204 || status == 304).then_some(Framing::Length(0));
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if framing.is_some() {
            break;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value)
                .ok()
                .and_then(|value| value.parse().ok());
            let length = length.ok_or(BadReply("Content-Length is not a number"))?;
            framing = Some(Framing::Length(length));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding")
            && value.eq_ignore_ascii_case(b"chunked")
        {
            framing = Some(Framing::Chunked);
        }
    }
    let framing = framing.ok_or(BadReply("the answer has neither a length nor chunks"))?;
    Ok((status, framing))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKS: &[u8] = b"HTTP/1.1 404 No\r\ntransfer-encoding: Chunked\r\n\r\n\
        5\r\nhello\r\na;x=1\r\n0123456789\r\n0\r\nx: y\r\n\r\n";
    const EARLY: &[u8] = b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 204 None\r\n\r\n";

    fn statuses(reads: &[&[u8]]) -> Result<Vec<u16>, BadReply> {
        let (mut reader, mut cache, mut seen) =
            (ReplyReader::new(), HeadCache::default(), Vec::new());
        for read in reads {
            reader.feed(read, &mut cache, |status| seen.push(status))?;
        }
        Ok(seen)
    }

    #[test]
    fn every_split_gives_the_same_answers() {
        let stream = [PLAIN, CHUNKS, PLAIN, EARLY, PLAIN].concat();
        let whole = statuses(&[&stream]).unwrap();
        assert_eq!(whole, [200, 404, 200, 204, 200]);
        for at in 0..stream.len() {
            assert_eq!(
                statuses(&[&stream[..at], &stream[at..]]).unwrap(),
                whole,
                "split at {at}"
            );
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(statuses(&bytes).unwrap(), whole);
    }

    #[test]
    fn an_unfinished_answer_is_not_counted() {
        for answer in [PLAIN, CHUNKS] {
            assert!(statuses(&[&answer[..answer.len() - 1]]).unwrap().is_empty());
        }
    }

    #[test]
    fn what_cannot_be_framed_is_refused() {
        let bad: [&[u8]; 5] = [
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        ];
        for answer in bad {
            assert!(
                statuses(&[answer]).is_err(),
                "{:?}",
                String::from_utf8_lossy(answer)
            );
        }
        assert!(statuses(&[&vec![b'x'; MAX_HEAD + 1]]).is_err());
    }
}
