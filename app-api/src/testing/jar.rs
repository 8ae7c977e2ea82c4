//! The cookies that a test client keeps between requests, as browsers do (RFC 6265bis).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::{HeaderMap, header};

use super::Client;

#[derive(Debug, Default)]
pub(super) struct Jar(Mutex<Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    name: String,
    value: String,
    path: String,
    secure: bool,
}

impl Kept {
    fn is_for(&self, path: &str, secure: bool) -> bool {
        let below = path.strip_prefix(&*self.path);
        let within = below.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        within && (secure || !self.secure)
    }
}

impl Jar {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // It is as it was, whatever test has failed with it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request for this path sends; `None` if nothing.
    pub(super) fn header(&self, path: &str, secure: bool) -> Option<String> {
        let kept = self.kept();
        let pairs = kept.iter().filter(|cookie| cookie.is_for(path, secure));
        let pairs: Vec<_> = pairs
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Keeps what a response to a request for this path sets.
    pub(super) fn keep(&self, path: &str, headers: &HeaderMap) {
        for value in headers.get_all(header::SET_COOKIE) {
            if let Ok(text) = value.to_str() {
                self.set(path, text);
            }
        }
    }

    fn set(&self, asked: &str, text: &str) {
        let mut parts = text.split(';').map(str::trim);
        let Some((name, value)) = parts.next().unwrap_or_default().split_once('=') else {
            return;
        };
        let directory = asked
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        let mut cookie = Kept {
            name: name.to_owned(),
            value: value.to_owned(),
            path: if directory.is_empty() { "/" } else { directory }.to_owned(),
            secure: false,
        };
        let (mut age, mut expired) = (None, false);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "secure" => cookie.secure = true,
                "max-age" => age = value.parse::<i64>().ok(),
                "expires" => {
                    let time = httpdate::parse_http_date(value);
                    expired = time.is_ok_and(|time| time <= SystemTime::now());
                }
                _ => {}
            }
        }
        let mut kept = self.kept();
        kept.retain(|other| other.name != cookie.name || other.path != cookie.path);
        // Max-Age goes before Expires (RFC 6265bis, 5.7).
        if !age.map_or(expired, |age| age <= 0) {
            kept.push(cookie);
        }
    }
}

impl Client {
    /// Keeps cookies between requests, as a browser does, and sends them with all requests that
    /// have no Cookie header of their own. Nothing of it is outdated by time within a test, but
    /// what is expired when it is set is deleted.
    ///
    /// ```
    /// use greenway_app::{App, Request, Response, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.get("/set", |_: Request| Response::new("").with_header("set-cookie", "a=1; Path=/"));
    /// app.get("/show", |request: Request| request.header("cookie").unwrap_or("none").to_owned());
    ///
    /// let client = Client::new(app).with_cookies();
    /// assert_eq!(client.get("/show").send().text(), "none");
    /// client.get("/set").send();
    /// assert_eq!(client.get("/show").send().text(), "a=1");
    /// assert_eq!(client.cookie("a").as_deref(), Some("1"));
    /// ```
    #[must_use]
    pub fn with_cookies(mut self) -> Self {
        self.jar = Some(Jar::default());
        self
    }

    /// The value of a cookie that is kept.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        let kept = self.jar.as_ref()?.kept();
        let cookie = kept.iter().find(|cookie| cookie.name == name)?;
        Some(cookie.value.clone())
    }

    /// Forgets all cookies: the next request comes from somebody else.
    pub fn forget_cookies(&self) {
        if let Some(jar) = &self.jar {
            jar.kept().clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_deletion_and_https() {
        let jar = Jar::default();
        jar.set("/a/b", "here=1");
        jar.set("/a/b", "all=2; Path=/");
        jar.set("/a/b", "safe=3; Path=/; Secure");
        assert_eq!(jar.header("/a/c", false).unwrap(), "here=1; all=2");
        assert_eq!(jar.header("/ab", false).unwrap(), "all=2");
        assert_eq!(jar.header("/", true).unwrap(), "all=2; safe=3");
        jar.set("/", "all=; Max-Age=0");
        jar.set("/", "safe=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(jar.header("/", true), None);
        jar.set(
            "/",
            "new=1; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        );
        assert_eq!(jar.header("/", false).unwrap(), "new=1");
        jar.set("/", "nonsense");
        assert_eq!(jar.kept().len(), 2);
    }
}
