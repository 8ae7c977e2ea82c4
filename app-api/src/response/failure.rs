//! What an error looks like to the client, and what of it is for the log.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::{StatusCode, header};

use super::into::content_type;
use super::{IntoResponse, Response};
use crate::{Body, HttpError, StatusError};

impl IntoResponse for HttpError {
    /// The plain text answer, for which a server sends the application's
    /// [page](crate::App::error). A 5xx with a source has its [`Failure`] in the extensions, for
    /// the server's log.
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = Response::empty(status);
        if !has_no_content(status) {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type::TEXT);
        }
        response.headers_mut().extend(self.headers().clone());
        let error = Arc::new(self);
        if status.is_server_error() && error.source().is_some() {
            response.extensions_mut().insert(Failure {
                error: Arc::clone(&error),
                of_page: None,
            });
        }
        if !has_no_content(status) {
            *response.body_mut() = Body::of_error(error);
        }
        response
    }
}

/// RFC 9110, 15: these have no content, whatever the author wrote.
fn has_no_content(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Why a response is a 5xx: the error that it was made of, with its source. Shown, it is one
/// line: the status, the message, all causes, and where `?` took the error, if that is known. Where
/// the application's page for an error has failed, it tells of both.
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
pub struct Failure {
    error: Arc<HttpError>,
    /// Why the page for it has failed.
    of_page: Option<Arc<HttpError>>,
}

impl Failure {
    /// Of an error whose page has failed with another one.
    pub(crate) fn of_page(error: Arc<HttpError>, of_page: Arc<HttpError>) -> Self {
        let of_page = Some(of_page);
        Self { error, of_page }
    }

    /// The error, whose headers are those of the response now.
    #[must_use]
    pub fn error(&self) -> &HttpError {
        &self.error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell(&self.error, f)?;
        if let Some(of_page) = &self.of_page {
            f.write_str("; and its error page has failed: ")?;
            tell(of_page, f)?;
        }
        Ok(())
    }
}

fn tell(error: &HttpError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    // What has chosen the answer by its source says by that what was said first.
    let is_said = |cause: &&(dyn Error + 'static)| {
        let answer = cause.downcast_ref().map(StatusError::get_ref);
        answer.is_some_and(|answer| {
            (answer.status(), answer.message()) == (error.status(), error.message())
        })
    };
    for cause in error.causes().filter(|cause| !is_said(cause)) {
        write!(f, ": {cause}")?;
    }
    match error.place() {
        Some(place) => write!(f, " (at {place})"),
        None => Ok(()),
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("error", &self.error)
            .field("of_page", &self.of_page)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

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
            (0, 500, "500 Internal Server Error\n"),
            (99, 500, "500 Internal Server Error\n"),
            (1000, 500, "500 Internal Server Error\n"),
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
    fn whoever_serves_is_told_the_causes_of_a_5xx() {
        let failure = |error: HttpError| {
            let response = error.with_header("x-a", "1").into_response();
            assert_eq!(response.headers()["x-a"], "1");
            let failure = response.extensions().get::<Failure>();
            failure.map(ToString::to_string)
        };
        let inner = HttpError::new(502, "peer").with_source("refused");
        assert_eq!(
            failure(HttpError::new(500, "").with_source(StatusError::from(inner))).unwrap(),
            "500 Internal Server Error: 502 Bad Gateway: peer: refused"
        );
        assert_eq!(failure(HttpError::new(500, "said already")), None);
        let client = HttpError::new(400, "no number").with_source("at 7");
        assert_eq!(failure(client), None, "not the server's fault");
    }
}
