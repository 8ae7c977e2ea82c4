//! Server-sent events: their format, and the response that carries them.
//!
//! What a browser's `EventSource` reads (WHATWG HTML, 9.2): an endless response
//! of small blocks of text. Here is what needs no waiting; heartbeats, and
//! streams fed by a queue or a room, belong to the runtime.
//!
//! What must stay true: no text can end its line or its event early. Data may
//! hold line ends of any kind and arrives with them as LF; in a name or an id
//! they are refused.

use std::fmt::{self, Write as _};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};

use crate::{BodyError, IntoBody, IntoChunk, Request, Response};

/// The Content-Type of a stream of events (WHATWG HTML, 9.2.5).
pub const CONTENT_TYPE: &str = "text/event-stream";

/// A comment that says nothing: a client drops it, and what lies in between sees
/// that the connection is alive.
pub const HEARTBEAT: &str = ":\n\n";

/// One server-sent event.
///
/// ```
/// use greenway_app::sse::Event;
///
/// let event = Event::new("two\nlines").id("7").name("news");
/// assert_eq!(event.encode(), "id: 7\nevent: news\ndata: two\ndata: lines\n\n");
/// ```
///
/// It is a chunk, so a [`Body`](crate::Body) can send it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    id: Option<String>,
    name: Option<String>,
    retry: Option<Duration>,
    data: Option<String>,
    comment: Option<String>,
}

impl Event {
    /// An event with this data, whose lines may end with LF, CR or CRLF. The
    /// client gets them with LF.
    #[must_use]
    pub fn new(data: impl Into<String>) -> Self {
        Self {
            data: Some(data.into()),
            ..Self::default()
        }
    }

    /// A comment, for people who look at the stream: clients ignore it.
    #[must_use]
    pub fn comment(text: impl Into<String>) -> Self {
        Self {
            comment: Some(text.into()),
            ..Self::default()
        }
    }

    /// Only tells how long the client is to wait before it connects again after
    /// it has lost the connection; milliseconds count. The browsers' own choice
    /// is a few seconds.
    #[must_use]
    pub fn reconnect_after(pause: Duration) -> Self {
        Self::default().retry(pause)
    }

    /// The event's id, which the client sends as `Last-Event-ID` when it comes
    /// back ([`last_event_id`]). An empty one makes it forget the one that it has.
    ///
    /// # Panics
    ///
    /// When it holds CR, LF or NUL. Where it comes from outside, use
    /// [`try_id`](Self::try_id).
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        self.try_id(id)
            .unwrap_or_else(|error| panic!("Event::id: {error}"))
    }

    /// As [`id`](Self::id).
    ///
    /// # Errors
    ///
    /// [`BadField`] where `id` would panic.
    pub fn try_id(mut self, id: impl Into<String>) -> Result<Self, BadField> {
        self.id = Some(checked("id", id.into())?);
        Ok(self)
    }

    /// The event's name: what the page listens for with `addEventListener`.
    /// Without one it is `message`.
    ///
    /// # Panics
    ///
    /// When it holds CR, LF or NUL. Where it comes from outside, use
    /// [`try_name`](Self::try_name).
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        self.try_name(name)
            .unwrap_or_else(|error| panic!("Event::name: {error}"))
    }

    /// As [`name`](Self::name).
    ///
    /// # Errors
    ///
    /// [`BadField`] where `name` would panic.
    pub fn try_name(mut self, name: impl Into<String>) -> Result<Self, BadField> {
        self.name = Some(checked("event", name.into())?);
        Ok(self)
    }

    /// As [`reconnect_after`](Self::reconnect_after), along with the event.
    #[must_use]
    pub fn retry(mut self, pause: Duration) -> Self {
        self.retry = Some(pause);
        self
    }

    /// The bytes for the wire.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = String::with_capacity(self.size());
        // Writing to a String cannot fail.
        for line in self.comment.iter().flat_map(|text| lines(text)) {
            let _ = writeln!(out, ": {line}");
        }
        if let Some(id) = &self.id {
            let _ = writeln!(out, "id: {id}");
        }
        if let Some(name) = &self.name {
            let _ = writeln!(out, "event: {name}");
        }
        if let Some(pause) = self.retry {
            let _ = writeln!(out, "retry: {}", pause.as_millis());
        }
        // The space is taken off by the client, so that one in the data stays.
        for line in self.data.iter().flat_map(|data| lines(data)) {
            let _ = writeln!(out, "data: {line}");
        }
        out.push('\n');
        out.into()
    }

    /// About as many bytes as it takes on the wire.
    fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() + 16);
        length(&self.id) + length(&self.name) + length(&self.data) + length(&self.comment) + 32
    }
}

impl IntoChunk for Event {
    fn into_chunk(self) -> Result<Bytes, BodyError> {
        Ok(self.encode())
    }
}

/// The lines of a text; a text that ends with a line end has an empty one behind it.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = memchr::memchr2(b'\r', b'\n', text.as_bytes()) else {
            return rest.take();
        };
        let (line, end) = text.split_at(at);
        let end = end.strip_prefix("\r\n").unwrap_or(&end[1..]);
        rest = Some(end);
        Some(line)
    })
}

fn checked(field: &'static str, text: String) -> Result<String, BadField> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(BadField { field });
    }
    Ok(text)
}

