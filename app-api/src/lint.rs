//! An application that is watched: what `wsgiref.validate` and `Rack::Lint` are for Python and
//! Ruby.
//!
//! What must stay true: an application that keeps to the contract is answered for as without it,
//! and what is said of one that does not names the header or the number.

use std::fs::File;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use crate::{Application, Body, BodyError, HttpError, Out, Request, Response, Sink};

/// Watches an application, and panics where it breaks the contract or HTTP: in tests, by the
/// [test client](crate::testing::Client), whose [`Reply::panic`](crate::testing::Reply::panic) then
/// says what it was; or on a server while developing, where it is a 500 with the reason in the log.
///
/// - the status is no final one (1xx), or one that has no content (204, 205, 304) and a body;
/// - Content-Length is no number, is not that of the body, or a body turns out to be longer or
///   shorter than it;
/// - a header belongs to the connection (RFC 9110, 7.6.1), which is the server's: Connection,
///   Keep-Alive, TE, Trailer, Transfer-Encoding, Upgrade;
/// - a header that there is one of is there twice, or it is not what it should be: a Content-Type
///   without a type, an ETag without quotes, a date that is none, a value that is not ASCII or has
///   blanks around it, a cookie without a name;
/// - a header is missing: Content-Type with a body, Location with a redirect, Allow with 405,
///   WWW-Authenticate with 401.
///
/// What `wsgiref.validate` says of input that is read beyond its end and of bodies that are asked
/// for more after theirs cannot happen here: [`Input`](crate::Input) and [`Body`] see to that.
///
/// ```
/// use greenway_app::{Request, Response, testing::Client, validate};
///
/// let app = validate(|_: Request| Response::new("gone").with_status(204));
/// let reply = Client::new(app).get("/").send();
/// assert_eq!(reply.panic(), Some("validate: GET /: 204 No Content has no content, but there are 4 bytes of it"));
/// ```
pub fn validate<A: Application>(app: A) -> Validated<A> {
    Validated(app)
}

/// See [`validate`].
#[derive(Debug, Clone)]
pub struct Validated<A>(A);

impl<A: Application> Application for Validated<A> {
    fn call(&self, request: Request) -> Response {
        let asked = Asked::of(&request);
        asked.check(self.0.call(request))
    }

    fn answer_error(&self, request: &Request, error: &HttpError) -> Option<Response> {
        let page = self.0.answer_error(request, error)?;
        Some(Asked::of(request).check(page))
    }
}

/// What a complaint is about.
struct Asked {
    method: Method,
    target: String,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            target: request.target().to_owned(),
        }
    }

    fn complain(&self, problem: &str) -> ! {
        panic!("validate: {} {}: {problem}", self.method, self.target)
    }

    fn check(self, response: Response) -> Response {
        if let Err(problem) = problem_of(&response) {
            self.complain(&problem);
        }
        if response.body().is_full() {
            return response;
        }
        let declared = declared_length(response.headers()).ok().flatten();
        let length = response.body().length().or(declared);
        let (parts, body) = response.into_parts();
        let watched = Body::stream(move |out| {
            let mut counted = Counted {
                asked: &self,
                out,
                length,
                sent: 0,
            };
            body.send_to(&mut counted)?;
            let sent = counted.sent;
            match length {
                Some(length) if sent < length => {
                    self.complain(&format!("the body ended after {sent} of {length} bytes"))
                }
                _ => Ok(()),
            }
        });
        let watched = match length {
            Some(length) => watched.with_length(length),
            None => watched,
        };
        Response::from_parts(parts, watched)
    }
}

/// Counts what a body sends.
struct Counted<'a, 'o, 'b> {
    asked: &'a Asked,
    out: &'o mut Out<'b>,
    length: Option<u64>,
    sent: u64,
}

impl Sink for Counted<'_, '_, '_> {
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        self.sent += chunk.len() as u64;
        if let Some(length) = self.length
            && self.sent > length
        {
            let problem = format!("the body has more than the {length} bytes that it was to have");
            self.asked.complain(&problem);
        }
        self.out.send(chunk)
    }

    fn nothing_yet(&mut self) -> Result<(), BodyError> {
        self.out.send(Bytes::new())
    }

    fn start(&mut self) -> Result<(), BodyError> {
        self.out.start()
    }

    fn flush(&mut self) -> Result<(), BodyError> {
        self.out.flush()
    }

    fn send_file(&mut self, file: &File, length: u64) -> Result<u64, BodyError> {
        let left = self.length.map_or(length, |all| all - self.sent);
        let sent = self.out.send_file(file, length.min(left))?;
        self.sent += sent;
        Ok(sent)
    }

    fn read_file(&mut self, file: &File, buf: &mut [u8]) -> io::Result<usize> {
        self.out.read_file(file, buf)
    }

    fn end_at_stop(&mut self, farewell: Bytes) {
        // It has failed only if a chunk has, which the body is told of by its next.
        let _told_later = self.out.end_at_stop(farewell);
    }
}

