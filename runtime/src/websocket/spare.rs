//! A buffer of each OS thread, for what takes no time: to put frames together, or apart. Taken and
//! given back within a call that does not wait in between, so that sockets that wait own none.

use std::cell::Cell;

/// Buffers beyond this are not kept for the next message.
const KEEP: usize = 64 * 1024;

thread_local!(static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });

/// An empty buffer.
pub(super) fn take() -> Vec<u8> {
    SPARE.take()
}

pub(super) fn give(mut buffer: Vec<u8>) {
    if (1..=KEEP).contains(&buffer.capacity()) {
        buffer.clear();
        SPARE.set(buffer);
    }
}
