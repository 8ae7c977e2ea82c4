//! The meeting points: what threads wait for one another with, green threads and OS threads alike.
//!
//! All of them stand on two things of the scheduler, the one wait and the fair
//! [line](crate::scheduler::line), and know nothing else of it: neither how threads are started
//! nor what they are called. No state of a meeting point is locked over a wait.

mod async_result;
mod barrier;
mod condition;
mod event;
mod lazy;
mod lock;
pub(crate) mod permits;
mod queue;
mod rlock;
mod rwlock;
mod semaphore;
pub(crate) mod wait;

pub use async_result::{AsyncResult, GetError, Setter};
pub use barrier::{Barrier, BarrierBroken, Passed};
pub use condition::Condition;
pub use event::Event;
pub use lazy::{Lazy, WorkerLocal};
pub use lock::{Lock, LockGuard};
pub use queue::{
    Channel, Closed, Empty, JoinableQueue, LifoQueue, Peer, PriorityQueue, PutError, Queue, Task,
};
pub use rlock::{RLock, RLockGuard};
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{BoundedSemaphore, Permit, ReleasedTooOften, Semaphore};
pub use wait::{Iwait, Waitable, iwait, select, wait};
