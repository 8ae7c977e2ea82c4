//! The head of a request as a server hands it over.
//!
//! Names, values and parts of the target are offsets into the bytes that came
//! off the wire, so that a head is one piece of memory and no header map is built
//! unless a handler asks for one.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use http::{Method, Version};
use smallvec::SmallVec;

/// A parsed request head.
///
/// The server that fills it in vouches for its syntax (RFC 9112, 3 and 5): names
/// are tokens, values have no CR, LF or NUL and are trimmed. A [`Span`] outside
/// of [`bytes`](Head::bytes) reads as empty.
///
/// ```
/// use greenway_app::Head;
///
/// let request = http::Request::get("/hello?name=Ada").header("Accept", "*/*").body(())?;
/// let head = Head::from_http(&request.into_parts().0);
/// assert_eq!(head.text(head.path), "/hello");
/// assert_eq!(head.fields().collect::<Vec<_>>(), [("accept", &b"*/*"[..])]);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Head {
    /// The head as it stood on the wire.
    pub bytes: Bytes,
    /// The method; case matters.
    pub method: Method,
    /// The version of the request line.
    pub version: Version,
    /// The whole request-target.
    pub target: Span,
    /// The path, still percent-encoded: `/` for an absolute-form without path,
    /// `*` for the asterisk-form.
    pub path: Span,
    /// What follows the first `?`.
    pub query: Option<Span>,
    /// Host and port of an absolute-form or authority-form target.
    pub authority: Option<Span>,
    /// The header fields in the order of the wire.
    pub fields: Fields,
}

/// A range of [`Head::bytes`]: `start..end`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// One header field: where its name and its value stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name as sent.
    pub name: Span,
    /// The value without the whitespace around it.
    pub value: Span,
}

/// A list of header fields. Up to six of them, as many as most programs send, are part of the
/// head itself; browsers send more, and their lists are allocated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(SmallVec<[Field; 6]>);

impl Fields {
    /// An empty list with room for `n` fields.
    #[must_use]
    pub fn with_capacity(n: usize) -> Self {
        Self(SmallVec::with_capacity(n))
    }

    /// Adds a field at the end.
    pub fn push(&mut self, field: Field) {
        self.0.push(field);
    }
}

impl Deref for Fields {
    type Target = [Field];

    fn deref(&self) -> &[Field] {
        &self.0
    }
}

impl FromIterator<Field> for Fields {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl Span {
    /// The bytes `start..end`.
    #[must_use]
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl Head {
    /// The bytes of a span.
    #[must_use]
    pub fn slice(&self, span: Span) -> &[u8] {
        self.bytes
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// The text of a span; empty if it is not UTF-8.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        std::str::from_utf8(self.slice(span)).unwrap_or_default()
    }

    /// Names (as sent) and values in the order of the wire.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields
            .iter()
            .map(|field| (self.text(field.name), self.slice(field.value)))
    }

    /// Values of all fields of this name, whatever its case, without a header
    /// map.
    pub(crate) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            // Lengths first: most fields are told apart without touching bytes.
            .filter(move |field| field.name.len() == name.len())
            .filter(move |field| self.slice(field.name).eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| self.slice(field.value))
    }

    /// A head with the meaning of `parts`, for tests and for servers built on
    /// the `http` crate.
    ///
    /// # Panics
    ///
    /// When target and fields exceed 4 GiB.
    #[must_use]
    pub fn from_http(parts: &http::request::Parts) -> Self {
        let target = parts.uri.to_string();
        let fields = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        Self::build(parts.method.clone(), &target, parts.version, fields)
    }

    /// Writes a head down and notes where its pieces stand.
    pub(crate) fn build<'a>(
        method: Method,
        target: &str,
        version: Version,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        // As much as most heads take.
        let mut wire = Wire(Vec::with_capacity(target.len() + 256));
        wire.add(method.as_str().as_bytes());
        wire.add(b" ");
        let start = wire.add(target.as_bytes()).start;
        let parts = split_target(&method, target);
        let within =
            |(from, to): (usize, usize)| Span::new(start + offset(from), start + offset(to));
        let target_span = within((0, target.len()));
        let (query, authority) = (parts.query.map(within), parts.authority.map(within));
        let mut path = within(parts.path);
        match version {
            Version::HTTP_11 => wire.add(b" HTTP/1.1\r\n"),
            other => wire.add(format!(" {other:?}\r\n").as_bytes()),
        };
        let mut list = Fields::default();
        for (name, value) in fields {
            let name = wire.add(name.as_bytes());
            wire.add(b": ");
            let value = wire.add(value);
            wire.add(b"\r\n");
            list.push(Field { name, value });
        }
        wire.add(b"\r\n");
        if path.is_empty() && method != Method::CONNECT {
            // "http://host" asks for "/" (RFC 9112, 3.2.1), which stands nowhere
            // in the head: it goes behind it.
            path = wire.add(b"/");
        }
        Self {
            bytes: wire.0.into(),
            method,
            version,
            target: target_span,
            path,
            query,
            authority,
            fields: list,
        }
    }
}

