//! The cookies of a response.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Cookie, SameSite};
use crate::{ConnectionInfo, HttpError, Response};

/// What a value cannot hold (RFC 6265bis, 4.1.1: cookie-octet), and the percent sign.
const NOT_IN_VALUE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b',')
    .add(b';')
    .add(b'\\');

/// Bytes of name and value, and of an attribute, from which on browsers ignore them (5.6, 5.7).
const LONGEST: usize = 4096;
const LONGEST_ATTRIBUTE: usize = 1024;

const SECURE: &str = "; Secure";

/// Cookies of a response that are `Secure` only where it goes out by https.
#[derive(Debug, Clone, Default)]
struct SecureOnHttps(Vec<HeaderValue>);

impl Response {
    /// Sets a cookie. One that was set before under the same name, path and domain, is replaced
    /// by the browser.
    ///
    /// ```
    /// use greenway_app::{Cookie, Response};
    ///
    /// let response = Response::new("hi").with_cookie(Cookie::new("seen", "1").path("/news"));
    /// assert!(response.headers()["set-cookie"].to_str()?.starts_with("seen=1; Path=/news;"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When browsers would ignore the cookie: see [`try_with_cookie`](Response::try_with_cookie),
    /// which is for cookies whose size or name comes from outside.
    #[must_use]
    pub fn with_cookie(mut self, cookie: Cookie) -> Self {
        self.set_cookie(&cookie);
        self
    }

    /// As [`with_cookie`](Response::with_cookie).
    ///
    /// # Errors
    ///
    /// 500 when browsers would ignore the cookie; what is wrong is the error's source: a name that
    /// is no token, more than 4,096 bytes of name and value, a path without a slash at its start,
    /// an attribute with controls, semicolons or more than 1,024 bytes, a prefix of the name
    /// (`__Host-`, `__Secure-`, `__Http-`, `__Host-Http-`) whose conditions do not hold, or
    /// `SameSite=None` or `Partitioned` with `secure(false)`.
    pub fn try_with_cookie(mut self, cookie: Cookie) -> Result<Self, HttpError> {
        self.try_set_cookie(&cookie)
            .map_err(|problem| HttpError::new(500, "").with_source(problem))?;
        Ok(self)
    }

    /// As [`with_cookie`](Response::with_cookie), for a response that is kept.
    ///
    /// # Panics
    ///
    /// As [`with_cookie`](Response::with_cookie).
    pub fn set_cookie(&mut self, cookie: &Cookie) {
        if let Err(problem) = self.try_set_cookie(cookie) {
            panic!("Response::with_cookie: {problem}");
        }
    }

    /// Makes the browser forget a cookie. It needs the name, and the path and the domain that the
    /// cookie was set with if they are not the default ones.
    ///
    /// ```
    /// use greenway_app::{Cookie, Response};
    ///
    /// let response = Response::new("bye")
    ///     .delete_cookie("theme")
    ///     .delete_cookie(Cookie::new("seen", "").path("/news"));
    /// assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`with_cookie`](Response::with_cookie).
    #[must_use]
    pub fn delete_cookie(self, cookie: impl Into<Cookie>) -> Self {
        let cookie: Cookie = cookie.into();
        // Both, as the oldest clients know Expires alone.
        let gone = cookie
            .max_age(Duration::ZERO)
            .expires(SystemTime::UNIX_EPOCH);
        self.with_cookie(gone.with_value(""))
    }

    pub(crate) fn try_set_cookie(&mut self, cookie: &Cookie) -> Result<(), String> {
        let (value, secure) = cookie.header()?;
        if !secure && cookie.secure.is_none() {
            // Until the server says otherwise, the careful way.
            let careful = format!("{value}{SECURE}");
            let careful = HeaderValue::try_from(careful).map_err(|error| error.to_string())?;
            let mut optional = self.extensions_mut().remove().unwrap_or_default();
            let SecureOnHttps(values) = &mut optional;
            values.push(careful.clone());
            self.extensions_mut().insert(optional);
            self.headers_mut().append(header::SET_COOKIE, careful);
            return Ok(());
        }
        let value = if secure { value + SECURE } else { value };
        let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
        self.headers_mut().append(header::SET_COOKIE, value);
        Ok(())
    }

