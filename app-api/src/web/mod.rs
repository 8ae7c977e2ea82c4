//! Bottle's half: an application made of routes.
//!
//! What must stay true: a mistake in a rule is a panic at start-up that shows the
//! rule, never a surprise in production; a request costs no allocation to route
//! unless it has wildcards or escapes.

mod around;
mod compose;
mod errors;
mod middleware;
mod pages;
mod router;
mod routes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use http::{Method, StatusCode, header};

use self::middleware::{Endpoint, Layer, Skipped, answer};
pub use self::middleware::{Middleware, Next};
use self::pages::ErrorPages;
use self::router::Router;
pub use self::routes::RouteBuilder;
use crate::request::params::Capture;
use crate::request::path::ENCODED_SLASH;
use crate::route::rule::{Filters, Found, Rule};
use crate::route::{AppInfo, Route};
use crate::{Application, HttpError, IntoResponse, Request, Response, Span};

/// An application made of routes.
///
/// # Rules
///
/// A rule is a path with wildcards. A wildcard is part of a segment or all of
/// it, matches at least one character, and has a filter:
///
/// | wildcard | matches |
/// |---|---|
/// | `<name>`, `<name:str>` | anything but a slash |
/// | `<name:int>` | `-?[0-9]+` that fits an `i64`; see [`Request::int`] |
/// | `<name:float>` | `-?[0-9.]+` that is a number; see [`Request::float`] |
/// | `<name:path>` | anything with slashes, as little as possible |
/// | `<name:re:[a-z]+>` | what the expression matches (the syntax of [`regex_lite`]; write `\>` for `>`) |
/// | `<name:yours>` | a segment that your function accepts: [`App::filter`] |
///
/// (Numbers have 32 characters at most.) Rules are written and matched decoded:
/// `/a b` is the rule for `GET /a%20b`. An encoded slash (`%2F`) is data and
/// never a boundary: `/file/a%2Fb` matches `/file/<name>` with `name` being
/// `a/b`, and does not match `/file/a/b`. A slash at the end matters.
///
/// # Order
///
/// For the method of the request, then GET if that is HEAD, then
/// [`any`](App::any): first the rule without wildcards, then those with, in the
/// order of their definition. A path without a route is answered 404, a path
/// without this method 405 with Allow (RFC 9110, 15.5.6), and OPTIONS 204 with
/// Allow unless it has a route of its own. HEAD goes to the GET handler; the
/// server leaves the body out.
///
/// ```
/// use greenway_app::{App, Request, testing::Client};
///
/// let mut app = App::new();
/// app.get("/", |_: Request| "home")
///     .get("/hello/<name>", |request: Request| format!("Hello {}", request.param("name")))
///     .post("/item/<id:int>", |request: Request| format!("{}", request.int("id") + 1));
///
/// let client = Client::new(app);
/// assert_eq!(client.get("/hello/Ada").send().text(), "Hello Ada");
/// assert_eq!(client.post("/item/41").send().text(), "42");
/// assert_eq!(client.get("/item/41").send().header("allow"), Some("OPTIONS, POST"));
/// ```
///
/// # Panics
///
/// All methods that add a route panic, with a message that shows the rule, when
/// it does not start with a slash, a wildcard is malformed or has an unknown
/// filter, two wildcards share a name, or the same rule is there already for
/// that method.
#[derive(Default)]
pub struct App {
    info: Arc<AppInfo>,
    /// One for each route of `info`, in the same place.
    endpoints: Vec<Endpoint>,
    router: Router,
    installed: Vec<Layer>,
    /// What the routes of this group do without.
    skipped: Vec<Skipped>,
    before: Vec<BeforeRequest>,
    after: Vec<AfterRequest>,
    hosts: Vec<(Box<str>, Endpoint)>,
    filters: Filters,
    errors: ErrorPages,
    /// What the rules of a group start with.
    prefix: String,
}

