//! A request's head as HTTP/1 has it, of what HTTP/2 gives.
//!
//! Applications, access logs and task dumps show and search a head as text. So the fields of an
//! HTTP/2 request are written down once, as they would have stood on the wire of HTTP/1, and the
//! parts of the head are spans of that text.

use crate::http1::fields::{BodyLength, KnownFields};
use crate::http1::target::{self, span};
use crate::http1::{HeadLimits, Reject, RequestHead};
use bytes::Bytes;
use greenway_app::{Field, Fields as HeadFields, Head};
use http::{Method, StatusCode, Version};

/// The end of the request line. HTTP/2 has no minor version.
const VERSION: &[u8] = b" HTTP/2";

/// What HTTP/2 gives of a request.
#[derive(Debug)]
pub struct Fields<'a, I> {
    /// `:method`; of a WebSocket (RFC 8441) GET, as the application knows its handshake.
    pub method: Method,
    /// `:path`.
    pub target: &'a str,
    /// `:authority`, which stands above a `Host` field.
    pub authority: Option<&'a str>,
    /// All other fields, names in lower case.
    pub fields: I,
    /// Nothing follows the head.
    pub ended: bool,
    /// It asks for a WebSocket: the fields of HTTP/1's handshake are added.
    pub websocket: bool,
}

/// The key of a handshake that needs none: that the other end speaks the protocol is known by the
/// `:protocol` of its request (RFC 8441 section 5).
const NO_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

/// Makes a request's head as HTTP/1 has it.
///
/// `Cookie` fields are joined (RFC 9113 section 8.2.3), `:authority` becomes `Host`.
///
/// # Errors
/// Whatever makes the head unfit to be served, with the status to be answered.
pub fn request_head<'a>(
    request: Fields<'a, impl Iterator<Item = (&'a str, &'a [u8])>>,
    limits: &HeadLimits,
) -> Result<RequestHead, Reject> {
    let mut text = Text::new(limits);
    text.line(&request)?;
    if let Some(authority) = request.authority {
        text.field("host", authority.as_bytes())?;
    }
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in request.fields {
        match name {
            "cookie" => cookies.push(value),
            "host" => match request.authority {
                Some(authority) if authority.as_bytes().eq_ignore_ascii_case(value) => {}
                Some(_) => return Err(Reject::bad("Host differs from :authority")),
                None => text.field(name, value)?,
            },
            // RFC 9113 section 8.2.2: these have no meaning, and a message with them is malformed.
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                return Err(Reject::bad("a field of HTTP/1 connections"));
            }
            _ => text.field(name, value)?,
        }
    }
    if !cookies.is_empty() {
        text.field("cookie", &cookies.join(&b"; "[..]))?;
    }
    if request.websocket {
        text.field("connection", b"Upgrade")?;
        text.field("upgrade", b"websocket")?;
        text.field("sec-websocket-key", NO_KEY.as_bytes())?;
    }
    text.finish(request.method, request.ended, request.websocket)
}

/// A head that [`request_head`] has made, once more, of its text.
#[must_use]
pub fn read_again(text: &[u8], limits: &HeadLimits) -> Option<RequestHead> {
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let (method, target) = (words.next()?, words.next()?);
    let mut again = Text::new(limits);
    let request = Fields {
        method: Method::from_bytes(method).ok()?,
        target: str::from_utf8(target).ok()?,
        authority: None,
        fields: (),
        ended: true,
        websocket: false,
    };
    again.line(&request).ok()?;
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line)?;
        let name = str::from_utf8(&line[..colon]).ok()?;
        again.field(name, line[colon + 1..].trim_ascii()).ok()?;
    }
    again.finish(request.method, true, false).ok()
}

/// A head that is being written down.
struct Text<'l> {
    bytes: Vec<u8>,
    fields: HeadFields,
    target: (usize, usize),
    limits: &'l HeadLimits,
}

impl<'l> Text<'l> {
    fn new(limits: &'l HeadLimits) -> Self {
        Self {
            bytes: Vec::with_capacity(512),
            fields: HeadFields::default(),
            target: (0, 0),
            limits,
        }
    }

