//! What a handler gives back.
//!
//! A [`Response`] is a status, headers and a [`Body`]; it is single-threaded,
//! like the body inside. [`IntoResponse`] turns the everyday return types into
//! one.
//!
//! What must stay true: a header with CR, LF or NUL cannot be built, so a
//! handler that puts user input into a header cannot be made to write a second
//! header or a second response (CWE-113); text has a Content-Type whichever way a
//! response is made of it; and a status that is none is a 500 with its cause in
//! the log, never a panic in one place and something else in another.

mod escape;
mod failure;
#[cfg_attr(not(feature = "sessions"), allow(dead_code))]
pub(crate) mod for_page;
mod into;
#[cfg(feature = "json")]
mod json;
mod said;

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

pub use self::escape::html_escape;
pub use self::failure::Failure;
pub(crate) use self::into::content_type;
pub use self::into::{Html, IntoResponse};
#[cfg(feature = "json")]
pub use self::json::Json;
use crate::header::checked_header;
use crate::{Body, HttpError, IntoBody};

/// Status, headers and body of an answer.
///
/// ```
/// use greenway_app::Response;
///
/// let response = Response::new("<p>hi</p>")
///     .with_status(201)
///     .with_header("content-type", "text/html; charset=utf-8");
/// assert_eq!(response.status(), 201);
/// ```
#[derive(Debug, Default)]
pub struct Response {
    status: StatusCode,
    /// The Content-Type that a conversion has chosen. It counts as long as there is no map.
    content_type: Option<HeaderValue>,
    /// Made when somebody looks: most responses have a Content-Type and nothing else, and a map
    /// for it would cost as much as all else that is done for them. Boxed, since a response is
    /// moved from hand to hand.
    headers: OnceCell<Box<HeaderMap>>,
    body: Body,
    extensions: Extensions,
}

/// A [`Response`] without its body; see [`Response::into_parts`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ResponseParts {
    /// The status, 200 by default.
    pub status: StatusCode,
    /// The headers, without those that the server adds.
    pub headers: HeaderMap,
    /// What handlers, middleware and the server tell each other about this
    /// response.
    pub extensions: Extensions,
}

/// A [`Response`] as a server writes it; see [`Response::into_wire`].
#[derive(Debug)]
#[non_exhaustive]
pub struct WireResponse {
    /// The status.
    pub status: StatusCode,
    /// The Content-Type, where that is the only header; then there is no map.
    pub content_type: Option<HeaderValue>,
    /// All headers, without those that the server adds; `None` if there are no others than that.
    pub headers: Option<Box<HeaderMap>>,
    /// The body.
    pub body: Body,
}

impl Response {
    /// A 200 with this body. Text and bytes have the Content-Type that they have as what a handler
    /// returns ([`IntoResponse`]), unless there are none; a [`Body`] has none.
    #[must_use]
    pub fn new<B: IntoBody>(body: B) -> Self {
        let body = body.into_body();
        let content_type = if body.is_empty() {
            None
        } else {
            B::CONTENT_TYPE.map(HeaderValue::from_static)
        };
        Self {
            content_type,
            body,
            ..Self::default()
        }
    }

    /// A response without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// Sends the client elsewhere: 303 after a form, 302 or 307 for now, 301 or
    /// 308 for ever.
    ///
    /// What cannot stand in a URI (spaces, controls, quotes, backslashes,
    /// non-ASCII) is percent-encoded, so any string is safe from header
    /// injection. It is still the caller's duty not to redirect to a place that
    /// a stranger chose.
    ///
    /// ```
    /// use greenway_app::Response;
    ///
    /// let response = Response::redirect("/hello/Zoë", 303);
    /// assert_eq!(response.headers()["location"], "/hello/Zo%C3%AB");
    /// ```
    ///
    /// See [`Request::redirect`](crate::Request::redirect) for one that knows where the application
    /// is mounted. A `code` that is not between 300 and 399 makes a 500, whose cause is in the log.
    #[must_use]
    #[track_caller]
    pub fn redirect(location: impl AsRef<str>, code: u16) -> Self {
        if !(300..400).contains(&code) {
            return HttpError::from(format!("{code} is no status of a redirect")).into_response();
        }
        let location = utf8_percent_encode(location.as_ref(), NOT_IN_URI).to_string();
        Self::default()
            .with_status(code)
            .with_header(header::LOCATION, location)
    }

