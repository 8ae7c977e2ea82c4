//! Static files: Bottle's `static_file`, and a directory as an application.
//!
//! What must stay true:
//!
//! - no request reaches what is not below the root: not by `..`, encoded or not, not by a
//!   backslash, an absolute path or a symbolic link, and not by exchanging one of these while the
//!   file is being opened. The kernel sees to that (`openat2` beneath the root), or, where it
//!   cannot, the crate `cap-std`, which walks the path one directory at a time;
//! - what is opened or asked about is so by [`Request::unblock`], and what is read is read by the
//!   server ([`Sink::read_file`](crate::Sink::read_file)), so that a slow disk holds up the
//!   request that waits for it and nobody else (but for what was found a moment ago: see
//!   `recent`);
//! - a file is sent from the handle whose length and times the head tells. One that is replaced
//!   meanwhile is sent as it was; one that is cut short cuts the connection.

mod name;
mod open;
mod recent;
mod respond;
#[cfg(test)]
mod tests;

use self::name::Name;
use crate::{App, Application, HttpError, IntoResponse, Request, Response, RouteBuilder};
use http::{HeaderValue, Method, header};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory whose files are served, and how.
///
/// | | default |
/// |---|---|
/// | [`index`](StaticFiles::index): the file that stands for a directory | `index.html` |
/// | [`precompressed`](StaticFiles::precompressed): `x.br`, `x.zst` or `x.gz` is sent for `x` to those who accept it | yes |
/// | [`cache_control`](StaticFiles::cache_control): how long clients keep what they got | not said: they ask again, or guess |
/// | [`charset`](StaticFiles::charset) of `text/*` | `utf-8` |
/// | [`etag`](StaticFiles::etag): a validator from size and time of the last change | yes |
/// | [`dot_files`](StaticFiles::dot_files): names that begin with a dot | refused |
///
/// A symbolic link is followed as long as it leads to what is below the root; an absolute one
/// never does. Only regular files are sent. What is not there, not to be seen or not below the
/// root is a 404 in all cases; a file that the process may not read is a 403.
///
/// It is an [`Application`] by itself, which serves the request's whole path; most programs have
/// it below a prefix, with [`App::static_files`].
///
/// ```no_run
/// use greenway_app::{App, StaticFiles};
///
/// let mut app = App::new();
/// app.static_files("/static", StaticFiles::new("static").cache_control("max-age=3600"));
/// ```
#[derive(Debug, Clone)]
pub struct StaticFiles(Arc<Settings>);

#[derive(Debug, Clone)]
struct Settings {
    root: PathBuf,
    index: Option<String>,
    cache_control: Option<HeaderValue>,
    charset: Option<String>,
    precompressed: bool,
    etag: bool,
    dot_files: bool,
}

impl StaticFiles {
    /// The files below `root`, which is looked up anew for each request: a link to the latest
    /// release may be changed while the server runs. A relative path is one from the process's
    /// working directory.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Settings {
            root: root.into(),
            index: Some("index.html".to_owned()),
            cache_control: None,
            charset: Some("utf-8".to_owned()),
            precompressed: true,
            etag: true,
            dot_files: false,
        }))
    }

    /// The name of the file that stands for a directory; `None` for none. A directory that is
    /// asked for without the slash at its end is redirected to the one with it, if it has such a
    /// file, so that relative links of the page lead to the right place. There are no listings.
    #[must_use]
    pub fn index(mut self, name: impl Into<Option<&'static str>>) -> Self {
        self.edit().index = name.into().map(str::to_owned);
        self
    }

    /// Sets the Cache-Control of files. With a fingerprint in their names, files can be kept for
    /// ever: `"public, max-age=31536000, immutable"`.
    ///
    /// # Panics
    ///
    /// When the value cannot stand in a header.
    #[must_use]
    pub fn cache_control(mut self, value: &str) -> Self {
        let value = HeaderValue::try_from(value)
            .unwrap_or_else(|error| panic!("StaticFiles::cache_control: {value:?}: {error}"));
        self.edit().cache_control = Some(value);
        self
    }

    /// Sets the charset that `text/*` is said to have; `None` for not saying any.
    #[must_use]
    pub fn charset(mut self, charset: impl Into<Option<&'static str>>) -> Self {
        self.edit().charset = charset.into().map(str::to_owned);
        self
    }

    /// Whether `style.css.br`, `style.css.zst` or `style.css.gz` beside `style.css` is sent in its
    /// place to a client that accepts it. One that is older than the file itself is left alone:
    /// it was made from something else.
    #[must_use]
    pub fn precompressed(mut self, yes: bool) -> Self {
        self.edit().precompressed = yes;
        self
    }

    /// Whether files have an ETag. Turn it off where several servers have the same files with
    /// different times.
    #[must_use]
    pub fn etag(mut self, yes: bool) -> Self {
        self.edit().etag = yes;
        self
    }

    /// Whether names that begin with a dot, of files or of directories, are served. Many a `.git`
    /// or `.env` has been read by strangers. A first `.well-known` (RFC 8615) always is.
    #[must_use]
    pub fn dot_files(mut self, yes: bool) -> Self {
        self.edit().dot_files = yes;
        self
    }

    fn edit(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.0)
    }

    /// The answer to a request for `path` below the root.
    fn serve(&self, request: &Request, path: &str) -> Result<Response, HttpError> {
        // An encoded slash is data for routes; no file has one in its name.
        let raw = request.raw_path();
        let encoded_slash = raw.contains("%2F") || raw.contains("%2f");
        let name = Name::of_path(path, self.0.dot_files).filter(|_| !encoded_slash);
        respond::respond(request, &self.0, name, &respond::Extras::default())
    }
}

