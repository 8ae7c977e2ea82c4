//! Bodies compressed on their way out.
//!
//! What must stay true: the answer to HEAD has the headers of that to GET; what has begun to be
//! sent can be read by the client up to the last chunk; and a cache learns that the answer depends
//! on Accept-Encoding, also where it was not compressed.

#[cfg(feature = "brotli")]
mod brotli;
mod gzip;
#[cfg(test)]
mod tests;
#[cfg(feature = "zstd")]
mod zstd;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::vary;
use crate::semantics::codings::{Coding, accepted, is_compressible};
use crate::semantics::{elements, etag};
use crate::{Body, BodyEncoder, BodyError, Bytes, Middleware, Next, Request, Response, sse};

/// The codings of this build, the one that compresses best first.
const OFFERED: &[Coding] = &[
    #[cfg(feature = "brotli")]
    Coding::Brotli,
    #[cfg(feature = "zstd")]
    Coding::Zstd,
    Coding::Gzip,
];

/// Up to so many bytes are compressed at once, in one to three milliseconds; more of them piece by
/// piece, with turns for others in between.
const AT_ONCE: usize = 64 * 1024;

/// Compresses bodies for clients that accept it: gzip, and Brotli and Zstandard with the features
/// `brotli` and `zstd` of this crate. Among those that the client likes as well, the order is
/// Brotli, Zstandard, gzip.
///
/// Not compressed are:
///
/// - bodies below 1,024 bytes ([`min_size`](Compression::min_size)): a packet is a packet;
/// - media types that are compressed already (pictures, films, archives) or unknown;
/// - what has a Content-Encoding, be it `identity`, or `Cache-Control: no-transform`;
/// - parts of a representation (206, Content-Range), statuses without a body, and errors, whose
///   pages are made after all middleware;
/// - server-sent events, unless [asked for](Compression::event_streams).
///
/// What comes from a stream is sent chunk by chunk as without compression: each chunk is flushed,
/// and the client can read it at once. Bodies that are there already have a Content-Length after it,
/// up to 64 KiB, and are left alone where they would not become smaller.
///
/// Each response that could be compressed has `Vary: Accept-Encoding`. A strong ETag becomes a weak
/// one, since the bytes are others; If-None-Match works with those, If-Match does not.
///
/// # BREACH
///
/// The length of a compressed page tells how much of it repeats. Where a page has a secret (a CSRF
/// token that stays the same) and, near it, text that a stranger chooses (a search term), the
/// stranger can find the secret by trying, if they can see the lengths of many encrypted answers
/// (<https://breachattack.com>). Such routes should do without:
///
/// ```
/// use greenway_app::{App, Request, middleware::Compression, testing::Client};
///
/// let mut app = App::new();
/// app.install(Compression::new());
/// app.get("/book", |_: Request| "All work and no play. ".repeat(1000));
/// app.get("/search", |_: Request| "secret ".repeat(1000)).skip::<Compression>();
///
/// let client = Client::new(app);
/// let reply = client.get("/book").header("accept-encoding", "gzip").send();
/// assert_eq!(reply.header("content-encoding"), Some("gzip"));
/// assert!(reply.bytes().len() < 200);
/// let reply = client.get("/search").header("accept-encoding", "gzip").send();
/// assert_eq!(reply.header("content-encoding"), None);
/// ```
#[derive(Debug, Clone)]
pub struct Compression {
    least: u64,
    events: bool,
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

impl Compression {
    /// With the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            least: 1024,
            events: false,
        }
    }

    /// The least length of a body that is compressed, in bytes. Default: 1,024. Streams whose
    /// length is unknown always are.
    #[must_use]
    pub fn min_size(mut self, bytes: u64) -> Self {
        self.least = bytes;
        self
    }

    /// Whether server-sent events are compressed, too. They stay live, but each stream keeps a
    /// compressor (300 KiB with gzip, 200 with Brotli, 800 with Zstandard), which is much for ten
    /// thousand clients that are sent a line now and then. Default: false.
    #[must_use]
    pub fn event_streams(mut self, yes: bool) -> Self {
        self.events = yes;
        self
    }

    /// Whether a client that accepts it gets this compressed.
    fn suits(&self, response: &Response) -> bool {
        let status = response.status();
        if status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::PARTIAL_CONTENT
            || status == StatusCode::NOT_MODIFIED
        {
            return false;
        }
        let length = response.body().length();
        // The server may put a page in the place of this text, further out than any middleware.
        if response.error().is_some() {
            return false;
        }
        if response.body().is_empty() || length.is_some_and(|length| length < self.least) {
            return false;
        }
        let headers = response.headers();
        let has = |name| headers.contains_key(name);
        if has(header::CONTENT_ENCODING) || has(header::CONTENT_RANGE) || forbids(headers) {
            return false;
        }
        let kind = headers.get(header::CONTENT_TYPE);
        kind.and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| is_compressible(kind) && (self.events || !is_events(kind)))
    }
}

