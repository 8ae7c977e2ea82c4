//! What a handler may return: Bottle's `_cast`, as a trait.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::Response;
use crate::{Body, HttpError, IntoBody};

/// Content types that [`IntoResponse`] sets.
pub(crate) mod content_type {
    use super::HeaderValue;

    pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
    pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
    pub(super) const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
}

/// Something that a handler can return.
///
/// | type | status | Content-Type |
/// |---|---|---|
/// | [`Response`] | its own | as set by hand |
/// | `&'static str`, `String`, `Cow<'static, str>` | 200 | `text/plain; charset=utf-8` |
/// | [`Html`] | 200 | `text/html; charset=utf-8` |
/// | `Bytes`, `Vec<u8>`, `&'static [u8]`, `&'static [u8; N]` | 200 | `application/octet-stream` |
/// | [`Body`] that streams or is full | 200 | `text/plain; charset=utf-8` |
/// | `()`, an empty [`Body`] | 200 | none |
/// | [`StatusCode`] | itself | none |
/// | [`HttpError`] | its own | `text/plain; charset=utf-8` |
/// | [`Json`](crate::Json) | 200 | `application/json` |
/// | `(StatusCode, T)`, `(u16, T)` | the first | as `T` |
/// | `(StatusCode, [(name, value); N], T)`, `(u16, [(name, value); N], T)` | the first | as `T`, unless among the headers |
/// | `Result<T, HttpError>` | as `T` or the error | as `T` or the error |
///
/// A handler whose calls may fail returns `Result<T, HttpError>`: `?` makes an [`HttpError`] of any
/// error. In closures nobody needs to write that type down, since there is no other:
///
/// ```
/// use greenway_app::{App, Request, testing::Client};
///
/// let mut app = App::new();
/// app.get("/half/<number>", |request: Request| {
///     let number: i32 = request.param_as("number")?;
///     let text = String::from_utf8((number / 2).to_string().into_bytes())?;
///     Ok(text)
/// });
/// assert_eq!(Client::new(app).get("/half/8").send().text(), "4");
/// ```
///
/// Strings are plain text (Bottle says HTML): a handler that echoes its input is
/// not a cross-site scripting hole until its author writes [`Html`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no response: a handler cannot return it",
    label = "this returns `{Self}`",
    note = "a handler returns text, `Html(text)`, `Json(value)`, bytes, a `Body`, a `Response`, \
            `(status, response)`, or `Result<_, HttpError>` of one of these",
    note = "if it is a future: Greenway's handlers are plain functions that may block; leave out \
            `async` and `.await`",
    note = "if it can be serialized (`serde::Serialize`): wrap it in `Json(...)`",
    note = "if it is an `Option`: say what `None` is, as in \
            `.ok_or_else(|| HttpError::new(404, \"no such thing\"))?`",
    note = "if it is a `Result` with another error: let the handler return `Result<_, HttpError>`; \
            `?` makes an `HttpError` of any error, and `.or_status(404, \"...\")` says which \
            answer it is"
)]
pub trait IntoResponse {
    /// The response.
    fn into_response(self) -> Response;
}

/// A body that is HTML.
///
/// Nothing is escaped: that is the duty of whoever puts foreign text into it.
///
/// ```
/// use greenway_app::{Html, Request, testing::Client};
///
/// let reply = Client::new(|_: Request| Html("<h1>hi</h1>")).get("/").send();
/// assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Html<T>(pub T);

macro_rules! typed {
    ($content_type:ident: $($type:ty),*) => {$(
        impl IntoResponse for $type {
            fn into_response(self) -> Response {
                Response::typed(self, content_type::$content_type)
            }
        }
    )*};
}

typed!(TEXT: &'static str, String, Cow<'static, str>);
typed!(BYTES: Bytes, Vec<u8>, &'static [u8]);

impl<const N: usize> IntoResponse for &'static [u8; N] {
    fn into_response(self) -> Response {
        Response::typed(self, content_type::BYTES)
    }
}

impl<T: IntoBody> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        Response::typed(self.0, content_type::HTML)
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        if self.is_full() && self.is_empty() {
            return Response::new(self);
        }
        Response::typed(self, content_type::TEXT)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::default()
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        Response::empty(self)
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

/// A number that is no status code (100 to 999) is answered with 500 and logged.
impl<T: IntoResponse> IntoResponse for (u16, T) {
    fn into_response(self) -> Response {
        match StatusCode::from_u16(self.0) {
            Ok(status) => (status, self.1).into_response(),
            Err(_) => HttpError::bad_status().without_place().into_response(),
        }
    }
}

