//! Green threads as their users know them: how they are started, named, grouped, limited in time,
//! killed and joined, and the values that each has for itself.
//!
//! It stands on the scheduler, which runs what is started here, and on the meeting points. It
//! knows no descriptors.

mod greenlet;
mod group;
pub(crate) mod local;
mod scope;
mod set;
mod shield;
pub(crate) mod spawn;
mod timeout;

pub use greenlet::{Greenlet, JoinError, joinall, killall};
pub use group::{Group, Pool};
pub use local::{Local, with_fresh_locals};
pub use scope::{Scope, ScopedGreenlet, scope};
pub use shield::shield;
pub use spawn::{Builder, spawn, spawn_balanced, spawn_later, spawn_local};
pub use timeout::{Timeout, with_timeout};
