//! What an application has around all of its routes: middleware, hooks, groups.

use std::any::TypeId;
use std::sync::Arc;

use super::middleware::{Layer, Next};
use super::{AfterRequest, App, BeforeRequest};
use crate::{IntoResponse, Middleware, Request, Response, catch_abort};

impl App {
    /// A middleware for all routes, those that are there and those that will be, and for the
    /// requests that no route wants. The first installed is the outermost; [`Middleware`] has the
    /// whole order. A route can do without it ([`skip`](crate::RouteBuilder::skip)).
    pub fn install<M: Middleware>(&mut self, middleware: M) -> &mut Self {
        self.install_named("", middleware)
    }

    /// As [`install`](App::install), with a name by which a route can do without it
    /// ([`skip_named`](crate::RouteBuilder::skip_named)): closures have types that nobody can
    /// write.
    pub fn install_named<M: Middleware>(&mut self, name: &str, middleware: M) -> &mut Self {
        self.installed.push(Layer::new(name, middleware));
        self
    }

    /// Takes the middleware of this type away again, wherever it was installed in this application.
    pub fn uninstall<M: Middleware>(&mut self) -> &mut Self {
        self.installed
            .retain(|layer| layer.kind() != TypeId::of::<M>());
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

    /// Routes that have something in common: how their rules start, and middleware. What the
    /// closure does with its application, it does for the group: its rules are put behind the
    /// prefix (which may have wildcards), its [middleware](App::install) and hooks are for these
    /// routes alone, further in than those of the application.
    ///
    /// ```
    /// use greenway_app::{App, Next, Request, Response, testing::Client};
    ///
    /// fn admins_only(request: Request, next: Next<'_>) -> Response {
    ///     match request.header("x-admin") {
    ///         Some(_) => next.run(request),
    ///         None => Response::new("no").with_status(403),
    ///     }
    /// }
    ///
    /// let mut app = App::new();
    /// app.get("/", |_: Request| "home");
    /// app.group("/admin", |admin| {
    ///     admin.install(admins_only);
    ///     admin.get("", |_: Request| "dashboard");
    ///     admin.get("/users/<id:int>", |_: Request| "a user");
    /// });
    ///
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/").send().text(), "home");
    /// assert_eq!(client.get("/admin").send().status(), 403);
    /// assert_eq!(client.get("/admin/users/1").header("x-admin", "1").send().text(), "a user");
    /// ```
    ///
    /// # Panics
    ///
    /// When the prefix is neither empty nor starts with a slash, and as all that add routes: see
    /// [`App`](App#panics).
    pub fn group(&mut self, prefix: &str, define: impl FnOnce(&mut App)) -> &mut Self {
        assert!(
            prefix.is_empty() || prefix.starts_with('/'),
            "group \"{prefix}\": the prefix must start with a slash"
        );
        let mut group = App {
            prefix: format!("{}{}", self.prefix, prefix.trim_end_matches('/')),
            ..App::new()
        };
        define(&mut group);
        self.absorb(group);
        self
    }

    /// Takes the routes of `other` over, with what is around them.
    fn absorb(&mut self, other: App) {
        let mut around = Vec::new();
        if !other.before.is_empty() || !other.after.is_empty() {
            let hooks = Hooks {
                before: other.before,
                after: other.after,
            };
            around.push(Layer::new("", hooks));
        }
        around.extend(other.installed);
        self.info_mut().shared.add_missing(&other.info.shared);
        for (route, mut endpoint) in other.info.routes.iter().zip(other.endpoints) {
            endpoint.layers.splice(0..0, around.iter().cloned());
            self.put_in(route.clone(), endpoint);
        }
    }

    /// Whether nothing is around the routes.
    pub(super) fn is_plain(&self) -> bool {
        self.installed.is_empty() && self.before.is_empty() && self.after.is_empty()
    }

    /// Answers with all that is around.
    #[inline(never)] // applications without any of this keep no stack for it
    pub(super) fn call_around(&self, mut request: Request) -> Response {
        let result = catch_abort(|| {
            for hook in &self.before {
                hook(&mut request);
            }
        });
        let mut response = match result {
            Ok(()) => {
                let endpoint = self.matched(&mut request);
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

/// The hooks of a group, which has become part of an application: they are called after the request
/// was routed, since before that it is not known to be for the group.
struct Hooks {
    before: Vec<BeforeRequest>,
    after: Vec<AfterRequest>,
}

impl Middleware for Hooks {
    fn call(&self, mut request: Request, next: Next<'_>) -> Response {
        for hook in &self.before {
            hook(&mut request);
        }
        let mut response = next.run(request);
        for hook in self.after.iter().rev() {
            hook(&mut response);
        }
        response
    }
}
