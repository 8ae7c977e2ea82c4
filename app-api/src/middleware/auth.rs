//! Passwords and tokens in the header Authorization.
//!
//! What must stay true: how long a comparison takes tells nothing of the secret but that it was not
//! the one; nothing of what a client has sent is repeated in the answer or the log.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use http::{HeaderValue, header};
use subtle::{Choice, ConstantTimeEq};

use crate::{HttpError, IntoResponse, Middleware, Next, Request, Response};

/// Who a request is from, as [`BasicAuth`] or [`BearerAuth`] has found out; it is in the request's
/// [extensions](Request::extensions), and [`Request::user`] gives its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(pub String);

impl Request {
    /// The name of the user that [`BasicAuth`], [`BearerAuth`] or a middleware of the application's
    /// own (with a [`User`] in the extensions) has found out; `None` without them.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        Some(&self.extensions().get::<User>()?.0)
    }
}

/// Asks for a name and a password (RFC 7617), which browsers do with a window of their own. Without
/// the right ones the answer is 401. There are no users by default.
///
/// Use it over https only: the password goes with every request. Where there are more than a few
/// users, [`checked_by`](BasicAuth::checked_by) asks a table of hashed passwords; hashing is made to
/// be slow, so do it where it holds up nobody, and remember the result for a while.
///
/// ```
/// use greenway_app::{App, Request, middleware::BasicAuth, testing::Client};
///
/// let mut app = App::new();
/// app.install(BasicAuth::new("staff").user("ada", "correct horse"));
/// app.get("/", |request: Request| format!("Hello {}", request.user().unwrap_or_default()));
///
/// let client = Client::new(app);
/// let reply = client.get("/").send();
/// assert_eq!(reply.status(), 401);
/// assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"staff\", charset=\"UTF-8\""));
/// let reply = client.get("/").header("authorization", "Basic YWRhOmNvcnJlY3QgaG9yc2U=").send();
/// assert_eq!(reply.text(), "Hello ada");
/// ```
#[derive(Clone)]
pub struct BasicAuth {
    challenge: HeaderValue,
    users: Vec<(String, String)>,
    rule: Option<PasswordRule>,
}

type PasswordRule = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

impl BasicAuth {
    /// For a realm: what browsers show, and by which they know where to send the password again.
    ///
    /// # Panics
    ///
    /// When it holds a quote, a backslash or something that is not printable ASCII.
    #[must_use]
    pub fn new(realm: &str) -> Self {
        Self {
            challenge: challenge("Basic", realm, ", charset=\"UTF-8\""),
            users: Vec::new(),
            rule: None,
        }
    }

