//! What a server needs of the scheduler, called from safe code.

use super::{eventually, ms};
use crate::embed::{Awaited, BeforeBlock, IdlePoller, Io, current, spawn_on, wait_for, workers};
use crate::{Builder, Event, JoinError, TaskState, green_threads, sleep, spawn};
use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

#[test]
fn a_hook_counts_again_when_a_later_one_is_gone() {
    let counts = spawn(|| {
        let (outer, inner) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let hook = |count: &Rc<Cell<u32>>| {
            let count = count.clone();
            BeforeBlock::new(Rc::new(move || count.set(count.get() + 1)))
        };
        let first = hook(&outer);
        sleep(ms(1));
        let second = hook(&inner);
        sleep(ms(1));
        drop(second);
        sleep(ms(1));
        drop(first);
        sleep(ms(1));
        (outer.get(), inner.get())
    });
    let (outer, inner) = counts.join().unwrap();
    assert!(outer >= 2 && inner >= 1, "{outer}, {inner}");
}

/// The wake comes while the hook waits for something else.
#[test]
fn a_hook_that_waits_takes_away_no_wake() {
    let event = Arc::new(Event::new());
    let waiter = {
        let event = event.clone();
        spawn(move || {
            let first = Cell::new(true);
            let _hook = BeforeBlock::new(Rc::new(move || {
                if first.take() {
                    sleep(ms(30));
                }
            }));
            event.wait_timeout(Duration::from_secs(20)).is_ok()
        })
    };
    sleep(ms(5));
    event.set();
    let began = Instant::now();
    assert!(waiter.join().unwrap());
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

/// The last one who holds the control block drops it on another OS thread than the hook's.
#[test]
fn a_hook_whose_guard_is_forgotten_is_not_dropped_elsewhere() {
    struct Loud(std::thread::ThreadId);
    impl Drop for Loud {
        fn drop(&mut self) {
            assert_eq!(self.0, std::thread::current().id());
        }
    }
    let thread = std::thread::spawn(|| {
        let loud = Loud(std::thread::current().id());
        let me = current().handle();
        let hook = Rc::new(move || {
            let _ = &loud;
        });
        std::mem::forget(BeforeBlock::on(&me, hook));
        me
    });
    let control = thread.join().unwrap();
    assert_eq!(Arc::strong_count(&control), 1);
    drop(control);
}

#[test]
fn a_threads_own_state_is_not_reached_from_elsewhere() {
    let control = spawn(|| current().handle()).join().unwrap();
    let reached = catch_unwind(AssertUnwindSafe(|| control.here().tick()));
    assert!(reached.is_err());
    let me = current().handle();
    assert!(!me.here().is_noting());
    assert!(!std::thread::scope(|s| s
        .spawn(|| me.here().is_noting())
        .join()
        .is_ok()));
}

#[test]
fn layers_above_say_what_they_wait_for() {
    let waiting = Builder::new().name("for the bus").spawn(|| {
        let bus = Awaited::Other("the bus");
        wait_for(bus, None, Io::None, |_, _| None::<()>)
    });
    let state = || {
        let all = green_threads().into_iter();
        all.filter(|task| task.name == "for the bus")
            .map(|task| task.state)
            .next()
    };
    eventually(|| state() == Some(TaskState::Waiting(Awaited::Other("the bus"))));
    waiting.kill();
    assert!(matches!(waiting.join(), Err(JoinError::Killed)));
}

#[test]
fn who_was_parked_first_makes_room_first_and_who_has_something_to_say_does_not() {
    const LONG: Duration = Duration::from_secs(20);
    let (back, given_back) = mpsc::channel();
    let poller = IdlePoller::new(workers()[0], move |thing: Box<UnixStream>| {
        let _nobody_waits_any_more = back.send(thing);
    });
    let poller = Arc::new(poller.unwrap());
    let pairs = (0..4).map(|_| UnixStream::pair().unwrap());
    let (near, mut far): (Vec<_>, Vec<_>) = pairs.unzip();
    let here = poller.clone();
    let parked = spawn_on(workers()[0], move || {
        let results = near.into_iter().map(|one| here.park(Box::new(one), None));
        results.filter(Result::is_ok).count()
    });
    assert_eq!(parked.join().unwrap(), 4);
    far[0].write_all(b"x").unwrap();
    assert!(given_back.recv_timeout(LONG).is_ok());
    for one in &mut far[1..] {
        assert!(poller.drop_oldest());
        one.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(one.read(&mut [0]).unwrap(), 0);
    }
    assert!(!poller.drop_oldest(), "nothing is parked");
    poller.close();
    poller.wait_closed(Instant::now() + LONG);
    assert!(given_back.try_recv().is_err());
}