    /// For servers: fits what depends on it to the connection that the response goes out on.
    /// Cookies that do not say whether they are `Secure` are so on https alone; where no server
    /// calls this, they are.
    #[inline]
    pub fn fit_to(&mut self, connection: &ConnectionInfo) {
        if !self.extensions().is_empty() && connection.scheme != "https" {
            self.strip_secure();
        }
    }

    #[cold]
    fn strip_secure(&mut self) {
        let Some(SecureOnHttps(optional)) = self.extensions_mut().remove() else {
            return;
        };
        let cookies = match self.headers_mut().entry(header::SET_COOKIE) {
            header::Entry::Occupied(cookies) => cookies,
            header::Entry::Vacant(_) => return,
        };
        for value in cookies {
            if !optional.contains(value) {
                continue;
            }
            let bytes = value.as_bytes();
            let plain = bytes.strip_suffix(SECURE.as_bytes()).unwrap_or(bytes);
            // A part of what was a header value before.
            if let Ok(plain) = HeaderValue::from_bytes(plain) {
                *value = plain;
            }
        }
    }
}

impl Cookie {
    /// The header's value up to `Secure`, and whether that must be; or what is wrong.
    fn header(&self) -> Result<(String, bool), String> {
        let name = &*self.name;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!(
                "`{}` cannot be the name of a cookie",
                name.escape_debug()
            ));
        }
        let mut text = format!("{name}={}", utf8_percent_encode(&self.value, NOT_IN_VALUE));
        // The equals sign does not count.
        if text.len() - 1 > LONGEST {
            return Err(format!(
                "the cookie `{name}` has {} bytes; browsers keep {LONGEST}",
                text.len() - 1
            ));
        }
        let secure = self.must_be_secure()?;
        if let Some(age) = self.max_age {
            // Writing to a String cannot fail, here and below.
            let _ = write!(text, "; Max-Age={}", age.as_secs());
        }
        if let Some(time) = self.expires {
            // Beyond these, there are no dates of four digits.
            let time = time.clamp(SystemTime::UNIX_EPOCH, latest());
            let _ = write!(text, "; Expires={}", httpdate::fmt_http_date(time));
        }
        if let Some(path) = &self.path {
            if !path.starts_with('/') {
                return Err(format!(
                    "the path of the cookie `{name}` must start with a slash"
                ));
            }
            attribute(&mut text, "Path", path)?;
        }
        if let Some(domain) = &self.domain {
            attribute(&mut text, "Domain", domain)?;
        }
        text += match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        };
        if self.http_only {
            text += "; HttpOnly";
        }
        if self.partitioned {
            text += "; Partitioned";
        }
        Ok((text, secure))
    }

    /// Whether the cookie is `Secure` on any connection. An error where it cannot be what its name
    /// says (4.1.3).
    fn must_be_secure(&self) -> Result<bool, String> {
        let name = &*self.name;
        let prefixed = |prefix: &str| {
            let start = name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let host = prefixed("__Host-");
        let http = prefixed("__Http-") || prefixed("__Host-Http-");
        let needed = host || http || prefixed("__Secure-");
        if host && (self.domain.is_some() || self.path.as_deref() != Some("/")) {
            return Err(format!(
                "the cookie `{name}` must have the path `/` and no domain"
            ));
        }
        if http && !self.http_only {
            return Err(format!("the cookie `{name}` must be HttpOnly"));
        }
        let needed = needed || self.partitioned || self.same_site == SameSite::None;
        match self.secure {
            Some(false) if needed => Err(format!("the cookie `{name}` must be Secure")),
            Some(secure) => Ok(secure),
            None => Ok(needed),
        }
    }
}

/// Adds an attribute that the application has chosen.
fn attribute(text: &mut String, name: &str, value: &str) -> Result<(), String> {
    let allowed = value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if !allowed || value.contains(';') || value.len() > LONGEST_ATTRIBUTE {
        return Err(format!(
            "`{}` cannot be a cookie's {name}",
            value.escape_debug()
        ));
    }
    let _ = write!(text, "; {name}={value}");
    Ok(())
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The last second that HTTP has a date for.
fn latest() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799)
}