    /// Lets a user in.
    ///
    /// # Panics
    ///
    /// When the name holds a colon, or the password is empty: a variable of the environment that
    /// is not set must not open the door.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        assert!(!name.contains(':'), "BasicAuth: a name cannot hold a colon");
        assert!(!password.is_empty(), "BasicAuth: the password is empty");
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Lets those in for whose name and password this is true, besides the others.
    #[must_use]
    pub fn checked_by(mut self, rule: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// The name of the user, if it is one.
    fn user_of(&self, request: &Request) -> Option<String> {
        let (name, password) = request.basic_auth()?;
        let (name, password) = (name.as_str(), password.as_str());
        // All are compared, so that the time does not tell which names there are.
        let mut known = Choice::from(0);
        for (user, secret) in &self.users {
            known |= same(name, user) & same(password, secret);
        }
        let known =
            bool::from(known) || self.rule.as_ref().is_some_and(|rule| rule(name, password));
        known.then(|| name.to_owned())
    }
}

impl Middleware for BasicAuth {
    fn call(&self, mut request: Request, next: Next<'_>) -> Response {
        let Some(name) = self.user_of(&request) else {
            return refusal(&self.challenge);
        };
        request.extensions_mut().insert(User(name));
        next.run(request)
    }
}

/// Asks for a token (RFC 6750): `Authorization: Bearer …`. Without one that is known the answer is
/// 401. There are none by default.
///
/// ```
/// use greenway_app::{App, Request, middleware::BearerAuth, testing::Client};
///
/// let mut app = App::new();
/// app.install(BearerAuth::new("api").token("robot", "dG9rZW4"));
/// app.get("/", |request: Request| format!("Hello {}", request.user().unwrap_or_default()));
///
/// let client = Client::new(app);
/// assert_eq!(client.get("/").send().status(), 401);
/// let reply = client.get("/").header("authorization", "Bearer dG9rZW4").send();
/// assert_eq!(reply.text(), "Hello robot");
/// ```
#[derive(Clone)]
pub struct BearerAuth {
    challenge: HeaderValue,
    unknown: HeaderValue,
    tokens: Vec<(String, String)>,
    rule: Option<TokenRule>,
}

type TokenRule = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl BearerAuth {
    /// For a realm, whose name clients are told.
    ///
    /// # Panics
    ///
    /// As [`BasicAuth::new`].
    #[must_use]
    pub fn new(realm: &str) -> Self {
        Self {
            challenge: challenge("Bearer", realm, ""),
            unknown: challenge("Bearer", realm, ", error=\"invalid_token\""),
            tokens: Vec::new(),
            rule: None,
        }
    }

    /// Lets the holder of a token in, by this name.
    ///
    /// # Panics
    ///
    /// When the token is empty: a variable of the environment that is not set must not open the
    /// door.
    #[must_use]
    pub fn token(mut self, holder: &str, token: &str) -> Self {
        assert!(!token.is_empty(), "BearerAuth: the token is empty");
        self.tokens.push((holder.to_owned(), token.to_owned()));
        self
    }

    /// Lets those in for whose token this gives a name, besides the others. Compare what you keep in
    /// constant time, or keep hashes of tokens and look those up.
    #[must_use]
    pub fn checked_by(
        mut self,
        rule: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    fn holder_of(&self, token: &str) -> Option<String> {
        let mut found = None;
        for (holder, secret) in &self.tokens {
            if bool::from(same(token, secret)) {
                found = Some(holder.clone());
            }
        }
        found.or_else(|| self.rule.as_ref()?(token))
    }
}

impl Middleware for BearerAuth {
    fn call(&self, mut request: Request, next: Next<'_>) -> Response {
        let Some(token) = credentials(&request, "Bearer") else {
            return refusal(&self.challenge);
        };
        let Some(holder) = self.holder_of(token) else {
            return refusal(&self.unknown);
        };
        request.extensions_mut().insert(User(holder));
        next.run(request)
    }
}

impl Request {
    /// The name and the password that the client has sent (RFC 7617), whoever it is: Bottle's
    /// `request.auth`. To let in those only who are known, install [`BasicAuth`]. `None` if there
    /// are none, or if they cannot be read.
    ///
    /// ```
    /// use greenway_app::{Request, testing::Client};
    ///
    /// let app = |request: Request| request.basic_auth().map_or("nobody".into(), |(name, _)| name);
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/").send().text(), "nobody");
    /// let get = client.get("/").header("authorization", "Basic YWRhOnNlY3JldA==");
    /// assert_eq!(get.send().text(), "ada");
    /// ```
    #[must_use]
    pub fn basic_auth(&self) -> Option<(String, String)> {
        let encoded = credentials(self, "Basic")?;
        let text = String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok()?;
        let (name, password) = text.split_once(':')?;
        Some((name.to_owned(), password.to_owned()))
    }
}

/// What follows the scheme in the one Authorization of a request.
fn credentials<'a>(request: &'a Request, scheme: &str) -> Option<&'a str> {
    let mut values = request.head().values("authorization");
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (name, rest) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let rest = rest.trim();
    (name.eq_ignore_ascii_case(scheme) && !rest.is_empty()).then_some(rest)
}

/// Whether what was sent is the secret. The time depends on the length of what was sent alone.
fn same(sent: &str, secret: &str) -> Choice {
    let (sent, secret) = (sent.as_bytes(), secret.as_bytes());
    let mut same = sent.len().ct_eq(&secret.len());
    for (at, byte) in sent.iter().enumerate() {
        let other = secret.get(at % secret.len().max(1)).unwrap_or(&0);
        same &= byte.ct_eq(other);
    }
    same
}

