//! The scheduler: workers, the control blocks of threads, and the one wait.
//!
//! This module pins green threads to their workers, wakes and times them, watches descriptors for
//! them, and uses their coroutines again. It is the only one that knows `may`. It does not know
//! how a green thread is started by a user, what it computes, or what waits are about: that is
//! the business of the modules above, which come here for [`wait_for`](thread::wait_for).

pub(crate) mod config;
pub(crate) mod control;
mod coroutine_pool;
pub(crate) mod coroutines;
pub(crate) mod discard;
pub(crate) mod fatal;
pub(crate) mod giving_way;
mod home_cell;
pub(crate) mod late_local;
pub(crate) mod line;
pub(crate) mod lock;
pub(crate) mod no_wait;
pub(crate) mod registered;
pub(crate) mod residents;
pub(crate) mod running;
pub(crate) mod service_thread;
pub(crate) mod stack;
pub(crate) mod task_context;
pub(crate) mod thread;
pub(crate) mod timed_out;
mod timer;
pub(crate) mod turn;
pub(crate) mod unwinding;
mod watch;
pub(crate) mod worker;

pub use config::Config;
pub use stack::{StackMark, stack_marks};
pub use task_context::RequestInfo;
pub use thread::Awaited;
pub use timed_out::TimedOut;
