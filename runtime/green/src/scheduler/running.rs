//! [`Running`]: a green thread has its worker's turn, from its beginning to its end.

use super::thread::Thread;
use super::worker;
use std::ptr::null_mut;
use std::sync::Arc;

/// While it lives, a green thread has its worker's turn, but for its waits.
pub(crate) struct Running<'a> {
    me: &'a Arc<Thread>,
    before: *mut Thread,
}

impl<'a> Running<'a> {
    /// For the thread that calls. It borrows what [`Turn`](super::turn::Turn) points to.
    pub(crate) fn begin(me: &'a Arc<Thread>) -> Self {
        let before = me.home().map_or(null_mut(), |home| {
            debug_assert!(worker::is_current(home));
            let before = home.turn().leave();
            home.turn().enter(Arc::as_ptr(me).cast_mut());
            before
        });
        Self { me, before }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(home) = self.me.home() {
            home.turn().leave();
            home.turn().enter(self.before);
        }
    }
}
