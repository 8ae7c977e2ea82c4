//! [`HomeCell`]: state that one OS thread only may touch, inside of something that all may share.

/// State of an OS thread, inside of a control block that others hold as well.
///
/// What lies in it changes through `Cell`s and `RefCell`s, so that once a caller has proven to be
/// at home, nothing that it does can alias.
#[derive(Debug)]
pub(crate) struct HomeCell<T>(T);

impl<T> HomeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// # Safety
    /// The caller runs on the OS thread that the state belongs to, and keeps the reference there.
    pub(crate) unsafe fn get(&self) -> &T {
        &self.0
    }
}

// SAFETY: a shared reference to the cell gives nobody access to the value but by `get`, whose
// callers prove that they are on the one OS thread that the value belongs to.
unsafe impl<T> Sync for HomeCell<T> {}
// SAFETY: moving the cell leaves its value alone. Dropping it elsewhere drops the value there;
// each type that is used here has nothing left then that must not be dropped by another thread
// (`Own` in `thread::control_block` sees to that in its destructor; a worker's state is never dropped).
unsafe impl<T> Send for HomeCell<T> {}
