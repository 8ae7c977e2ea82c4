//! The scheduler: its waits as they are, and what stands for the workers below them.

include!(concat!(env!("OUT_DIR"), "/scheduler.rs"));

pub mod worker;

pub mod timer {
    pub type Key = (crate::platform::Instant, u64);
}

pub mod discard {
    /// The real one sees to values whose destructors panic.
    pub fn discard(value: Box<dyn std::any::Any + Send>) {
        drop(value);
    }
}
