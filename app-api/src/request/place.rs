//! Where a request is: in which application, behind which prefix, on which route.
//!
//! What must stay true: the script name and the path together are what the client has asked for,
//! whatever applications are mounted in one another (PEP 3333: `SCRIPT_NAME` and `PATH_INFO`).

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::Display;
use std::sync::Arc;

use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::head::Span;
use super::params::{Capture, Matched};
use super::{Request, path};
use crate::UrlError;
use crate::response::for_page::ForPage;
use crate::route::AppInfo;

/// What a path that the program has made is encoded by, so that it reads as it was given.
const IN_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

/// The script name as sent: the prefix that a proxy has told, and so many bytes of what mounts make.
fn raw_script<'a>(prefix: Option<&'a str>, mounted: &'a str, mounts: usize) -> Cow<'a, str> {
    // Mounts end where they ended when the length was noted.
    let mounted = mounted.get(..mounts).unwrap_or(mounted);
    match prefix {
        None => Cow::Borrowed(mounted),
        Some(prefix) if mounted.is_empty() => Cow::Borrowed(prefix),
        Some(prefix) => Cow::Owned(format!("{prefix}{mounted}")),
    }
}

/// The path of a named route, of the innermost application that has one, behind its script name.
fn url_in<'a>(
    matched: Option<&Matched>,
    script: impl Fn(usize) -> Cow<'a, str>,
    name: &str,
    values: &[(&str, &dyn Display)],
) -> Result<String, UrlError> {
    for place in matched.into_iter().flat_map(Matched::and_outer) {
        if let Some(url) = place.app.url(name, values) {
            return Ok(format!("{}{}", script(place.script as usize), url?));
        }
    }
    Err(UrlError::unknown(name))
}

/// Marks the request that a page for an error is made for.
#[cfg(feature = "templates")]
#[derive(Clone)]
pub(crate) struct PageOfError;

/// The names of routes as a request sees them, for whoever outlives it.
#[cfg(feature = "templates")]
#[derive(Clone)]
pub(crate) struct Urls {
    matched: Option<Matched>,
    script: Option<Box<str>>,
    connection: Arc<crate::ConnectionInfo>,
}

#[cfg(feature = "templates")]
impl Urls {
    /// As [`Request::try_url_for`].
    pub(crate) fn url_for(
        &self,
        name: &str,
        values: &[(&str, &dyn Display)],
    ) -> Result<String, UrlError> {
        let prefix = self.connection.prefix.as_deref();
        let script = self.script.as_deref().unwrap_or_default();
        let matched = self.matched.as_ref();
        url_in(
            matched,
            |mounts| raw_script(prefix, script, mounts),
            name,
            values,
        )
    }
}

impl Request {
    /// The names of routes, for a time when the request is gone.
    #[cfg(feature = "templates")]
    pub(crate) fn urls(&self) -> Urls {
        Urls {
            matched: self.inner.matched.clone(),
            script: self.inner.script.clone(),
            connection: Arc::clone(&self.inner.connection),
        }
    }

    /// Whether the application, or one that it is mounted in, was set to
    /// [debug](crate::App::debug), or the server was.
    #[cfg(feature = "templates")]
    pub(crate) fn is_debugged(&self) -> bool {
        let mut places = self.inner.matched.iter().flat_map(Matched::and_outer);
        self.is_debug() || places.any(|place| place.app.debug)
    }