impl Middleware for Compression {
    fn call(&self, request: Request, next: Next<'_>) -> Response {
        let fields: Vec<_> = request.head().values("accept-encoding").collect();
        let coding = accepted(&fields, OFFERED).first().copied();
        drop(fields);
        let known: Vec<_> = request.head().values("if-none-match").collect();
        let known = known.join(&b","[..]);
        let mut response = next.run(request);
        if response.status() == StatusCode::NOT_MODIFIED {
            // As it is with the 200 that it stands for, or may be (RFC 9110, 15.4.5).
            let headers = response.headers_mut();
            vary(headers, "Accept-Encoding");
            // A client that names the strong tag has what was sent without a coding.
            let tag = headers.get(header::ETAG).map(HeaderValue::as_bytes);
            let is_plain = elements(&known).any(|one| Some(one) == tag);
            if coding.is_some() && !is_plain && !forbids(headers) {
                weaken(headers);
            }
        }
        if !self.suits(&response) {
            return response;
        }
        vary(response.headers_mut(), "Accept-Encoding");
        if let Some(coding) = coding {
            compress(&mut response, coding);
        }
        response
    }
}

fn compress(response: &mut Response, coding: Coding) {
    let mut body = std::mem::take(response.body_mut());
    let compressed = match body.take_full() {
        None => match encoder(coding, true) {
            Some(encoder) => body.encode(encoder),
            None => body,
        },
        Some(bytes) if bytes.len() <= AT_ONCE => match at_once(coding, &bytes) {
            Some(small) if small.len() < bytes.len() => Body::full(small),
            _ => {
                *response.body_mut() = Body::full(bytes);
                return;
            }
        },
        Some(bytes) => {
            let pieces = pieces(bytes);
            match encoder(coding, false) {
                Some(encoder) => Body::iter(pieces).encode(encoder),
                None => Body::iter(pieces),
            }
        }
    };
    *response.body_mut() = compressed;
    let headers = response.headers_mut();
    let name = HeaderValue::from_static(coding.name());
    headers.insert(header::CONTENT_ENCODING, name);
    headers.remove(header::CONTENT_LENGTH);
    // Ranges would be those of the compressed bytes, which nobody keeps.
    headers.remove(header::ACCEPT_RANGES);
    weaken(headers);
}

/// Bytes in pieces that each take a moment to compress.
fn pieces(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = bytes.split_to(bytes.len().min(AT_ONCE));
        (!piece.is_empty()).then_some(piece)
    })
}

/// The encoder for a coding, which flushes each chunk or leaves that to the end. `None` for one
/// that is not in this build, and hence not in [`OFFERED`].
fn encoder(coding: Coding, flush: bool) -> Option<Box<dyn BodyEncoder>> {
    match coding {
        Coding::Gzip => Some(Box::new(gzip::Gzip::new(flush))),
        #[cfg(feature = "brotli")]
        Coding::Brotli => Some(Box::new(brotli::Brotli::new(flush))),
        #[cfg(feature = "zstd")]
        Coding::Zstd => Some(Box::new(zstd::Zstd::new(flush).ok()?)),
        #[cfg(not(all(feature = "brotli", feature = "zstd")))]
        _ => None,
    }
}

fn at_once(coding: Coding, bytes: &Bytes) -> Option<Bytes> {
    whole(&mut encoder(coding, false)?, bytes).ok()
}

/// All that an encoder makes of a body.
fn whole(encoder: &mut impl BodyEncoder, bytes: &Bytes) -> Result<Bytes, BodyError> {
    let begin = encoder.encode(bytes.clone())?;
    let end = encoder.finish()?;
    Ok(if begin.is_empty() {
        end
    } else {
        [begin, end].concat().into()
    })
}

/// Whether nobody on the way may change the bytes (RFC 9111, 5.2.2.6).
fn forbids(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::CACHE_CONTROL).iter();
    let mut directives = fields.flat_map(|value| elements(value.as_bytes()));
    directives.any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

fn is_events(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(sse::CONTENT_TYPE)
}

/// An ETag for bytes that mean the same and are others (RFC 9110, 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG) else {
        return;
    };
    if etag::is_tag(tag.as_bytes()) && !etag::is_weak(tag.as_bytes()) {
        let weak = [b"W/", tag.as_bytes()].concat();
        if let Ok(weak) = HeaderValue::from_bytes(&weak) {
            headers.insert(header::ETAG, weak);
        }
    }
}
