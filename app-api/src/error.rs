//! Errors that are answers.
//!
//! Bottle's best small idea: `HTTPError` is a response that can be raised. Here
//! it can be returned (`Err(HttpError)`), passed up with `?`, or thrown from any
//! depth with [`abort`].
//!
//! What must stay true: the client sees the status and the message that the
//! author wrote, and never the source, which may name paths, queries and hosts.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::response::{checked_header, content_type};
use crate::{Body, BodyError, IntoResponse, Response};

/// An error that knows how the client is to be answered.
///
/// The answer is `text/plain`: `404 Not Found: no such page`. It is as small as
/// a pointer, so `Result<T, HttpError>` costs nothing on the good path.
///
/// ```
/// use greenway_app::{HttpError, Request, testing::Client};
///
/// fn page(request: Request) -> Result<String, HttpError> {
///     let id = request.query("id").ok_or_else(|| HttpError::new(400, "id is missing"))?;
///     Ok(format!("page {id}"))
/// }
///
/// let reply = Client::new(page).get("/").send();
/// assert_eq!(reply.status(), 400);
/// assert_eq!(reply.text(), "400 Bad Request: id is missing\n");
/// ```
pub struct HttpError(Box<Inner>);

struct Inner {
    status: StatusCode,
    message: Cow<'static, str>,
    headers: HeaderMap,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl HttpError {
    /// An error with a status and a message for the client; the message may be
    /// empty. A number that is no status code (100 to 999) becomes 500.
    pub fn new(
        status: impl TryInto<StatusCode>,
        message: impl Into<Cow<'static, str>>,
    ) -> HttpError {
        HttpError(Box::new(Inner {
            status: status
                .try_into()
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            message: message.into(),
            headers: HeaderMap::new(),
            source: None,
        }))
    }

    /// Sets a header of the answer, replacing any of that name.
    ///
    /// # Panics
    ///
    /// When name or value cannot stand in a header; see
    /// [`Response::with_header`].
    #[must_use]
    pub fn with_header<N, V>(mut self, name: N, value: V) -> HttpError
    where
        N: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        match checked_header(name, value) {
            Ok((name, value)) => self.0.headers.insert(name, value),
            Err(problem) => panic!("HttpError::with_header: {problem}"),
        };
        self
    }

    /// Keeps the cause for the log, if the status is a 5xx (see [`Failure`]). Clients never see
    /// it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> HttpError {
        self.0.source = Some(source.into());
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What the client is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The headers set by [`with_header`](HttpError::with_header).
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The headers of the answer, to be changed.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.headers
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.status.as_str())?;
        if let Some(reason) = self.0.status.canonical_reason() {
            write!(f, " {reason}")?;
        }
        if !self.0.message.is_empty() {
            write!(f, ": {}", self.0.message)?;
        }
        Ok(())
    }
}

impl fmt::Debug for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpError")
            .field("status", &self.0.status)
            .field("message", &self.0.message)
            .field("headers", &self.0.headers)
            .field("source", &self.0.source)
            .finish()
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

/// 500 with the I/O error as its source. An `HttpError` that travelled inside an
/// [`io::Error`] comes out as itself: a server's input can say 408 through
/// [`Read`](io::Read).
impl From<io::Error> for HttpError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<HttpError>() {
            Ok(own) => own,
            Err(error) => HttpError::new(500, "").with_source(error),
        }
    }
}

/// The `HttpError` inside, directly or within an [`io::Error`]; otherwise 500
/// with the error as its source.
impl From<BodyError> for HttpError {
    fn from(error: BodyError) -> Self {
        match error.into_inner().downcast::<HttpError>() {
            Ok(own) => *own,
            Err(other) => match other.downcast::<io::Error>() {
                Ok(error) => HttpError::from(*error),
                Err(other) => HttpError::new(500, "").with_source(other),
            },
        }
    }
}

