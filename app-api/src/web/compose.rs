//! Applications made of others: groups, merged ones, mounted ones, one for each host.

use std::any::Any;
use std::fmt::Display;
use std::sync::Arc;

use super::middleware::{Endpoint, Layer, Next};
use super::{AfterRequest, App, BeforeRequest, refuse};
use crate::route::Route;
use crate::route::rule::Rule;
use crate::{Application, HttpError, Middleware, Request, Response, RouteBuilder, UrlError};

impl App {
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
            filters: self.filters.clone(),
            ..App::new()
        };
        define(&mut group);
        self.absorb(group);
        self
    }

    /// Takes the routes of another application over, as if they had been defined here: with their
    /// names, settings and error pages, and with the middleware and hooks that were around all of them, now
    /// further in than those of this application.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// fn pages() -> App {
    ///     let mut app = App::new();
    ///     app.get("/about", |_: Request| "about");
    ///     app
    /// }
    ///
    /// let mut app = App::new();
    /// app.merge(pages());
    /// assert_eq!(Client::new(app).get("/about").send().text(), "about");
    /// ```
    ///
    /// # Panics
    ///
    /// When both have a route for the same rule and method, or two routes the same name.
    pub fn merge(&mut self, other: App) -> &mut Self {
        if self.prefix.is_empty() {
            self.absorb(other);
            return self;
        }
        // In a group the rules get its prefix, which they were not written with.
        let mut moved = App {
            prefix: self.prefix.clone(),
            filters: other.filters.clone(),
            ..App::new()
        };
        for (route, endpoint) in other.info.routes.iter().zip(other.endpoints) {
            moved.put_moved(route, endpoint);
        }
        moved.info_mut().shared.add_missing(&other.info.shared);
        moved.info_mut().debug = other.info.debug;
        moved.installed = other.installed;
        moved.before = other.before;
        moved.after = other.after;
        moved.hosts = other.hosts;
        moved.skipped = other.skipped;
        moved.errors = other.errors;
        self.absorb(moved);
        self
    }

    /// Adds a route of another application behind the prefix of this one.
    fn put_moved(&mut self, route: &Route, mut endpoint: Endpoint) {
        let moved = |rule: &Rule| format!("{}{}", self.prefix, rule.text());
        let text = moved(&route.rule);
        let rule =
            Rule::parse(&text, &self.filters).unwrap_or_else(|problem| refuse(&text, &problem));
        endpoint.below = endpoint
            .below
            .map(|below| Arc::new(Rule::below(&moved(&below))));
        let route = Route {
            rule: Arc::new(rule),
            ..route.clone()
        };
        self.put_in(route, endpoint);
    }

    /// Takes the routes of `other` over, whose rules are whole, with what is around them.
    fn absorb(&mut self, other: App) {
        let mut around = Vec::new();
        if !other.before.is_empty() || !other.after.is_empty() {
            let hooks = Hooks {
                before: other.before,
                after: other.after,
            };
            around.push(Layer::hooks(hooks));
        }
        around.extend(other.installed);
        let skipped = other.skipped;
        self.info_mut().shared.add_missing(&other.info.shared);
        self.errors.add_missing(other.errors);
        self.info_mut().debug |= other.info.debug;
        for (route, mut endpoint) in other.info.routes.iter().zip(other.endpoints) {
            endpoint.layers.splice(0..0, around.iter().cloned());
            endpoint.skipped.extend(skipped.iter().cloned());
            self.put_in(route.clone(), endpoint);
        }
        for (host, mut endpoint) in other.hosts {
            endpoint.layers.splice(0..0, around.iter().cloned());
            self.hosts.push((host, endpoint));
        }
    }

    /// Gives all below a prefix to another application, as WSGI does: the prefix moves from the
    /// front of the path ([`Request::path`], `PATH_INFO`) to the end of
    /// [`Request::script_name`] (`SCRIPT_NAME`). The prefix alone, without a slash, is below it as
    /// well: there the path is empty, which an [`App`] takes for `/`.
    ///
    /// The other one may be any [`Application`]. It has routes, middleware and answers of its own, also
    /// for what it does not know; shared values and names of routes that it lacks are those of this
    /// one. Methods for the same path that are
    /// routed here come first; otherwise the order is that of definition, as with rules that have
    /// wildcards. Mounted at `""` or `"/"`, it gets all that nothing else wants.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.mount("/echo", |request: Request| format!("{} {}", request.script_name(), request.path()));
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/echo/a/b").send().text(), "/echo /a/b");
    /// assert_eq!(client.get("/echo").send().text(), "/echo ");
    /// assert_eq!(client.get("/echoes").send().status(), 404);
    /// ```
    ///
    /// # Panics
    ///
    /// When the prefix does not start with a slash, holds a wildcard, or something is mounted there
    /// already.
    pub fn mount(&mut self, prefix: &str, app: impl Application) -> RouteBuilder<'_> {
        let text = format!("{}{prefix}", self.prefix);
        let prefix = text.trim_end_matches('/');
        let parsed = Rule::parse(&format!("{prefix}/"), &self.filters);
        if let Err(problem) = &parsed {
            refuse(&text, problem);
        }
        if parsed.is_ok_and(|rule| !rule.is_static()) {
            refuse(&text, "a prefix to mount at has no wildcards");
        }
        let below = Arc::new(Rule::below(&format!("{prefix}/")));
        let alone = if prefix.is_empty() {
            Arc::clone(&below)
        } else {
            // It was one with a slash behind it.
            Arc::new(Rule::parse(prefix, &self.filters).unwrap_or_else(|why| refuse(&text, &why)))
        };
        let endpoint = Endpoint {
            below: (!prefix.is_empty()).then_some(below),
            ..Endpoint::new(Arc::new(Mounted(app)))
        };
        let at = self.put_in(Route::new(alone, Vec::new()), endpoint);
        RouteBuilder::new(self, at)
    }

    /// Gives all requests for a host to another application, before any route is looked at: for
    /// `api.example.org`, or all below a domain: `*.example.org`. The port does not count, nor does
    /// case. The first pattern that fits is taken. What is installed and hooked here is around it.
    ///
    /// Who asks says which host is meant: this is for telling pages apart, not for keeping secrets.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// let mut api = App::new();
    /// api.get("/", |_: Request| "api");
    /// let mut app = App::new();
    /// app.get("/", |_: Request| "home").host("api.example.org", api);
    ///
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/").header("host", "API.example.org:8000").send().text(), "api");
    /// assert_eq!(client.get("/").send().text(), "home");
    /// ```
    ///
    /// # Panics
    ///
    /// When the pattern is empty, or has a slash, a colon, or a star elsewhere than in front.
    pub fn host(&mut self, pattern: &str, app: impl Application) -> &mut Self {
        let name = pattern.strip_prefix('*').unwrap_or(pattern);
        let wild = name.len() < pattern.len();
        assert!(
            !name.is_empty() && !name.contains(['/', ':', '*']) && wild == name.starts_with('.'),
            "host {pattern:?}: write a name without port, or `*.` and a domain"
        );
        let pattern = pattern.to_ascii_lowercase().into();
        self.hosts.push((pattern, Endpoint::new(Arc::new(app))));
        self
    }

    /// Who is there for the host of a request.
    pub(super) fn host_of(&self, request: &Request) -> Option<&Endpoint> {
        if self.hosts.is_empty() {
            return None;
        }
        let host = request.host()?.to_ascii_lowercase();
        // Addresses in brackets have colons within, and no pattern is like them.
        let name = host
            .split(':')
            .next()
            .unwrap_or_default()
            .trim_end_matches('.');
        let fits = |pattern: &str| match pattern.strip_prefix('*') {
            Some(domain) => name.len() > domain.len() && name.ends_with(domain),
            None => name == pattern,
        };
        let mut hosts = self.hosts.iter();
        hosts
            .find(|(pattern, _)| fits(pattern))
            .map(|(_, endpoint)| endpoint)
    }

    /// Shares a value with all handlers: [`Request::state`] gives it by its type, so a second one
    /// of the same type takes the place of the first. It is there for all of them at once, on
    /// whatever threads they run.
    pub fn share<T: Any + Send + Sync>(&mut self, value: T) -> &mut Self {
        self.info_mut().shared.insert(value);
        self
    }

    /// A filter of the program's own, for the rules that come after it: whether a text is one of
    /// those that the wildcard is to match. The text is a whole segment, or what the rule's fixed
    /// text leaves of it, decoded and never empty. It may be asked of any text that a client sends.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.filter("hex", |text| text.bytes().all(|b| b.is_ascii_hexdigit()));
    /// app.get("/commit/<id:hex>", |request: Request| request.param("id").to_owned());
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/commit/c0ffee").send().text(), "c0ffee");
    /// assert_eq!(client.get("/commit/tea").send().status(), 404);
    /// ```
    ///
    /// # Panics
    ///
    /// When the name is taken, by a filter of Greenway's or another one.
    pub fn filter<F>(&mut self, name: &str, accepts: F) -> &mut Self
    where
        F: Fn(&str) -> bool + Send + Sync + 'static,
    {
        let ours = ["str", "int", "float", "path", "re"].contains(&name);
        let before = self.filters.insert(name.into(), Arc::new(accepts));
        assert!(
            !ours && before.is_none(),
            "the filter `{name}` is there already"
        );
        self
    }

    /// The path of the route with this [name](RouteBuilder::name) within this application; see
    /// [`Request::url_for`], which knows where it is mounted.
    ///
    /// # Errors
    ///
    /// As [`Request::try_url_for`].
    pub fn url_for(&self, name: &str, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        let url = self.info.url(name, values);
        url.unwrap_or_else(|| Err(UrlError::unknown(name)))
    }
}

/// An application below the prefix that is its route's rule.
struct Mounted<A>(A);

impl<A: Application> Application for Mounted<A> {
    fn call(&self, request: Request) -> Response {
        self.0.call(shifted(request))
    }

    fn answer_error(&self, request: &Request, error: &HttpError) -> Option<Response> {
        self.0.answer_error(&shifted(request.head_only()), error)
    }

    fn unrouted(&self, request: &Request) -> Option<Response> {
        self.0.unrouted(&shifted(request.head_only()))
    }
}

/// A request as the application below its route's prefix sees it.
fn shifted(mut request: Request) -> Request {
    let rule = request.route().map_or("", Route::rule);
    let prefix = rule.trim_end_matches('/').len();
    request.shift(prefix);
    request
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
