//! What an application has around all of its routes: middleware and hooks.

use std::any::TypeId;
use std::sync::Arc;

use super::App;
use super::middleware::{Layer, Next, Skipped};
use crate::{IntoResponse, Middleware, Request, Response, catch_abort};

impl App {
    /// A middleware for all routes, those that are there and those that will be, and for the
    /// requests that no route wants. The first installed is the outermost; [`Middleware`] has the
    /// whole order. A route can do without it ([`skip`](crate::RouteBuilder::skip)).
    pub fn install<M: Middleware>(&mut self, middleware: M) -> &mut Self {
        self.installed.push(Layer::new(None, middleware));
        self
    }

    /// As [`install`](App::install), with a name by which a route can do without it
    /// ([`skip_named`](crate::RouteBuilder::skip_named)): closures have types that nobody can
    /// write.
    pub fn install_named<M: Middleware>(&mut self, name: &str, middleware: M) -> &mut Self {
        self.installed.push(Layer::new(Some(name), middleware));
        self
    }

    /// Takes the middleware of this type away again, wherever it was installed in this application.
    pub fn uninstall<M: Middleware>(&mut self) -> &mut Self {
        self.installed
            .retain(|layer| layer.kind() != TypeId::of::<M>());
        self
    }

    /// Lets all routes of a [group](App::group), or of an application that is
    /// [merged](App::merge) into another one, do without the middleware of this type, whoever has
    /// installed it: as [`RouteBuilder::skip`](crate::RouteBuilder::skip) for each of them.
    ///
    /// ```
    /// use greenway_app::{App, Next, Request, Response, testing::Client};
    ///
    /// struct Closed;
    ///
    /// impl greenway_app::Middleware for Closed {
    ///     fn call(&self, _: Request, _: Next<'_>) -> Response {
    ///         Response::new("closed").with_status(403)
    ///     }
    /// }
    ///
    /// let mut app = App::new();
    /// app.install(Closed).get("/", |_: Request| "home");
    /// app.group("/api", |api| {
    ///     api.skip::<Closed>();
    ///     api.get("/", |_: Request| "open");
    /// });
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/").send().status(), 403);
    /// assert_eq!(client.get("/api/").send().text(), "open");
    /// ```
    ///
    /// An application that is served or mounted by itself has nobody's middleware to do without.
    pub fn skip<M: Middleware>(&mut self) -> &mut Self {
        self.skipped.push(Skipped::Kind(TypeId::of::<M>()));
        self
    }

    /// As [`skip`](App::skip), for what was [installed with this name](App::install_named).
    pub fn skip_named(&mut self, name: &str) -> &mut Self {
        self.skipped.push(Skipped::Name(name.into()));
        self
    }

    /// Something to be done with each request before it is routed: Bottle's hook
    /// `before_request`. Hooks are called in the order of their definition, before any middleware.
    /// One that refuses the request calls [`abort`](crate::abort).
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// #[derive(Clone)]
    /// struct Id(u32);
    ///
    /// let mut app = App::new();
    /// app.before_request(|request| {
    ///     request.extensions_mut().insert(Id(7));
    /// });
    /// app.get("/", |request: Request| request.extensions().get::<Id>().unwrap().0.to_string());
    /// assert_eq!(Client::new(app).get("/").send().text(), "7");
    /// ```
    pub fn before_request<F>(&mut self, hook: F) -> &mut Self
    where
        F: Fn(&mut Request) + Send + Sync + 'static,
    {
        self.before.push(Arc::new(hook));
        self
    }

    /// Something to be done with each response, whoever made it, before it is sent: Bottle's hook
    /// `after_request`. Hooks are called in reverse, as in Bottle: the first that was defined is the
    /// last to see the response. All middleware is done, and the body has not been sent by then.
    ///
    /// ```
    /// use greenway_app::{App, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.after_request(|response| {
    ///     response.headers_mut().insert("x-served-by", "me".parse().unwrap());
    /// });
    /// assert_eq!(Client::new(app).get("/none").send().header("x-served-by"), Some("me"));
    /// ```
    pub fn after_request<F>(&mut self, hook: F) -> &mut Self
    where
        F: Fn(&mut Response) + Send + Sync + 'static,
    {
        self.after.push(Arc::new(hook));
        self
    }

    /// Whether nothing is around the routes.
    pub(super) fn is_plain(&self) -> bool {
        self.installed.is_empty()
            && self.before.is_empty()
            && self.after.is_empty()
            && self.hosts.is_empty()
    }

    /// Answers with all that is around.
    #[inline(never)] // applications without any of this keep no stack for it
    pub(super) fn call_around(&self, mut request: Request) -> Response {
        request.enter(&self.info);
        let result = catch_abort(|| {
            for hook in &self.before {
                hook(&mut request);
            }
        });
        let mut response = match result {
            Ok(()) => {
                let host = self.host_of(&request);
                let endpoint = host.or_else(|| self.matched(&mut request));
                Next::new(self, endpoint).run(request)
            }
            Err(error) => error.into_response(),
        };
        match catch_abort(|| self.after.iter().rev().for_each(|hook| hook(&mut response))) {
            Ok(()) => response,
            Err(error) => error.into_response(),
        }
    }
}
