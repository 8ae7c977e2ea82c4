//! The request line, as logs and dumps show it.

use super::metrics::Protocol;
use bytes::Bytes;
use greenway_app::Version;
use greenway_proto::http1::RequestHead;
use std::sync::Arc;

/// What a log says of a request; keeps its head alive instead of copying from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestLine {
    head: Bytes,
    end: usize,
    /// By which the application knows the request.
    id: Option<Arc<str>>,
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
        Self {
            head,
            end,
            id: None,
        }
    }

    pub(crate) fn set_id(&mut self, id: &str) {
        self.id = Some(id.into());
    }

    /// The whole head, as it stood on the wire.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether the head came as one of HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.head[..self.end].ends_with(b" HTTP/2")
    }

    /// The version that the head has come with.
    pub(crate) fn protocol(&self) -> Protocol {
        match self.head[..self.end].last() {
            Some(b'2') => Protocol::Http2, // as above
            Some(b'0') => Protocol::Http10,
            _ => Protocol::Http11,
        }
    }

    /// Bytes of the whole head.
    pub(crate) fn head_len(&self) -> usize {
        self.head.len()
    }

    /// The line of a head as it stood on the wire.
    #[cfg(test)]
    pub(crate) fn new(head: Bytes) -> Self {
        let end = memchr::memchr(b'\r', &head).unwrap_or(head.len());
        Self {
            head,
            end,
            id: None,
        }
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
        f.write_str(self.text())?;
        match &self.id {
            Some(id) => write!(f, " [{id}]"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_end_of_the_line() {
        for (version, protocol) in [
            ("HTTP/1.0", Protocol::Http10),
            ("HTTP/1.1", Protocol::Http11),
            ("HTTP/2", Protocol::Http2),
        ] {
            let line = RequestLine::new(format!("GET /0 {version}\r\n\r\n").into());
            assert_eq!(line.protocol(), protocol);
        }
    }

    #[test]
    fn a_line_of_the_log_has_the_id_of_the_request() {
        let mut line = RequestLine::new("GET /a HTTP/1.1\r\n\r\n".into());
        assert_eq!(line.to_string(), "GET /a HTTP/1.1");
        line.set_id("7f");
        assert_eq!(line.to_string(), "GET /a HTTP/1.1 [7f]");
        assert_eq!(line.text(), "GET /a HTTP/1.1");
    }
}
