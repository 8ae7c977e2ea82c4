//! Errors that are answers.
//!
//! Bottle's best small idea: `HTTPError` is a response that can be raised. Here
//! it can be returned (`Err(HttpError)`), passed up with `?`, or thrown from any
//! depth with [`abort`].
//!
//! What must stay true: the client sees the status and the message that the
//! author wrote, and never the source, which may name paths, queries and hosts.

mod convert;
mod or_status;

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub use self::convert::StatusError;
pub use self::or_status::OrStatus;
use crate::header::checked_header;

/// An error that knows how the client is to be answered.
///
/// The answer is `text/plain`: `404 Not Found: no such page`. It is as small as
/// a pointer, so `Result<T, HttpError>` costs nothing on the good path.
///
/// `?` makes one of any error: of I/O, of a database, of JSON, of a `Box<dyn Error + Send + Sync>`,
/// of an `anyhow::Error`, of a `String`. The client is told `500 Internal Server Error` and no more;
/// the error, its causes and the place of the `?` are for the log.
/// [`or_status`](OrStatus::or_status) says something else than 500. That is why it is, as
/// `anyhow::Error`, no [`std::error::Error`] itself: [`StatusError`] is one that holds it.
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
    /// Where another error became this one.
    place: Option<&'static Location<'static>>,
}

impl HttpError {
    /// An error with a status and a message for the client; the message may be
    /// empty. A number that is no status code (100 to 999) makes a 500 without a message, whose
    /// cause is in the log.
    #[track_caller]
    pub fn new(
        status: impl TryInto<StatusCode>,
        message: impl Into<Cow<'static, str>>,
    ) -> HttpError {
        let message = message.into();
        match status.try_into() {
            Ok(status) => HttpError::bare(status, message),
            Err(_) => HttpError::bad_status(),
        }
    }

    fn bare(status: StatusCode, message: Cow<'static, str>) -> HttpError {
        HttpError(Box::new(Inner {
            status,
            message,
            headers: HeaderMap::new(),
            source: None,
            place: None,
        }))
    }

    /// What becomes of a status that is none, wherever somebody gives one.
    #[cold]
    #[track_caller]
    pub(crate) fn bad_status() -> HttpError {
        HttpError::caused("a status is a number from 100 to 999".into())
    }

    /// The same without the place, for where that would be one of ours.
    #[must_use]
    pub(crate) fn without_place(mut self) -> HttpError {
        self.0.place = None;
        self
    }

    /// A 500 that keeps its cause, and where that became known, for the log.
    #[cold]
    #[track_caller]
    fn caused(source: Box<dyn Error + Send + Sync>) -> HttpError {
        let mut error = HttpError::bare(StatusCode::INTERNAL_SERVER_ERROR, Cow::Borrowed(""));
        error.0.source = Some(source);
        error.0.place = Some(Location::caller());
        error
    }

    /// Sets a header of the answer, replacing any of that name.
    ///
    /// # Panics
    ///
    /// When name or value cannot stand in a header; see
    /// [`Response::with_header`](crate::Response::with_header).
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

    /// Keeps the cause for the log, if the status is a 5xx (see [`Failure`](crate::Failure)). Clients never see
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

    /// What it comes from, with all of its own causes: for logs, and to treat errors of one type
    /// alike (`error.source()?.downcast_ref::<io::Error>()`).
    #[must_use]
    pub fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source as &(dyn Error + 'static))
    }

    /// Its source, that one's source, and so on.
    pub fn causes(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        std::iter::successors(self.source(), |&cause| cause.source())
    }

    /// Where in the program another error became this one: the place of the `?`.
    #[must_use]
    pub fn place(&self) -> Option<&'static Location<'static>> {
        self.0.place
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
#[track_caller]
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
#[inline] // one frame less below every handler
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
    fn it_is_send_and_small() {
        fn send<T: Send + Sync>() {}
        send::<HttpError>();
        assert_eq!(size_of::<HttpError>(), size_of::<usize>());
    }
}
