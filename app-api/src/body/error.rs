//! Why a body ended before its end.

use std::error::Error;
use std::fmt;
use std::io;

use crate::{HttpError, StatusError};

/// The client has left: nobody is there to read.
///
/// Servers put it into a [`BodyError`]; see [`BodyError::is_gone`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has left")
    }
}

impl Error for Gone {}

/// Any error that ended a body.
///
/// Like `anyhow::Error` it is made from every error by `?`, and therefore is not
/// an [`Error`] itself. An [`HttpError`] inside decides the
/// answer if nothing has been sent yet (`HttpError::from(body_error)`).
///
/// ```
/// use greenway_app::{Body, BodyError};
///
/// let body = Body::stream(|out| {
///     let number: u32 = "12".parse()?;
///     if number > 10 {
///         return Err(BodyError::new("too many"));
///     }
///     out.send(number.to_string())
/// });
/// # drop(body);
/// ```
pub struct BodyError(Box<dyn Error + Send + Sync>);

impl BodyError {
    /// An error from a message or a boxed error.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// "The client has left." For sinks.
    #[must_use]
    pub fn gone() -> Self {
        Self(Box::new(Gone))
    }

    /// Whether the client's departure is what ended the body: [`Gone`], or an
    /// [`io::Error`] that holds it. Worth a line in the log, never a trace.
    ///
    /// The kind of an I/O error says nothing: a `ConnectionReset` may come from another server that
    /// the handler talks to. A server marks those of the client's own connection.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let within = self.0.downcast_ref::<io::Error>();
        let within = within.and_then(io::Error::get_ref);
        self.0.is::<Gone>() || within.is_some_and(<dyn Error + Send + Sync>::is::<Gone>)
    }

    /// The error inside, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The answer inside, directly or within an [`io::Error`]: what the client
    /// gets if nothing has been sent yet.
    #[must_use]
    pub fn http_error(&self) -> Option<&HttpError> {
        let within_io = || {
            self.0
                .downcast_ref::<io::Error>()?
                .get_ref()?
                .downcast_ref()
        };
        let own: Option<&StatusError> = self.0.downcast_ref().or_else(within_io);
        own.map(StatusError::get_ref)
    }

    /// The error inside.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }

    /// For [`io::Write`]: an I/O error stays what it was.
    pub(super) fn into_io(self) -> io::Error {
        if self.0.is::<Gone>() {
            return io::Error::new(io::ErrorKind::BrokenPipe, Gone);
        }
        match self.0.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for BodyError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyError").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn departure_is_recognised_through_io() {
        use io::ErrorKind as Kind;
        assert!(BodyError::gone().is_gone());
        assert!(BodyError::from(io::Error::other(Gone)).is_gone());
        assert!(BodyError::from(BodyError::gone().into_io()).is_gone());
        for kind in [
            Kind::BrokenPipe,
            Kind::ConnectionReset,
            Kind::ConnectionAborted,
            Kind::TimedOut,
        ] {
            let of_client = io::Error::new(kind, Gone);
            assert!(BodyError::from(of_client).is_gone(), "{kind}");
            // Of another connection, say.
            assert!(!BodyError::from(io::Error::from(kind)).is_gone(), "{kind}");
        }
        assert!(!BodyError::new("the client has left").is_gone());
    }

    #[test]
    fn io_errors_keep_their_kind() {
        let error = BodyError::from(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(error.into_io().kind(), io::ErrorKind::TimedOut);
        let error = BodyError::new("odd").into_io();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::Other, "odd")
        );
    }

    #[test]
    fn it_shows_what_is_inside() {
        let error = BodyError::new("odd");
        assert_eq!(error.to_string(), "odd");
        assert_eq!(format!("{error:?}"), "BodyError(\"odd\")");
        assert_eq!(BodyError::gone().downcast_ref::<Gone>(), Some(&Gone));
        let within = BodyError::from(io::Error::from(HttpError::new(413, "big")));
        assert_eq!(within.http_error().unwrap().status(), 413);
        assert_eq!(
            BodyError::from(HttpError::new(413, ""))
                .http_error()
                .unwrap()
                .status(),
            413
        );
        assert!(error.http_error().is_none());
        assert_eq!(
            BodyError::gone().into_inner().to_string(),
            "the client has left"
        );
    }

    #[test]
    fn an_error_survives_its_journeys() {
        let io = io::Error::from(HttpError::new(408, "slow"));
        assert_eq!(HttpError::from(io).status(), 408);
        let body = BodyError::from(HttpError::new(413, "big"));
        assert_eq!(HttpError::from(body).status(), 413);
        let both = BodyError::from(io::Error::from(HttpError::new(413, "big")));
        assert_eq!(HttpError::from(both).status(), 413);
        assert_eq!(HttpError::from(BodyError::new("x")).status(), 500);
    }
}
