//! What blocks in the kernel, done where it holds up nobody.

use super::Request;
use crate::unblocker::{self, Unblocker};

impl Request {
    /// Calls `call`, which may block in the kernel (a file on a slow disk), where it holds up no
    /// other request: on a green thread the server hands it to an OS thread, and waits for it as
    /// for anything else; on an OS thread it is simply called.
    ///
    /// For parts of frameworks, which are to work with any engine. An application that names its
    /// engine uses that engine's own.
    ///
    /// ```
    /// use greenway_app::{HttpError, Request, testing::Client};
    ///
    /// let app = |request: Request| {
    ///     let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    ///     let size = request.unblock(move || std::fs::metadata(manifest))?.len();
    ///     Ok::<_, HttpError>(size.to_string())
    /// };
    /// assert_eq!(Client::new(app).get("/").send().status(), 200);
    /// ```
    ///
    /// # Panics
    ///
    /// When `call` panics.
    pub fn unblock<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> T {
        unblocker::by(self.unblocker(), call)
    }

    /// The same, for what outlives the request.
    pub(crate) fn unblocker(&self) -> Unblocker {
        let peer = self.inner.peer.as_ref();
        peer.map_or(unblocker::here, |peer| peer.unblocker())
    }
}
