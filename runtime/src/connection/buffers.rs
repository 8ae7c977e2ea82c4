//! Buffers for what is to go, kept by each OS thread for the next response. Taken and given back
//! within a call each, so that no thread-local lives across a wait.

use crate::green::embed::NoWaitCell;

const KEEP: usize = 8;
const KEEP_CAPACITY: usize = 128 * 1024;

thread_local!(static BUFFERS: NoWaitCell<Vec<Vec<u8>>> = const { NoWaitCell::new(Vec::new()) });

pub(super) fn take() -> Vec<u8> {
    BUFFERS
        .with(|kept| kept.borrow_mut().pop())
        .unwrap_or_else(|| Vec::with_capacity(4096))
}

pub(super) fn give(mut buffer: Vec<u8>) {
    if (1..=KEEP_CAPACITY).contains(&buffer.capacity()) {
        buffer.clear();
        BUFFERS.with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEEP {
                kept.push(buffer);
            }
        });
    }
}