impl IntoResponse for HttpError {
    /// The plain text answer. A 5xx with a source has its [`Failure`] in the
    /// extensions, for the server's log.
    fn into_response(mut self) -> Response {
        let status = self.0.status;
        let mut response = Response::empty(status);
        // RFC 9110, 15: these have no content, whatever the author wrote.
        let bodiless = status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        if !bodiless {
            *response.body_mut() = Body::full(format!("{self}\n"));
            response
                .headers_mut()
                .insert(http::header::CONTENT_TYPE, content_type::TEXT);
        }
        let headers = std::mem::take(&mut self.0.headers);
        response.headers_mut().extend(headers);
        if status.is_server_error() && self.0.source.is_some() {
            let failure = Failure(Arc::new(self));
            response.extensions_mut().insert(failure);
        }
        response
    }
}

/// Why a response is a 5xx: the error that it was made of, with its source. Shown, it is one
/// line: the status, the message, and all causes.
///
/// [`HttpError::into_response`](IntoResponse::into_response) puts it into the response's
/// extensions, and whoever serves logs it; to log it there would be without the request, and
/// without a limit. Middleware that answers with another response instead decides whether the
/// cause is still to be logged, and then takes the extension along.
///
/// ```
/// use greenway_app::{Failure, HttpError, IntoResponse};
///
/// let error = HttpError::new(502, "try later").with_source("10.0.0.7: connection refused");
/// let response = error.into_response();
/// let failure = response.extensions().get::<Failure>().unwrap();
/// assert_eq!(failure.to_string(), "502 Bad Gateway: try later: 10.0.0.7: connection refused");
/// ```
#[derive(Clone)]
pub struct Failure(Arc<HttpError>);

impl Failure {
    /// The error, whose headers are those of the response now.
    #[must_use]
    pub fn error(&self) -> &HttpError {
        &self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failure").field(&self.0).finish()
    }
}

/// Stops here and answers `status`, from any depth of calls: Bottle's `abort`.
///
/// Unwinds the handler (destructors run, no panic message is printed) up to
/// [`catch_abort`] in the router or the server. A status that is no status code
/// becomes 500.
///
/// ```
/// use greenway_app::{App, Request, abort, testing::Client};
///
/// fn find(id: i64) -> &'static str {
///     if id == 1 { "Ada" } else { abort(404, "no such person") }
/// }
///
/// let mut app = App::new();
/// app.get("/person/<id:int>", |request: Request| find(request.int("id")));
/// let client = Client::new(app);
/// assert_eq!(client.get("/person/1").send().text(), "Ada");
/// assert_eq!(client.get("/person/2").send().status(), 404);
/// ```
///
/// # Panics
///
/// Always, by design. As any panic it ends the process when raised from a
/// destructor that runs because of another panic, and it must not cross a
/// `catch_unwind` that swallows what it does not know.
pub fn abort(status: u16, message: impl Into<Cow<'static, str>>) -> ! {
    resume_unwind(Box::new(HttpError::new(status, message)))
}

