//! Forms that other sites have made.
//!
//! What must stay true: a request that changes something and that a browser has sent for another
//! site reaches no handler.

use http::Method;

use crate::{HttpError, IntoResponse, Middleware, Next, Request, Response};

/// Refuses requests that another site makes a visitor's browser send (cross-site request forgery):
/// a middleware, to be installed after [`Sessions`](super::Sessions).
///
/// GET, HEAD, OPTIONS and TRACE pass, so they must not change anything. Of the others, those are
/// refused with 403:
///
/// 1. which the browser says come from elsewhere: its `Sec-Fetch-Site` is neither `same-origin` nor
///    `none`, or, where it sends none, its `Origin` is not the host that is asked. (Go's
///    `CrossOriginProtection` has the same rules.)
/// 2. which have no [token](super::Session::csrf_token) of the visitor's session, neither in a
///    header `X-CSRF-Token` nor in a field `csrf_token` of the form. This protects users of old
///    browsers, and of proxies that take headers away. To find the field, the whole form is read,
///    within the [limits](crate::Limits) of the route; a route that reads a
///    [multipart](crate::Request::multipart) form as it comes needs the header.
///
/// A request that no route wants is refused as one: 404 or 405.
///
/// An interface for programs, which have no cookies but keys, [skips](crate::RouteBuilder::skip) it.
///
/// ```
/// use greenway_app::sessions::{Csrf, Sessions};
/// use greenway_app::{App, HttpError, Html, Request, testing::Client};
///
/// fn page(request: Request) -> Result<Html<String>, HttpError> {
///     let token = request.session()?.csrf_token();
///     Ok(Html(format!(
///         r#"<form method="post">
///         <input type="hidden" name="csrf_token" value="{token}">
///         <button>Vote</button></form>"#
///     )))
/// }
///
/// let mut app = App::new();
/// app.install(Sessions::in_memory()).install(Csrf::new());
/// app.get("/", page).post("/", |_: Request| "thanks");
/// app.post("/hook", |_: Request| "called by a program").skip::<Csrf>();
///
/// let client = Client::new(app);
/// assert_eq!(client.post("/").send().status(), 403);
/// assert_eq!(client.post("/hook").send().status(), 200);
/// ```
#[derive(Debug, Clone)]
pub struct Csrf {
    trusted: Vec<Box<str>>,
    tokens: bool,
}

/// The header that a script sends the token in.
const HEADER: &str = "x-csrf-token";

/// The field of a form that holds it.
#[cfg(feature = "forms")]
use crate::forms::check::CSRF_FIELD as FIELD;

impl Csrf {
    /// By both rules.
    #[must_use]
    pub fn new() -> Self {
        Self {
            trusted: Vec::new(),
            tokens: true,
        }
    }

    /// By the first rule alone: for applications without sessions, whose users have browsers of
    /// 2023 or later.
    #[must_use]
    pub fn by_origin() -> Self {
        Self {
            tokens: false,
            ..Self::new()
        }
    }

    /// Lets another site send requests, say `https://sister.example`, as far as the first rule
    /// goes.
    ///
    /// # Panics
    ///
    /// When it is not a scheme and a host, with a port if it is not the usual one.
    #[must_use]
    pub fn trust(mut self, origin: &str) -> Self {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        assert!(
            !host.is_empty() && !host.contains(['/', '?', '#', ' ']),
            "Csrf::trust: `{origin}` is no origin, which looks like `https://sister.example`"
        );
        self.trusted.push(origin.into());
        self
    }

    fn check(&self, request: &Request) -> Result<(), HttpError> {
        if self.is_foreign(request) {
            return Err(HttpError::new(403, "the request comes from another site"));
        }
        if self.tokens && !has_token(request)? {
            return Err(HttpError::new(
                403,
                "the form has expired: load its page again, and send it once more",
            ));
        }
        Ok(())
    }

    /// Whether a browser says that another site has made it.
    fn is_foreign(&self, request: &Request) -> bool {
        let origin = request.header("origin");
        let trusted = || {
            let is = |one: &str| origin.is_some_and(|origin| origin.eq_ignore_ascii_case(one));
            self.trusted.iter().any(|one| is(one))
        };
        match request.header("sec-fetch-site") {
            Some("same-origin" | "none") => false,
            Some(_) => !trusted(),
            None => {
                // Without both it is no browser, or one that keeps to itself what is not foreign.
                let Some(origin) = origin else { return false };
                let host = origin.split_once("://").map_or("", |(_, host)| host);
                let ours = request.host();
                !ours.is_some_and(|ours| ours.eq_ignore_ascii_case(host)) && !trusted()
            }
        }
    }
}

/// Whether the request has a token of its session.
fn has_token(request: &Request) -> Result<bool, HttpError> {
    let session = request.session()?;
    if !session.has_csrf_tokens() {
        // No token can be right, so a stranger's upload is not taken in to look for one.
        return Ok(false);
    }
    if let Some(token) = request.header(HEADER) {
        return Ok(session.is_csrf_token(token));
    }
    #[cfg(feature = "forms")]
    if request.is_form() {
        let token = request.form()?.get(FIELD);
        return Ok(token.is_some_and(|token| session.is_csrf_token(token)));
    }
    Ok(false)
}

impl Default for Csrf {
    fn default() -> Self {
        Self::new()
    }
}

impl Middleware for Csrf {
    fn call(&self, request: Request, next: Next<'_>) -> Response {
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
        if safe.contains(request.method()) {
            return next.run(request);
        }
        match self.check(&request) {
            Ok(()) => next.run(request),
            // Who has mistyped a path is told that, as a refusal of a form would mislead him.
            Err(error) => next
                .unrouted(&request)
                .unwrap_or_else(|| error.into_response()),
        }
    }
}
