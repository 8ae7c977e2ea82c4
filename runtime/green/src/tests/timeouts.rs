use super::{LONG, QUIET, SHORT, everywhere, ms, on_worker};
use crate::scheduler::thread::{self, Awaited, Io, LimitGuard, wait_for};
use crate::{Event, Queue, TimedOut, Timeout, sleep, spawn, spawn_later, with_timeout};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

#[test]
fn a_block_that_takes_too_long_is_ended_at_its_wait() {
    everywhere(|| {
        let start = Instant::now();
        let after = Cell::new(false);
        let result = Timeout::run(SHORT, || {
            sleep(LONG);
            after.set(true);
        });
        assert_eq!(result, Err(TimedOut));
        assert!(start.elapsed() >= SHORT && start.elapsed() < LONG);
        assert!(!after.get(), "the code after the wait was not reached");
    });
}

#[test]
fn a_block_in_time_gives_its_value_and_leaves_no_limit_behind() {
    everywhere(|| {
        assert_eq!(Timeout::run(ms(50), || 7), Ok(7));
        sleep(ms(60));
        assert_eq!(Timeout::run(Duration::MAX, || sleep(ms(1))), Ok(()));
        let deadline = Instant::now() + LONG;
        assert_eq!(Timeout::run_until(deadline, || sleep(ms(1))), Ok(()));
    });
}

#[test]
fn each_block_learns_only_of_its_own_limit() {
    everywhere(|| {
        let outer = Timeout::run(LONG, || {
            assert_eq!(Timeout::run(SHORT, || sleep(LONG)), Err(TimedOut));
            sleep(ms(1));
            "the outer one goes on"
        });
        assert_eq!(outer, Ok("the outer one goes on"));

        let inner_was_told = Cell::new(false);
        let outer = Timeout::run(SHORT, || {
            let inner = Timeout::run(LONG, || sleep(LONG));
            inner_was_told.set(true);
            inner
        });
        assert_eq!(outer, Err(TimedOut));
        assert!(!inner_was_told.get());
    });
}

#[test]
fn of_two_limits_that_are_over_the_outermost_counts() {
    everywhere(|| {
        let outer = Timeout::run(Duration::ZERO, || {
            Timeout::run(Duration::ZERO, || sleep(LONG))
        });
        assert_eq!(outer, Err(TimedOut));
    });
}

#[test]
fn a_wait_that_is_satisfied_wins() {
    everywhere(|| {
        let (queue, event) = (Queue::new(1), Event::new());
        queue.put(1).unwrap();
        event.set();
        let result = Timeout::run(Duration::ZERO, || {
            event.wait();
            queue.get()
        });
        assert_eq!(result, Ok(Some(1)));
    });
}

#[test]
fn code_that_does_not_wait_is_not_interrupted() {
    everywhere(|| {
        let start = Instant::now();
        let result = Timeout::run(ms(1), || while start.elapsed() < ms(5) {});
        assert_eq!(result, Ok(()));
    });
}

#[test]
fn a_limit_can_be_moved_and_lifted_from_within() {
    everywhere(|| {
        // No wait comes while a limit is short, so a slow machine cannot make this one fail.
        let result = Timeout::run_with(ms(1), |timeout| {
            timeout.restart(LONG);
            sleep(ms(10));
            timeout.restart(ms(1));
            timeout.cancel();
            sleep(ms(10));
        });
        assert_eq!(result, Ok(()));
    });
}

#[test]
fn one_who_swallows_the_unwinding_is_told_again() {
    everywhere(|| {
        let swallowed = Cell::new(0);
        let result = Timeout::run(ms(5), || {
            loop {
                if catch_unwind(AssertUnwindSafe(|| sleep(LONG))).is_err() {
                    swallowed.set(swallowed.get() + 1);
                }
                if swallowed.get() == 3 {
                    sleep(LONG);
                }
            }
        });
        assert_eq!(result, Err(TimedOut));
        assert_eq!(swallowed.get(), 3);
    });
}

#[test]
fn a_panic_passes_through_and_lifts_the_limit() {
    everywhere(|| {
        let payload =
            catch_unwind(|| Timeout::run(ms(10), || std::panic::resume_unwind(Box::new(3))));
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&3));
        sleep(ms(15));
    });
}

#[test]
fn a_default_stands_in_for_what_is_late() {
    everywhere(|| {
        assert_eq!(with_timeout(LONG, 1, || 2), 2);
        let late = || {
            sleep(LONG);
            2
        };
        assert_eq!(with_timeout(ms(5), 1, late), 1);
    });
}

#[test]
fn times_below_a_millisecond_are_kept() {
    everywhere(|| {
        let start = Instant::now();
        for _ in 0..50 {
            let wait = || Queue::<()>::new(1).get();
            assert_eq!(
                Timeout::run(Duration::from_micros(200), wait),
                Err(TimedOut)
            );
        }
        assert!(start.elapsed() >= ms(10) && start.elapsed() < LONG);
    });
}

/// An item that comes at the moment when the time is over is either got or still there.
#[test]
fn a_timeout_and_a_put_at_the_same_time_lose_nothing() {
    for round in 0..500_u64 {
        let queue = Queue::new(1);
        let from = queue.clone();
        let time = Duration::from_micros(round % 50 * 10);
        let getter = on_worker(0, move || Timeout::run(time, || from.get()));
        sleep(time / 2);
        queue.put(round).unwrap();
        let got = match getter.join().unwrap() {
            Ok(item) => item,
            Err(TimedOut) => queue.try_get().unwrap(),
        };
        assert_eq!(got, Some(round));
    }
}

/// Ten thousand connections whose handlers may stay for ever are not to be woken once more, each
/// at the end of a time that no longer counts.
#[test]
fn a_limit_that_is_lifted_wakes_nobody() {
    let early = on_worker(0, || {
        let limit = LimitGuard::new(Instant::now() + ms(200));
        let event = Event::new();
        let other = event.clone();
        let soon = spawn(move || other.set());
        event.wait(); // sets the thread's timer for the limit, and ends before
        soon.join().unwrap();
        LimitGuard::lift(limit.number());
        let (me, over) = (thread::current().handle(), Arc::new(AtomicBool::new(false)));
        let is_over = over.clone();
        let _waker = spawn_later(ms(300), move || {
            over.store(true, SeqCst);
            me.wake();
        });
        let mut looks = 0;
        wait_for(Awaited::Something, None, Io::None, |_, _| {
            looks += 1;
            (looks > 1).then(|| !is_over.load(SeqCst))
        })
    });
    assert_eq!(early.join().unwrap(), Ok(false), "woken before its time");
}

/// A worker that is held by another one is late for both the end of a sleep and a limit behind it.
#[test]
fn a_limit_does_not_count_the_time_for_which_others_held_the_worker() {
    let _quiet = QUIET.write();
    let sleeper = on_worker(0, || {
        let me = crate::worker_index();
        let result = Timeout::run(ms(400), || {
            let holder = on_worker(0, || {
                let end = Instant::now() + ms(800);
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            });
            sleep(ms(200));
            // What is left is 200 ms still.
            sleep(ms(1));
            holder.join()
        });
        assert_eq!(me, crate::worker_index());
        result.is_ok()
    });
    assert_eq!(sleeper.join().ok(), Some(true));
}
