//! Bounds of bodies and of time for all routes, or those of a group.

use std::time::Duration;

use crate::{HttpError, IntoResponse, Middleware, Next, Request, Response};

/// The most bytes that request bodies may have: one that declares more is answered 413 before the
/// handler is called, and one that turns out to have more fails when it is read.
///
/// A route with a [`body_limit`](crate::RouteBuilder::body_limit) of its own keeps that. The
/// server's limit (`--limit-request-body`, 16 MiB by default) holds in any case.
///
/// ```
/// use greenway_app::{App, HttpError, Request, middleware::BodyLimit, testing::Client};
///
/// fn length(request: Request) -> Result<String, HttpError> {
///     Ok(request.body(usize::MAX)?.len().to_string())
/// }
///
/// let mut app = App::new();
/// app.install(BodyLimit::new(1000));
/// app.post("/note", length).post("/picture", length).body_limit(5 << 20);
/// let client = Client::new(app);
/// assert_eq!(client.post("/note").body(vec![0; 1001]).send().status(), 413);
/// assert_eq!(client.post("/picture").body(vec![0; 1001]).send().text(), "1001");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(u64);

impl BodyLimit {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl Middleware for BodyLimit {
    fn call(&self, mut request: Request, next: Next<'_>) -> Response {
        if request.route().and_then(crate::Route::body_limit).is_some() {
            return next.run(request);
        }
        let input = request.input();
        if input.length().is_some_and(|length| length > self.0) {
            let message = format!("the body exceeds {} bytes", self.0);
            return HttpError::new(413, message).into_response();
        }
        input.limit(self.0);
        next.run(request)
    }
}

/// How long handlers and their bodies may take from here on, instead of what the server allows
/// (`--timeout`). What happens then is the server's: before the head is sent the client gets a 504,
/// afterwards it is cut off. A server that cannot limit it leaves this aside.
///
/// A route with a [`timeout`](crate::RouteBuilder::timeout) of its own keeps that.
///
/// ```
/// use greenway_app::{App, Request, middleware::TimeLimit};
/// use std::time::Duration;
///
/// let mut app = App::new();
/// app.install(TimeLimit::new(Duration::from_secs(5)));
/// app.get("/", |_: Request| "quick");
/// app.get("/report", |_: Request| "slow").timeout(Duration::from_secs(600));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TimeLimit(Duration);

impl TimeLimit {
    /// So long.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Self(time)
    }
}

impl Middleware for TimeLimit {
    fn call(&self, request: Request, next: Next<'_>) -> Response {
        if request.route().and_then(crate::Route::timeout).is_none() {
            request.limit_time(self.0);
        }
        next.run(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;
    use crate::{App, Application, Bytes, Head, Input, InputSource, Method, Peer, Version};
    use std::cell::RefCell;
    use std::io;
    use std::rc::Rc;
    use std::sync::Arc;

    fn length(request: Request) -> Result<String, HttpError> {
        Ok(request.body(usize::MAX)?.len().to_string())
    }

    /// A body whose length nobody has declared.
    struct Undeclared(Bytes);

    impl InputSource for Undeclared {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            Ok(&self.0)
        }

        fn consume(&mut self, n: usize) {
            self.0 = self.0.slice(n..);
        }

        fn length(&self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn longer_bodies_are_refused_declared_or_not() {
        let mut app = App::new();
        app.install(BodyLimit::new(5));
        app.post("/", length).post("/more", length).body_limit(7);
        app.post("/less", length).body_limit(3);
        let client = Client::new(app);
        for (path, bytes, status) in [
            ("/", 0, 200),
            ("/", 5, 200),
            ("/", 6, 413),
            ("/more", 7, 200),
            ("/more", 8, 413),
            ("/less", 3, 200),
            ("/less", 4, 413),
        ] {
            let declared = client.post(path).body(vec![b'x'; bytes]).send();
            let source = Undeclared(vec![b'x'; bytes].into());
            let undeclared = client.post(path).input(Input::new(Box::new(source))).send();
            for reply in [declared, undeclared] {
                assert_eq!(reply.status(), status, "{path} {bytes}: {}", reply.text());
            }
        }
    }

    #[test]
    fn the_server_is_told_the_time() {
        #[derive(Default)]
        struct Clock(RefCell<Vec<Duration>>);

        impl Peer for Clock {
            fn has_left(&self) -> bool {
                false
            }

            fn wait_until_left(&self, _: Duration) -> bool {
                false
            }

            fn early_hints(&self, _: &crate::HeaderMap) -> io::Result<()> {
                Ok(())
            }

            fn limit_time(&self, time: Duration) {
                self.0.borrow_mut().push(time);
            }
        }

        let mut app = App::new();
        app.install(TimeLimit::new(Duration::from_secs(5)));
        app.get("/", |_: Request| "a");
        app.get("/own", |_: Request| "b")
            .timeout(Duration::from_secs(9));
        for (path, expected) in [("/", vec![Duration::from_secs(5)]), ("/own", vec![])] {
            let clock = Rc::new(Clock::default());
            let head = Head::build(Method::GET, path, Version::HTTP_11, std::iter::empty());
            let request = Request::new(head, Input::empty(), Arc::default()).unwrap();
            let peer: Rc<dyn Peer> = Rc::<Clock>::clone(&clock);
            let _ = app.call(request.with_peer(peer));
            assert_eq!(*clock.0.borrow(), expected, "{path}");
        }
    }
}
