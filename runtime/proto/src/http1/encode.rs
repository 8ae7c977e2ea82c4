//! How a response is framed, and its head as bytes.
//!
//! An application says what it answers; how the end of that answer is marked
//! on the wire is the server's business alone (PEP 3333, "Handling the
//! Content-Length Header"). [`plan`] decides it once, from the request, the
//! status, the application's fields and what is known about the body;
//! [`write_head`] writes it down. What must stay true: the field that goes out
//! and the bytes that follow are the same decision, and no field of the
//! application can contradict it.
//!
//! Names are written in lower case, as the `http` crate keeps them.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::date::Date;
use super::target::decimal;

/// How the end of a response body is marked (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`, for bodies of unknown length in HTTP/1.1.
    Chunked,
    /// By closing the connection, for bodies of unknown length in HTTP/1.0; by the end of the
    /// stream, in HTTP/2.
    Close,
    /// No field at all: 1xx, 204 and 304, which end with their head, and the
    /// answer to HEAD if the length is not known.
    None,
}

/// What [`plan`] has to know about the request.
#[derive(Debug, Clone, Copy)]
pub struct RequestInfo {
    /// Whether the method is HEAD.
    pub head: bool,
    /// The version of the request.
    pub version: Version,
    /// Whether the client, and the server's own state, allow another request.
    pub keep_alive: bool,
}

/// A `Content-Length` of the application that was not honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthMismatch {
    /// Not a number, or more than one.
    Invalid,
    /// The body is known to be of another length, which is what was sent.
    Differs {
        /// What the application's field said.
        declared: u64,
        /// What the body holds.
        body: u64,
    },
}

/// How one response goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How the end of the body is marked. With `Length`, no other number of
    /// bytes may follow; that is for the sender to enforce.
    pub framing: Framing,
    /// Whether any body bytes follow the head.
    pub send_body: bool,
    /// Whether the connection is open for another request afterwards. May be
    /// set to `false` before [`write_head`], which then says so to the client.
    pub keep_alive: bool,
    /// What was wrong with the application's `Content-Length`, for the log.
    pub mismatch: Option<LengthMismatch>,
    pub(crate) has_server: bool,
    pub(crate) has_date: bool,
    has_upgrade: bool,
    /// Whether a field of the application must not go out as it is.
    filter: bool,
}

/// The end of a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The end of a chunked body, without trailer fields.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The interim response that asks for the body (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The field values that a server must look at, or must not pass on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    ContentLength,
    Connection,
    Upgrade,
    Server,
    Date,
    /// Meant for one connection only, hence the server's (RFC 9110 section
    /// 7.6.1; PEP 3333, "Other HTTP Features").
    HopByHop,
}

fn kind(name: &str) -> Kind {
    match name.len() {
        2 if name == "te" => Kind::HopByHop,
        4 if name == "date" => Kind::Date,
        6 if name == "server" => Kind::Server,
        7 if name == "upgrade" => Kind::Upgrade,
        7 if name == "trailer" => Kind::HopByHop,
        10 if name == "connection" => Kind::Connection,
        10 if name == "keep-alive" => Kind::HopByHop,
        14 if name == "content-length" => Kind::ContentLength,
        16 if name == "proxy-connection" => Kind::HopByHop,
        17 if name == "transfer-encoding" => Kind::HopByHop,
        _ => Kind::Plain,
    }
}

/// What the application's fields ask of the framing and of the connection.
#[derive(Default)]
struct WantedFields {
    /// `Some(None)` is a `Content-Length` that is none.
    declared: Option<Option<u64>>,
    close: bool,
    server: bool,
    date: bool,
    upgrade: bool,
    filter: bool,
}

impl WantedFields {
    fn read(headers: Option<&HeaderMap>) -> Self {
        let mut wanted = Self::default();
        let Some(headers) = headers else {
            return wanted;
        };
        for (name, value) in headers {
            match kind(name.as_str()) {
                Kind::Plain => {}
                Kind::ContentLength => {
                    let length = decimal(value.as_bytes());
                    let first = wanted.declared.is_none();
                    wanted.declared = Some(length.filter(|_| first));
                    wanted.filter = true;
                }
                Kind::Connection => {
                    wanted.close |= value
                        .as_bytes()
                        .split(|&byte| byte == b',')
                        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
                    wanted.filter = true;
                }
                Kind::Upgrade => wanted.upgrade = true,
                Kind::Server => wanted.server = true,
                Kind::Date => wanted.date = true,
                Kind::HopByHop => wanted.filter = true,
            }
        }
        wanted
    }
}

