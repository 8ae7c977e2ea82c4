//! The request line, as logs and dumps show it.

use bytes::Bytes;
use greenway_app::Version;
use greenway_proto::http1::RequestHead;

/// What a log says of a request; keeps its head alive instead of copying from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestLine {
    head: Bytes,
    end: usize,
}

impl RequestLine {
    pub(crate) fn of(request: &RequestHead) -> Self {
        let head = request.head.bytes.clone();
        let version = match request.head.version {
            Version::HTTP_2 => " HTTP/2",
            _ => " HTTP/1.1", // the parser's syntax
        };
        let end = request.head.target.end as usize + version.len();
        debug_assert_eq!(head.get(end), Some(&b'\r'));
        Self { head, end }
    }

    /// The whole head, as it stood on the wire.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether the head came as one of HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.head[..self.end].ends_with(b" HTTP/2")
    }

    /// Bytes of the whole head.
    pub(crate) fn head_len(&self) -> usize {
        self.head.len()
    }

    /// The line of a head as it stood on the wire.
    #[cfg(test)]
    pub(crate) fn new(head: Bytes) -> Self {
        let end = memchr::memchr(b'\r', &head).unwrap_or(head.len());
        Self { head, end }
    }

    /// The first header field of this (lower-case) name, for logs: nothing is parsed before one
    /// asks.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.head[self.end..]
            .split(|byte| *byte == b'\n')
            .find_map(|line| {
                let (field, value) = line.split_at(memchr::memchr(b':', line)?);
                field
                    .eq_ignore_ascii_case(name.as_bytes())
                    .then(|| value[1..].trim_ascii())
            })
    }
}

impl RequestLine {
    /// The line itself.
    pub(crate) fn text(&self) -> &str {
        // A request line is visible ASCII: the parser has seen to that.
        std::str::from_utf8(&self.head[..self.end]).unwrap_or("(unreadable)")
    }
}

impl std::fmt::Display for RequestLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}
