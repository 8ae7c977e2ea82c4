//! What stands between the server and the handlers.
//!
//! What must stay true: a middleware gets a response for every request, whatever became of it
//! further in; the order is that of installation, and an application without middleware pays for
//! none of this.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use super::App;
use crate::route::rule::Rule;
use crate::{Application, HttpError, IntoResponse, Request, Response, catch_abort};

/// Something that sees requests before their handlers and responses after them.
///
/// Every `Fn(Request, Next<'_>) -> impl IntoResponse` is one. It may change the request, answer
/// itself, hand the request on with [`Next::run`], and change the response, whose body has not been
/// sent by then: a body is wrapped ([`Body::map_chunks`](crate::Body::map_chunks)), never waited
/// for.
///
/// # Order
///
/// 1. Hooks that come [before](App::before_request) a request, before it is routed.
/// 2. What is [installed](App::install) for all, the first installed outermost. It sees every
///    request: also those that no route wants, whose [`route`](Request::route) is `None`, and
///    OPTIONS that are answered by themselves.
/// 3. What is installed for a [group](App::group), the outer group before the inner.
/// 4. What is [applied](crate::RouteBuilder::apply) to the route.
/// 5. The handler; then all of them back, from the inside out.
/// 6. Hooks that come [after](App::after_request) a request.
///
/// An [`abort`](crate::abort) on the way in is a response for all who are further out. A panic goes
/// through them to the server, and is logged whoever catches it.
///
/// ```
/// use greenway_app::{App, Next, Request, Response, testing::Client};
///
/// fn branded(request: Request, next: Next<'_>) -> Response {
///     let rule = request.route().map(|route| route.to_string()).unwrap_or_default();
///     next.run(request).with_header("x-rule", rule)
/// }
///
/// let mut app = App::new();
/// app.install(branded).get("/hello/<name>", |_: Request| "hi");
/// let client = Client::new(app);
/// assert_eq!(client.get("/hello/Ada").send().header("x-rule"), Some("/hello/<name>"));
/// assert_eq!(client.get("/none").send().header("x-rule"), Some(""));
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Answers a request, usually with the help of [`next`](Next::run).
    fn call(&self, request: Request, next: Next<'_>) -> Response;
}

impl<F, R> Middleware for F
where
    F: Fn(Request, Next<'_>) -> R + Send + Sync + 'static,
    R: IntoResponse,
{
    fn call(&self, request: Request, next: Next<'_>) -> Response {
        self(request, next).into_response()
    }
}

/// One middleware in several places.
impl<M: Middleware + ?Sized> Middleware for Arc<M> {
    fn call(&self, request: Request, next: Next<'_>) -> Response {
        (**self).call(request, next)
    }
}

/// The rest of the way: the middleware further in, and the handler.
pub struct Next<'a> {
    app: &'a App,
    endpoint: Option<&'a Endpoint>,
    /// How many have had their turn: first those of the application, then those of the route.
    at: usize,
}

impl Next<'_> {
    /// Hands the request on, and gives what comes back.
    pub fn run(mut self, request: Request) -> Response {
        let Some(layer) = self.advance() else {
            return match self.endpoint {
                Some(endpoint) => answer(&*endpoint.handler, request),
                None => self.app.refuse_unrouted(&request),
            };
        };
        catch_abort(|| layer.call(request, self)).unwrap_or_else(IntoResponse::into_response)
    }
}

impl Next<'_> {
    /// The 404 or 405 of a request that no route wants, here or in what is mounted, without asking
    /// any middleware further in. For those who refuse the request anyhow.
    #[cfg(feature = "sessions")]
    pub(crate) fn unrouted(&self, request: &Request) -> Option<Response> {
        match self.endpoint {
            Some(endpoint) => endpoint.handler.unrouted(request),
            None => Some(self.app.refuse_unrouted(request)),
        }
    }
}

impl<'a> Next<'a> {
    pub(super) fn new(app: &'a App, endpoint: Option<&'a Endpoint>) -> Self {
        Self {
            app,
            endpoint,
            at: 0,
        }
    }

    /// Whose turn it is; `None` for the handler's.
    fn advance(&mut self) -> Option<&'a dyn Middleware> {
        loop {
            let at = self.at;
            self.at += 1;
            let layer = match self.app.installed.get(at) {
                Some(layer) => layer,
                None => self.endpoint?.layers.get(at - self.app.installed.len())?,
            };
            if !self.endpoint.is_some_and(|endpoint| endpoint.skips(layer)) {
                return Some(&*layer.middleware);
            }
        }
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// What a handler says, also by [`abort`](crate::abort).
pub(super) fn answer(handler: &dyn Application, request: Request) -> Response {
    catch_abort(|| handler.call(request)).unwrap_or_else(aborted)
}

#[cold]
#[inline(never)] // off the stack below every handler
fn aborted(error: HttpError) -> Response {
    error.into_response()
}

/// A middleware in its place.
#[derive(Clone)]
pub(super) struct Layer {
    kind: TypeId,
    /// `None` for one that cannot be skipped by name.
    name: Option<Box<str>>,
    /// Hooks are for all routes of a group, whatever these do without.
    is_hooks: bool,
    middleware: Arc<dyn Middleware>,
}

impl Layer {
    pub(super) fn new<M: Middleware>(name: Option<&str>, middleware: M) -> Self {
        Self {
            kind: TypeId::of::<M>(),
            name: name.map(Into::into),
            is_hooks: false,
            middleware: Arc::new(middleware),
        }
    }

    /// What no route does without.
    pub(super) fn hooks<M: Middleware>(middleware: M) -> Self {
        Self {
            is_hooks: true,
            ..Self::new(None, middleware)
        }
    }

    pub(super) fn kind(&self) -> TypeId {
        self.kind
    }
}

/// A handler, and what is between it and the application's own middleware.
pub(super) struct Endpoint {
    pub(super) handler: Arc<dyn Application>,
    /// Those of the groups first, then those of the route.
    pub(super) layers: Vec<Layer>,
    pub(super) skipped: Vec<Skipped>,
    /// For a mount, the rule of what is below its prefix.
    pub(super) below: Option<Arc<Rule>>,
}

/// What a route does without.
#[derive(Clone)]
pub(super) enum Skipped {
    All,
    Kind(TypeId),
    Name(Box<str>),
}

impl Endpoint {
    pub(super) fn new(handler: Arc<dyn Application>) -> Self {
        Self {
            handler,
            layers: Vec::new(),
            skipped: Vec::new(),
            below: None,
        }
    }

    /// Whether this one does without `layer`. What was applied to the route itself may be skipped
    /// too, so that a group's middleware can be.
    fn skips(&self, layer: &Layer) -> bool {
        let is_meant = |skipped: &Skipped| match skipped {
            Skipped::All => true,
            Skipped::Kind(kind) => *kind == layer.kind,
            Skipped::Name(name) => layer.name.as_ref() == Some(name),
        };
        !layer.is_hooks && self.skipped.iter().any(is_meant)
    }
}
