//! What a handler is given.
//!
//! A [`Request`] is the parsed head, the body to be read on demand, and what is
//! known of the connection. Everything that costs is made when it is first asked
//! for: the header map, the CGI environment, the decoded path.
//!
//! What must stay true: a plain GET builds none of those and allocates nothing
//! here; text accessors never fail, because [`Request::new`] has refused what
//! they could fail on.

mod body;
pub(crate) mod detached;
pub(crate) mod head;
pub(crate) mod params;
pub(crate) mod path;
pub(crate) mod place;
mod query;
mod redirect;
mod typed;
mod unblock;
mod url;

use std::any::Any;
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Version};

use self::head::{Head, Span};
use self::params::Matched;
#[cfg(feature = "forms")]
use crate::forms::FormCell;
use crate::route::Route;
use crate::route::rule::Filter;
use crate::unblocker::{self, Unblocker};
use crate::{ConnectionInfo, Environ, HttpError, Input, Limits};

/// One request.
///
/// It is `!Send`: it lives and dies on the thread that serves the connection.
/// What another thread needs is copied out of it, or
/// [`detach`](Request::detach)ed.
pub struct Request {
    inner: Box<Inner>,
}

/// On the heap, as a request is moved from hand to hand: each copy of it on a
/// green thread's stack would be memory that the thread keeps.
struct Inner {
    head: Box<Head>,
    /// Where the path stands in the head: what is behind the script name.
    path: Span,
    /// The decoded path, where it differs from that.
    decoded: Option<Box<str>>,
    /// What of the path leads to the application, as sent.
    script: Option<Box<str>>,
    matched: Option<Matched>,
    /// In a cell, as the body can be read while a part of the request is looked at. Nobody holds
    /// it borrowed beyond one read, so no two borrows meet.
    input: RefCell<Input>,
    connection: Arc<ConnectionInfo>,
    headers: OnceCell<Box<HeaderMap>>,
    environ: OnceCell<Box<Environ>>,
    extensions: Extensions,
    peer: Option<Rc<dyn Peer>>,
    /// Those that the application has set; most requests have the default ones.
    limits: Option<Arc<Limits>>,
    #[cfg(feature = "forms")]
    form: FormCell,
}

impl Inner {
    fn new(head: Box<Head>, input: Input, connection: Arc<ConnectionInfo>) -> Self {
        Self {
            path: head.path,
            head,
            decoded: None,
            script: None,
            matched: None,
            input: RefCell::new(input),
            connection,
            headers: OnceCell::new(),
            environ: OnceCell::new(),
            extensions: Extensions::new(),
            peer: None,
            limits: None,
            #[cfg(feature = "forms")]
            form: FormCell::default(),
        }
    }
}

/// The client of a request, as far as the server knows it.
pub trait Peer {
    /// Whether the client has left.
    fn has_left(&self) -> bool;

    /// Waits at most `timeout` for the client to leave. True if it has.
    fn wait_until_left(&self, timeout: Duration) -> bool;

    /// Sends `103 Early Hints`, if the client can take it.
    ///
    /// # Errors
    ///
    /// When the client cannot be written to.
    fn early_hints(&self, headers: &HeaderMap) -> io::Result<()>;

    /// The connection, for a protocol that is to take the place of HTTP on it.
    /// What it is, the server's own crate knows. Default: `None`.
    fn upgrade(self: Rc<Self>) -> Option<Rc<dyn Any>> {
        None
    }

    /// Notes which route the request has found: the operator is to see what it is about, and it may
    /// have a time limit of its own.
    fn routed(&self, _route: &Route) {}

    /// Notes by which id the request is known, for the lines of the log that are about it. Default: no
    /// effect.
    fn identified(&self, _id: &str) {}

    /// The handler may take so long from now on. Default: no effect, for a server that cannot limit
    /// it.
    fn limit_time(&self, _time: Duration) {}

    /// How the server does what may block in the kernel; see [`Request::unblock`]. Default: it is
    /// called here, which is right on an OS thread.
    fn unblocker(&self) -> Unblocker {
        unblocker::here
    }
}

