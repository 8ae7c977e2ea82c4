//! Cookies: what browsers send, and what they are told to keep (RFC 6265bis).
//!
//! [`Request::cookie`](crate::Request::cookie) reads one,
//! [`Response::with_cookie`](crate::Response::with_cookie) sets a [`Cookie`],
//! [`Response::delete_cookie`](crate::Response::delete_cookie) deletes one. Cookies that clients
//! cannot change, or cannot read, are made with [`Keys`].
//!
//! What must stay true: what is written is read back as it was, whatever the text; no value makes a
//! second cookie or a second attribute; and a cookie that browsers would refuse is an error here,
//! not a riddle there.

#[cfg(feature = "cookies")]
mod keys;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

#[cfg(feature = "cookies")]
pub use self::keys::Keys;
#[cfg(feature = "sessions")]
pub(crate) use self::keys::random;

/// A cookie to be set.
///
/// The defaults are the careful ones: it is sent back for all paths of this host (`Path=/`, no
/// `Domain`), no script can read it (`HttpOnly`), other sites' forms and scripts do not send it
/// (`SameSite=Lax`), it is for https alone where it is set over https (`Secure`), and it is gone
/// when the browser is closed.
///
/// ```
/// use std::time::Duration;
/// use greenway_app::{Cookie, Request, Response, testing::Client};
///
/// fn choose(request: Request) -> Response {
///     let theme = request.query("theme").unwrap_or_default().into_owned();
///     let year = Duration::from_secs(365 * 24 * 60 * 60);
///     Response::redirect("/", 303).with_cookie(Cookie::new("theme", theme).max_age(year))
/// }
///
/// let reply = Client::new(choose).get("/?theme=dark%3B").send();
/// assert_eq!(
///     reply.header("set-cookie"),
///     Some("theme=dark%3B; Max-Age=31536000; Path=/; SameSite=Lax; HttpOnly")
/// );
/// ```
///
/// # What a value may be
///
/// Any text. What cannot stand in a cookie (controls, spaces, quotes, commas, semicolons,
/// backslashes, non-ASCII) is percent-encoded, and so is the percent sign;
/// [`Request::cookie`](crate::Request::cookie) undoes it, and so does JavaScript's
/// `decodeURIComponent`. Browsers keep no cookie whose name and encoded value exceed 4,096 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a cookie is set by `Response::with_cookie`"]
pub struct Cookie {
    name: Cow<'static, str>,
    value: Cow<'static, str>,
    path: Option<Cow<'static, str>>,
    domain: Option<Cow<'static, str>>,
    max_age: Option<Duration>,
    expires: Option<SystemTime>,
    /// `None`: where the request came by https.
    secure: Option<bool>,
    http_only: bool,
    same_site: SameSite,
    partitioned: bool,
}

/// Whether other sites can make a browser send the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// Never, not even when the user follows a link from there.
    Strict,
    /// When the user follows a link from there. The default.
    #[default]
    Lax,
    /// Always: for what is embedded in other sites. Browsers want it to be `Secure`, and it is.
    None,
}

impl Cookie {
    /// A cookie with the default attributes. That the name is allowed (a token: letters, digits and
    /// ``!#$%&'*+-.^_`|~``) is checked when it is put into a response.
    pub fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            path: Some(Cow::Borrowed("/")),
            domain: None,
            max_age: None,
            expires: None,
            secure: None,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, as text.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The same cookie with another value.
    pub fn with_value(mut self, value: impl Into<Cow<'static, str>>) -> Self {
        self.value = value.into();
        self
    }

    /// Sends it back for this path and those below it. Default: `/`. It is a convenience and no
    /// protection: scripts of other paths get at it.
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sends it back to this host and all of its subdomains. Default: to this host alone.
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Keeps it for so long, in whole seconds. Default: until the browser is closed. Browsers cap
    /// it at 400 days.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Keeps it until then. [`max_age`](Cookie::max_age) is better, as it does not depend on the
    /// client's clock, and wins where both are given.
    pub fn expires(mut self, time: SystemTime) -> Self {
        self.expires = Some(time);
        self
    }

    /// Whether it is for https alone. Default: where the request that it answers came by https,
    /// or a trusted proxy says so.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = Some(secure);
        self
    }

    /// Whether it is hidden from scripts. Default: it is.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Whether other sites can make browsers send it. Default: [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Keeps one for each site that embeds this one (CHIPS). Makes it `Secure`.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }
}

/// The name, for [`delete_cookie`](crate::Response::delete_cookie).
impl From<&'static str> for Cookie {
    fn from(name: &'static str) -> Self {
        Self::new(name, "")
    }
}
