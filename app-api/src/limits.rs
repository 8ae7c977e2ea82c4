//! How much of a client's input is taken.
//!
//! What must stay true: everything that a client sends and that is kept, in memory or on disk,
//! counts towards one of these, and each has a default that a server can bear.

/// Bounds of the input that [`Request`](crate::Request) reads for a handler.
///
/// They are set for a route with [`set`](crate::RouteBuilder::set), for all of an application with
/// [`share`](crate::App::share), and by middleware with
/// [`set_limits`](crate::Request::set_limits). They hold beside the bounds of the whole request
/// body, that of the server (`--limit-request-body`, 16 MiB by default) and that of the route
/// ([`body_limit`](crate::RouteBuilder::body_limit)): of an upload, usually those come first.
///
/// ```
/// use greenway_app::{App, HttpError, Limits, Request, testing::Client};
///
/// let mut app = App::new();
/// app.share(Limits { parts: 20, ..Limits::default() });
/// app.post("/survey", |request: Request| Ok::<_, HttpError>(request.form()?.len().to_string()))
///     .set(Limits { parts: 5000, ..Limits::default() });
/// app.post("/other", |request: Request| Ok::<_, HttpError>(request.form()?.len().to_string()));
///
/// let client = Client::new(app);
/// let post = |path| {
///     let post = client.post(path).header("content-type", "application/x-www-form-urlencoded");
///     post.body("a=1&".repeat(100)).send().status()
/// };
/// assert_eq!(post("/survey"), 200);
/// assert_eq!(post("/other"), 413);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory that one form or one JSON value may take: those of the body where that is
    /// JSON or URL-encoded; of a multipart form the names, the text fields and the small files
    /// together. More is 413, but files go to disk first. Default: 1 MiB.
    pub memory: usize,
    /// Fields and files in one form. More is 413. Default: 1,000.
    pub parts: usize,
    /// Bytes of the headers of one part of a multipart form. More is 431. Default: 8 KiB.
    pub part_header: usize,
    /// Bytes of one text field of a multipart form. More is 413. Default: 1 MiB.
    pub field: u64,
    /// Bytes of one uploaded file. More is 413. Default: 1 GiB.
    pub file: u64,
    /// Bytes of a whole multipart form. More is 413. Default: 1 GiB.
    pub total: u64,
    /// Bytes up to which an uploaded file stays in memory; a larger one is written to disk, where
    /// it vanishes with the request. Default: 64 KiB.
    pub file_memory: usize,
}

impl Limits {
    /// The defaults, as a constant.
    pub const DEFAULT: Limits = Limits {
        memory: 1 << 20,
        parts: 1000,
        part_header: 8 << 10,
        field: 1 << 20,
        file: 1 << 30,
        total: 1 << 30,
        file_memory: 64 << 10,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
