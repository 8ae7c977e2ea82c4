//! A request that leaves its thread.
//!
//! What ties a request to the thread of its connection is the client behind it:
//! the body that is still on the wire, and the questions that only that thread
//! can answer. Without them, all that is left is data.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Extensions;

use super::head::{Head, Span};
use super::params::Matched;
use super::{Inner, Request};
#[cfg(feature = "forms")]
use crate::forms::FormCell;
use crate::{ConnectionInfo, HttpError, Input, Limits};

/// A request with its whole body, without its client: it may go to another
/// thread, where [`attach`](Detached::attach) makes a [`Request`] of it again.
pub struct Detached {
    head: Box<Head>,
    path: Span,
    decoded: Option<Box<str>>,
    script: Option<Box<str>>,
    matched: Option<Matched>,
    body: Bytes,
    connection: Arc<ConnectionInfo>,
    extensions: Extensions,
    limits: Option<Arc<Limits>>,
    #[cfg(feature = "forms")]
    form: FormCell,
}

impl Request {
    /// Reads what is left of the body, `limit` bytes at most, and gives a
    /// request that is `Send`.
    ///
    /// ```
    /// use greenway_app::{HttpError, Request, testing::Client};
    ///
    /// fn shout(request: Request) -> Result<String, HttpError> {
    ///     let detached = request.detach(1024)?;
    ///     let shouted = std::thread::spawn(move || {
    ///         let request = detached.attach();
    ///         let body = request.body(1024)?;
    ///         Ok(String::from_utf8_lossy(&body).to_uppercase())
    ///     });
    ///     shouted.join().expect("it does not panic")
    /// }
    ///
    /// assert_eq!(Client::new(shout).post("/").body("hey").send().text(), "HEY");
    /// ```
    ///
    /// # Errors
    ///
    /// As [`body`](Request::body).
    pub fn detach(self, limit: usize) -> Result<Detached, HttpError> {
        let body = self.body(limit)?;
        let Inner {
            head,
            path,
            decoded,
            script,
            matched,
            connection,
            extensions,
            limits,
            #[cfg(feature = "forms")]
            form,
            ..
        } = *self.inner;
        Ok(Detached {
            head,
            path,
            decoded,
            script,
            matched,
            body,
            connection,
            extensions,
            limits,
            #[cfg(feature = "forms")]
            form,
        })
    }
}

impl Detached {
    /// The request. Its client has no [`Peer`](crate::Peer), unless the one who
    /// calls gives it another: [`disconnected`](Request::disconnected) is false.
    #[must_use]
    pub fn attach(self) -> Request {
        let inner = Inner {
            path: self.path,
            decoded: self.decoded,
            script: self.script,
            matched: self.matched,
            extensions: self.extensions,
            limits: self.limits,
            #[cfg(feature = "forms")]
            form: self.form,
            ..Inner::new(self.head, Input::full(self.body), self.connection)
        };
        Request {
            inner: Box::new(inner),
        }
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached")
            .field("head", &format_args!("{}", self.head))
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;
    use crate::{App, HttpError, Request, Response};

    #[derive(Clone)]
    struct User(&'static str);

    fn sendable<T: Send>(value: T) -> T {
        value
    }

    #[test]
    fn nothing_but_the_client_is_lost_on_the_way() {
        let mut app = App::new();
        app.post("/a b/<id:int>/<rest:path>", |mut request: Request| {
            request.extensions_mut().insert(User("ann"));
            let detached = request.detach(100)?;
            assert!(format!("{detached:?}").contains("4 bytes"));
            let request = sendable(detached).attach();
            let body = request.body(100)?;
            assert!(!request.disconnected());
            Ok::<_, HttpError>(format!(
                "{} {} {} {} {:?} {:?} {} {}",
                request.method(),
                request.path(),
                request.int("id"),
                request.param("rest"),
                request.query("q"),
                request.header("x-more"),
                request.extensions().get::<User>().expect("it was put").0,
                String::from_utf8_lossy(&body),
            ))
        });
        let client = Client::new(app);
        let post = client.post("/a%20b/7/x%2Fy/z?q=1").header("x-more", "m");
        assert_eq!(
            post.body("body").send().text(),
            "POST /a b/7/x/y/z 7 x/y/z Some(\"1\") Some(\"m\") ann body"
        );
        let long = client.post("/a%20b/7/x").body(vec![0; 101]).send();
        assert_eq!(long.status(), 413);
    }

    #[cfg(feature = "forms")]
    #[test]
    fn limits_go_along() {
        let app = |mut request: Request| {
            request.set_limits(crate::Limits {
                parts: 1,
                ..crate::Limits::DEFAULT
            });
            let request = sendable(request.detach(100)?).attach();
            Ok::<_, HttpError>(request.form()?.len().to_string())
        };
        let client = Client::new(app);
        let post = || {
            let form = "application/x-www-form-urlencoded";
            client.post("/").header("content-type", form)
        };
        assert_eq!(post().body("a=1").send().text(), "1");
        assert_eq!(post().body("a=1&b=2").send().status(), 413);
    }

    /// Csrf reads the form before the handler of a route that goes to another thread.
    #[cfg(all(feature = "forms", feature = "sessions"))]
    #[test]
    fn the_form_that_was_read_goes_along() {
        use crate::sessions::{Csrf, Sessions};
        let mut app = App::new();
        app.install(Sessions::in_memory()).install(Csrf::new());
        app.get("/", |request: Request| {
            request.session().map(|session| session.csrf_token())
        });
        app.post("/", |request: Request| {
            let request = sendable(request.detach(100)?).attach();
            let form = request.form()?;
            Ok(form.get("name").unwrap_or("nobody").to_owned())
        });
        let client = Client::new(app);
        let page = client.get("/").send();
        let cookie = page
            .header("set-cookie")
            .and_then(|it| it.split(';').next());
        let post = client
            .post("/")
            .header("cookie", cookie.expect("it has a token"));
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        let body = format!("name=ann&csrf_token={}", page.text());
        assert_eq!(post.body(body).send().text(), "ann");
    }

    #[test]
    fn responses_can_be_made_of_it_at_once() {
        let app = |request: Request| -> Result<Response, HttpError> {
            Ok(Response::new(request.detach(0)?.attach().path().to_owned()))
        };
        assert_eq!(Client::new(app).get("/p").send().text(), "/p");
    }
}
