//! Headers that tell browsers to be careful.

use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use super::random_id;
use crate::{Middleware, Next, Request, Response};

/// Where a policy has the nonce of the request.
const NONCE: &str = "{nonce}";

/// Sets headers that make browsers take fewer risks. A header that a handler has set stays.
///
/// | header | default | why |
/// |---|---|---|
/// | X-Content-Type-Options | `nosniff` | an upload that is called text is not run as a script |
/// | X-Frame-Options | `SAMEORIGIN` ([`frames`](SecurityHeaders::frames)) | no other site puts pages into invisible frames (clickjacking) |
/// | Referrer-Policy | `strict-origin-when-cross-origin` ([`referrer`](SecurityHeaders::referrer)) | other sites do not learn paths and queries |
/// | Cross-Origin-Opener-Policy | `same-origin` ([`opener`](SecurityHeaders::opener)) | pages that open this one, or are opened by it, have no hold on it |
/// | Strict-Transport-Security | none ([`hsts`](SecurityHeaders::hsts)) | browsers keep to it for as long as it says, whatever happens to the certificate |
/// | Content-Security-Policy | none ([`csp`](SecurityHeaders::csp)) | what it may forbid, only the application knows |
///
/// ```
/// use greenway_app::{App, Html, Request, middleware::SecurityHeaders, testing::Client};
///
/// let mut app = App::new();
/// app.install(SecurityHeaders::new().csp("default-src 'self'; script-src 'nonce-{nonce}'"));
/// app.get("/", |request: Request| {
///     let nonce = request.csp_nonce().unwrap_or_default();
///     Html(format!("<script nonce={nonce}>alert('hi')</script>"))
/// });
/// let reply = Client::new(app).get("/").send();
/// assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
/// ```
#[derive(Debug, Clone)]
pub struct SecurityHeaders {
    fixed: Vec<(HeaderName, HeaderValue)>,
    hsts: Option<HeaderValue>,
    /// The parts of the policy between which the nonce stands; empty without a policy.
    csp: Vec<String>,
    csp_name: HeaderName,
}

/// What is in the extensions of a request.
#[derive(Clone)]
struct Nonce(Box<str>);

impl Default for SecurityHeaders {
    fn default() -> Self {
        Self::new()
    }
}

impl SecurityHeaders {
    /// With the defaults.
    #[must_use]
    pub fn new() -> Self {
        let fixed = [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
            (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
        ];
        Self {
            fixed: fixed
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .into(),
            hsts: None,
            csp: Vec::new(),
            csp_name: header::CONTENT_SECURITY_POLICY,
        }
    }

    /// X-Frame-Options: `DENY`, `SAMEORIGIN`, or `None` for pages that others may frame.
    ///
    /// # Panics
    ///
    /// As [`set`](SecurityHeaders::set).
    #[must_use]
    pub fn frames(self, value: Option<&str>) -> Self {
        self.set("x-frame-options", value)
    }

    /// Referrer-Policy; `None` for the browser's own.
    ///
    /// # Panics
    ///
    /// As [`set`](SecurityHeaders::set).
    #[must_use]
    pub fn referrer(self, value: Option<&str>) -> Self {
        self.set("referrer-policy", value)
    }

    /// Cross-Origin-Opener-Policy: `same-origin-allow-popups` where a page opens one of a
    /// different site that has to answer it (logins, payments).
    ///
    /// # Panics
    ///
    /// As [`set`](SecurityHeaders::set).
    #[must_use]
    pub fn opener(self, value: Option<&str>) -> Self {
        self.set("cross-origin-opener-policy", value)
    }

    /// Any other header, such as `Permissions-Policy`, or none of that name.
    ///
    /// # Panics
    ///
    /// When name or value cannot stand in a header.
    #[must_use]
    pub fn set(mut self, name: &str, value: Option<&str>) -> Self {
        let value = value.unwrap_or_default();
        let (name, value) = match crate::header::checked_header(name, value) {
            Ok(header) => header,
            Err(problem) => panic!("SecurityHeaders: {problem}"),
        };
        self.fixed.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.fixed.push((name, value));
        }
        self
    }

    /// Strict-Transport-Security: browsers use https alone with this host and, if `subdomains`, all
    /// below it, for so long (whole seconds) after each visit. It is sent over https only, as
    /// browsers demand; behind a proxy that is what a trusted one says. There is no way back before
    /// the time is over, so begin with minutes; two years are usual in the end.
    #[must_use]
    pub fn hsts(mut self, age: Duration, subdomains: bool) -> Self {
        let rest = if subdomains {
            "; includeSubDomains"
        } else {
            ""
        };
        let value = format!("max-age={}{rest}", age.as_secs());
        self.hsts = HeaderValue::try_from(value).ok();
        self
    }

    /// Content-Security-Policy. `{nonce}` in it stands for a number that is another one for each
    /// request, and that handlers are told ([`Request::csp_nonce`]): scripts that carry it are run.
    /// A page with a nonce must not be kept by caches.
    ///
    /// # Panics
    ///
    /// When the policy cannot stand in a header.
    #[must_use]
    pub fn csp(mut self, policy: &str) -> Self {
        assert!(
            HeaderValue::try_from(policy).is_ok(),
            "SecurityHeaders::csp: {policy:?} cannot stand in a header"
        );
        self.csp = policy.split(NONCE).map(str::to_owned).collect();
        self
    }