impl Request {
    /// A request as a server hands it over.
    ///
    /// # Errors
    ///
    /// 400 if target or query is not UTF-8, or the path is malformed
    /// percent-encoding, decodes to something other than UTF-8, or holds a NUL.
    pub fn new(
        head: impl Into<Box<Head>>,
        input: Input,
        connection: Arc<ConnectionInfo>,
    ) -> Result<Request, HttpError> {
        Self::from_boxed(head.into(), input, connection)
    }

    fn from_boxed(
        head: Box<Head>,
        input: Input,
        connection: Arc<ConnectionInfo>,
    ) -> Result<Request, HttpError> {
        let decoded = if is_plain(&head) {
            None
        } else {
            decoded(&head)?
        };
        let inner = Inner {
            decoded,
            ..Inner::new(head, input, connection)
        };
        Ok(Request {
            inner: Box::new(inner),
        })
    }

    /// For servers: who to ask about the client, and to tell it something.
    #[must_use]
    pub fn with_peer(mut self, peer: Rc<dyn Peer>) -> Request {
        self.inner.peer = Some(peer);
        self
    }

    /// Whether the client has left (Waitress's `client_disconnected`).
    ///
    /// A handler need not ask: once the client has left, it is ended at its
    /// next wait. This is for one that computes for long without waiting.
    /// False where the server cannot tell.
    #[must_use]
    pub fn disconnected(&self) -> bool {
        self.inner
            .peer
            .as_ref()
            .is_some_and(|client| client.has_left())
    }

    /// Sends `103 Early Hints` (RFC 8297) with these headers, usually `Link`s
    /// to what the page will need: a browser fetches them while the handler
    /// still works on the response. May be called up to 8 times in a request.
    ///
    /// Does nothing where the client cannot take it (HTTP/1.0), once the
    /// response has begun, beyond 8 calls, and on a server that cannot send it.
    ///
    /// # Errors
    ///
    /// When the client cannot be written to.
    pub fn early_hints(&self, headers: &HeaderMap) -> io::Result<()> {
        match &self.inner.peer {
            Some(peer) => peer.early_hints(headers),
            None => Ok(()),
        }
    }

    /// For protocols that take the place of HTTP on a connection (RFC 9110,
    /// 7.8), such as WebSocket: what the server gives for it. Nothing has
    /// changed until somebody uses it. `None` where the server cannot.
    #[must_use]
    pub fn upgrade(&self) -> Option<Rc<dyn Any>> {
        self.inner.peer.clone()?.upgrade()
    }

    /// Waits at most `timeout` for the client to leave. True if it has; this
    /// wait is the one that does not end the handler when the client leaves.
    /// False at once where the server cannot tell.
    #[must_use]
    pub fn wait_disconnected(&self, timeout: Duration) -> bool {
        self.inner
            .peer
            .as_ref()
            .is_some_and(|client| client.wait_until_left(timeout))
    }

    /// Tells the server by which id the request is known.
    pub(crate) fn identify(&self, id: &str) {
        if let Some(peer) = &self.inner.peer {
            peer.identified(id);
        }
    }

    /// From now on the handler and its body may take so long, instead of what the server allows
    /// (`--timeout`) or the route ([`timeout`](crate::RouteBuilder::timeout)). No effect where the
    /// server cannot limit it.
    pub fn limit_time(&self, time: Duration) {
        if let Some(peer) = &self.inner.peer {
            peer.limit_time(time);
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.inner.head.method
    }

    /// The version of the request line.
    #[must_use]
    pub fn version(&self) -> Version {
        self.inner.head.version
    }

    /// The head as it came off the wire.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.inner.head
    }

    /// The request-target as sent: `RAW_URI`.
    #[must_use]
    pub fn target(&self) -> &str {
        self.inner.head.text(self.inner.head.target)
    }

    /// The path, percent-decoded: `PATH_INFO`. An encoded slash looks like any
    /// other here; routes tell them apart. In an application that is [mounted](crate::App::mount)
    /// it is what is behind the prefix, and may be empty.
    #[must_use]
    pub fn path(&self) -> &str {
        self.inner
            .decoded
            .as_deref()
            .unwrap_or_else(|| self.raw_path())
    }

    /// The path as sent, without what leads to the application.
    #[must_use]
    pub fn raw_path(&self) -> &str {
        self.inner.head.text(self.inner.path)
    }

