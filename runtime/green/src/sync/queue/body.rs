//! A [`Queue`] as the body of a response: with the feature `app`.

use super::Queue;
use greenway_app::{Body, IntoBody, IntoChunk, IntoResponse, Response};

/// Feeds a body; closes the queue when the body is dropped.
struct Feed<T>(Queue<T>);

impl<T> Iterator for Feed<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.get()
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T: IntoChunk + 'static> IntoBody for Queue<T> {
    fn into_body(self) -> Body {
        Body::iter(Feed(self))
    }
}

impl<T: IntoChunk + 'static> IntoResponse for Queue<T> {
    fn into_response(self) -> Response {
        self.into_body().into_response()
    }
}
