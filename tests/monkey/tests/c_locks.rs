//! Locks that C code uses, between green threads of one worker, of several, and OS threads.

use greenway::green::{self, spawn};
use greenway_monkey_tests::{begin, crowd};
use std::ffi::{c_int, c_long, c_void};
use std::thread;

unsafe extern "C" {
    fn room_new() -> *mut c_void;
    fn room_free(room: *mut c_void, mutexes: c_long, writes: c_long) -> c_int;
    fn use_mutexes(room: *mut c_void, rounds: c_int) -> c_int;
    fn put(room: *mut c_void, n: c_int) -> c_int;
    fn take(room: *mut c_void, n: c_int) -> c_int;
    fn read_and_write(room: *mut c_void, rounds: c_int, writes: c_int) -> c_int;
    fn use_semaphore(room: *mut c_void, rounds: c_int) -> c_int;
    fn ping_pong(room: *mut c_void, rounds: c_int, mine: c_int) -> c_int;
    fn time_limits() -> c_int;
    fn once() -> c_int;
    fn brief_new() -> *mut c_void;
    fn brief_wait(brief: *mut c_void) -> c_int;
    fn brief_set(brief: *mut c_void) -> c_int;
}

/// What all share.
#[derive(Clone, Copy)]
struct Room(*mut c_void);

// SAFETY: all in it is used under locks of its own.
unsafe impl Send for Room {}

/// Runs `use_it` on green threads and on OS threads at once, and gives the lines that failed.
fn mixed(
    green: usize,
    os: usize,
    use_it: impl Fn(usize) -> c_int + Clone + Send + 'static,
) -> Vec<c_int> {
    let threads: Vec<_> = (0..os)
        .map(|n| {
            let use_it = use_it.clone();
            thread::spawn(move || use_it(green + n))
        })
        .collect();
    let mut lines = crowd(green, use_it);
    lines.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    lines.retain(|line| *line != 0);
    lines
}

#[test]
fn everything_at_once() {
    begin();
    // SAFETY: what C gives is used by its own functions, until all have ended.
    let room = Room(unsafe { room_new() });
    let use_it = move |n: usize| {
        let Room(room) = { room };
        // SAFETY: as above.
        unsafe {
            match n % 8 {
                0 | 1 => use_mutexes(room, 50),
                2 => put(room, 100),
                3 => take(room, 100),
                4 => read_and_write(room, 50, 1),
                5 | 6 => read_and_write(room, 50, 0),
                _ => use_semaphore(room, 100),
            }
        }
    };
    // 5 groups of eight are green, one is not.
    assert_eq!(mixed(40, 8, use_it), Vec::<c_int>::new());
    // SAFETY: all have ended.
    assert_eq!(unsafe { room_free(room.0, 6 * 2 * 50, 6 * 50) }, 0);
}

#[test]
fn a_mutex_that_may_be_locked_again_is_one_threads() {
    begin();
    // SAFETY: as in `everything_at_once`.
    let room = Room(unsafe { room_new() });
    let use_it = move |_| {
        let Room(room) = { room };
        // SAFETY: as above.
        unsafe { use_mutexes(room, 20) }
    };
    assert_eq!(crowd(20, use_it), [0; 20]);
    // SAFETY: all have ended.
    assert_eq!(unsafe { room_free(room.0, 20 * 20, 0) }, 0);
}

#[test]
fn locks_of_c11() {
    begin();
    for os in 0..2 {
        // SAFETY: as in `everything_at_once`.
        let room = Room(unsafe { room_new() });
        let use_it = move |n: usize| {
            let Room(room) = { room };
            // SAFETY: as above.
            unsafe { ping_pong(room, 300, n as c_int) }
        };
        assert_eq!(mixed(2 - os, os, use_it), Vec::<c_int>::new());
    }
}

#[test]
fn time_limits_of_locks() {
    begin();
    // SAFETY: takes nothing.
    assert_eq!(crowd(30, |_| unsafe { time_limits() }), [0; 30]);
}

#[test]
fn an_initialiser_that_waits() {
    begin();
    // SAFETY: takes nothing.
    assert_eq!(mixed(30, 4, |_| unsafe { once() }), Vec::<c_int>::new());
}

#[test]
fn a_condition_is_gone_with_its_last_wake() {
    begin();
    crowd(20, |_| {
        for _ in 0..50 {
            // SAFETY: the one who waits frees it, and the other one does not use it after its own call.
            let brief = Room(unsafe { brief_new() });
            let waiter = spawn(move || {
                let Room(brief) = { brief };
                // SAFETY: as above.
                unsafe { brief_wait(brief) }
            });
            green::yield_now();
            // SAFETY: as above.
            assert_eq!(unsafe { brief_set(brief.0) }, 0);
            assert_eq!(waiter.join().unwrap(), 0);
        }
    });
}
