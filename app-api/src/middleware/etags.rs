//! Entity tags for bodies that are there, and the 304 that they make possible.

use std::hash::{DefaultHasher, Hasher};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::semantics::conditions::{Conditions, Validators, Verdict};
use crate::semantics::elements;
use crate::{Body, Middleware, Next, Request, Response};

/// Gives an ETag to what GET is answered with, and answers 304 without a body to a client that has
/// it already.
///
/// The tag is made of the bytes, so that a page is made either way, and only its way over the
/// network is saved. It is strong. Not tagged are answers other than 200, empty bodies, what is to
/// be kept by nobody (`Cache-Control: no-store`), and streams: to know their bytes, all of them
/// would have to be kept.
///
/// An ETag or a Last-Modified of the handler's own is left as it is, and the conditions of the
/// request (If-None-Match, If-Modified-Since, If-Match, If-Unmodified-Since) are held against it,
/// also for streams, which are then not begun.
///
/// HEAD is treated as GET is. Install it after [`Compression`](super::Compression), which makes the
/// tag weak for bytes that it changes.
///
/// ```
/// use greenway_app::{App, Request, middleware::ETags, testing::Client};
///
/// let mut app = App::new();
/// app.install(ETags::new()).get("/", |_: Request| "a page");
/// let client = Client::new(app);
///
/// let reply = client.get("/").send();
/// let tag = reply.header("etag").unwrap();
/// let again = client.get("/").header("if-none-match", tag).send();
/// assert_eq!((again.status().as_u16(), again.header("etag")), (304, Some(tag)));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ETags(());

impl ETags {
    /// There is nothing to set.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl Middleware for ETags {
    fn call(&self, request: Request, next: Next<'_>) -> Response {
        let method = request.method().clone();
        if method != Method::GET && method != Method::HEAD {
            return next.run(request);
        }
        let head = request.head();
        let asks = !Conditions::of(head).is_empty();
        // The request goes on its way; its head is a reference to the bytes, and a list.
        let head = asks.then(|| head.clone());
        let mut response = next.run(request);
        if response.status() != StatusCode::OK {
            return response;
        }
        tag(&mut response);
        let Some(head) = head else {
            return response;
        };
        let headers = response.headers();
        let modified = headers.get(header::LAST_MODIFIED);
        let known = Validators {
            etag: headers.get(header::ETAG).map(HeaderValue::as_bytes),
            modified: modified.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok()),
        };
        match Conditions::of(&head).verdict(&method, known) {
            Verdict::Go => response,
            Verdict::NotModified => bodiless(response, StatusCode::NOT_MODIFIED),
            Verdict::Failed => bodiless(response, StatusCode::PRECONDITION_FAILED),
        }
    }
}

/// Gives a tag to a response that has none, if its bytes are there.
fn tag(response: &mut Response) {
    if !response.body().is_full() || response.body().is_empty() {
        return;
    }
    let headers = response.headers();
    if headers.contains_key(header::ETAG) || is_for_nobody(headers) {
        return;
    }
    let body = response.body_mut();
    let Some(bytes) = body.take_full() else {
        return;
    };
    let tag = format!("\"{:016x}{:016x}\"", hash(0, &bytes), hash(1, &bytes));
    *body = Body::full(bytes);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

/// Half of a tag. It is the same in all processes of one build, as several may serve one site;
/// after an update with another compiler, pages may be fetched once more.
fn hash(half: u8, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(half);
    hasher.write(bytes);
    hasher.finish()
}

fn is_for_nobody(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::CACHE_CONTROL).iter();
    let mut directives = fields.flat_map(|value| elements(value.as_bytes()));
    directives.any(|directive| directive.eq_ignore_ascii_case(b"no-store"))
}

/// The response without its body and what describes that.
fn bodiless(mut response: Response, status: StatusCode) -> Response {
    *response.status_mut() = status;
    *response.body_mut() = Body::empty();
    let headers = response.headers_mut();
    for name in [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_DISPOSITION,
        header::ACCEPT_RANGES,
    ] {
        headers.remove(name);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;
    use crate::{App, IntoResponse};

    fn client<R: IntoResponse>(answer: impl Fn() -> R + Send + Sync + 'static) -> Client {
        let mut app = App::new();
        app.install(ETags::new());
        app.any("/", move |_: Request| answer().into_response());
        Client::new(app)
    }

    #[test]
    fn bytes_make_the_tag() {
        let tag = |text: &'static str| {
            let reply = client(move || text).get("/").send();
            reply.header("etag").map(str::to_owned)
        };
        assert_eq!(tag("a"), tag("a"));
        assert_ne!(tag("a"), tag("b"));
        assert_ne!(tag("ab"), tag("a\0b"));
        assert_eq!(tag("a").map(|tag| tag.len()), Some(34));
        assert_eq!(tag(""), None);
    }

    #[test]
    fn a_client_that_has_it_gets_304() {
        let client = client(|| {
            let page = "page"
                .into_response()
                .with_header("cache-control", "max-age=5");
            page.with_header("set-cookie", "a=b")
        });
        let first = client.get("/").send();
        let tag = first.header("etag").unwrap();
        for (value, status) in [
            (tag.to_owned(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"x\", {tag}"), 304),
            ("*".to_owned(), 304),
            ("\"x\"".to_owned(), 200),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let ask = client.request(method, "/");
                let reply = ask.header("if-none-match", &*value).send();
                assert_eq!(reply.status(), status, "{value}");
                assert_eq!(reply.header("etag"), Some(tag));
                assert_eq!(reply.header("cache-control"), Some("max-age=5"));
                assert_eq!(reply.header("set-cookie"), Some("a=b"));
                assert_eq!(reply.header("content-type").is_some(), status == 200);
            }
        }
        let failed = client.get("/").header("if-match", "\"x\"").send();
        assert_eq!((failed.status().as_u16(), &*failed.text()), (412, ""));
        let post = client.post("/").header("if-none-match", tag).send();
        assert_eq!((post.status().as_u16(), post.header("etag")), (200, None));
    }

    #[test]
    fn head_is_tagged_as_get() {
        let client = client(|| "page");
        let [get, head] = [client.get("/").send(), client.head("/").send()];
        assert_eq!(get.headers(), head.headers());
    }

    #[test]
    fn what_has_no_tag() {
        let stream = || Body::iter(["a", "b"]);
        assert_eq!(client(stream).get("/").send().header("etag"), None);
        let private = || {
            "a".into_response()
                .with_header("cache-control", "private, No-Store")
        };
        assert_eq!(client(private).get("/").send().header("etag"), None);
        let created = || (201, "a");
        assert_eq!(client(created).get("/").send().header("etag"), None);
    }

    #[test]
    fn validators_of_the_handler_count() {
        let own = || {
            let body = Body::stream(|_| unreachable!("it is not begun"));
            let response = Response::new(body).with_header("etag", "W/\"v1\"");
            response.with_header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        };
        let client = client(own);
        let reply = client.get("/").header("if-none-match", "\"v1\"").send();
        assert_eq!(
            (reply.status().as_u16(), reply.header("etag")),
            (304, Some("W/\"v1\""))
        );
        let since = client
            .get("/")
            .header("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(since.send().status(), 304);
    }
}
