//! What can be said of a route where it is defined.

use std::any::{Any, TypeId};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::App;
use super::middleware::{Layer, Skipped};
use crate::{Application, HttpError, IntoResponse, Middleware, Request, Response};

/// The route that was just added to an [`App`], to be told more about.
///
/// It stands for the application as well: the next route can be added to it, and all other methods
/// of [`App`] are there.
///
/// ```
/// use greenway_app::{App, Request};
/// use std::time::Duration;
///
/// let mut app = App::new();
/// app.get("/", |_: Request| "home").name("home")
///     .post("/upload", |_: Request| "thanks")
///     .body_limit(100 << 20)
///     .timeout(Duration::from_secs(600))
///     .get("/hello/<name>", |_: Request| "hi");
/// ```
pub struct RouteBuilder<'a> {
    app: &'a mut App,
    at: usize,
}

macro_rules! methods {
    ($($name:ident)*) => {$(
        #[doc = concat!("As [`App::", stringify!($name), "`].")]
        ///
        /// # Panics
        ///
        /// See [`App`](App#panics).
        pub fn $name(self, rule: &str, handler: impl Application) -> RouteBuilder<'a> {
            self.app.$name(rule, handler)
        }
    )*};
}

impl<'a> RouteBuilder<'a> {
    pub(super) fn new(app: &'a mut App, at: usize) -> Self {
        Self { app, at }
    }

    methods! { get post put patch delete any }

    /// As [`App::route`].
    ///
    /// # Panics
    ///
    /// See [`App::route`].
    pub fn route(
        self,
        methods: &[Method],
        rule: &str,
        handler: impl Application,
    ) -> RouteBuilder<'a> {
        self.app.route(methods, rule, handler)
    }

    /// A name for [`Request::url_for`](crate::Request::url_for).
    ///
    /// # Panics
    ///
    /// When another route has it.
    pub fn name(self, name: &str) -> Self {
        self.app.name(name.into(), self.at);
        self.app.info_mut().routes[self.at].name = Some(name.into());
        self
    }

    /// How long the handler may take from when its route is found, instead of what the server allows
    /// (`--timeout`). A server that cannot limit it leaves this aside.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.app.info_mut().routes[self.at].timeout = Some(timeout);
        self
    }

    /// The most bytes that a request's body may have: one that declares more is answered 413 before
    /// the handler is called, and one that turns out to have more fails when it is read. The
    /// server's own limit holds in any case.
    pub fn body_limit(self, bytes: u64) -> Self {
        self.app.info_mut().routes[self.at].body_limit = Some(bytes);
        let endpoint = &mut self.app.endpoints[self.at];
        let handler = Arc::clone(&endpoint.handler);
        endpoint.handler = Arc::new(BodyLimited { handler, bytes });
        self
    }

    /// Something for the middleware to know about this route, by its type; see [`Route::setting`].
    /// A second value of one type replaces the first.
    ///
    /// [`Route::setting`]: crate::Route::setting
    pub fn set<T: Any + Send + Sync>(self, value: T) -> Self {
        self.app.info_mut().routes[self.at].settings.insert(value);
        self
    }

    /// A middleware for this route alone, further in than all that are there.
    pub fn apply<M: Middleware>(self, middleware: M) -> Self {
        self.applying(Layer::new(None, middleware))
    }

    /// As [`apply`](RouteBuilder::apply), with a name for [`skip_named`](RouteBuilder::skip_named).
    pub fn apply_named<M: Middleware>(self, name: &str, middleware: M) -> Self {
        self.applying(Layer::new(Some(name), middleware))
    }

    fn applying(self, layer: Layer) -> Self {
        self.app.endpoints[self.at].layers.push(layer);
        self
    }

    /// Does without the middleware of this type, whoever has installed it.
    pub fn skip<M: Middleware>(self) -> Self {
        self.skipping(Skipped::Kind(TypeId::of::<M>()))
    }

    /// Does without the middleware that was
    /// [installed with this name](App::install_named). No effect if there is none.
    pub fn skip_named(self, name: &str) -> Self {
        self.skipping(Skipped::Name(name.into()))
    }

    /// Does without any middleware. Hooks are no middleware: those of the application and of the
    /// route's groups are called all the same.
    pub fn skip_all(self) -> Self {
        self.skipping(Skipped::All)
    }

    fn skipping(self, what: Skipped) -> Self {
        self.app.endpoints[self.at].skipped.push(what);
        self
    }
}

/// The handler of a route with a limit of its own.
struct BodyLimited {
    handler: Arc<dyn Application>,
    bytes: u64,
}

impl Application for BodyLimited {
    fn call(&self, mut request: Request) -> Response {
        let length = request.input().length();
        if length.is_some_and(|length| length > self.bytes) {
            let message = format!("the body exceeds {} bytes", self.bytes);
            return HttpError::new(413, message).into_response();
        }
        self.handler.call(request)
    }

    fn answer_error(&self, request: &Request, error: &HttpError) -> Option<Response> {
        self.handler.answer_error(request, error)
    }

    fn unrouted(&self, request: &Request) -> Option<Response> {
        self.handler.unrouted(request)
    }
}

impl Deref for RouteBuilder<'_> {
    type Target = App;

    fn deref(&self) -> &App {
        self.app
    }
}

impl DerefMut for RouteBuilder<'_> {
    fn deref_mut(&mut self) -> &mut App {
        self.app
    }
}

impl fmt::Debug for RouteBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RouteBuilder")
            .field(&self.app.info.routes[self.at])
            .finish()
    }
}