/// Bytes that know where the last addition went.
struct Wire(Vec<u8>);

impl Wire {
    fn add(&mut self, bytes: &[u8]) -> Span {
        let start = offset(self.0.len());
        self.0.extend_from_slice(bytes);
        Span::new(start, offset(self.0.len()))
    }
}

fn offset(n: usize) -> u32 {
    u32::try_from(n).unwrap_or_else(|_| panic!("a request head of more than 4 GiB"))
}

/// Where the parts of a request-target stand in it.
struct Target {
    path: (usize, usize),
    query: Option<(usize, usize)>,
    authority: Option<(usize, usize)>,
}

/// Splits the four forms of a request-target (RFC 9112, 3.2).
fn split_target(method: &Method, target: &str) -> Target {
    if method == Method::CONNECT {
        let whole = (0, target.len());
        return Target {
            path: (0, 0),
            query: None,
            authority: Some(whole),
        };
    }
    let mut path_start = 0;
    let mut authority = None;
    if !target.starts_with('/')
        && let Some(scheme) = target.find("://")
    {
        let start = scheme + 3;
        let end = target[start..]
            .find(['/', '?'])
            .map_or(target.len(), |at| start + at);
        authority = Some((start, end));
        path_start = end;
    }
    let question = target[path_start..].find('?').map(|at| path_start + at);
    Target {
        path: (path_start, question.unwrap_or(target.len())),
        query: question.map(|at| (at + 1, target.len())),
        authority,
    }
}

impl fmt::Display for Head {
    /// The request line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {:?}",
            self.method,
            self.text(self.target),
            self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms_of_a_target() {
        for (method, target, path, query, authority) in [
            (Method::GET, "/", "/", None, None),
            (Method::GET, "/a?b?c", "/a", Some("b?c"), None),
            (Method::GET, "/a?", "/a", Some(""), None),
            (
                Method::GET,
                "/go?to=http://x/y",
                "/go",
                Some("to=http://x/y"),
                None,
            ),
            (
                Method::GET,
                "http://host:81/a?b",
                "/a",
                Some("b"),
                Some("host:81"),
            ),
            (Method::GET, "http://host", "/", None, Some("host")),
            (Method::GET, "http://host?b", "/", Some("b"), Some("host")),
            (Method::OPTIONS, "*", "*", None, None),
            (Method::CONNECT, "host:443", "", None, Some("host:443")),
        ] {
            let head = Head::build(method, target, Version::HTTP_11, std::iter::empty());
            assert_eq!(head.text(head.target), target);
            assert_eq!(head.text(head.path), path, "{target}");
            assert_eq!(head.query.map(|span| head.text(span)), query, "{target}");
            assert_eq!(
                head.authority.map(|span| head.text(span)),
                authority,
                "{target}"
            );
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_order_is_kept() {
        let fields = [
            ("Cookie", "a"),
            ("X-B", "1"),
            ("cookie", "b"),
            ("x-bb", "2"),
        ];
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let head = Head::build(Method::GET, "/", Version::HTTP_10, fields);
        assert_eq!(head.values("COOKIE").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(head.values("x-b").collect::<Vec<_>>(), [b"1"]);
        assert_eq!(head.fields().nth(3), Some(("x-bb", &b"2"[..])));
        assert_eq!(head.to_string(), "GET / HTTP/1.0");
    }

    #[test]
    fn wild_spans_read_as_empty() {
        let mut head = Head::build(Method::GET, "/", Version::HTTP_11, std::iter::empty());
        for span in [
            Span::new(9, 3),
            Span::new(0, u32::MAX),
            Span::new(u32::MAX, u32::MAX),
        ] {
            assert_eq!(head.slice(span), b"");
        }
        head.bytes = Bytes::from_static(b"\xff");
        assert_eq!(head.text(Span::new(0, 1)), "");
        assert!(Span::new(3, 1).is_empty());
    }
}