/// Runs `f` and gives back the [`HttpError`] that it [`abort`]ed with, if so.
///
/// For servers and for middleware that must see aborts. Every other panic goes
/// on its way untouched, with its own payload.
///
/// # Errors
///
/// The error given to [`abort`].
///
/// # Panics
///
/// When `f` panics by other means than [`abort`].
pub fn catch_abort<R>(f: impl FnOnce() -> R) -> Result<R, HttpError> {
    // Unwind safety is the handler's own concern: whatever it shares with other
    // requests sits behind locks that poison, and nothing of ours is touched.
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload: Box<dyn Any + Send>| {
        match payload.downcast::<HttpError>() {
            Ok(error) => *error,
            Err(other) => resume_unwind(other),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: HttpError) -> (u16, String) {
        let (parts, body) = error.into_response().into_parts();
        let bytes = body.into_full().unwrap();
        (
            parts.status.as_u16(),
            String::from_utf8(bytes.to_vec()).unwrap(),
        )
    }

    #[test]
    fn the_client_sees_message_and_never_source() {
        let error = HttpError::new(500, "try later").with_source("password is hunter2");
        assert_eq!(error.source().unwrap().to_string(), "password is hunter2");
        assert_eq!(
            text(error),
            (500, "500 Internal Server Error: try later\n".into())
        );
        let error = HttpError::from(io::Error::other("/etc/secret"));
        assert_eq!(text(error), (500, "500 Internal Server Error\n".into()));
    }

    #[test]
    fn odd_statuses() {
        for (given, expected, body) in [
            (404, 404, "404 Not Found: m\n"),
            (0, 500, "500 Internal Server Error: m\n"),
            (99, 500, "500 Internal Server Error: m\n"),
            (1000, 500, "500 Internal Server Error: m\n"),
            (799, 799, "799: m\n"),
            (204, 204, ""),
            (304, 304, ""),
        ] {
            assert_eq!(
                text(HttpError::new(given, "m")),
                (expected, body.to_owned()),
                "{given}"
            );
        }
    }

    #[test]
    fn headers_of_the_error_win() {
        let response = HttpError::new(401, "who?")
            .with_header("www-authenticate", "Basic")
            .with_header("content-type", "application/problem+json")
            .into_response();
        assert_eq!(response.headers()["www-authenticate"], "Basic");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert_eq!(response.headers().len(), 2);
    }

    #[test]
    #[should_panic(expected = "the value given for header `x-a`")]
    fn header_injection_is_refused() {
        let _ = HttpError::new(400, "").with_header("x-a", "1\r\nset-cookie: a=b");
    }

    #[test]
    fn abort_is_caught_with_its_message() {
        let error = catch_abort(|| -> () { abort(418, "short and stout") }).unwrap_err();
        assert_eq!(
            (error.status().as_u16(), error.message()),
            (418, "short and stout")
        );
        assert_eq!(catch_abort(|| 5).unwrap(), 5);
        assert_eq!(
            catch_abort(|| -> () { abort(7, "") }).unwrap_err().status(),
            500
        );
    }

    #[test]
    fn other_payloads_pass_untouched() {
        let payload = catch_unwind(|| {
            let _ = catch_abort(|| -> () { resume_unwind(Box::new(42_u8)) });
        })
        .unwrap_err();
        assert_eq!(payload.downcast_ref::<u8>(), Some(&42));
    }

    #[test]
    fn an_error_survives_its_journeys() {
        let io = io::Error::other(HttpError::new(408, "slow"));
        assert_eq!(HttpError::from(io).status(), 408);
        let body = BodyError::from(HttpError::new(413, "big"));
        assert_eq!(HttpError::from(body).status(), 413);
        let both = BodyError::from(io::Error::other(HttpError::new(413, "big")));
        assert_eq!(HttpError::from(both).status(), 413);
        assert_eq!(HttpError::from(BodyError::new("x")).status(), 500);
    }

    #[test]
    fn it_is_send_and_small() {
        fn send<T: Send + Sync>() {}
        send::<HttpError>();
        assert_eq!(size_of::<HttpError>(), size_of::<usize>());
    }

    #[test]
    fn whoever_serves_is_told_the_causes_of_a_5xx() {
        let failure = |error: HttpError| {
            let response = error.with_header("x-a", "1").into_response();
            assert_eq!(response.headers()["x-a"], "1");
            let failure = response.extensions().get::<Failure>();
            failure.map(ToString::to_string)
        };
        let inner = HttpError::new(502, "peer").with_source("refused");
        assert_eq!(
            failure(HttpError::new(500, "").with_source(inner)).unwrap(),
            "500 Internal Server Error: 502 Bad Gateway: peer: refused"
        );
        assert_eq!(failure(HttpError::new(500, "said already")), None);
        let client = HttpError::new(400, "no number").with_source("at 7");
        assert_eq!(failure(client), None, "not the server's fault");
    }
}