/// A directory with the defaults.
impl<P: Into<PathBuf>> From<P> for StaticFiles {
    fn from(root: P) -> Self {
        Self::new(root)
    }
}

impl Application for StaticFiles {
    fn call(&self, request: Request) -> Response {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return HttpError::new(405, "files can be read, and no more")
                .with_header(header::ALLOW, "GET, HEAD")
                .into_response();
        }
        self.serve(&request, request.path()).into_response()
    }
}

/// One file below a directory, as an answer: Bottle's `static_file` with all its arguments.
///
/// ```no_run
/// use greenway_app::{App, Request, StaticFile};
///
/// let mut app = App::new();
/// app.get("/report/<name>", |request: Request| {
///     StaticFile::new(format!("{}.pdf", request.param("name")), "reports")
///         .download("report.pdf")
///         .respond(&request)
/// });
/// ```
#[derive(Debug, Clone)]
pub struct StaticFile {
    files: StaticFiles,
    name: String,
    extras: respond::Extras,
}

impl StaticFile {
    /// The file with this name below `root`, which is a path or [`StaticFiles`] with settings. The
    /// name may come from the request: slashes at its start do not count, and it cannot lead out
    /// of the root.
    #[must_use]
    pub fn new(name: impl Into<String>, root: impl Into<StaticFiles>) -> Self {
        Self {
            files: root.into(),
            name: name.into(),
            extras: respond::Extras::default(),
        }
    }

    /// Lets browsers save it, under its own name, instead of showing it.
    #[must_use]
    pub fn attachment(self) -> Self {
        let name = self.name.clone();
        self.download(name)
    }

    /// Lets browsers save it under this name (its last part, if there are slashes in it), which
    /// may be any text.
    #[must_use]
    pub fn download(mut self, name: impl AsRef<str>) -> Self {
        self.extras.disposition = Some(crate::semantics::disposition::attachment(name.as_ref()));
        self
    }

    /// Sets the Content-Type, which is guessed from the name otherwise.
    ///
    /// # Panics
    ///
    /// When the value cannot stand in a header.
    #[must_use]
    pub fn mimetype(mut self, value: &str) -> Self {
        let value = HeaderValue::try_from(value)
            .unwrap_or_else(|error| panic!("StaticFile::mimetype: {value:?}: {error}"));
        self.extras.content_type = Some(value);
        self
    }

    /// The answer: 200 with the file, 206 with parts of it, 304 if the client has it.
    ///
    /// # Errors
    ///
    /// 404 if there is no such file that may be seen, 403 if it cannot be read, 412 if a condition
    /// of the request is not met, 416 if it asks for a range that is not there; 500 if the root
    /// cannot be opened or the disk fails.
    pub fn respond(&self, request: &Request) -> Result<Response, HttpError> {
        let settings = &self.files.0;
        let name = Name::of_file(&self.name, settings.dot_files);
        respond::respond(request, settings, name, &self.extras)
    }
}

impl Request {
    /// The file `name` below the directory `root` as the answer to this request: Bottle's
    /// `static_file`. What can be set about it, [`StaticFile`] has.
    ///
    /// ```no_run
    /// use greenway_app::{App, Request};
    ///
    /// let mut app = App::new();
    /// app.get("/pictures/<name>", |request: Request| {
    ///     request.static_file(request.param("name"), "pictures")
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`StaticFile::respond`].
    pub fn static_file(&self, name: &str, root: impl AsRef<Path>) -> Result<Response, HttpError> {
        StaticFile::new(name, root.as_ref()).respond(self)
    }
}

impl App {
    /// Serves the files of a directory below `prefix`, `"/"` for all paths without a route of their
    /// own: a path, or [`StaticFiles`] with settings.
    ///
    /// ```no_run
    /// use greenway_app::App;
    ///
    /// let mut app = App::new();
    /// app.static_files("/static", "static"); // GET /static/style.css sends static/style.css
    /// ```
    ///
    /// What is returned is the route of the files, whose wildcard is `path`. With a
    /// [name](crate::RouteBuilder::name), pages can link to them wherever the application is mounted:
    /// `app.static_files("/static", "static").name("static")`, and in a template
    /// `{{ url_for("static", path="style.css") }}`.
    ///
    /// # Panics
    ///
    /// When `prefix` does not start with a slash, and as all routes: see [`App`](App#panics).
    pub fn static_files(
        &mut self,
        prefix: &str,
        files: impl Into<StaticFiles>,
    ) -> RouteBuilder<'_> {
        let files = files.into();
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let (below, at) = (files.clone(), files.clone());
        if !prefix.is_empty() {
            self.get(prefix, move |request: Request| files.serve(&request, ""));
        }
        self.get(&format!("{prefix}/"), move |request: Request| {
            at.serve(&request, "/")
        });
        self.get(&format!("{prefix}/<path:path>"), move |request: Request| {
            below.serve(&request, &format!("/{}", request.param("path")))
        })
    }
}