    /// The status; 200 unless set.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The status, to be changed.
    pub fn status_mut(&mut self) -> &mut StatusCode {
        &mut self.status
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| only(self.content_type.clone()))
    }

    /// The headers, to be changed. A second Set-Cookie is added with
    /// [`append`](HeaderMap::append).
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        if self.headers.get().is_none() {
            self.headers = only(self.content_type.take()).into();
        }
        self.headers.get_mut().expect("it was set just now")
    }

    /// A 200 with this body and this Content-Type.
    pub(crate) fn typed(body: impl IntoBody, content_type: HeaderValue) -> Self {
        Self {
            content_type: Some(content_type),
            body: body.into_body(),
            ..Self::default()
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The body, to be replaced or taken.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// What handlers, middleware and the server tell each other.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The extensions, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// The error that the response was made of, if it was, and if its body is still that of the
    /// error. Such a response is not final: whoever serves the application asks it for the
    /// [page](crate::App::error) whose body is sent instead. With another body it is.
    #[must_use]
    pub fn error(&self) -> Option<&HttpError> {
        self.body.error()
    }

    /// The same, to be kept.
    pub(crate) fn shared_error(&self) -> Option<Arc<HttpError>> {
        self.body.shared_error()
    }

    /// Takes the body off.
    #[must_use]
    pub fn into_parts(self) -> (ResponseParts, Body) {
        let Self {
            status,
            content_type,
            headers,
            body,
            extensions,
        } = self;
        let headers = headers.into_inner();
        (
            ResponseParts {
                status,
                headers: *headers.unwrap_or_else(|| only(content_type)),
                extensions,
            },
            body,
        )
    }

    /// For servers: what is to be written. No map is made where there is none.
    #[must_use]
    pub fn into_wire(self) -> WireResponse {
        let headers = self.headers.into_inner();
        WireResponse {
            status: self.status,
            content_type: self.content_type.filter(|_| headers.is_none()),
            headers,
            body: self.body,
        }
    }

    /// Puts a body on.
    #[must_use]
    pub fn from_parts(parts: ResponseParts, body: Body) -> Self {
        let ResponseParts {
            status,
            headers,
            extensions,
        } = parts;
        Self {
            status,
            content_type: None,
            headers: Box::new(headers).into(),
            body,
            extensions,
        }
    }

    /// Sets the status. What is no status code (100 to 999) makes a 500 of the response, whose
    /// cause is in the log.
    #[must_use]
    #[track_caller]
    pub fn with_status(mut self, status: impl TryInto<StatusCode>) -> Self {
        self.status = match status.try_into() {
            Ok(status) => status,
            Err(_) => return HttpError::bad_status().into_response(),
        };
        self
    }

    /// Sets a header, replacing any of that name.
    ///
    /// # Panics
    ///
    /// When the name is no header name, or the value holds a CR, an LF, a NUL or
    /// another control character. Where either comes from outside, use
    /// [`try_with_header`](Response::try_with_header).
    #[must_use]
    pub fn with_header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        match checked_header(name, value) {
            Ok((name, value)) => self.headers_mut().insert(name, value),
            Err(problem) => panic!("Response::with_header: {problem}"),
        };
        self
    }

    /// Sets a header, replacing any of that name.
    ///
    /// # Errors
    ///
    /// 500 where [`with_header`](Response::with_header) would panic; what was
    /// wrong is the error's source.
    pub fn try_with_header<N, V>(mut self, name: N, value: V) -> Result<Self, HttpError>
    where
        N: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        let (name, value) = checked_header(name, value)
            .map_err(|problem| HttpError::new(500, "").with_source(problem))?;
        self.headers_mut().insert(name, value);
        Ok(self)
    }
}

