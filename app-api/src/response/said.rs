//! What is often said of a response in headers.

use std::time::Duration;

use http::{HeaderValue, header};

use super::Response;
use crate::semantics::disposition;

impl Response {
    /// Lets everybody keep the response for so long, whole seconds of it, and use it again
    /// without asking: `Cache-Control: max-age=...`.
    ///
    /// ```
    /// use greenway_app::Response;
    /// use std::time::Duration;
    ///
    /// let response = Response::new("logo").with_cache(Duration::from_secs(3600));
    /// assert_eq!(response.headers()["cache-control"], "max-age=3600");
    /// ```
    #[must_use]
    pub fn with_cache(self, time: Duration) -> Self {
        self.with_header(header::CACHE_CONTROL, format!("max-age={}", time.as_secs()))
    }

    /// As [`with_cache`](Response::with_cache), but for the client's own cache only: the response
    /// is for one person, and no proxy may give it to another.
    #[must_use]
    pub fn with_private_cache(self, time: Duration) -> Self {
        let value = format!("private, max-age={}", time.as_secs());
        self.with_header(header::CACHE_CONTROL, value)
    }

    /// Lets nobody keep the response: `Cache-Control: no-store`.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self
    }

    /// Lets browsers save the response as a file instead of showing it (RFC 6266). The name may be
    /// any text; what is before its last slash is left out, and what not every client can read is
    /// there twice.
    ///
    /// ```
    /// use greenway_app::Response;
    ///
    /// let response = Response::new("a;b").with_attachment("Übersicht.csv");
    /// assert_eq!(
    ///     response.headers()["content-disposition"],
    ///     "attachment; filename=\"_bersicht.csv\"; filename*=UTF-8''%C3%9Cbersicht.csv",
    /// );
    /// ```
    #[must_use]
    pub fn with_attachment(mut self, name: &str) -> Self {
        let value = disposition::attachment(name);
        self.headers_mut()
            .insert(header::CONTENT_DISPOSITION, value);
        self
    }
}