    /// What follows the `?`, as sent; empty when there is none.
    #[must_use]
    pub fn query_string(&self) -> &str {
        self.inner
            .head
            .query
            .map_or("", |span| self.inner.head.text(span))
    }

    /// The first header of this name, in any case; `None` if it is absent or not
    /// UTF-8. Builds no map.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.inner.head.values(name).next()?).ok()
    }

    /// All headers, as a map that is built on first use.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers.get_or_init(|| {
            let mut map = HeaderMap::with_capacity(self.inner.head.fields.len());
            for (name, value) in self.inner.head.fields() {
                // What the http crate cannot hold, a server has not let through.
                if let (Ok(name), Ok(value)) = (
                    HeaderName::from_bytes(name.as_bytes()),
                    HeaderValue::from_bytes(value),
                ) {
                    map.append(name, value);
                }
            }
            Box::new(map)
        })
    }

    /// Host and port that the client asked for: those of an absolute request
    /// target before those of the Host header (RFC 9112, 3.2.2).
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self.inner.head.authority {
            Some(span) => Some(self.inner.head.text(span)),
            None => self.header("host"),
        }
    }

    /// The Content-Type header.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.header("content-type")
    }

    /// The Content-Length header in bytes, if it is a number.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        let value = self.header("content-length")?;
        // RFC 9110, 8.6: digits only; `parse` alone would take a plus sign.
        value
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| value.parse().ok())?
    }

    /// The text that a wildcard of the route matched, decoded.
    ///
    /// # Panics
    ///
    /// When the route has no such wildcard.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        params::find(self.inner.matched.as_ref(), &self.inner.head, name, None)
    }

    /// All wildcards of the route with what they matched, in the rule's order.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inner
            .matched
            .iter()
            .flat_map(|matched| matched.iter(&self.inner.head))
    }

    /// The number that `<name:int>` matched.
    ///
    /// # Panics
    ///
    /// When the route has no such wildcard, or it has another filter.
    #[must_use]
    pub fn int(&self, name: &str) -> i64 {
        let text = params::find(
            self.inner.matched.as_ref(),
            &self.inner.head,
            name,
            Some(Filter::Int),
        );
        // The filter has parsed this very text, or the route had not matched.
        text.parse().expect("<:int> matched a number")
    }

    /// The number that `<name:float>` matched; always finite.
    ///
    /// # Panics
    ///
    /// When the route has no such wildcard, or it has another filter.
    #[must_use]
    pub fn float(&self, name: &str) -> f64 {
        let text = params::find(
            self.inner.matched.as_ref(),
            &self.inner.head,
            name,
            Some(Filter::Float),
        );
        // The filter has parsed this very text, or the route had not matched.
        text.parse().expect("<:float> matched a number")
    }

    /// The route that the request has found: its rule, its name and what is set for it.
    #[must_use]
    pub fn route(&self) -> Option<&Route> {
        self.inner.matched.as_ref()?.route()
    }

    /// The CGI environment of PEP 3333, built on first use.
    #[must_use]
    pub fn environ(&self) -> &Environ {
        self.inner
            .environ
            .get_or_init(|| Box::new(Environ::of(self)))
    }

    /// The connection that the request came in on.
    #[must_use]
    pub fn connection(&self) -> &Arc<ConnectionInfo> {
        &self.inner.connection
    }

    /// Whether the server runs for development (`--debug`): responses may then
    /// tell what goes wrong inside of the application. Never for the public.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.inner.connection.debug
    }

    /// Who has sent the request, as far as the server knows: the other end of the connection, or,
    /// where that is a trusted proxy, the client that the proxy has told of.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.inner.connection.peer
    }

    /// `"http"` or `"https"`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.inner.connection.scheme
    }

    /// What server and middleware have attached.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.inner.extensions
    }

    /// The extensions, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.inner.extensions
    }
}

/// Whether a target is a short path without a query, as most are, in which nothing is to be decoded or
/// refused. Byte by byte that is known sooner than by several searches, which are quicker for long ones.
fn is_plain(head: &Head) -> bool {
    let is_itself = |byte: &u8| byte.is_ascii() & (*byte != b'%') & (*byte != 0);
    let is_whole = head.path == head.target && head.query.is_none() && head.authority.is_none();
    is_whole && head.path.len() <= 32 && head.slice(head.path).iter().all(is_itself)
}

