//! Barriers of C, and locks of C that are rarer than mutexes.

use greenway::green::{self, JoinError, green_threads, spawn};
use greenway_monkey_tests::{begin, crowd, until};
use std::ffi::{c_int, c_void};
use std::thread;
use std::time::Duration;

unsafe extern "C" {
    fn meeting_new(n: c_int, rounds: c_int) -> *mut c_void;
    fn meet(meeting: *mut c_void, rounds: c_int, mine: c_int) -> c_int;
    fn relay_new(n: c_int) -> *mut c_void;
    fn run_relay(relay: *mut c_void, n: c_int, rounds: c_int) -> c_int;
    fn rarer_locks() -> c_int;
    fn spin(rounds: c_int) -> c_int;
    fn crowd_new() -> *mut c_void;
    fn crowd_reads(crowd: *mut c_void) -> c_int;
    fn crowd_writes(crowd: *mut c_void, times: c_int) -> c_int;
    fn semaphore_new() -> *mut c_void;
    fn semaphore_of_one_who_ends(semaphore: *mut c_void, has_time: c_int) -> c_int;
    fn mutex_of_one_who_ends(mutex: *mut c_void) -> c_int;
    fn hold(ms: c_int) -> c_int;
}

/// What all share.
#[derive(Clone, Copy)]
struct Shared(*mut c_void);

// SAFETY: all in it is used as its C functions have it, by any thread.
unsafe impl Send for Shared {}

/// Runs `use_it` on green threads and on OS threads at once.
fn mixed(green: usize, os: usize, use_it: impl Fn(usize) -> c_int + Clone + Send + 'static) {
    let threads: Vec<_> = (0..os)
        .map(|n| {
            let use_it = use_it.clone();
            thread::spawn(move || use_it(green + n))
        })
        .collect();
    let mut lines = crowd(green, use_it);
    lines.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    assert!(lines.iter().all(|line| *line == 0), "{lines:?}");
}

#[test]
fn barriers() {
    begin();
    for (green, os, rounds) in [
        (1, 0, 10),
        (2, 0, 200),
        (20, 0, 100),
        (3, 3, 100),
        (10, 1, 50),
        (1, 4, 50),
    ] {
        let all = green + os;
        // SAFETY: the last one of all takes it down.
        let meeting = Shared(unsafe { meeting_new(all as c_int, rounds) });
        mixed(green, os, move |n| {
            let Shared(meeting) = { meeting };
            // SAFETY: as above.
            unsafe { meet(meeting, rounds, n as c_int) }
        });
    }
}

/// 100 that meet 1,000 times: 100,000 steps.
#[test]
fn a_hundred_thousand_steps_at_a_barrier() {
    begin();
    // SAFETY: the last one of all takes it down.
    let meeting = Shared(unsafe { meeting_new(100, 1_000) });
    mixed(98, 2, move |n| {
        let Shared(meeting) = { meeting };
        // SAFETY: as above.
        unsafe { meet(meeting, 1_000, n as c_int) }
    });
}

#[test]
fn whoever_leads_destroys_the_barrier_and_makes_another() {
    begin();
    for (green, os) in [(8, 0), (4, 2), (4, 4), (1, 1)] {
        let all = (green + os) as c_int;
        // SAFETY: used by so many.
        let relay = Shared(unsafe { relay_new(all) });
        mixed(green, os, move |_| {
            let Shared(relay) = { relay };
            // SAFETY: as above.
            unsafe { run_relay(relay, all, 100) }
        });
    }
}

#[test]
fn a_kill_at_a_barrier_waits_for_the_others() {
    begin();
    // SAFETY: the last one of all takes it down.
    let meeting = Shared(unsafe { meeting_new(2, 1) });
    let meets = move |n| {
        let Shared(meeting) = { meeting };
        // SAFETY: as above.
        unsafe { meet(meeting, 1, n) }
    };
    let killed = spawn(move || {
        assert_eq!(meets(0), 0);
        green::sleep(Duration::MAX); // unwinds
    });
    waits_for(killed.number(), "pthread barrier");
    killed.kill();
    green::sleep(Duration::from_millis(20));
    assert_eq!(spawn(move || meets(1)).join().unwrap(), 0);
    assert!(matches!(killed.join(), Err(JoinError::Killed)));
}