impl<N, V, const K: usize, T> IntoResponse for (StatusCode, [(N, V); K], T)
where
    N: TryInto<HeaderName, Error: fmt::Display>,
    V: TryInto<HeaderValue, Error: fmt::Display>,
    T: IntoResponse,
{
    /// What cannot stand in a header makes a 500, whose cause is in the log.
    fn into_response(self) -> Response {
        let (status, headers, value) = self;
        let response = Ok(value.into_response().with_status(status));
        headers
            .into_iter()
            .fold(response, |response, (name, value)| {
                response?.try_with_header(name, value)
            })
            .into_response()
    }
}

impl<N, V, const K: usize, T> IntoResponse for (u16, [(N, V); K], T)
where
    N: TryInto<HeaderName, Error: fmt::Display>,
    V: TryInto<HeaderValue, Error: fmt::Display>,
    T: IntoResponse,
{
    /// As with a [`StatusCode`]; a number that is none makes a 500 as well.
    fn into_response(self) -> Response {
        match StatusCode::from_u16(self.0) {
            Ok(status) => (status, self.1, self.2).into_response(),
            Err(_) => HttpError::bad_status().without_place().into_response(),
        }
    }
}

/// The only one for a `Result`, so that the error's type need not be written in closures.
impl<T: IntoResponse> IntoResponse for Result<T, HttpError> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(value: impl IntoResponse) -> (u16, Option<String>, Option<u64>) {
        let response = value.into_response();
        let content_type = response.headers().get("content-type");
        (
            response.status().as_u16(),
            content_type.map(|value| value.to_str().unwrap().to_owned()),
            response.body().length(),
        )
    }

    #[test]
    fn the_table_of_the_docs() {
        const TEXT: Option<&str> = Some("text/plain; charset=utf-8");
        const HTML: Option<&str> = Some("text/html; charset=utf-8");
        const BYTES: Option<&str> = Some("application/octet-stream");
        let not_found = || HttpError::new(404, "m");
        let rows = [
            (facts("abc"), 200, TEXT, Some(3)),
            (facts(""), 200, TEXT, Some(0)),
            (facts(String::from("abc")), 200, TEXT, Some(3)),
            (facts(Cow::Borrowed("abc")), 200, TEXT, Some(3)),
            (
                facts(Cow::<'static, str>::Owned("abc".into())),
                200,
                TEXT,
                Some(3),
            ),
            (facts(Html("abc")), 200, HTML, Some(3)),
            (facts(Html(Body::iter(["abc"]))), 200, HTML, None),
            (facts(Bytes::from("abc")), 200, BYTES, Some(3)),
            (facts(vec![1_u8, 2]), 200, BYTES, Some(2)),
            (facts(&b"abc"[..]), 200, BYTES, Some(3)),
            (facts(b"abc"), 200, BYTES, Some(3)),
            (facts(Body::iter(["abc"])), 200, TEXT, None),
            (facts(Body::full("abc")), 200, TEXT, Some(3)),
            (facts(Body::empty()), 200, None, Some(0)),
            (facts(()), 200, None, Some(0)),
            (facts(StatusCode::ACCEPTED), 202, None, Some(0)),
            (facts(not_found()), 404, TEXT, Some(17)),
            (facts((StatusCode::CREATED, "abc")), 201, TEXT, Some(3)),
            (facts((202, Html("abc"))), 202, HTML, Some(3)),
            (facts((2020, "abc")), 500, TEXT, Some(26)),
            (facts(Ok::<_, HttpError>("abc")), 200, TEXT, Some(3)),
            (facts(Err::<&str, _>(not_found())), 404, TEXT, Some(17)),
            (facts((201, [("x-a", "1")], "abc")), 201, TEXT, Some(3)),
            (
                facts((StatusCode::OK, [("content-type", "text/csv")], "abc")),
                200,
                Some("text/csv"),
                Some(3),
            ),
            (facts((200, [("x-a", "1\n")], "abc")), 500, TEXT, Some(26)),
            (facts((20, [("x-a", "1")], "abc")), 500, TEXT, Some(26)),
        ];
        for (i, (got, status, content_type, length)) in rows.into_iter().enumerate() {
            assert_eq!(
                got,
                (status, content_type.map(str::to_owned), length),
                "row {i}"
            );
        }
    }
}