/// A map with this Content-Type, or an empty one.
fn only(content_type: Option<HeaderValue>) -> Box<HeaderMap> {
    let mut headers = Box::new(HeaderMap::new());
    if let Some(value) = content_type {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers
}

/// What a Location cannot hold (RFC 3986, 2). `%` stays: the rest of the string
/// may be encoded already. The backslash goes, since browsers read it as a slash.
const NOT_IN_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::into::content_type;
    use super::*;

    #[test]
    fn headers_cannot_be_injected() {
        for bad in ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
            let error = Response::default()
                .try_with_header("x-name", bad)
                .unwrap_err();
            assert_eq!(error.status(), 500);
            let source = error.source().unwrap().to_string();
            assert!(source.contains("header `x-name`"), "{source}");
        }
        for bad in ["", "a b", "a:b", "a\r\nb", "ä"] {
            let error = Response::default().try_with_header(bad, "v").unwrap_err();
            let source = error.source().unwrap().to_string();
            assert!(source.contains("the header name is refused"), "{source}");
        }
    }

    #[test]
    #[should_panic(expected = "the value given for header `x-name`")]
    fn a_bad_value_panics_with_its_name() {
        let _ = Response::default().with_header("x-name", "a\r\nb");
    }

    #[test]
    #[should_panic(expected = "the header name is refused")]
    fn a_bad_name_panics() {
        let _ = Response::default().with_header("x name", "a");
    }

    #[test]
    fn a_bad_status_is_a_500_wherever_it_is_given() {
        for response in [
            Response::new("a secret").with_status(42),
            Response::redirect("/", 200),
            HttpError::new(42, "a secret").into_response(),
            (2020, "a secret").into_response(),
            Err::<(), _>(HttpError::new(1000, "a secret")).into_response(),
        ] {
            assert_eq!(response.status(), 500);
            let failure = response.extensions().get::<Failure>().unwrap().to_string();
            assert!(failure.contains("status"), "{failure}");
            let body = response.into_parts().1.into_full().unwrap();
            assert_eq!(body, "500 Internal Server Error\n");
        }
    }

    #[test]
    fn redirect_encodes_what_is_not_uri() {
        for (given, expected) in [
            ("/a?b=c&d#e", "/a?b=c&d#e"),
            ("/50%25", "/50%25"),
            ("/a b", "/a%20b"),
            ("/\r\nset-cookie: x", "/%0D%0Aset-cookie:%20x"),
            ("/\\evil.example", "/%5Cevil.example"),
            ("/é", "/%C3%A9"),
        ] {
            assert_eq!(
                Response::redirect(given, 302).headers()["location"],
                expected
            );
        }
    }

    #[test]
    fn with_header_replaces_and_append_adds() {
        let mut response = Response::new("x")
            .with_header("a", "1")
            .with_header("A", "2");
        assert_eq!(
            response.headers().get_all("a").iter().collect::<Vec<_>>(),
            ["2"]
        );
        response
            .headers_mut()
            .append("a", HeaderValue::from_static("3"));
        assert_eq!(response.headers().get_all("a").iter().count(), 2);
    }

    #[test]
    fn parts_go_round() {
        let mut response = Response::new("x").with_status(202).with_header("a", "1");
        response.extensions_mut().insert(7_u8);
        let (parts, body) = response.into_parts();
        let response = Response::from_parts(parts, body);
        assert_eq!(response.status(), 202);
        assert_eq!(response.headers()["a"], "1");
        assert_eq!(response.extensions().get::<u8>(), Some(&7));
        assert_eq!(response.body().length(), Some(1));
    }

    #[test]
    fn a_content_type_is_a_header_like_others_once_one_looks() {
        let lone = "x".into_response().into_wire();
        assert_eq!(lone.content_type, Some(content_type::TEXT));
        assert!(lone.headers.is_none());

        let seen = "x".into_response();
        assert_eq!(seen.headers()["content-type"], content_type::TEXT);
        let seen = seen.into_wire();
        assert_eq!(seen.content_type, None);
        assert_eq!(seen.headers.map(|headers| headers.len()), Some(1));

        let mut changed = "x".into_response();
        changed.headers_mut().remove("content-type");
        let changed = changed.into_wire();
        assert_eq!(changed.content_type, None);
        assert!(changed.headers.is_none_or(|headers| headers.is_empty()));

        let parts = "x".into_response().into_parts().0;
        assert_eq!(parts.headers["content-type"], content_type::TEXT);
    }

    #[test]
    fn what_is_made_by_hand_has_the_content_type_of_its_kind() {
        let content_type = |response: Response| response.headers().get("content-type").cloned();
        assert_eq!(content_type(Response::new("x")), Some(content_type::TEXT));
        assert_eq!(
            content_type(Response::new(String::from("x"))),
            Some(content_type::TEXT)
        );
        let bytes = Response::new(vec![1_u8]).into_response();
        assert_eq!(content_type(bytes).unwrap(), "application/octet-stream");
        assert_eq!(content_type(Response::new("")), None);
        assert_eq!(content_type(Response::new(())), None);
        assert_eq!(content_type(Response::new(Body::full("x"))), None);
        let own = Response::new("x").with_header("content-type", "text/csv");
        assert_eq!(content_type(own).unwrap(), "text/csv");
    }
}