const OF_THE_CONNECTION: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const ONLY_ONCE: [header::HeaderName; 10] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::RETRY_AFTER,
];

/// What is wrong with a response, as far as that can be seen before its body.
fn problem_of(response: &Response) -> Result<(), String> {
    let status = response.status();
    let headers = response.headers();
    let length = response.body().length();
    if status.is_informational() {
        return Err(format!("{status} is no final response"));
    }
    let no_content = matches!(status.as_u16(), 204 | 205 | 304);
    if no_content && length != Some(0) {
        let much = length.map_or_else(|| "a stream".to_owned(), |n| format!("{n} bytes"));
        return Err(format!(
            "{status} has no content, but there are {much} of it"
        ));
    }
    if status == StatusCode::NO_CONTENT && headers.contains_key(header::CONTENT_TYPE) {
        return Err(format!(
            "{status} has no content that Content-Type could describe"
        ));
    }
    if let Some(declared) = declared_length(headers)? {
        match length {
            // RFC 9110, 8.6: a 304 tells the length that a 200 would have.
            Some(length) if length != declared && status != StatusCode::NOT_MODIFIED => {
                return Err(format!(
                    "Content-Length is {declared}, but the body has {length} bytes"
                ));
            }
            _ => {}
        }
    }
    for name in OF_THE_CONNECTION {
        let told_to_upgrade = name == "upgrade" && status == StatusCode::UPGRADE_REQUIRED;
        if headers.contains_key(name) && !told_to_upgrade {
            return Err(format!("the header `{name}` is the server's to set"));
        }
    }
    for name in ONLY_ONCE {
        if headers.get_all(&name).iter().count() > 1 {
            return Err(format!("the header `{name}` is there more than once"));
        }
    }
    for (name, value) in headers {
        let value = value
            .to_str()
            .map_err(|_| format!("the value of `{name}` is not visible ASCII: encode it"))?;
        if value.trim() != value {
            return Err(format!("the value of `{name}` has blanks around it"));
        }
        if !is_what_it_should_be(name, value) {
            return Err(format!("the value of `{name}` is malformed: {value:?}"));
        }
    }
    let needed = match status.as_u16() {
        301 | 302 | 303 | 307 | 308 => Some(header::LOCATION),
        401 => Some(header::WWW_AUTHENTICATE),
        405 => Some(header::ALLOW),
        407 => Some(header::PROXY_AUTHENTICATE),
        _ if length != Some(0) => Some(header::CONTENT_TYPE),
        _ => None,
    };
    match needed.filter(|name| !headers.contains_key(name)) {
        Some(name) => Err(format!("{status} needs the header `{name}`")),
        None => Ok(()),
    }
}

fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, String> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let digits = value.as_bytes().iter().all(u8::is_ascii_digit);
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    match number.filter(|_| digits) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("Content-Length is no number: {value:?}")),
    }
}

