//! Errors of all kinds on their way to an answer, and answers on their way as errors.
//!
//! What must stay true: an [`HttpError`] that has travelled as another error comes out as it went
//! in; all others become a 500 that tells the client nothing.

use std::error::Error;
use std::fmt;
use std::io;

use super::HttpError;
use crate::BodyError;

/// An [`HttpError`] as a [`std::error::Error`], for where one is asked for: within an
/// [`io::Error`], or as the [`source`](Error::source) of an error that knows how clients are to be
/// told of it. Made an [`HttpError`] again, by `?` too, it is the one that it was.
///
/// ```
/// use greenway_app::{HttpError, StatusError};
/// use std::{error::Error, fmt};
///
/// #[derive(Debug)]
/// struct NoSuchNote(StatusError);
///
/// impl fmt::Display for NoSuchNote {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         f.write_str("the table has no such note")
///     }
/// }
///
/// impl Error for NoSuchNote {
///     fn source(&self) -> Option<&(dyn Error + 'static)> {
///         Some(&self.0)
///     }
/// }
///
/// let error = NoSuchNote(HttpError::new(404, "no such note").into());
/// assert_eq!(HttpError::from(error).status(), 404);
/// ```
#[derive(Debug)]
pub struct StatusError(HttpError);

impl StatusError {
    /// What it holds.
    #[must_use]
    pub fn get_ref(&self) -> &HttpError {
        &self.0
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StatusError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl From<HttpError> for StatusError {
    fn from(error: HttpError) -> Self {
        Self(error)
    }
}

/// A 500 with the error as its source. An `HttpError` that travelled as a [`StatusError`], by
/// itself or inside an [`io::Error`], comes out as itself: a server's input can say 408 through
/// [`Read`](io::Read). An error whose source is a [`StatusError`] is answered as that says. What is
/// wrong with a form (`FormErrors`) is a 400 that says it.
///
/// A `Box<dyn Error>` that is not `Send` cannot be kept for a log that another thread may write:
/// let it be `Box<dyn Error + Send + Sync>`, or `map_err(|error| error.to_string())` first.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for HttpError {
    #[track_caller]
    fn from(error: E) -> Self {
        HttpError::of(error.into())
    }
}

/// As from any other error.
impl From<BodyError> for HttpError {
    #[track_caller]
    fn from(error: BodyError) -> Self {
        HttpError::of(error.into_inner())
    }
}

impl HttpError {
    #[cold]
    #[track_caller]
    fn of(error: Box<dyn Error + Send + Sync>) -> HttpError {
        let error = match error.downcast::<StatusError>() {
            Ok(own) => return own.0,
            Err(error) => error,
        };
        #[cfg(feature = "forms")]
        let error = match error.downcast::<crate::forms::FormErrors>() {
            Ok(errors) => return HttpError::new(400, errors.to_string()).with_source(*errors),
            Err(error) => error,
        };
        let error = match error.downcast::<io::Error>() {
            Ok(error) => match error.downcast::<StatusError>() {
                Ok(own) => return own.0,
                Err(error) => error.into(),
            },
            Err(error) => error,
        };
        let told = error.source().and_then(|source| source.downcast_ref());
        let Some(StatusError(told)) = told else {
            return HttpError::caused(error);
        };
        let mut answer = HttpError::bare(told.status(), told.0.message.clone());
        answer.0.headers.clone_from(&told.0.headers);
        answer.0.source = Some(error);
        answer.0.place = Some(std::panic::Location::caller());
        answer
    }
}

impl From<HttpError> for Box<dyn Error> {
    fn from(error: HttpError) -> Self {
        Box::new(StatusError(error))
    }
}

impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        io::Error::other(StatusError(error))
    }
}

impl From<HttpError> for BodyError {
    fn from(error: HttpError) -> Self {
        BodyError::new(StatusError(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_is_a_500_that_says_nothing() {
        fn io() -> Result<(), HttpError> {
            Err(io::Error::other("/etc/secret"))?;
            Ok(())
        }
        fn text() -> Result<(), HttpError> {
            "x".parse::<i32>().map_err(|error| error.to_string())?;
            Ok(())
        }
        fn boxed() -> Result<(), HttpError> {
            fn deeper() -> Result<(), Box<dyn Error + Send + Sync>> {
                Err("/etc/secret".into())
            }
            Ok(deeper()?)
        }
        for error in [io(), text(), boxed()].map(Result::unwrap_err) {
            assert_eq!(error.to_string(), "500 Internal Server Error");
            assert!(error.source().is_some());
            assert!(error.place().unwrap().file().ends_with("convert.rs"));
        }
    }

    #[test]
    fn answers_survive_their_journeys() {
        let status = |error: HttpError| error.status().as_u16();
        let slow = || HttpError::new(408, "slow").with_header("x-a", "1");
        assert_eq!(status(io::Error::from(slow()).into()), 408);
        assert_eq!(status(BodyError::from(slow()).into()), 408);
        assert_eq!(status(BodyError::from(io::Error::from(slow())).into()), 408);
        assert_eq!(status(StatusError::from(slow()).into()), 408);
        let boxed: Box<dyn Error> = slow().into();
        assert_eq!(boxed.to_string(), "408 Request Timeout: slow");
    }

    #[test]
    fn an_error_can_say_by_its_source_what_it_is() {
        #[derive(Debug)]
        struct Full(StatusError);
        impl fmt::Display for Full {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no room left")
            }
        }
        impl Error for Full {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let told = HttpError::new(503, "come later").with_header("retry-after", "5");
        let error = HttpError::from(Full(told.into()));
        assert_eq!(error.to_string(), "503 Service Unavailable: come later");
        assert_eq!(error.headers()["retry-after"], "5");
        assert!(error.source().unwrap().is::<Full>());
    }
}