    /// What the application is behind, percent-decoded: `SCRIPT_NAME`. That is the prefix that a
    /// trusted proxy has told ([`ConnectionInfo::prefix`](crate::ConnectionInfo::prefix)) and those
    /// that it is [mounted](crate::App::mount) at. Empty for most; never ends with a slash.
    #[must_use]
    pub fn script_name(&self) -> Cow<'_, str> {
        let raw = self.raw_script(usize::MAX);
        match path::decode(raw.as_bytes()) {
            Some(Cow::Owned(decoded)) => Cow::Owned(decoded),
            // What is not an encoding was let through as it is.
            Some(Cow::Borrowed(_)) | None => raw,
        }
    }

    /// The script name as sent, with so many bytes of the part that mounts make.
    pub(super) fn raw_script(&self, mounts: usize) -> Cow<'_, str> {
        let mounted = self.inner.script.as_deref().unwrap_or_default();
        raw_script(self.inner.connection.prefix.as_deref(), mounted, mounts)
    }

    /// The path of the route with this [name](crate::RouteBuilder::name), as the client has to ask
    /// for it: with the script name, percent-encoded. The values are for the wildcards of its rule;
    /// others become a query string. The name is looked for in the application that serves the
    /// request, then in those that it is mounted in.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// let mut blog = App::new();
    /// blog.get("/", |request: Request| request.url_for("post", &[("id", &7), ("page", &2)]));
    /// blog.get("/post/<id:int>", |_: Request| "a post").name("post");
    ///
    /// let mut app = App::new();
    /// app.mount("/blog", blog);
    /// assert_eq!(Client::new(app).get("/blog/").send().text(), "/blog/post/7?page=2");
    /// ```
    ///
    /// # Panics
    ///
    /// When no route has the name, a wildcard has no value, or one that it would not match: see
    /// [`try_url_for`](Request::try_url_for).
    #[must_use]
    pub fn url_for(&self, name: &str, values: &[(&str, &dyn Display)]) -> String {
        match self.try_url_for(name, values) {
            Ok(url) => url,
            Err(problem) => panic!("url_for: {problem}"),
        }
    }

    /// As [`url_for`](Request::url_for).
    ///
    /// # Errors
    ///
    /// When no route has the name, a wildcard has no value, or one that it would not match.
    pub fn try_url_for(
        &self,
        name: &str,
        values: &[(&str, &dyn Display)],
    ) -> Result<String, UrlError> {
        let prefix = self.inner.connection.prefix.as_deref();
        let script = self.inner.script.as_deref().unwrap_or_default();
        let matched = self.inner.matched.as_ref();
        url_in(
            matched,
            |mounts| raw_script(prefix, script, mounts),
            name,
            values,
        )
    }

    /// What the application [shares](crate::App::share) of this type: a pool of connections, a
    /// cache, settings. If it has none, what an application has that it is mounted in.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// #[derive(Default)]
    /// struct Visits(AtomicU64);
    ///
    /// fn count(request: Request) -> String {
    ///     let visits = request.state::<Visits>();
    ///     (visits.0.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    /// }
    ///
    /// let mut app = App::new();
    /// app.share(Visits::default()).get("/", count);
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/").send().text(), "1");
    /// assert_eq!(client.get("/").send().text(), "2");
    /// ```
    ///
    /// # Panics
    ///
    /// When nobody shares one.
    #[must_use]
    pub fn state<T: Any + Send + Sync>(&self) -> &T {
        let Some(value) = self.try_state() else {
            panic!(
                "the application shares no `{0}`: give it one with `app.share(...)`",
                type_name::<T>()
            );
        };
        value
    }

    /// As [`state`](Request::state); `None` where nobody shares one.
    #[must_use]
    pub fn try_state<T: Any + Send + Sync>(&self) -> Option<&T> {
        let mut places = self.inner.matched.iter().flat_map(Matched::and_outer);
        places.find_map(|place| place.app.shared.get())
    }

    /// Changes the method, for a hook that comes [before](crate::App::before_request) the routes:
    /// forms can send GET and POST only.
    pub fn set_method(&mut self, method: Method) {
        self.inner.head.method = method;
        self.inner.environ = OnceCell::new();
    }

    /// Changes the path, for a hook that comes [before](crate::App::before_request) the routes. It
    /// is given decoded, and slashes in it are boundaries. The target and the query stay as sent.
    ///
    /// ```
    /// use greenway_app::{App, Request, testing::Client};
    ///
    /// let mut app = App::new();
    /// app.before_request(|request| {
    ///     let path = request.path().trim_end_matches('/').to_owned();
    ///     request.set_path(&path);
    /// });
    /// app.get("/a", |_: Request| "a");
    /// assert_eq!(Client::new(app).get("/a/").send().text(), "a");
    /// ```
    ///
    /// # Panics
    ///
    /// When the path holds a NUL, or the request's head would exceed 4 GiB with it.
    pub fn set_path(&mut self, path: &str) {
        assert!(!path.contains('\0'), "set_path: a path cannot hold a NUL");
        // It goes behind the head, where nothing else is moved by it.
        let head = &mut self.inner.head;
        let mut bytes = Vec::from(&head.bytes[..]);
        let start = bytes.len();
        bytes.extend(utf8_percent_encode(path, IN_PATH).flat_map(str::bytes));
        let offset = |at| u32::try_from(at).expect("set_path: a request head of more than 4 GiB");
        self.inner.path = Span::new(offset(start), offset(bytes.len()));
        self.inner.head.bytes = bytes.into();
        self.repath();
    }

    /// The request without its body, and without what was attached to it but for the session: for whoever makes a page
    /// for an error, when the request itself is gone. Nor has it a range or a condition, which
    /// were about what was asked for: a page that is a file would be sent in part, or not at all.
    #[cold]
    pub(crate) fn head_only(&self) -> Request {
        let own = &*self.inner;
        let mut head = own.head.clone();
        let is_about_the_page = |name: &str| {
            let is_condition = name
                .get(..3)
                .is_some_and(|start| start.eq_ignore_ascii_case("if-"));
            !is_condition && !name.eq_ignore_ascii_case("range")
        };
        let kept = head.fields.iter().copied();
        let kept = kept.filter(|field| is_about_the_page(head.text(field.name)));
        head.fields = kept.collect();
        let connection = Arc::clone(&own.connection);
        let mut extensions = http::Extensions::new();
        #[cfg(feature = "templates")]
        extensions.insert(PageOfError);
        if let Some(for_page) = own.extensions.get::<ForPage>() {
            extensions.extend(for_page.extensions.clone());
            extensions.insert(for_page.clone());
        }
        let inner = super::Inner {
            extensions,
            path: own.path,
            decoded: own.decoded.clone(),
            script: own.script.clone(),
            matched: own.matched.clone(),
            ..super::Inner::new(head, crate::Input::empty(), connection)
        };
        Request {
            inner: Box::new(inner),
        }
    }

    /// What routes are looked up by: the path, decoded but for [encoded slashes](path::ENCODED_SLASH),
    /// and a slash for nothing, as after the prefix of a mount. `None` for a path that is malformed.
    pub(crate) fn path_for_match(&self) -> Option<Cow<'_, str>> {
        match (self.raw_path(), &self.inner.decoded) {
            ("", _) => Some(Cow::Borrowed("/")),
            (raw, None) => Some(Cow::Borrowed(raw)),
            (raw, Some(_)) => path::decode_for_match(raw),
        }
    }

    /// Where the path stands in the head.
    pub(crate) fn path_span(&self) -> Span {
        self.inner.path
    }

    /// Lets the request be in this application, whatever its route will be.
    #[cold]
    #[inline(never)]
    pub(crate) fn enter(&mut self, app: &Arc<AppInfo>) {
        let outer = self.inner.matched.take().map(Box::new);
        let script = self.inner.script.as_ref();
        self.inner.matched = Some(Matched {
            // It is a part of the path, and offsets in a head have 32 bits.
            script: script.map_or(0, |script| script.len() as u32),
            outer,
            ..Matched::new(app)
        });
    }

    /// Notes the route that the request has found in an application.
    #[inline]
    pub(crate) fn set_route(&mut self, app: &Arc<AppInfo>, at: u32, captures: Box<[Capture]>) {
        let entered = |matched: &Matched| matched.at.is_none() && Arc::ptr_eq(&matched.app, app);
        let is_mounted = self.inner.script.is_some();
        let matched = self.inner.matched.as_ref();
        if matched.map_or(is_mounted, |matched| !entered(matched)) {
            self.enter(app);
        }
        let matched = self.inner.matched.get_or_insert_with(|| Matched::new(app));
        matched.at = Some(at);
        matched.captures = captures;
        let Some(route) = matched.route() else {
            return;
        };
        if let Some(limit) = route.body_limit {
            self.inner.input.get_mut().limit(limit);
        }
        if let Some(peer) = &self.inner.peer {
            peer.routed(route);
        }
    }

    /// Moves the beginning of the path to the script name, as much of it as decodes to a prefix of
    /// so many bytes, with an encoded slash for one byte.
    pub(crate) fn shift(&mut self, decoded: usize) {
        let raw = self.raw_path();
        let mut at = 0;
        for _ in 0..decoded {
            at += if raw.as_bytes().get(at) == Some(&b'%') {
                3
            } else {
                1
            };
        }
        let Some(prefix) = raw.get(..at) else { return };
        let before = self.inner.script.as_deref().unwrap_or_default();
        let script = format!("{before}{prefix}").into();
        // The path is at most as long as the head, whose offsets have 32 bits.
        self.inner.path.start += at as u32;
        self.inner.script = Some(script);
        self.repath();
    }

    /// Makes anew what depends on the path.
    fn repath(&mut self) {
        let decoded = match path::decode(self.raw_path().as_bytes()) {
            Some(Cow::Owned(text)) => Some(text.into_boxed_str()),
            Some(Cow::Borrowed(_)) | None => None,
        };
        self.inner.decoded = decoded;
        self.inner.environ = OnceCell::new();
    }
}