/// Decides how a response goes out.
///
/// `body_length` is the length of the body if it is known. It wins over a
/// `Content-Length` of the application, except when that is all the
/// application gives in answer to HEAD.
pub fn plan(
    request: &RequestInfo,
    status: StatusCode,
    headers: Option<&HeaderMap>,
    body_length: Option<u64>,
) -> Plan {
    let wanted = WantedFields::read(headers);
    let (framing, mismatch) = frame(request, status, wanted.declared, body_length);
    // RFC 9110 section 15.3.6: a 205 has no content either, but says so.
    let no_content = ends_with_head(status) || status == StatusCode::RESET_CONTENT;
    let keep_alive = if status == StatusCode::SWITCHING_PROTOCOLS {
        // The connection goes on, as something else.
        true
    } else {
        // No client takes another 1xx for a final answer: it would wait for
        // one until the connection closes.
        request.keep_alive
            && !wanted.close
            && framing != Framing::Close
            && !status.is_informational()
    };
    Plan {
        framing,
        send_body: !request.head && !no_content,
        keep_alive,
        mismatch,
        has_server: wanted.server,
        has_date: wanted.date,
        has_upgrade: wanted.upgrade,
        filter: wanted.filter,
    }
}

/// Statuses whose response is "always terminated by the first empty line after
/// the header fields" (RFC 9112 section 6.3, item 1).
fn ends_with_head(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

fn frame(
    request: &RequestInfo,
    status: StatusCode,
    declared: Option<Option<u64>>,
    body_length: Option<u64>,
) -> (Framing, Option<LengthMismatch>) {
    let invalid = (declared == Some(None)).then_some(LengthMismatch::Invalid);
    let declared = declared.flatten();
    // RFC 9110 section 8.6: no Content-Length in 1xx and 204. It may stand in
    // a 304, but only with the length of a 200, which nobody here can check.
    if ends_with_head(status) {
        return (Framing::None, invalid);
    }
    if status == StatusCode::RESET_CONTENT {
        return (Framing::Length(0), invalid);
    }
    match (declared, body_length) {
        // The answer to HEAD has the length that GET would have, or none
        // (same section). Applications that serve HEAD themselves leave the
        // body empty, and then only their own word counts.
        (Some(declared), Some(0)) if request.head => (Framing::Length(declared), invalid),
        (None, Some(0) | None) if request.head => (Framing::None, invalid),
        (Some(declared), Some(body)) if declared != body => (
            Framing::Length(body),
            Some(LengthMismatch::Differs { declared, body }),
        ),
        (_, Some(body)) => (Framing::Length(body), invalid),
        (Some(declared), None) => (Framing::Length(declared), None),
        // RFC 9112 section 6.1: chunked only if the client is known to be 1.1.
        // HTTP/2 marks the end of each body itself.
        (None, None) if matches!(request.version, Version::HTTP_10 | Version::HTTP_2) => {
            (Framing::Close, invalid)
        }
        (None, None) => (Framing::Chunked, invalid),
    }
}

/// Appends the head of a response to `out`.
///
/// `plan` must have been made from the same `status` and `headers`; `content_type` comes on top of
/// these. Adds `Server` and `Date` unless the application set them, the framing field, and
/// `Connection` where it says something: `close`, `keep-alive` for HTTP/1.0,
/// `upgrade` with an `Upgrade` of the application. Fields that appear more than
/// once, `Set-Cookie` above all, go out line by line.
///
/// The status line repeats the version of the request, as Go does: RFC 9110
/// section 2.5 would allow HTTP/1.1 to everybody, but an old client that is
/// told 1.0 knows what it may not expect.
pub fn write_head(
    out: &mut Vec<u8>,
    version: Version,
    status: StatusCode,
    content_type: Option<&HeaderValue>,
    headers: Option<&HeaderMap>,
    plan: &Plan,
    date: &Date,
) {
    out.reserve(256);
    write_status_line(out, version, status);
    match (plan.has_server, plan.has_date) {
        (false, false) => out.extend_from_slice(date.server_and_date()),
        (false, true) => out.extend_from_slice(date.server()),
        (true, false) => out.extend_from_slice(date.date()),
        (true, true) => {}
    }
    write_connection(out, version, status, plan);
    match plan.framing {
        Framing::Length(length) => write_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Close | Framing::None => {}
    }
    if let Some(value) = content_type {
        out.extend_from_slice(b"content-type: ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if let Some(headers) = headers {
        for (name, value) in headers {
            if !plan.filter || !is_ours(name.as_str()) {
                write_field(out, name, value);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a field is the server's to set, whatever the application says.
pub(crate) fn is_ours(name: &str) -> bool {
    matches!(
        kind(name),
        Kind::ContentLength | Kind::Connection | Kind::HopByHop
    )
}

fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes an interim response (RFC 9110 section 15.2), such as 103 Early Hints
/// (RFC 8297). It has no body, so fields that frame one are left out.
pub fn write_interim(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    debug_assert!(status.is_informational());
    write_status_line(out, Version::HTTP_11, status);
    for (name, value) in headers {
        if !is_ours(name.as_str()) {
            write_field(out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn write_status_line(out: &mut Vec<u8>, version: Version, status: StatusCode) {
    if version != Version::HTTP_10 && status == StatusCode::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(if version == Version::HTTP_10 {
        b"HTTP/1.0 "
    } else {
        b"HTTP/1.1 "
    });
    out.extend_from_slice(status.as_str().as_bytes());
    // RFC 9112 section 4: the space stays even if there is no reason phrase.
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_connection(out: &mut Vec<u8>, version: Version, status: StatusCode, plan: &Plan) {
    let persistence = match plan.keep_alive {
        _ if status == StatusCode::SWITCHING_PROTOCOLS => None,
        false => Some("close"),
        // RFC 9112 section 9.3: 1.0 has to be told, 1.1 takes it for granted.
        true if version == Version::HTTP_10 => Some("keep-alive"),
        true => None,
    };
    // RFC 9110 section 7.8: "A sender of Upgrade MUST also send an "Upgrade"
    // connection option".
    let upgrade = plan.has_upgrade.then_some("upgrade");
    let (first, second) = match (persistence, upgrade) {
        (None, None) => return,
        (Some(only), None) | (None, Some(only)) => (only, None),
        (Some(first), second) => (first, second),
    };
    out.extend_from_slice(b"connection: ");
    out.extend_from_slice(first.as_bytes());
    if let Some(second) = second {
        out.extend_from_slice(b", ");
        out.extend_from_slice(second.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The line in front of a chunk's data, held inline: `1a\r\n`.
#[derive(Debug, Clone, Copy)]
pub struct ChunkHead {
    bytes: [u8; 18],
    start: u8,
}

impl ChunkHead {
    /// The bytes that go out before the data.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

impl AsRef<[u8]> for ChunkHead {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// The line in front of `n` bytes of data (RFC 9112 section 7.1).
///
/// # Panics
///
/// If `n` is 0: that line ends the body, and [`LAST_CHUNK`] is how to do it.
pub fn chunk_head(n: usize) -> ChunkHead {
    assert!(n > 0, "an empty chunk ends the body");
    let mut bytes = *b"0000000000000000\r\n";
    let mut start = 16;
    let mut rest = n;
    while rest > 0 {
        // 64 bits have at most 16 hexadecimal digits.
        start -= 1;
        bytes[start] = b"0123456789abcdef"[rest & 0xf];
        rest >>= 4;
    }
    ChunkHead {
        bytes,
        start: start as u8,
    }
}

/// Appends a whole response for a request that could not be served, or was not
/// to be: a line of text, and `Connection: close`.
///
/// `retry_after` is in seconds (RFC 9110 section 10.2.3), for 503 and 429. The
/// version is 1.1 because that of the request may be unknown.
pub fn error_response(
    out: &mut Vec<u8>,
    status: StatusCode,
    reason: &str,
    retry_after: Option<u32>,
    date: &Date,
) {
    let phrase = status.canonical_reason().unwrap_or("Error");
    let separator = if reason.is_empty() { "" } else { ": " };
    let pieces = [status.as_str(), " ", phrase, separator, reason, "\n"];
    write_status_line(out, Version::HTTP_11, status);
    out.extend_from_slice(date.server_and_date());
    out.extend_from_slice(b"connection: close\r\n");
    out.extend_from_slice(b"content-type: text/plain; charset=utf-8\r\n");
    if let Some(seconds) = retry_after {
        out.extend_from_slice(b"retry-after: ");
        out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    write_length(out, pieces.iter().map(|piece| piece.len() as u64).sum());
    out.extend_from_slice(b"\r\n");
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}
