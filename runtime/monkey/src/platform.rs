//! What the table of waiters takes from std, in one place.
//!
//! The model check (`tests/model`) compiles the table as it is, below a module of this name in which each
//! lock and each atomic operation is a step that the checker chooses.

pub(crate) mod table {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
    pub(crate) use std::sync::{Arc, Mutex};
    pub(crate) use std::time::Instant;

    /// Shards of the table, a power of two.
    pub(crate) const HOW_MANY: usize = 64;

    /// A static; the checker makes its own anew for each run.
    macro_rules! shared {
        ($(#[$doc:meta])* static $NAME:ident: $Type:ty = $value:expr;) => {
            $(#[$doc])*
            static $NAME: $Type = $value;
        };
    }
    pub(crate) use shared;
}
