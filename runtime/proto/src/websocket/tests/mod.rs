//! The protocol at its edges, over memory.

mod battery;
mod cases;
mod examples;
mod faults;
mod properties;
mod stream;

use self::stream::events as receive;
use super::{CompressorPool, DeflateParameters, Event, Failure, Limits, Receiver, Role};
use std::cell::RefCell;

thread_local!(static POOL: RefCell<CompressorPool> = RefCell::default());

/// All compressors of the tests come from a pool, as a server's do.
fn lend(use_it: &mut dyn FnMut(&mut CompressorPool)) {
    POOL.with_borrow_mut(|pool| use_it(pool));
}

fn receiver(role: Role, deflate: Option<&DeflateParameters>) -> Receiver {
    Receiver::new(role, Limits::default(), deflate).with_pool(lend)
}