/// Whether a value has the form of its header.
fn is_what_it_should_be(name: &header::HeaderName, value: &str) -> bool {
    let is_token = |text: &str| {
        let sign = |b| b"!#$%&'*+-.^_`|~".contains(&b);
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || sign(b))
    };
    match name.as_str() {
        "content-type" => {
            let essence = value.split(';').next().unwrap_or_default().trim_end();
            let parts = essence.split_once('/');
            parts.is_some_and(|(kind, sub)| is_token(kind) && is_token(sub))
        }
        "etag" => {
            let opaque = value.strip_prefix("W/").unwrap_or(value);
            opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"')
        }
        "date" | "last-modified" => httpdate::parse_http_date(value).is_ok(),
        "location" => !value.is_empty() && !value.contains(['"', '<', '>', '\\', '^', '`', ' ']),
        "set-cookie" => {
            let pair = value.split(';').next().unwrap_or_default();
            pair.split_once('=').is_some_and(|(name, _)| is_token(name))
        }
        "allow" => value
            .split(',')
            .all(|method| value.is_empty() || is_token(method.trim())),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Client, Reply};

    fn reply(make: impl Fn(Request) -> Response + Send + Sync + 'static) -> Reply {
        Client::new(validate(make)).get("/").send()
    }

    #[test]
    fn what_is_wrong_is_said() {
        type Make = fn() -> Response;
        let rows: &[(Make, &str)] = &[
            (
                || Response::new("").with_status(103),
                "103 Early Hints is no final",
            ),
            (
                || Response::new("x").with_status(304),
                "there are 1 bytes of it",
            ),
            (
                || Response::new(Body::iter(["x"])).with_status(204),
                "there are a stream",
            ),
            (
                || Response::new("x").with_header("content-length", "2"),
                "is 2, but the body has 1",
            ),
            (
                || Response::new("x").with_header("content-length", "+1"),
                "is no number: \"+1\"",
            ),
            (
                || Response::new("x").with_header("connection", "close"),
                "`connection` is the server's",
            ),
            (
                || Response::new("x").with_header("transfer-encoding", "chunked"),
                "`transfer-encoding`",
            ),
            (
                || Response::new("x").with_header("content-type", "text"),
                "`content-type` is malformed",
            ),
            (
                || Response::new("x").with_header("etag", "a"),
                "`etag` is malformed",
            ),
            (
                || Response::new("x").with_header("last-modified", "now"),
                "`last-modified` is",
            ),
            (
                || Response::new("x").with_header("set-cookie", "a"),
                "`set-cookie` is malformed",
            ),
            (
                || Response::new("x").with_header("x-a", "é"),
                "`x-a` is not visible ASCII",
            ),
            (
                || Response::new(Body::full("x")),
                "200 OK needs the header `content-type`",
            ),
            (
                || Response::new("x").with_status(303),
                "303 See Other needs the header `location`",
            ),
            (
                || Response::new("x").with_status(401),
                "needs the header `www-authenticate`",
            ),
            (
                || Response::new("x").with_status(405),
                "needs the header `allow`",
            ),
            (
                || {
                    let mut response = Response::new("x");
                    let value = http::HeaderValue::from_static("text/html");
                    response.headers_mut().append("content-type", value);
                    response
                },
                "`content-type` is there more than once",
            ),
        ];
        for (make, problem) in rows {
            let make = *make;
            let reply = reply(move |_| make());
            let said = reply.panic().unwrap_or_default();
            assert!(said.contains(problem), "{problem}: {said}");
            assert_eq!(reply.status(), 500);
        }
    }

    #[test]
    fn streams_are_counted() {
        let text = |body| (200, [("content-type", "text/plain")], body);
        let too_short = Client::new(validate(move |_: Request| {
            text(Body::iter(["a", "b"]).with_length(3))
        }));
        let reply = too_short.get("/").send();
        assert_eq!(
            reply.panic(),
            Some("validate: GET /: the body ended after 2 of 3 bytes")
        );
        assert_eq!(reply.text(), "ab");
        let too_long = Client::new(validate(move |_: Request| {
            text(Body::iter(["ab", "cd"]).with_length(3))
        }));
        let reply = too_long.get("/").send();
        assert!(reply.panic().unwrap().contains("more than the 3 bytes"));
        assert_eq!(reply.text(), "ab");
        let left = too_long.get("/").leave_after(0).send();
        assert_eq!(
            (left.panic(), left.error().unwrap().is_gone()),
            (None, true)
        );
    }

    #[test]
    fn what_is_right_passes() {
        let mut app = crate::App::new();
        app.get("/", |_: Request| "hi").name("home");
        app.get("/stream", |_: Request| Body::iter(["a", "b"]));
        app.get("/not-modified", |_: Request| {
            Response::empty(StatusCode::NOT_MODIFIED)
        });
        app.post("/", |request: Request| request.body(99));
        app.get("/away", |request: Request| request.redirect("/"));
        let client = Client::new(validate(app));
        for (path, status) in [
            ("/", 200),
            ("/stream", 200),
            ("/not-modified", 304),
            ("/away", 303),
            ("/none", 404),
        ] {
            let reply = client.get(path).send();
            assert_eq!((reply.status().as_u16(), reply.panic()), (status, None));
        }
        assert_eq!(client.put("/").send().status(), 405);
        assert_eq!(client.post("/").body("abc").send().text(), "abc");
        assert_eq!(client.options("/").send().status(), 204);
    }
}
