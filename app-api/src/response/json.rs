//! JSON as a response.

use http::HeaderValue;
use serde::Serialize;

use super::{IntoResponse, Response};
use crate::HttpError;

/// A value that is sent as JSON.
///
/// ```
/// use greenway_app::{Json, Request, testing::Client};
///
/// #[derive(serde::Serialize)]
/// struct Point { x: i32, y: i32 }
///
/// let reply = Client::new(|_: Request| Json(Point { x: 1, y: 2 })).get("/").send();
/// assert_eq!(reply.header("content-type"), Some("application/json"));
/// assert_eq!(reply.text(), r#"{"x":1,"y":2}"#);
/// ```
///
/// A value that cannot be written as JSON (a map whose keys are no text) is answered with 500, and
/// the log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => Response::typed(text, HeaderValue::from_static("application/json")),
            Err(error) => HttpError::from(error).without_place().into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;

    #[test]
    fn what_is_no_json_is_a_500() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        let response = Json(map).into_response();
        assert_eq!(response.status(), 500);
        let failure = response.extensions().get::<Failure>().unwrap();
        assert!(failure.to_string().contains("key must be a string"));
    }
}