    fn line<I>(&mut self, request: &Fields<'_, I>) -> Result<(), Reject> {
        let method = request.method.as_str().as_bytes();
        let length = method.len() + 1 + request.target.len() + VERSION.len();
        if length > self.limits.line {
            return Err(Reject::new(
                StatusCode::URI_TOO_LONG,
                "request line too long",
            ));
        }
        self.bytes.extend_from_slice(method);
        self.bytes.push(b' ');
        let start = self.bytes.len();
        self.bytes.extend_from_slice(request.target.as_bytes());
        self.target = (start, self.bytes.len());
        self.bytes.extend_from_slice(VERSION);
        self.bytes.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn field(&mut self, name: &str, value: &[u8]) -> Result<(), Reject> {
        let value = value.trim_ascii();
        let length = name.len() + 2 + value.len();
        if length > self.limits.field_size {
            return Err(Reject::too_large("field too long"));
        }
        if self.fields.len() >= self.limits.fields {
            return Err(Reject::too_large("too many fields"));
        }
        if self.bytes.len() + length + 4 > self.limits.head() {
            return Err(Reject::too_large("head too large"));
        }
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Reject::bad("invalid field value"));
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        let name = span(start, self.bytes.len());
        self.bytes.extend_from_slice(b": ");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let value = span(start, self.bytes.len());
        self.bytes.extend_from_slice(b"\r\n");
        self.fields.push(Field { name, value });
        Ok(())
    }

    fn finish(
        mut self,
        method: Method,
        ended: bool,
        websocket: bool,
    ) -> Result<RequestHead, Reject> {
        self.bytes.extend_from_slice(b"\r\n");
        let (start, end) = self.target;
        let parts = target::parse(&method, &self.bytes[start..end], start)?;
        let mut known = KnownFields::new();
        let slice = |span: greenway_app::Span| &self.bytes[span.start as usize..span.end as usize];
        for field in &*self.fields {
            let name = str::from_utf8(slice(field.name)).unwrap_or_default();
            known.note(name, slice(field.value))?;
        }
        let meaning = known.meaning(Version::HTTP_2)?;
        let body = match meaning.body {
            _ if ended || websocket => BodyLength::None,
            // A `Content-Length: 0` says the same, and the stream ends by itself.
            BodyLength::None => BodyLength::UntilEnd,
            length => length,
        };
        let head = Head {
            bytes: Bytes::from(self.bytes),
            method,
            version: Version::HTTP_2,
            target: span(start, end),
            path: parts.path,
            query: parts.query,
            authority: parts.authority,
            fields: self.fields,
        };
        Ok(RequestHead {
            head: Box::new(head),
            body,
            keep_alive: false, // the stream has one exchange
            expect_continue: meaning.expect_continue,
            upgrade: websocket,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(
        authority: Option<&str>,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Result<RequestHead, Reject> {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let request = Fields {
            method: Method::GET,
            target,
            authority,
            fields,
            ended: true,
            websocket: false,
        };
        request_head(request, &HeadLimits::default())
    }

    fn text(head: &RequestHead) -> &str {
        str::from_utf8(&head.head.bytes).unwrap()
    }

    #[test]
    fn a_head_is_written_as_in_http_1() {
        let fields = [("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2")];
        let head = head(Some("h:81"), "/a?b=c", &fields).unwrap();
        let expected = "GET /a?b=c HTTP/2\r\nhost: h:81\r\naccept: */*\r\ncookie: a=1; b=2\r\n\r\n";
        assert_eq!(text(&head), expected);
        assert_eq!(head.head.text(head.head.path), "/a");
        assert_eq!(
            head.head.query.map(|query| head.head.text(query)),
            Some("b=c")
        );
        assert_eq!(head.body, BodyLength::None);
        let again = read_again(expected.as_bytes(), &HeadLimits::default()).unwrap();
        assert_eq!(text(&again), expected);
    }

    #[test]
    fn host_is_authority() {
        assert!(head(Some("h"), "/", &[("host", "H")]).is_ok());
        assert!(head(None, "/", &[("host", "h")]).is_ok());
        for (authority, fields) in [
            (Some("h"), &[("host", "other")][..]),
            (None, &[]),
            (None, &[("host", "a b")]),
            (Some("user@h"), &[]),
        ] {
            let status = head(authority, "/", fields).unwrap_err().status;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{authority:?}");
        }
    }

    #[test]
    fn limits_are_those_of_http_1() {
        let long = "x".repeat(9000);
        let line = head(Some("h"), &format!("/{long}"), &[]).unwrap_err();
        assert_eq!(line.status, StatusCode::URI_TOO_LONG);
        let many = vec![("x", "y"); 101];
        for fields in [&[("x", &*long)][..], &many] {
            let status = head(Some("h"), "/", fields).unwrap_err().status;
            assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        let large = vec![("x", &long[..8000]); 20];
        assert!(head(Some("h"), "/", &large).is_err());
    }

    #[test]
    fn what_only_http_1_has_is_refused() {
        for field in ["connection", "transfer-encoding", "upgrade", "keep-alive"] {
            assert!(head(Some("h"), "/", &[(field, "x")]).is_err(), "{field}");
        }
        assert!(head(Some("h"), "no path", &[]).is_err());
        assert!(head(Some("h"), "/\u{e9}", &[]).is_err());
    }
}
