//! Results and options whose failure is an answer.

use std::borrow::Cow;
use std::panic::Location;

use http::StatusCode;

use super::HttpError;

/// Says how the client is told of a failure: on every `Result` whose error `?` would take, and on
/// every `Option`.
///
/// ```
/// use greenway_app::{HttpError, OrStatus, Request, testing::Client};
///
/// fn double(request: Request) -> Result<String, HttpError> {
///     let number = request.query("n").or_status(400, "n is missing")?;
///     let number: i32 = number.parse().or_status(400, "n is no number")?;
///     Ok(number.checked_mul(2).or_500()?.to_string())
/// }
///
/// let client = Client::new(double);
/// assert_eq!(client.get("/?n=4").send().text(), "8");
/// assert_eq!(client.get("/").send().text(), "400 Bad Request: n is missing\n");
/// assert_eq!(client.get("/?n=x").send().text(), "400 Bad Request: n is no number\n");
/// assert_eq!(client.get("/?n=2000000000").send().text(), "500 Internal Server Error\n");
/// ```
pub trait OrStatus<T> {
    /// A failure is the server's: 500, and for the log what it was and where.
    ///
    /// # Errors
    ///
    /// 500 for an error or for `None`.
    fn or_500(self) -> Result<T, HttpError>;

    /// A failure is answered with this status and this message, which may be empty. What the error
    /// was is its source, and of a 5xx in the log.
    ///
    /// # Errors
    ///
    /// The status, for an error or for `None`.
    fn or_status<M>(self, status: u16, message: M) -> Result<T, HttpError>
    where
        M: Into<Cow<'static, str>>;
}

impl<T, E: Into<HttpError>> OrStatus<T> for Result<T, E> {
    #[track_caller]
    fn or_500(self) -> Result<T, HttpError> {
        self.or_status(500, "")
    }

    #[track_caller]
    fn or_status<M>(self, status: u16, message: M) -> Result<T, HttpError>
    where
        M: Into<Cow<'static, str>>,
    {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(restated(error.into(), status, message.into())),
        }
    }
}

impl<T> OrStatus<T> for Option<T> {
    #[track_caller]
    fn or_500(self) -> Result<T, HttpError> {
        match self {
            Some(value) => Ok(value),
            None => Err(HttpError::caused("there was no value".into())),
        }
    }

    #[track_caller]
    fn or_status<M>(self, status: u16, message: M) -> Result<T, HttpError>
    where
        M: Into<Cow<'static, str>>,
    {
        match self {
            Some(value) => Ok(value),
            None => Err(HttpError::new(status, message)),
        }
    }
}

/// The error with another status and message.
#[cold]
#[track_caller]
fn restated(mut error: HttpError, status: u16, message: Cow<'static, str>) -> HttpError {
    let Ok(status) = StatusCode::from_u16(status) else {
        return HttpError::bad_status();
    };
    if error.0.source.is_none() {
        error = HttpError::caused(Box::new(super::StatusError::from(error)));
    }
    error.0.status = status;
    error.0.message = message;
    error.0.place = Some(Location::caller());
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_is_the_source() {
        let error: Result<(), HttpError> = Err(HttpError::new(404, "no such user"));
        let error = error.or_status(403, "").unwrap_err();
        assert_eq!(error.to_string(), "403 Forbidden");
        let source = error.source().unwrap();
        assert_eq!(source.to_string(), "404 Not Found: no such user");
        let line = error.place().unwrap().line();
        assert_eq!(line, line!() - 5, "the place of the call");
    }

    #[test]
    fn a_status_that_is_none_is_a_500() {
        let error = None::<()>.or_status(7, "hm").unwrap_err();
        assert_eq!(error.to_string(), "500 Internal Server Error");
        let error = Err::<(), _>("hm").or_status(7, "hm").unwrap_err();
        assert_eq!(error.to_string(), "500 Internal Server Error");
    }
}
