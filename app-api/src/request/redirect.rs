//! Sending clients elsewhere.

use http::Version;

use super::Request;
use crate::Response;

impl Request {
    /// Sends the client elsewhere, to ask there with GET: 303, or 302 for HTTP/1.0, as Bottle's
    /// `redirect`; [`with_status`](Response::with_status) says something else.
    ///
    /// A location that begins with a slash is a path within this application, wherever it is
    /// mounted: the [script name](Request::script_name) is put before it. It never leads to another
    /// host, whoever wrote it (`//evil.example` is a path, too). Anything else, such as
    /// `https://example.org/` or what [`url_for`](Request::url_for) gives behind a
    /// [`Response::redirect`], is the location as it is: check it if a stranger may choose it.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// let mut blog = App::new();
    /// blog.post("/post", |request: Request| request.redirect("/posts"));
    /// let mut app = App::new();
    /// app.mount("/blog", blog);
    ///
    /// let reply = Client::new(app).post("/blog/post").send();
    /// assert_eq!(reply.status(), 303);
    /// assert_eq!(reply.header("location"), Some("/blog/posts"));
    /// ```
    #[must_use]
    pub fn redirect(&self, location: impl AsRef<str>) -> Response {
        let location = location.as_ref();
        let code = if self.version() < Version::HTTP_11 {
            302
        } else {
            303
        };
        if !location.starts_with('/') {
            return Response::redirect(location, code);
        }
        let path = location.trim_start_matches(['/', '\\']);
        let script = self.raw_script(usize::MAX);
        Response::redirect(format!("{script}/{path}"), code)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;
    use crate::{ConnectionInfo, Request};
    use http::Version;

    #[test]
    fn a_path_stays_on_this_host() {
        let client = Client::new(|request: Request| {
            let to = request.query("to").unwrap_or_default().into_owned();
            request.redirect(to)
        });
        for (to, location) in [
            ("/a?b%23c", "/a?b#c"),
            ("//evil.example/", "/evil.example/"),
            ("/%5C/evil.example/", "/evil.example/"),
            ("https://example.org/x", "https://example.org/x"),
            ("next", "next"),
        ] {
            let reply = client.get(&format!("/?to={to}")).send();
            assert_eq!(reply.header("location"), Some(location), "{to}");
        }
        let old = client.get("/?to=/").version(Version::HTTP_10).send();
        assert_eq!(old.status(), 302);
    }

    #[test]
    fn a_prefix_of_the_proxy_counts() {
        let info = ConnectionInfo {
            prefix: Some("/app".into()),
            ..ConnectionInfo::default()
        };
        let client = Client::new(|request: Request| request.redirect("/")).with_connection(info);
        assert_eq!(client.get("/").send().header("location"), Some("/app/"));
    }
}