/// Waits until the dump says so of that green thread, and gives what it says.
fn waits_for(number: u64, text: &str) -> String {
    let mut line = String::new();
    until(text, || {
        let tasks = green_threads();
        let task = tasks.iter().find(|task| task.number == number);
        line = task.map(ToString::to_string).unwrap_or_default();
        line.contains(text)
    });
    line
}

#[test]
fn locks_with_clocks_joins_with_times_and_semaphores_of_system_v() {
    begin();
    // SAFETY: takes nothing.
    assert_eq!(crowd(20, |_| unsafe { rarer_locks() }), [0; 20]);
}

#[test]
fn spinlocks_that_are_held_over_a_wait() {
    begin();
    // SAFETY: takes a number.
    mixed(20, 2, |_| unsafe { spin(20) });
}

#[test]
fn who_writes_comes_first_where_the_lock_says_so() {
    begin();
    for os in [0, 2] {
        // SAFETY: used by its own functions.
        let crowd = Shared(unsafe { crowd_new() });
        mixed(20 - os, os, move |n| {
            let Shared(crowd) = { crowd };
            // SAFETY: as above.
            unsafe {
                match n {
                    0 => crowd_writes(crowd, 50),
                    _ => crowd_reads(crowd),
                }
            }
        });
    }
}

#[test]
fn whoever_is_to_end_at_a_semaphore() {
    begin();
    // SAFETY: used by its own functions.
    let semaphore = Shared(unsafe { semaphore_new() });
    let waits = move |has_time| {
        let Shared(semaphore) = { semaphore };
        // SAFETY: as above.
        unsafe { semaphore_of_one_who_ends(semaphore, has_time) }
    };
    // Its time is over early; without one it waits on, and never goes on without the semaphore.
    let timed = spawn(move || assert_eq!(waits(1), libc::ETIMEDOUT));
    waits_for(timed.number(), "semaphore");
    timed.kill();
    timed
        .join_timeout(Duration::from_secs(60))
        .unwrap()
        .unwrap();
    let patient = spawn(move || {
        assert_eq!(waits(0), 0);
        green::sleep(Duration::MAX); // unwinds
    });
    waits_for(patient.number(), "semaphore");
    patient.kill();
    green::sleep(Duration::from_millis(50));
    waits_for(patient.number(), "semaphore");
    let Shared(at) = semaphore;
    // SAFETY: a semaphore, which nobody has destroyed.
    assert_eq!(unsafe { libc::sem_post(at.cast()) }, 0);
    assert!(matches!(patient.join(), Err(JoinError::Killed)));
}

#[test]
fn whoever_is_to_end_at_a_mutex_with_a_time() {
    begin();
    let mutex = Box::into_raw(Box::new(libc::PTHREAD_MUTEX_INITIALIZER));
    let shared = Shared(mutex.cast());
    // SAFETY: a mutex, which lives as long as the test.
    assert_eq!(unsafe { libc::pthread_mutex_lock(mutex) }, 0);
    let waits = spawn(move || {
        let Shared(mutex) = { shared };
        // SAFETY: as above.
        assert_eq!(unsafe { mutex_of_one_who_ends(mutex) }, libc::ETIMEDOUT);
    });
    waits_for(waits.number(), "pthread mutex");
    waits.kill();
    waits
        .join_timeout(Duration::from_secs(60))
        .unwrap()
        .unwrap();
}

#[test]
fn the_dump_tells_who_holds_a_lock_of_c() {
    begin();
    // SAFETY: takes a number.
    let holder = spawn(|| unsafe { hold(2_000) });
    let holds = || {
        let tasks = green_threads();
        let its = tasks.iter().find(|task| task.number == holder.number());
        its.is_some_and(|task| task.to_string().contains("sleep"))
    };
    until("it holds the lock", holds);
    // SAFETY: as above.
    let waiter = spawn(|| unsafe { hold(0) });
    let line = waits_for(waiter.number(), "pthread mutex");
    assert!(
        line.contains(&format!("held by #{}", holder.number())),
        "{line}"
    );
    assert_eq!((holder.join().unwrap(), waiter.join().unwrap()), (0, 0));
}