type BeforeRequest = Arc<dyn Fn(&mut Request) + Send + Sync>;
type AfterRequest = Arc<dyn Fn(&mut Response) + Send + Sync>;

impl App {
    /// An application that answers 404 to everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Routes GET (and HEAD).
    ///
    /// # Panics
    ///
    /// See [`App`](App#panics).
    pub fn get(&mut self, rule: &str, handler: impl Application) -> RouteBuilder<'_> {
        self.route(&[Method::GET], rule, handler)
    }

    /// Routes POST.
    ///
    /// # Panics
    ///
    /// See [`App`](App#panics).
    pub fn post(&mut self, rule: &str, handler: impl Application) -> RouteBuilder<'_> {
        self.route(&[Method::POST], rule, handler)
    }

    /// Routes PUT.
    ///
    /// # Panics
    ///
    /// See [`App`](App#panics).
    pub fn put(&mut self, rule: &str, handler: impl Application) -> RouteBuilder<'_> {
        self.route(&[Method::PUT], rule, handler)
    }

    /// Routes PATCH.
    ///
    /// # Panics
    ///
    /// See [`App`](App#panics).
    pub fn patch(&mut self, rule: &str, handler: impl Application) -> RouteBuilder<'_> {
        self.route(&[Method::PATCH], rule, handler)
    }

    /// Routes DELETE.
    ///
    /// # Panics
    ///
    /// See [`App`](App#panics).
    pub fn delete(&mut self, rule: &str, handler: impl Application) -> RouteBuilder<'_> {
        self.route(&[Method::DELETE], rule, handler)
    }

    /// Routes several methods, extension methods among them, to one handler.
    ///
    /// # Panics
    ///
    /// When `methods` is empty, and as all: see [`App`](App#panics).
    pub fn route(
        &mut self,
        methods: &[Method],
        rule: &str,
        handler: impl Application,
    ) -> RouteBuilder<'_> {
        assert!(!methods.is_empty(), "route \"{rule}\": no methods given");
        self.add(methods, rule, Arc::new(handler))
    }

    /// Routes all methods that have no route of their own.
    ///
    /// # Panics
    ///
    /// See [`App`](App#panics).
    pub fn any(&mut self, rule: &str, handler: impl Application) -> RouteBuilder<'_> {
        self.add(&[], rule, Arc::new(handler))
    }

    /// The routes, in the order of their definition; a mount is one of them.
    ///
    /// ```
    /// use greenway_app::{App, Request};
    ///
    /// let mut app = App::new();
    /// app.get("/hello/<name>", |_: Request| "hi").name("hello");
    /// let route = app.routes().next().unwrap();
    /// assert_eq!((route.rule(), route.name()), ("/hello/<name>", Some("hello")));
    /// ```
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.info.routes.iter()
    }

    /// Adds a route for these methods, or for all if there are none.
    fn add(
        &mut self,
        methods: &[Method],
        rule: &str,
        handler: Arc<dyn Application>,
    ) -> RouteBuilder<'_> {
        let text = format!("{}{rule}", self.prefix);
        let rule =
            Rule::parse(&text, &self.filters).unwrap_or_else(|problem| refuse(&text, &problem));
        let route = Route::new(Arc::new(rule), methods.to_vec());
        let at = self.put_in(route, Endpoint::new(handler));
        RouteBuilder::new(self, at)
    }

    /// Adds a route and its endpoint; gives their place.
    fn put_in(&mut self, route: Route, endpoint: Endpoint) -> usize {
        let at = self.endpoints.len();
        let place = u32::try_from(at).expect("each route takes more than a byte of memory");
        let each = route.methods.iter().cloned().map(Some);
        let all = route.methods.is_empty().then_some(None);
        for method in each.chain(all) {
            if let Err(problem) = self.router.add(method, &route.rule, place) {
                refuse(route.rule(), &problem);
            }
        }
        if let Some(below) = &endpoint.below
            && let Err(problem) = self.router.add(None, below, place)
        {
            refuse(route.rule(), &problem);
        }
        if let Some(name) = route.name.clone() {
            self.name(name, at);
        }
        self.info_mut().routes.push(route);
        self.endpoints.push(endpoint);
        at
    }

    fn name(&mut self, name: Arc<str>, at: usize) {
        let taken = self.info.names.get(&name).is_some_and(|other| *other != at);
        assert!(!taken, "two routes are named {name:?}");
        self.info_mut().names.insert(name, at);
    }

    /// What requests know, to be changed. Those that are under way keep what they have.
    fn info_mut(&mut self) -> &mut AppInfo {
        Arc::make_mut(&mut self.info)
    }

    /// The endpoint for a request, which learns what it has matched. `None` if no route wants it.
    #[inline(never)] // a handler's green thread keeps what lies below it: this need not be there
    fn matched(&self, request: &mut Request) -> Option<&Endpoint> {
        let mut found = Found::new();
        let path = request.path_for_match()?;
        let at = self
            .router
            .find(request.method(), &path, &mut found)?
            .endpoint;
        let captures = captures(request, &path, &found);
        request.set_route(&self.info, at, captures);
        self.endpoints.get(at as usize)
    }

    /// The answer to a request that no route wants.
    #[cold]
    #[inline(never)] // as above
    fn refuse_unrouted(&self, request: &Request) -> Response {
        let Some(path) = request.path_for_match() else {
            // `Request::new` has decoded this path without complaint.
            return HttpError::new(400, "the path is malformed").into_response();
        };
        let options = request.method() == Method::OPTIONS;
        if options && request.raw_path() == "*" {
            return options_answer(&self.router.allowed_anywhere());
        }
        match self.router.allowed(&path) {
            Some(allow) if options => options_answer(&allow),
            Some(allow) => HttpError::new(405, format!("this resource allows {allow}"))
                .with_header(header::ALLOW, allow)
                .into_response(),
            // What a client may have smuggled in for a terminal is escaped.
            None => {
                let path = request.path().escape_debug();
                HttpError::new(404, format!("nothing is at {path}")).into_response()
            }
        }
    }
}

