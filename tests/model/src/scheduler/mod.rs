//! The scheduler: its waits as they are, and what stands for the workers below them.

include!(concat!(env!("OUT_DIR"), "/scheduler.rs"));

pub mod worker;

pub mod timer {
    pub type Key = (crate::platform::Instant, u64);
}