/// The decoded path where it differs from the one that was sent.
///
/// # Errors
///
/// Where the target is not text, or its path hides something.
fn decoded(head: &Head) -> Result<Option<Box<str>>, HttpError> {
    let decoded = match path::decode(head.slice(head.path)) {
        Some(Cow::Borrowed(_)) => None,
        Some(Cow::Owned(text)) => Some(text.into_boxed_str()),
        None => return Err(HttpError::new(400, "the path is not percent-encoded UTF-8")),
    };
    // Most are ASCII, and that is known sooner.
    let is_text = |span| {
        let bytes = head.slice(span);
        bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
    };
    let texts = [Some(head.target), head.query, head.authority];
    if !texts.into_iter().flatten().all(is_text) {
        return Err(HttpError::new(400, "the request-target is not UTF-8"));
    }
    Ok(decoded)
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("head", &format_args!("{}", self.inner.head))
            .field("route", &self.route())
            .field("input", &self.inner.input)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, fields: &[(&str, &[u8])]) -> Result<Request, HttpError> {
        let fields = fields.iter().copied();
        let head = Head::build(Method::GET, target, Version::HTTP_11, fields);
        Request::new(head, Input::empty(), Arc::default())
    }

    #[test]
    fn paths_are_decoded_once() {
        for (target, path, raw) in [
            ("/plain?x", "/plain", "/plain"),
            ("/a%20b%2Fc", "/a b/c", "/a%20b%2Fc"),
            ("/%2525", "/%25", "/%2525"),
            ("http://host", "/", "/"),
            ("*", "*", "*"),
        ] {
            let request = request(target, &[]).unwrap();
            assert_eq!((request.path(), request.raw_path()), (path, raw));
            assert_eq!(request.target(), target);
        }
        for bad in ["/%", "/%zz", "/%00", "/%ff"] {
            assert_eq!(request(bad, &[]).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn a_target_that_is_not_utf8_is_refused() {
        let mut head = request("/?abc", &[]).unwrap().inner.head;
        head.bytes = head
            .bytes
            .iter()
            .map(|&b| if b == b'b' { 0xff } else { b })
            .collect();
        let error = Request::new(head, Input::empty(), Arc::default()).unwrap_err();
        assert_eq!(error.status(), 400);
    }

    #[test]
    fn headers_with_and_without_a_map() {
        let fields: [(&str, &[u8]); 4] = [
            ("Accept", b"*/*"),
            ("x-latin", b"\xe9"),
            ("Cookie", b"a=1"),
            ("cookie", b"b=2"),
        ];
        let request = request("/", &fields).unwrap();
        assert_eq!(request.header("ACCEPT"), Some("*/*"));
        assert_eq!(request.header("cookie"), Some("a=1"));
        assert_eq!(request.header("x-latin"), None);
        assert_eq!(request.header("absent"), None);
        assert_eq!(request.headers()["x-latin"].as_bytes(), b"\xe9");
        assert_eq!(request.headers().get_all("cookie").iter().count(), 2);
    }

    #[test]
    fn content_length_is_digits() {
        for (value, expected) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("+12", None),
            ("-1", None),
            ("1, 1", None),
            ("", None),
            ("18446744073709551616", None),
        ] {
            let request = request("/", &[("content-length", value.as_bytes())]).unwrap();
            assert_eq!(request.content_length(), expected, "{value:?}");
        }
    }

    #[test]
    fn the_target_knows_the_host_best() {
        let host: [(&str, &[u8]); 1] = [("host", b"header")];
        assert_eq!(request("/", &host).unwrap().host(), Some("header"));
        assert_eq!(
            request("http://target/", &host).unwrap().host(),
            Some("target")
        );
        assert_eq!(request("/", &[]).unwrap().host(), None);
    }

    #[test]
    #[should_panic(expected = "did not come through a route")]
    fn params_need_a_route() {
        let _ = request("/", &[]).unwrap().param("name");
    }
}
