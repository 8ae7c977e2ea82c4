//! What blocks in the kernel, done where it holds up nobody.

use super::Request;
use std::sync::{Arc, Mutex, PoisonError};

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
        let Some(peer) = &self.inner.peer else {
            return call();
        };
        let value = Arc::new(Mutex::new(None));
        let there = Arc::clone(&value);
        peer.unblock(Box::new(move || {
            let done = call();
            *there.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        }));
        let value = value.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.expect("Peer::unblock calls before it returns")
    }
}
