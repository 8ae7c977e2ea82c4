//! What is known of an application's routes: data, without the handlers.
//!
//! A [`Request`](crate::Request) refers to it, so that handlers and middleware see which route they
//! serve, what is set for it, and what the application shares.
//!
//! What must stay true: nothing here knows a request. An application hands one [`AppInfo`] to all of
//! its requests by reference count, and a request costs no more than that.

pub(crate) mod rule;
mod values;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use rustc_hash::FxHashMap;

use self::rule::Rule;
pub(crate) use self::values::Values;

/// A route of an [`App`](crate::App) as requests see it: its rule, its name, and what is set for it.
///
/// ```
/// use greenway_app::{App, Next, Request, Response, testing::Client};
///
/// struct Public;
///
/// fn door(request: Request, next: Next<'_>) -> Response {
///     let public = request.route().is_some_and(|route| route.setting::<Public>().is_some());
///     if public || request.header("authorization").is_some() {
///         return next.run(request);
///     }
///     Response::new("who are you?").with_status(401)
/// }
///
/// let mut app = App::new();
/// app.install(door);
/// app.get("/", |_: Request| "welcome").set(Public);
/// app.get("/secret", |_: Request| "42");
///
/// let client = Client::new(app);
/// assert_eq!(client.get("/").send().text(), "welcome");
/// assert_eq!(client.get("/secret").send().status(), 401);
/// ```
#[derive(Clone)]
pub struct Route {
    pub(crate) rule: Arc<Rule>,
    /// Empty for all methods.
    pub(crate) methods: Vec<Method>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) body_limit: Option<u64>,
    pub(crate) settings: Values,
}

impl Route {
    pub(crate) fn new(rule: Arc<Rule>, methods: Vec<Method>) -> Self {
        Self {
            rule,
            methods,
            name: None,
            timeout: None,
            body_limit: None,
            settings: Values::default(),
        }
    }

    /// The rule as it was registered: `"/hello/<name>"`.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.rule.text()
    }

    /// The rule, for whoever keeps it longer than the request.
    #[must_use]
    pub fn shared_rule(&self) -> &Arc<str> {
        self.rule.shared_text()
    }

    /// The name that was given to it, for [`Request::url_for`](crate::Request::url_for).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The methods that it was registered for; empty if it serves all of them.
    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// How long its handler may take, if it is not what holds for all.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The most bytes that a request body may have here, if it is not what holds for all.
    #[must_use]
    pub fn body_limit(&self) -> Option<u64> {
        self.body_limit
    }

    /// What was [`set`](crate::RouteBuilder::set) for it, by its type: for middleware that is to
    /// treat one route unlike others.
    #[must_use]
    pub fn setting<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.settings.get()
    }
}

impl fmt::Display for Route {
    /// The rule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule())
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.methods.is_empty() {
            f.write_str("ANY")?;
        }
        for (at, method) in self.methods.iter().enumerate() {
            write!(f, "{}{method}", if at == 0 { "" } else { "," })?;
        }
        write!(f, " {}", self.rule())
    }
}

/// What the requests of an application know of it.
#[derive(Clone, Default)]
pub(crate) struct AppInfo {
    pub(crate) routes: Vec<Route>,
    /// Places of routes by their names.
    pub(crate) names: FxHashMap<Arc<str>, usize>,
    /// What [`App::share`](crate::App::share) was given.
    pub(crate) shared: Values,
    /// What [`App::debug`](crate::App::debug) was given.
    pub(crate) debug: bool,
}

impl AppInfo {
    /// The path of a named route with these values; `None` if no route has this name.
    pub(crate) fn url(
        &self,
        name: &str,
        values: &[(&str, &dyn fmt::Display)],
    ) -> Option<Result<String, UrlError>> {
        let route = &self.routes[*self.names.get(name)?];
        let url = route.rule.url(values);
        Some(
            url.map_err(|problem| {
                UrlError(format!("route \"{route}\", named {name:?}: {problem}"))
            }),
        )
    }
}

/// Why there is no URL for a route: nothing has the name, a wildcard has no value, or one that it
/// could not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError(String);

impl UrlError {
    pub(crate) fn unknown(name: &str) -> Self {
        Self(format!("no route is named {name:?}"))
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UrlError {}
