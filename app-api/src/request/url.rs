//! The URL that was asked for, as the client has it.

use super::Request;

impl Request {
    /// The whole URL, percent-encoded: scheme, host, script name, path and query. For links in mails
    /// and feeds; within a page, a path is enough.
    ///
    /// Host and scheme are those that the client, or a trusted proxy, has told: a stranger can ask
    /// for any host. Where that matters, write your own host, as in
    /// `format!("https://example.org{}", request.full_path())`. Without a host it is `localhost`.
    ///
    /// ```
    /// use greenway_app::{Request, testing::Client};
    ///
    /// let app = |request: Request| request.url();
    /// let reply = Client::new(app).get("/a%20b?c=d").header("host", "example.org").send();
    /// assert_eq!(reply.text(), "http://example.org/a%20b?c=d");
    /// ```
    #[must_use]
    pub fn url(&self) -> String {
        let (scheme, host) = (self.scheme(), self.host().unwrap_or("localhost"));
        format!("{scheme}://{host}{}", self.full_path())
    }

    /// What the client has asked for, percent-encoded: the [script name](Request::script_name), the
    /// path, and the query behind a `?` if there is one (Flask's `full_path`). A link to the page
    /// itself, such as to come back to after a login.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.mount("/blog", |request: Request| request.full_path());
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/blog/a%20b?c=d").send().text(), "/blog/a%20b?c=d");
    /// assert_eq!(client.get("/blog/a").send().text(), "/blog/a");
    /// ```
    #[must_use]
    pub fn full_path(&self) -> String {
        let mut path = format!("{}{}", self.raw_script(usize::MAX), self.raw_path());
        if self.inner.head.query.is_some() {
            path.push('?');
            path.push_str(self.query_string());
        }
        path
    }

    /// Whether a script has made the request that says so, with `X-Requested-With: XMLHttpRequest`:
    /// many libraries do, `fetch` by itself does not.
    #[must_use]
    pub fn is_xhr(&self) -> bool {
        let sent = self.header("x-requested-with").unwrap_or_default();
        sent.eq_ignore_ascii_case("xmlhttprequest")
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;
    use crate::{ConnectionInfo, Request};

    #[test]
    fn the_url_is_the_one_that_was_asked_for() {
        let told = ConnectionInfo::default()
            .with_scheme("https")
            .with_prefix("/pre");
        let client = Client::new(|request: Request| request.url()).with_connection(told);
        for (target, url) in [
            ("/", "https://localhost/pre/"),
            ("/?", "https://localhost/pre/?"),
            ("/%2F?a", "https://localhost/pre/%2F?a"),
            ("http://other:81/x?a=b", "https://other:81/pre/x?a=b"),
        ] {
            assert_eq!(client.get(target).send().text(), url);
        }
    }

    #[test]
    fn scripts_say_who_they_are() {
        let client = Client::new(|request: Request| request.is_xhr().to_string());
        let get = || client.get("/");
        assert_eq!(get().send().text(), "false");
        let get = get().header("x-requested-with", "XMLHttpRequest");
        assert_eq!(get.send().text(), "true");
    }
}
