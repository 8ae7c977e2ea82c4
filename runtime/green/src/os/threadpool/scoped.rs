//! [`unblock_scoped`]: closures on an OS thread that borrow from the one that waits for them.
//!
//! What must stay true, for the sake of memory safety: the call does not come back, by a return or
//! by unwinding, before the closure has ended or was taken back unrun, and is dropped in either
//! case.
//!
//! # Implementation
//!
//! The wait that a kill or a limit may end is run under `catch_unwind`, as in
//! [`scope`](crate::scope), so that what follows is not done by a thread that unwinds, which must
//! not block. The closure is then taken back, or waited for in a wait that nothing ends. Its value
//! is put into a place in the frame of the caller, so nothing that borrows is left in the job.

use super::job::Job;
use super::{ThreadPool, threadpool};
use crate::scheduler::fatal::fatal;
use crate::scheduler::giving_way::is_green;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// As [`unblock`](crate::unblock), for a closure that borrows from the caller.
///
/// A green thread that is killed, or whose time is over, while the closure is queued takes it back.
/// If it runs already, the green thread unwinds when it has ended: so the end of a handler, and the
/// stop of a server, may have to wait for it. Where that is too long, hand over what the closure
/// needs, by [`unblock`](crate::unblock).
///
/// ```
/// use greenway_green::{spawn, unblock_scoped};
///
/// let sum = spawn(|| {
///     let numbers = vec![1, 2, 3];
///     let mut squares = Vec::new();
///     unblock_scoped(|| squares.extend(numbers.iter().map(|n| n * n)));
///     squares.iter().sum::<u64>()
/// });
/// assert_eq!(sum.join().unwrap(), 14);
/// ```
///
/// # Panics
/// When the closure panics, with its payload.
pub fn unblock_scoped<F, T>(closure: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    if is_green() {
        threadpool().apply_scoped(closure)
    } else {
        closure()
    }
}

impl ThreadPool {
    /// As [`apply`](Self::apply), for a closure that borrows from the caller, as
    /// [`unblock_scoped`] does.
    ///
    /// # Panics
    /// When the closure panics, with its payload.
    pub fn apply_scoped<F, T>(&self, closure: F) -> T
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        if std::thread::panicking() || self.entrance.shared.places.acquire(None).is_err() {
            return closure(); // an unwinding thread cannot wait for another one
        }
        let mut value = None;
        let place = &mut value;
        let run: Box<dyn FnOnce() + Send + '_> = Box::new(move || *place = Some(closure()));
        // SAFETY: only the lifetime is changed. What the closure borrows, `value` included, lives
        // until this call is over, and that is not before `ended` is dropped. `ended` waits until
        // the job has ended or was taken back, or it ends the process. By then the closure was
        // consumed by its call, or dropped, and a job keeps nothing else of it: its own value
        // is `()`, and the payload of a panic borrows nothing.
        let run: Box<dyn FnOnce() + Send + 'static> = unsafe { std::mem::transmute(run) };
        let job = Job::new(run);
        let ended = Guard(&job);
        self.submit(job.runner());
        // Unwind safety: the panic goes on below, as if it had not been caught.
        let waited = catch_unwind(AssertUnwindSafe(|| job.join_until(None)));
        if waited.is_err() && !job.kill() {
            job.wait_through();
        }
        drop(ended);
        match (waited, value) {
            (Err(payload), _) => resume_unwind(payload),
            (Ok(Ok(Err(error))), _) => error.resume(),
            (_, Some(value)) => value,
            _ => unreachable!("a wait without a deadline ends when the job has its value"),
        }
    }
}

/// Ends the process when it is dropped before the job has ended: by a panic on the way.
struct Guard<'a>(&'a Job<()>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.0.ready() && !self.0.kill() {
            fatal("a closure was left while it ran, and what it borrows would be gone.");
        }
    }
}