    /// Sends the [policy](SecurityHeaders::csp) for trial: browsers report what it would forbid, and
    /// forbid nothing (Content-Security-Policy-Report-Only).
    #[must_use]
    pub fn csp_report_only(mut self) -> Self {
        self.csp_name = header::CONTENT_SECURITY_POLICY_REPORT_ONLY;
        self
    }
}

impl Request {
    /// The nonce for inline scripts and styles that [`SecurityHeaders::csp`] has made; `None`
    /// without one.
    #[must_use]
    pub fn csp_nonce(&self) -> Option<&str> {
        Some(&self.extensions().get::<Nonce>()?.0)
    }
}

impl Middleware for SecurityHeaders {
    fn call(&self, mut request: Request, next: Next<'_>) -> Response {
        let secure = request.scheme() == "https";
        let mut csp = None;
        if !self.csp.is_empty() {
            // Without random numbers there is no nonce, and its scripts are not run.
            let nonce = (self.csp.len() > 1).then(|| random_id().unwrap_or_default());
            csp = Some(self.csp.join(nonce.as_deref().unwrap_or_default()));
            if let Some(nonce) = nonce.filter(|nonce| !nonce.is_empty()) {
                request.extensions_mut().insert(Nonce(nonce.into()));
            }
        }
        let mut response = next.run(request);
        let headers = response.headers_mut();
        for (name, value) in &self.fixed {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if let Some(value) = self.hsts.as_ref().filter(|_| secure) {
            let entry = headers.entry(header::STRICT_TRANSPORT_SECURITY);
            entry.or_insert_with(|| value.clone());
        }
        if let Some(value) = csp.and_then(|policy| HeaderValue::try_from(policy).ok()) {
            headers.entry(&self.csp_name).or_insert(value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;
    use crate::{App, ConnectionInfo};

    fn client(with: SecurityHeaders) -> Client {
        let mut app = App::new();
        app.install(with);
        app.get("/", |request: Request| {
            request.csp_nonce().unwrap_or_default().to_owned()
        });
        app.get("/own", |_: Request| {
            let own = Response::new("").with_header("x-frame-options", "DENY");
            own.with_header("content-security-policy", "default-src 'none'")
        });
        Client::new(app)
    }

    #[test]
    fn defaults() {
        let client = client(SecurityHeaders::new());
        for path in ["/", "/none"] {
            let reply = client.get(path).send();
            for (name, value) in [
                ("x-content-type-options", Some("nosniff")),
                ("x-frame-options", Some("SAMEORIGIN")),
                ("referrer-policy", Some("strict-origin-when-cross-origin")),
                ("cross-origin-opener-policy", Some("same-origin")),
                ("strict-transport-security", None),
                ("content-security-policy", None),
            ] {
                assert_eq!(reply.header(name), value, "{name}");
            }
        }
    }

    #[test]
    fn the_handler_has_the_last_word() {
        let client = client(SecurityHeaders::new().csp("default-src 'self'"));
        let reply = client.get("/own").send();
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        assert_eq!(
            reply.header("content-security-policy"),
            Some("default-src 'none'")
        );
    }

    #[test]
    fn headers_can_be_set_and_left_out() {
        let with = SecurityHeaders::new()
            .frames(None)
            .referrer(Some("no-referrer"));
        let with = with
            .opener(None)
            .set("permissions-policy", Some("camera=()"));
        let reply = client(with).get("/").send();
        assert_eq!(reply.header("x-frame-options"), None);
        assert_eq!(reply.header("cross-origin-opener-policy"), None);
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("permissions-policy"), Some("camera=()"));
    }

    #[test]
    fn hsts_is_for_https() {
        let with = SecurityHeaders::new().hsts(Duration::from_secs(300), true);
        let plain = client(with.clone());
        assert_eq!(
            plain.get("/").send().header("strict-transport-security"),
            None
        );
        let secure = plain.with_connection(ConnectionInfo::default().with_scheme("https"));
        let reply = secure.get("/").send();
        let value = reply.header("strict-transport-security");
        assert_eq!(value, Some("max-age=300; includeSubDomains"));
    }

    #[test]
    fn each_request_has_its_nonce() {
        let policy = "script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'";
        let client = client(SecurityHeaders::new().csp(policy));
        let [a, b] = [client.get("/").send(), client.get("/").send()];
        assert_ne!(a.text(), b.text());
        assert_eq!(a.text().len(), 32);
        let expected = policy.replace("{nonce}", &a.text());
        assert_eq!(a.header("content-security-policy"), Some(&*expected));

        let trial = SecurityHeaders::new()
            .csp("default-src 'self'")
            .csp_report_only();
        let mut app = App::new();
        app.install(trial).get("/", |request: Request| {
            assert!(request.csp_nonce().is_none());
        });
        let reply = Client::new(app).get("/").send();
        let value = reply.header("content-security-policy-report-only");
        assert_eq!(value, Some("default-src 'self'"));
    }

    #[test]
    #[should_panic(expected = "cannot stand in a header")]
    fn a_policy_with_line_ends() {
        let _ = SecurityHeaders::new().csp("default-src\r\n'self'");
    }
}
