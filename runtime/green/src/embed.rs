//! What a server needs of the scheduler beyond the toolbox.

pub use crate::count::Count;
pub use crate::limit::Limit;
pub use crate::take_turn;

/// What a thread does for the layers above.
pub mod errand {
    pub use crate::errand::{Errand, Serving};
}
/// Sockets from any thread.
pub mod handle {
    pub use crate::handle::Handle;
}
/// Values of a piece of work.
pub mod local {
    pub use crate::local::end_of_work;
}
/// Things that wait without a green thread.
pub mod lot {
    pub use crate::lot::Lot;
}
/// Sockets that belong to a worker.
pub mod net {
    pub use crate::net::{Accepted, Listener, Stream, accept_now};
}
/// Starting green threads on a given worker.
pub mod spawn {
    pub use crate::spawn::{discard, panic_message, spawn_on};
}
/// What is known of a stack.
pub mod stack {
    pub use crate::stack::{Measure, trim};
}
/// System calls.
pub mod sys {
    pub use crate::sys::{
        PeerEpoll, PeerNews, peer_news, raise_descriptor_limit, send_file, take_over,
        unblock_signals, unsent,
    };
}
/// The wait.
pub mod thread {
    pub use crate::thread::*;
}
/// The workers.
pub mod worker {
    pub use crate::worker::*;
}