fn challenge(scheme: &str, realm: &str, rest: &str) -> HeaderValue {
    let is_plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
    assert!(
        realm.bytes().all(is_plain),
        "{scheme}Auth::new: a realm is printable ASCII without quotes and backslashes"
    );
    HeaderValue::try_from(format!("{scheme} realm=\"{realm}\"{rest}"))
        .expect("it is printable ASCII")
}

fn refusal(challenge: &HeaderValue) -> Response {
    HttpError::new(401, "")
        .with_header(header::WWW_AUTHENTICATE, challenge)
        .into_response()
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth")
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BearerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth")
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::App;
    use crate::testing::Client;

    fn client(guard: impl Middleware) -> Client {
        let mut app = App::new();
        app.install(guard);
        app.get("/", |request: Request| {
            request.user().unwrap_or_default().to_owned()
        });
        Client::new(app)
    }

    #[test]
    fn comparison() {
        for (sent, secret, expected) in [
            ("", "", true),
            ("a", "", false),
            ("", "a", false),
            ("a", "a", true),
            ("ab", "a", false),
            ("aa", "a", false),
            ("a", "aa", false),
            ("abc", "abd", false),
            ("abc", "abc", true),
        ] {
            assert_eq!(bool::from(same(sent, secret)), expected, "{sent} {secret}");
        }
    }

    #[test]
    fn names_and_passwords() {
        let guard = BasicAuth::new("x").user("ada", "p:w").user("bob", "ö");
        let client = client(guard.checked_by(|name, password| (name, password) == ("eve", "")));
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text.as_bytes()));
        for (value, user) in [
            (basic("ada:p:w"), Some("ada")),
            (basic("bob:ö"), Some("bob")),
            (basic("eve:"), Some("eve")),
            (basic("ada:p:w").replace("Basic", "bASIC "), Some("ada")),
            (basic("ada:ö"), None),
            (basic("bob:p:w"), None),
            (basic("ada:"), None),
            (basic("ada"), None),
            (basic(":"), None),
            (basic(""), None),
            ("Basic".to_owned(), None),
            ("Basic %%%".to_owned(), None),
            ("Basic /w==".to_owned(), None),
            (basic("ada:p:w").replace("Basic", "Bearer"), None),
        ] {
            let reply = client.get("/").header("authorization", &*value).send();
            assert_eq!(reply.status() == 200, user.is_some(), "{value}");
            if let Some(user) = user {
                assert_eq!(reply.text(), user);
            } else {
                assert_eq!(reply.status(), 401);
                assert_eq!(reply.text(), "401 Unauthorized\n");
            }
        }
        let two = client.get("/").header("authorization", basic("ada:p:w"));
        assert_eq!(
            two.header("authorization", basic("bob:ö")).send().status(),
            401
        );
    }

    #[test]
    fn tokens() {
        let guard = BearerAuth::new("x").token("a", "t1").token("b", "t2");
        let client = client(guard.checked_by(|token| (token == "t3").then(|| "c".to_owned())));
        for (token, user) in [("t1", "a"), ("t2", "b"), ("t3", "c")] {
            let value = format!("bearer {token}");
            assert_eq!(
                client.get("/").header("authorization", value).send().text(),
                user
            );
        }
        let unknown = client.get("/").header("authorization", "Bearer t4").send();
        let error = "Bearer realm=\"x\", error=\"invalid_token\"";
        assert_eq!(unknown.header("www-authenticate"), Some(error));
        for value in ["Bearer", "Bearer ", "Basic t1", "t1"] {
            let reply = client.get("/").header("authorization", value).send();
            assert_eq!(reply.status(), 401, "{value}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"x\""));
        }
    }

    #[test]
    #[should_panic(expected = "the password is empty")]
    fn a_password_that_is_not_set() {
        let _ = BasicAuth::new("x").user("ada", "");
    }

    #[test]
    #[should_panic(expected = "a realm is printable ASCII")]
    fn a_realm_with_quotes() {
        let _ = BearerAuth::new("x\", charset=\"");
    }

    #[test]
    fn secrets_do_not_show() {
        let guard = BasicAuth::new("x").user("ada", "secret");
        assert!(!format!("{guard:?}").contains("secret"));
    }
}
