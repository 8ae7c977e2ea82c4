//! The one trait between a server and what it serves.
//!
//! A server knows an application as "something that turns a [`Request`] into a
//! [`Response`] and may block while it does". Functions, closures,
//! [`App`](crate::App) and middleware all are that, so they stack in any order.
//!
//! What must stay true: the trait has one method that must be there, takes `&self`, and never
//! mentions an engine. A handler cannot tell what runs it.

use std::sync::Arc;

use crate::{HttpError, IntoResponse, Request, Response};

/// Answers requests: PEP 3333's "application object".
///
/// [`call`](Application::call) runs once per request, after the head is
/// complete and before the body is read. It may block; whether that holds an OS
/// thread is the engine's business. It may be running many times at once, hence
/// `Send + Sync`; a single request, its input and its response body stay on the
/// thread that serves the connection and need be neither.
///
/// Every `Fn(Request) -> impl IntoResponse` is an application:
///
/// ```
/// use greenway_app::{Request, testing::Client};
///
/// fn hello(request: Request) -> String {
///     format!("Hello {}", request.query("name").unwrap_or_default())
/// }
///
/// assert_eq!(Client::new(hello).get("/?name=Ada").send().text(), "Hello Ada");
/// ```
///
/// Middleware is an application that holds another one:
///
/// ```
/// use greenway_app::{Application, Request, Response, testing::Client};
///
/// struct Branded<A>(A);
///
/// impl<A: Application> Application for Branded<A> {
///     fn call(&self, request: Request) -> Response {
///         self.0.call(request).with_header("x-brand", "acme")
///     }
/// }
///
/// let app = Branded(|_: Request| "hi");
/// assert_eq!(Client::new(app).get("/").send().header("x-brand"), Some("acme"));
/// ```
pub trait Application: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// A panic is the server's to answer (500) and to log. An
    /// [`abort`](crate::abort) is a panic with a response inside; servers and
    /// [`App`](crate::App) catch it with [`catch_abort`](crate::catch_abort).
    fn call(&self, request: Request) -> Response;

    /// The response to be sent for an error: for a response that was [made of
    /// one](Response::error), for a request that the server has refused, for a panic. Of the
    /// request there is the head, as far as it could be read, and what belongs to it; the body is
    /// empty, and of what middleware has attached there is the session alone, in which nothing is
    /// saved any more. `None` for a page of Greenway's own.
    ///
    /// Servers do not call this themselves, but [`error_response`](crate::error_response). One who
    /// wraps an application passes the call on.
    fn answer_error(&self, _request: &Request, _error: &HttpError) -> Option<Response> {
        None
    }

    /// What a request is answered for which there is no handler: 404, 405. `None` for one that
    /// would be [called](Application::call) for, which is the default. Middleware that refuses a
    /// request asks for it, so that a mistyped path is told from a refusal.
    fn unrouted(&self, _request: &Request) -> Option<Response> {
        None
    }
}

impl<F, R> Application for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    fn call(&self, request: Request) -> Response {
        self(request).into_response()
    }
}

/// One application served in several places.
impl<A: Application + ?Sized> Application for Arc<A> {
    fn call(&self, request: Request) -> Response {
        (**self).call(request)
    }

    fn answer_error(&self, request: &Request, error: &HttpError) -> Option<Response> {
        (**self).answer_error(request, error)
    }

    fn unrouted(&self, request: &Request) -> Option<Response> {
        (**self).unrouted(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{App, testing::Client};

    struct Counted<A> {
        inner: A,
        name: &'static str,
    }

    impl<A: Application> Application for Counted<A> {
        fn call(&self, request: Request) -> Response {
            self.inner.call(request).with_header("x-via", self.name)
        }
    }

    #[test]
    fn middleware_wraps_functions_apps_and_middleware() {
        let mut app = App::new();
        app.get("/", |_: Request| "inner");
        let stack = Counted {
            inner: Counted {
                inner: app,
                name: "near",
            },
            name: "far",
        };
        let reply = Client::new(stack).get("/").send();
        assert_eq!(reply.text(), "inner");
        assert_eq!(reply.header("x-via"), Some("far"));
    }

    #[test]
    fn a_shared_dynamic_application_is_an_application() {
        let shared: Arc<dyn Application> = Arc::new(|_: Request| "shared");
        assert_eq!(
            Client::new(Arc::clone(&shared)).get("/").send().text(),
            "shared"
        );
        assert_eq!(Client::new(shared).get("/").send().text(), "shared");
    }
}
