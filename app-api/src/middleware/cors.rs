//! Pages of other origins: the CORS protocol of the Fetch standard
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! What must stay true: no origin is allowed that was not named; credentials never go with "any
//! origin"; and a response that differs by origin says so to caches.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::vary;
use crate::semantics::elements;
use crate::{HttpError, IntoResponse, Middleware, Next, Request, Response};

/// Lets pages of other origins use the application from the browser.
///
/// | | default | setting |
/// |---|---|---|
/// | origins | none | [`origin`](Cors::origin), [`any_origin`](Cors::any_origin), [`origins_by`](Cors::origins_by) |
/// | credentials (cookies, passwords) | no | [`credentials`](Cors::credentials) |
/// | methods | GET, HEAD, POST, PUT, PATCH, DELETE | [`methods`](Cors::methods) |
/// | request headers | Content-Type, and what needs no permission | [`allow_headers`](Cors::allow_headers) |
/// | response headers that scripts see | those that need no permission | [`expose_headers`](Cors::expose_headers) |
/// | how long a browser remembers | 10 minutes | [`max_age`](Cors::max_age) |
///
/// A browser asks before it sends what a form could not send (a *preflight*: OPTIONS with
/// Access-Control-Request-Method). It is answered here, before routes and the OPTIONS that
/// applications answer by themselves: 204, or 403 that tells what is not allowed. So it has to be
/// installed for the whole application (or for a mounted one), and outside of what asks for
/// passwords, which preflights never carry.
///
/// Without an origin on the list a request is served as ever, and the *browser* keeps the answer
/// from the page: CORS opens doors and closes none. What changes something needs protection
/// against forged requests all the same.
///
/// ```
/// use greenway_app::{App, Request, middleware::Cors, testing::Client};
///
/// let mut app = App::new();
/// app.install(Cors::new().origin("https://shop.example").credentials());
/// app.put("/cart", |_: Request| "saved");
///
/// let client = Client::new(app);
/// let preflight = client
///     .options("/cart")
///     .header("origin", "https://shop.example")
///     .header("access-control-request-method", "PUT")
///     .send();
/// assert_eq!(preflight.status(), 204);
/// assert_eq!(preflight.header("access-control-allow-origin"), Some("https://shop.example"));
/// ```
#[derive(Clone)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    methods: Vec<Method>,
    /// `None` for all that are asked for.
    headers: Option<Vec<HeaderName>>,
    exposed: Option<HeaderValue>,
    max_age: Duration,
}

#[derive(Clone)]
enum Origins {
    Any,
    Some(Vec<String>, Option<Rule>),
}

type Rule = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl Default for Cors {
    fn default() -> Self {
        Self::new()
    }
}

