//! The hooks that are locks: what std's threads and C's wait for one another with.

mod c11;
mod conditions;
mod futex;
mod joining;
mod mutexes;
mod once;
mod parking;
mod reentrant;
mod rwlocks;
mod semaphores;
mod suspects;
mod table;
mod timed;

pub(crate) use table::describe;

/// What has to be known before locks are patched.
pub(crate) fn prepare() {
    parking::learn_on_all_workers();
    mutexes::ask_the_allocator();
    reentrant::learn();
}
