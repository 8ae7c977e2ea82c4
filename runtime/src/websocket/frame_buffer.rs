//! A buffer for each OS thread, in which frames are put together or taken apart. A call takes it and
//! puts it back without a wait in between, so that sockets that wait own no buffer.

use std::cell::Cell;

/// Buffers beyond this are not kept for the next message.
const KEEP: usize = 64 * 1024;

thread_local!(static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });

/// An empty buffer.
pub(super) fn take() -> Vec<u8> {
    SPARE.take()
}

/// Keeps a buffer for the next call on this thread.
pub(super) fn put_back(mut buffer: Vec<u8>) {
    if (1..=KEEP).contains(&buffer.capacity()) {
        buffer.clear();
        SPARE.set(buffer);
    }
}