impl Application for App {
    fn call(&self, mut request: Request) -> Response {
        if !self.is_plain() {
            return self.call_around(request);
        }
        match self.matched(&mut request) {
            Some(endpoint) if endpoint.layers.is_empty() => answer(&*endpoint.handler, request),
            endpoint => Next::new(self, endpoint).run(request),
        }
    }

    fn answer_error(&self, request: &Request, error: &HttpError) -> Option<Response> {
        self.error_page(request, error)
    }

    fn unrouted(&self, request: &Request) -> Option<Response> {
        self.refusal(request)
    }
}

fn refuse(rule: &str, problem: &str) -> ! {
    panic!("route \"{rule}\": {problem}")
}

/// The texts of the wildcards; those of a path without escapes stay in the head.
fn captures(request: &Request, path: &str, found: &[Range<usize>]) -> Box<[Capture]> {
    if found.is_empty() {
        return Box::default();
    }
    let span = request.path_span();
    let borrowed = path.len() == span.len();
    let base = span.start;
    found
        .iter()
        .map(|range| {
            // A head is at most 4 GiB: its own offsets are `u32`.
            match (
                borrowed,
                u32::try_from(range.start),
                u32::try_from(range.end),
            ) {
                (true, Ok(start), Ok(end)) => Capture::Wire(Span::new(base + start, base + end)),
                _ => Capture::Decoded(path[range.clone()].replace(ENCODED_SLASH, "/").into()),
            }
        })
        .collect()
}

/// RFC 9110, 9.3.7.
fn options_answer(allow: &str) -> Response {
    Response::empty(StatusCode::NO_CONTENT).with_header(header::ALLOW, allow)
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.info.routes).finish()
    }
}
