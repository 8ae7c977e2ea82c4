//! The hooks that are locks: what std's threads and C's wait for one another with.

mod barriers;
mod c11;
mod conditions;
mod futex;
mod holders;
mod joining;
mod mutexes;
mod once;
mod parking;
mod reentrant;
mod rwlocks;
mod semaphores;
mod suspects;
mod table;

use greenway_green::embed::Thread;

/// What has to be known before locks are patched.
pub(crate) fn prepare() {
    parking::learn_on_all_workers();
    mutexes::ask_the_allocator();
    reentrant::learn();
    rwlocks::learn();
    barriers::learn();
}

/// What a thread waits for, for people.
pub(crate) fn describe(thread: &Thread) -> Option<String> {
    table::describe(thread, holders::of)
}
