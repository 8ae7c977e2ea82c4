//! The compressors that the WebSockets of an OS thread share between two messages.

use greenway_proto::websocket::CompressorPool;
use std::cell::RefCell;

thread_local!(static POOL: RefCell<CompressorPool> = RefCell::default());

/// Lends the pool of this thread. Whoever borrows it takes a compressor out or puts one back and
/// does not wait, so no other green thread finds it borrowed.
pub(super) fn lend(use_it: &mut dyn FnMut(&mut CompressorPool)) {
    POOL.with_borrow_mut(|pool| use_it(pool));
}
