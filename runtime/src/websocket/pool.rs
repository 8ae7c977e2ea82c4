//! The compressors that the WebSockets of an OS thread share between two messages.

use crate::green::embed::NoWaitCell;
use greenway_proto::websocket::CompressorPool;

thread_local!(static POOL: NoWaitCell<CompressorPool> = NoWaitCell::default());

/// Lends the pool of this thread. Whoever borrows it takes a compressor out or puts one back and
/// does not wait, so no other green thread finds it borrowed.
pub(super) fn lend(use_it: &mut dyn FnMut(&mut CompressorPool)) {
    POOL.with(|pool| use_it(&mut pool.borrow_mut()));
}