impl Cors {
    /// No origin is allowed yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origins: Origins::Some(Vec::new(), None),
            credentials: false,
            methods: vec![
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ],
            headers: Some(vec![header::CONTENT_TYPE]),
            exposed: None,
            max_age: Duration::from_secs(600),
        }
    }

    /// Allows an origin: scheme, host and port if it is not the scheme's, as browsers write it.
    ///
    /// # Panics
    ///
    /// When it has a path or a slash at its end, no scheme, or capital letters: no browser would
    /// ever send that.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        let rest = origin.split_once("://").map(|(_, host)| host);
        let is_one = origin == "null" || rest.is_some_and(|host| !host.is_empty());
        assert!(
            is_one
                && !rest.unwrap_or_default().contains(['/', '*', ' '])
                && !origin.contains(|c: char| c.is_ascii_uppercase()),
            "Cors::origin: {origin:?} is no origin such as \"https://shop.example:8443\""
        );
        match &mut self.origins {
            Origins::Some(list, _) => list.push(origin.to_owned()),
            Origins::Any => {}
        }
        self
    }

    /// Allows the origins for which this is true, besides those that are named. A test for the end
    /// of a name has to look for the dot: `evilshop.example` ends with `shop.example`.
    #[must_use]
    pub fn origins_by(mut self, rule: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        if let Origins::Some(_, old) = &mut self.origins {
            *old = Some(Arc::new(rule));
        }
        self
    }

    /// Allows all origins, without credentials: for what is public anyway.
    ///
    /// # Panics
    ///
    /// With [`credentials`](Cors::credentials): any site could act for its visitors then.
    #[must_use]
    pub fn any_origin(mut self) -> Self {
        self.origins = Origins::Any;
        self.checked()
    }

    /// Lets scripts send cookies and passwords along, and see the answers.
    ///
    /// # Panics
    ///
    /// With [`any_origin`](Cors::any_origin).
    #[must_use]
    pub fn credentials(mut self) -> Self {
        self.credentials = true;
        self.checked()
    }

    fn checked(self) -> Self {
        assert!(
            !(self.credentials && matches!(self.origins, Origins::Any)),
            "Cors: credentials for any origin would let every site act for its visitors; name the \
             origins, or use `origins_by`"
        );
        self
    }

    /// The methods that are allowed, instead of the default ones.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// The request headers that are allowed, instead of Content-Type.
    ///
    /// # Panics
    ///
    /// When one is no header name.
    #[must_use]
    pub fn allow_headers<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.headers = Some(names.into_iter().map(named).collect());
        self
    }

    /// Allows all request headers.
    #[must_use]
    pub fn any_header(mut self) -> Self {
        self.headers = None;
        self
    }

    /// The response headers that scripts may read, besides those that they always may.
    ///
    /// # Panics
    ///
    /// When one is no header name.
    #[must_use]
    pub fn expose_headers<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<_> = names.into_iter().map(named).collect();
        self.exposed = joined(names.iter().map(HeaderName::as_str));
        self
    }

    /// How long a browser may remember the answer to a preflight; whole seconds. Browsers have a
    /// bound of their own (two hours in Chromium).
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// What Access-Control-Allow-Origin is for the origin of a request, if it is allowed.
    fn allowed(&self, request: &Request) -> Option<HeaderValue> {
        let mut values = request.head().values("origin");
        let (Some(origin), None) = (values.next(), values.next()) else {
            return None;
        };
        match &self.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::Some(list, rule) => {
                let text = std::str::from_utf8(origin).ok()?;
                let named = list.iter().any(|known| known == text);
                let allowed = named || rule.as_ref().is_some_and(|rule| rule(text));
                allowed.then(|| HeaderValue::from_bytes(origin).ok())?
            }
        }
    }

    /// What all answers have, to be given to scripts.
    fn mark(&self, headers: &mut HeaderMap, origin: Option<HeaderValue>) {
        if matches!(self.origins, Origins::Some(..)) {
            vary(headers, "Origin");
        }
        let Some(origin) = origin else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }

    fn preflight(&self, request: &Request, method: &str) -> Response {
        let origin = self.allowed(request);
        let mut response = match (&origin, self.permits(request, method)) {
            (None, _) => HttpError::new(403, "the origin is not allowed").into_response(),
            (_, Err(refusal)) => refusal.into_response(),
            (Some(_), Ok(asked)) => {
                let mut response = Response::empty(StatusCode::NO_CONTENT);
                let headers = response.headers_mut();
                let mut add = |name, value: Option<HeaderValue>| {
                    value.map(|value| headers.insert(name, value));
                };
                let methods = joined(self.methods.iter().map(Method::as_str));
                add(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
                add(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
                let age = self.max_age.as_secs().into();
                add(header::ACCESS_CONTROL_MAX_AGE, Some(age));
                response
            }
        };
        let allowed = origin.filter(|_| response.status() == StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        self.mark(headers, allowed);
        vary(headers, "Access-Control-Request-Method");
        vary(headers, "Access-Control-Request-Headers");
        response
    }

    /// The request headers that are to be allowed, if this may be sent at all.
    fn permits(&self, request: &Request, method: &str) -> Result<Option<HeaderValue>, HttpError> {
        if !self.methods.iter().any(|known| known.as_str() == method) {
            return Err(HttpError::new(403, "the method is not allowed"));
        }
        let lines = request.head().values("access-control-request-headers");
        let names = lines.flat_map(elements).map(HeaderName::from_bytes);
        let names: Vec<_> = names
            .collect::<Result<_, _>>()
            .map_err(|_| HttpError::new(400, "Access-Control-Request-Headers has no names"))?;
        if let Some(allowed) = &self.headers
            && let Some(name) = names.iter().find(|name| !allowed.contains(name))
        {
            let message = format!("the header {name} is not allowed");
            return Err(HttpError::new(403, message));
        }
        Ok(joined(names.iter().map(HeaderName::as_str)))
    }
}

impl Middleware for Cors {
    fn call(&self, request: Request, next: Next<'_>) -> Response {
        if request.method() == Method::OPTIONS
            && request.header("origin").is_some()
            && let Some(method) = request.header("access-control-request-method")
        {
            return self.preflight(&request, method);
        }
        let origin = self.allowed(&request);
        let mut response = next.run(request);
        let headers = response.headers_mut();
        if let (Some(exposed), Some(_)) = (&self.exposed, &origin) {
            let name = header::ACCESS_CONTROL_EXPOSE_HEADERS;
            headers.insert(name, exposed.clone());
        }
        self.mark(headers, origin);
        response
    }
}

impl fmt::Debug for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Cors");
        match &self.origins {
            Origins::Any => out.field("origins", &"*"),
            Origins::Some(list, _) => out.field("origins", list),
        };
        out.field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

fn named(name: &str) -> HeaderName {
    match name.parse() {
        Ok(name) => name,
        Err(_) => panic!("Cors: {name:?} is no header name"),
    }
}

/// A list as a header; `None` without elements.
fn joined<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let list = names.collect::<Vec<_>>().join(", ");
    // Names and methods are tokens.
    HeaderValue::try_from(list)
        .ok()
        .filter(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::App;
    use crate::testing::{Client, Reply};

    const SHOP: &str = "https://shop.example";

    fn client(cors: Cors) -> Client {
        let mut app = App::new();
        app.install(cors);
        app.get("/", |_: Request| "home")
            .put("/", |_: Request| "put");
        Client::new(app)
    }

    fn preflight(client: &Client, origin: &str, method: &str, headers: &str) -> Reply {
        let mut ask = client
            .options("/")
            .header("origin", origin)
            .header("access-control-request-method", method);
        if !headers.is_empty() {
            ask = ask.header("access-control-request-headers", headers);
        }
        ask.send()
    }

    #[test]
    fn preflights_are_answered_before_the_automatic_options() {
        let client = client(Cors::new().origin(SHOP).allow_headers(["x-a", "X-B"]));
        let reply = preflight(&client, SHOP, "PUT", "x-b,X-A");
        assert_eq!(reply.status(), 204);
        for (name, value) in [
            ("access-control-allow-origin", Some(SHOP)),
            (
                "access-control-allow-methods",
                Some("GET, HEAD, POST, PUT, PATCH, DELETE"),
            ),
            ("access-control-allow-headers", Some("x-b, x-a")),
            ("access-control-max-age", Some("600")),
            ("access-control-allow-credentials", None),
            ("allow", None),
        ] {
            assert_eq!(reply.header(name), value, "{name}");
        }
        let vary: Vec<_> = reply.headers().get_all("vary").iter().collect();
        let expected = [
            "Origin",
            "Access-Control-Request-Method",
            "Access-Control-Request-Headers",
        ];
        assert_eq!(vary, expected);
        // OPTIONS of somebody else is what it was.
        let plain = client.options("/").header("origin", SHOP).send();
        assert_eq!(plain.header("allow"), Some("GET, HEAD, OPTIONS, PUT"));
        assert_eq!(plain.header("access-control-allow-origin"), Some(SHOP));
    }

    #[test]
    fn a_mounted_application_answers_its_own() {
        let mut api = App::new();
        api.install(Cors::new().origin(SHOP))
            .put("/", |_: Request| "put");
        let mut app = App::new();
        app.mount("/api", api).get("/", |_: Request| "home");
        let client = Client::new(app);
        let ask = |path| {
            let ask = client.options(path).header("origin", SHOP);
            ask.header("access-control-request-method", "PUT").send()
        };
        assert_eq!(
            ask("/api/").header("access-control-allow-origin"),
            Some(SHOP)
        );
        assert_eq!(ask("/").header("access-control-allow-origin"), None);
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        let client = client(Cors::new().origin(SHOP).methods([Method::PUT]));
        for (origin, method, headers, status, message) in [
            ("https://other.example", "PUT", "", 403, "origin"),
            ("http://shop.example", "PUT", "", 403, "origin"),
            ("https://shop.example:8443", "PUT", "", 403, "origin"),
            ("null", "PUT", "", 403, "origin"),
            (SHOP, "DELETE", "", 403, "method"),
            (SHOP, "put", "", 403, "method"),
            (SHOP, "PUT", "content-type, x-a", 403, "x-a"),
            (SHOP, "PUT", "a b", 400, "names"),
            (SHOP, "PUT", "content-type", 204, ""),
        ] {
            let reply = preflight(&client, origin, method, headers);
            assert_eq!(reply.status(), status, "{origin} {method} {headers}");
            assert!(reply.text().contains(message), "{}", reply.text());
            let allowed = reply.header("access-control-allow-origin");
            assert_eq!(allowed.is_some(), status == 204);
        }
    }

    #[test]
    fn answers_say_who_may_see_them() {
        let client = client(
            Cors::new()
                .origin(SHOP)
                .credentials()
                .expose_headers(["etag"]),
        );
        let reply = client.get("/").header("origin", SHOP).send();
        assert_eq!(reply.header("access-control-allow-origin"), Some(SHOP));
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(reply.header("access-control-expose-headers"), Some("etag"));
        assert_eq!(reply.header("vary"), Some("Origin"));

        let other = client
            .get("/")
            .header("origin", "https://other.example")
            .send();
        assert_eq!((other.status().as_u16(), &*other.text()), (200, "home"));
        let none = client.get("/").send();
        let two = client
            .get("/")
            .header("origin", SHOP)
            .header("origin", SHOP)
            .send();
        for reply in [other, none, two] {
            assert_eq!(reply.header("access-control-allow-origin"), None);
            assert_eq!(reply.header("access-control-allow-credentials"), None);
            assert_eq!(reply.header("vary"), Some("Origin"), "a cache has to know");
        }
        let error = client.get("/none").header("origin", SHOP).send();
        assert_eq!(error.status(), 404);
        assert_eq!(error.header("access-control-allow-origin"), Some(SHOP));
    }

    #[test]
    fn any_origin_needs_no_vary() {
        let client = client(Cors::new().any_origin().any_header());
        let reply = client.get("/").header("origin", "null").send();
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("vary"), None);
        let reply = preflight(&client, "null", "PUT", "x-any, authorization");
        let allowed = reply.header("access-control-allow-headers");
        assert_eq!(allowed, Some("x-any, authorization"));
    }

    #[test]
    fn origins_can_have_a_rule() {
        let rule = |origin: &str| origin.ends_with(".shop.example");
        let client = client(Cors::new().origin(SHOP).origins_by(rule));
        for (origin, allowed) in [
            (SHOP, true),
            ("https://eu.shop.example", true),
            ("https://evilshop.example", false),
        ] {
            let reply = client.get("/").header("origin", origin).send();
            let value = reply.header("access-control-allow-origin");
            assert_eq!(value, allowed.then_some(origin));
        }
    }

    #[test]
    #[should_panic(expected = "act for its visitors")]
    fn credentials_for_any_origin() {
        let _ = Cors::new().credentials().any_origin();
    }

    #[test]
    #[should_panic(expected = "is no origin")]
    fn an_origin_with_a_slash() {
        let _ = Cors::new().origin("https://shop.example/");
    }
}
