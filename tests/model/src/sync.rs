//! The meeting points, as they are.

include!(concat!(env!("OUT_DIR"), "/sync.rs"));

pub use event::Event;
pub use queue::Queue;