/// The id or the name of an [`Event`] holds CR, LF or NUL: the first two would end
/// the line, and a client ignores an id with the third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadField {
    field: &'static str,
}

impl fmt::Display for BadField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the field `{}` of an event cannot hold CR, LF or NUL",
            self.field
        )
    }
}

impl std::error::Error for BadField {}

/// A response that carries events. Its head is sent at once, so that the page
/// learns that it is connected before the first event, and it is neither cached
/// nor, by nginx, buffered. When the server stops it is ended at once
/// ([`Out::end_at_stop`](crate::Out::end_at_stop)): its client comes again.
///
/// The body's chunks are events. Nothing is sent while it waits; a stream with
/// heartbeats is `greenway::sse::Sse`.
///
/// ```
/// use greenway_app::{Body, Request, sse, testing::Client};
///
/// let app = |_: Request| sse::response(Body::iter((1..=2).map(|n| sse::Event::new(n.to_string()))));
/// let reply = Client::new(app).get("/").send();
/// assert_eq!(reply.header("content-type"), Some("text/event-stream"));
/// assert_eq!(reply.chunks(), ["data: 1\n\n", "data: 2\n\n"]);
/// ```
#[must_use]
pub fn response(events: impl IntoBody) -> Response {
    let body = events.into_body().after(|out| {
        out.end_at_stop("")?;
        out.start()
    });
    Response::new(body)
        .with_header(header::CONTENT_TYPE, CONTENT_TYPE)
        .with_header(header::CACHE_CONTROL, "no-store")
        .with_header(HeaderName::from_static("x-accel-buffering"), "no")
}

/// The id of the last event that the client has seen: its header
/// `Last-Event-ID`, which an `EventSource` sends when it comes back (WHATWG HTML,
/// 9.2.3). `None` for a newcomer.
///
/// ```
/// use greenway_app::{Request, sse, testing::Client};
///
/// let app = |request: Request| format!("{:?}", sse::last_event_id(&request));
/// let reply = Client::new(app).get("/").header("last-event-id", "7").send();
/// assert_eq!(reply.text(), "Some(\"7\")");
/// ```
#[must_use]
pub fn last_event_id(request: &Request) -> Option<&str> {
    request.header("last-event-id").filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;
    use crate::testing::Client;

    #[test]
    fn an_event_is_written_field_by_field() {
        let event = Event::new("x")
            .id("1")
            .name("n")
            .retry(Duration::from_millis(2500));
        assert_eq!(event.encode(), "id: 1\nevent: n\nretry: 2500\ndata: x\n\n");
        assert_eq!(Event::comment("a\nb").encode(), ": a\n: b\n\n");
        let pause = Duration::from_secs(3);
        assert_eq!(Event::reconnect_after(pause).encode(), "retry: 3000\n\n");
        assert_eq!(Event::new("").id("").encode(), "id: \ndata: \n\n");
        assert_eq!(HEARTBEAT, ":\n\n");
    }

    #[test]
    fn data_may_hold_any_line_end_and_nothing_forges_an_event() {
        for (data, wire) in [
            ("a\nb", "data: a\ndata: b\n\n"),
            ("a\rb", "data: a\ndata: b\n\n"),
            ("a\r\nb", "data: a\ndata: b\n\n"),
            ("a\n\rb", "data: a\ndata: \ndata: b\n\n"),
            ("a\n", "data: a\ndata: \n\n"),
            ("\n\n", "data: \ndata: \ndata: \n\n"),
            (" a", "data:  a\n\n"),
            ("x\n\nevent: evil", "data: x\ndata: \ndata: event: evil\n\n"),
            ("ä\u{2028}b\u{b}c", "data: ä\u{2028}b\u{b}c\n\n"),
        ] {
            assert_eq!(Event::new(data).encode(), wire, "{data:?}");
        }
        // A comment ends where its text ends, too.
        assert_eq!(
            Event::comment("a\r\ndata: b").encode(),
            ": a\n: data: b\n\n"
        );
    }

    #[test]
    fn ids_and_names_hold_no_line_ends() {
        for bad in ["a\nb", "a\rb", "a\0b", "\r\n"] {
            let error = Event::new("").try_id(bad).unwrap_err();
            assert!(error.to_string().contains("`id`"), "{error}");
            let error = Event::new("").try_name(bad).unwrap_err();
            assert!(error.to_string().contains("`event`"), "{error}");
        }
        assert!(Event::new("").try_id("ä: b").is_ok());
    }

    #[test]
    #[should_panic(expected = "Event::id: the field `id`")]
    fn a_bad_id_panics_with_its_field() {
        let _ = Event::new("").id("a\nb");
    }

    #[test]
    fn the_response_is_not_kept_by_anybody() {
        let app = |_: Request| response(Body::empty());
        let reply = Client::new(app).get("/").send();
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-accel-buffering"), Some("no"));
        assert_eq!(reply.status(), 200);
    }

    #[test]
    fn a_newcomer_has_seen_nothing() {
        let seen = |request: Request| format!("{:?}", last_event_id(&request));
        let client = Client::new(seen);
        assert_eq!(client.get("/").send().text(), "None");
        let reply = client.get("/").header("last-event-id", "").send();
        assert_eq!(reply.text(), "None");
    }
}
