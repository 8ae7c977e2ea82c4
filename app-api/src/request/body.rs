//! The body of a request, read when a handler asks for it.
//!
//! What must stay true: reading borrows the request for no longer than one call, so that the path,
//! the parameters and the headers may be held meanwhile.

use super::Request;
#[cfg(feature = "forms")]
use crate::forms::FormCell;
use crate::{HttpError, Input, Limits};
use bytes::Bytes;
use std::cell::RefMut;
use std::sync::Arc;

impl Request {
    /// The body, to be read here: `wsgi.input`.
    pub fn input(&mut self) -> &mut Input {
        self.inner.input.get_mut()
    }

    /// The body, to be read elsewhere (in a response stream); leaves an empty
    /// one.
    pub fn take_input(&mut self) -> Input {
        self.inner.input.replace(Input::empty())
    }

    /// The whole body, or what is left of it; `limit` in bytes.
    ///
    /// ```
    /// use greenway_app::{Bytes, HttpError, Request, testing::Client};
    ///
    /// fn echo(request: Request) -> Result<Bytes, HttpError> {
    ///     request.body(1024)
    /// }
    ///
    /// let client = Client::new(echo);
    /// assert_eq!(client.post("/").body("hi").send().text(), "hi");
    /// assert_eq!(client.post("/").body(vec![0; 2000]).send().status(), 413);
    /// ```
    ///
    /// # Errors
    ///
    /// 413 beyond `limit`, 400 if the client stopped early or left, 408 if it
    /// took too long.
    pub fn body(&self, limit: usize) -> Result<Bytes, HttpError> {
        self.borrow_input()?.read_all(limit)
    }

    /// The bounds of forms and JSON: those that [`set_limits`](Request::set_limits) has set, those
    /// of the route, those of the application, or the defaults.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        let own = self.inner.limits.as_deref();
        own.or_else(|| self.route()?.setting())
            .or_else(|| self.try_state())
            .unwrap_or(&Limits::DEFAULT)
    }

    /// Sets the bounds of forms and JSON, before they are read: for middleware.
    pub fn set_limits(&mut self, limits: impl Into<Arc<Limits>>) {
        self.inner.limits = Some(limits.into());
    }

    #[cfg(feature = "forms")]
    pub(crate) fn form_cell(&self) -> &FormCell {
        &self.inner.form
    }

    /// The body, for one read. Two green threads of a worker may share a request, and one may read
    /// while the other waits for its bytes; that is a mistake in the handler.
    pub(crate) fn borrow_input(&self) -> Result<RefMut<'_, Input>, HttpError> {
        self.inner.input.try_borrow_mut().map_err(|_| {
            HttpError::new(500, "")
                .with_source("a request's body is read by two green threads at once")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Head, Method, Version};

    #[test]
    fn the_input_can_be_taken() {
        let head = Head::build(Method::POST, "/", Version::HTTP_11, std::iter::empty());
        let mut request = Request::new(head, Input::full("abc"), Arc::default()).unwrap();
        assert_eq!(request.input().length(), Some(3));
        assert_eq!(request.take_input().read_all(9).unwrap(), "abc");
        assert_eq!(request.body(9).unwrap(), "");
        assert_eq!(request.params().count(), 0);
        assert!(request.route().is_none());
    }

    #[test]
    fn the_body_can_be_read_while_the_head_is_looked_at() {
        let mut app = crate::App::new();
        app.post("/<name>", |request: Request| {
            let (name, path) = (request.param("name"), request.path());
            let body = request.body(9)?;
            Ok::<_, HttpError>(format!("{name} {path} {}", body.len()))
        });
        let client = crate::testing::Client::new(app);
        assert_eq!(client.post("/x").body("abc").send().text(), "x /x 3");
    }
}
