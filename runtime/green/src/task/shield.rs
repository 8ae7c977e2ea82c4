//! [`shield`]: what must come to its end before its thread does.

use crate::scheduler::thread::Shield;

/// Runs `body`, in whose waits neither a kill, nor a client that leaves, nor an enclosing
/// [`Timeout`](crate::Timeout) ends the thread: these are put off until `body` is over, and then end
/// the next wait. asyncio and Trio have it under this name.
///
/// For what breaks when it is left half-way: an initialiser of std's `LazyLock` that is unwound poisons
/// it for good, and so does a library that keeps one (a connection pool, a table of certificates).
/// [`Lazy`](crate::Lazy) needs no shield.
///
/// Timeouts of the waits themselves hold as ever (`get_timeout`, a socket's). Give them: a shield
/// is as long as what is in it, and a server that stops waits for it, up to its grace period.
///
/// ```
/// use greenway_green::{shield, sleep, spawn};
/// use std::sync::LazyLock;
/// use std::time::Duration;
///
/// static TABLE: LazyLock<u8> = LazyLock::new(|| {
///     sleep(Duration::from_millis(20));
///     7
/// });
///
/// let first = spawn(|| shield(|| *TABLE));
/// sleep(Duration::from_millis(5));
/// first.kill();
/// assert_eq!(first.join().unwrap(), 7);
/// assert_eq!(spawn(|| *TABLE).join().unwrap(), 7);
/// ```
pub fn shield<R>(body: impl FnOnce() -> R) -> R {
    let _shield = Shield::new();
    body()
}
