//! [`start`] and [`Noticed`]: threads that others rely on without seeing them.
//!
//! What must stay true: one that ends by a panic is noticed. Those who wait for what it does would wait
//! for ever otherwise: nobody would report a worker that is held up, reap a child, or run a job.

use super::fatal::fatal;
use std::io;

/// Starts an OS thread of this name. A panic of `work` ends the process, with a message.
///
/// # Errors
/// When the process can have no more threads.
pub(crate) fn start(name: &'static str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let run = move || {
        let _noticed = Noticed(name);
        work();
    };
    std::thread::Builder::new().name(name.into()).spawn(run)?;
    Ok(())
}

/// Ends the process when it is dropped by a panic of the thread with this name: an OS thread, a green
/// one, or a coroutine of a worker's own.
pub(crate) struct Noticed(pub(crate) &'static str);

impl Drop for Noticed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = format!("the thread {} has panicked, and is needed.", self.0);
            fatal(&why);
        }
    }
}
