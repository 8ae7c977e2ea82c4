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
        by(self.unblocker(), call)
    }

    /// The same, for what outlives the request.
    pub(crate) fn unblocker(&self) -> Unblocker {
        let peer = self.inner.peer.as_ref();
        peer.map_or(here, |peer| peer.unblocker())
    }
}

/// Calls the closure, and returns when that is done. It works on every thread.
pub type Unblocker = fn(Box<dyn FnOnce() + Send>);

/// The [`Unblocker`] of a server without green threads.
pub(crate) fn here(call: Box<dyn FnOnce() + Send>) {
    call();
}

/// Has `call` called, and gives its value.
pub(crate) fn by<T: Send + 'static>(
    unblock: Unblocker,
    call: impl FnOnce() -> T + Send + 'static,
) -> T {
    let value = Arc::new(Mutex::new(None));
    let there = Arc::clone(&value);
    unblock(Box::new(move || {
        let done = call();
        *there.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    }));
    let value = value.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.expect("an Unblocker calls before it returns")
}
