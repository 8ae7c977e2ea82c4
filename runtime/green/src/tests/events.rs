use super::{LONG, everywhere, ms, on_worker};
use crate::{AsyncResult, Event, GetError, TimedOut, spawn, wait};
use std::time::Duration;

#[test]
fn an_event_wakes_all_and_stays_set_until_it_is_cleared() {
    everywhere(|| {
        let event = Event::new();
        assert!(!event.is_set());
        assert_eq!(event.wait_timeout(ms(2)), Err(TimedOut));
        let waiters = [0, 1, 0, 1].map(|worker| {
            let event = event.clone();
            on_worker(worker, move || event.wait())
        });
        event.set();
        event.set();
        for waiter in waiters {
            waiter.join_timeout(LONG).unwrap().unwrap();
        }
        assert_eq!(event.wait_timeout(Duration::ZERO), Ok(()));
        event.clear();
        assert_eq!(event.wait_timeout(ms(1)), Err(TimedOut));
    });
}

/// gevent: an event that is set and cleared at once still wakes those who were waiting.
#[test]
fn a_set_that_is_cleared_at_once_is_seen_by_those_who_waited() {
    everywhere(|| {
        let event = Event::new();
        let waiter = {
            let event = event.clone();
            spawn(move || event.wait_timeout(LONG))
        };
        super::eventually(|| !event.nobody_waits());
        event.set();
        event.clear();
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_eq!(event.wait_timeout(ms(1)), Err(TimedOut));
    });
}

#[test]
fn two_events_hammered_as_ping_and_pong_across_workers() {
    let (ping, pong) = (Event::new(), Event::new());
    let other = {
        let (ping, pong) = (ping.clone(), pong.clone());
        on_worker(1, move || {
            for _ in 0..3000 {
                ping.wait();
                ping.clear();
                pong.set();
            }
        })
    };
    let mine = on_worker(0, move || {
        for _ in 0..3000 {
            ping.set();
            pong.wait();
            pong.clear();
        }
    });
    mine.join_timeout(LONG).unwrap().unwrap();
    other.join_timeout(LONG).unwrap().unwrap();
}

#[test]
fn a_result_is_set_once_and_given_to_all() {
    everywhere(|| {
        let result = AsyncResult::new();
        assert!(!result.ready() && result.try_get().is_none());
        assert_eq!(result.get_timeout(ms(2)), Err(GetError::TimedOut));
        let getters = [0, 1].map(|worker| {
            let result = result.clone();
            on_worker(worker, move || result.get())
        });
        assert_eq!(result.set("value"), Ok(()));
        assert_eq!(result.set("another"), Err("another"));
        for getter in getters {
            assert_eq!(getter.join().unwrap(), Ok("value"));
        }
        assert_eq!(result.get(), Ok("value"));
    });
}

#[test]
fn a_value_that_cannot_be_copied_is_taken_by_one() {
    struct Unique(u8);
    everywhere(|| {
        let result = AsyncResult::new();
        assert!(result.set(Unique(1)).is_ok());
        assert_eq!(result.take().map(|unique| unique.0), Ok(1));
        assert_eq!(
            result.take_timeout(ms(1)).map(|unique| unique.0),
            Err(GetError::TimedOut)
        );
        assert!(result.set(Unique(2)).is_ok());
        assert_eq!(result.take().map(|unique| unique.0), Ok(2));
    });
}

#[test]
fn a_setter_that_is_gone_is_an_error_and_not_a_hang() {
    everywhere(|| {
        let result = AsyncResult::<u8>::new();
        let (one, other) = (result.setter(), result.setter());
        drop(one);
        assert_eq!(
            result.get_timeout(ms(2)),
            Err(GetError::TimedOut),
            "another may set it"
        );
        let promise = spawn(move || {
            let _other = other;
            crate::sleep(LONG);
        });
        promise.kill();
        assert_eq!(result.get(), Err(GetError::Abandoned));
        assert!(result.ready());

        assert_eq!(result.setter().set(3), Ok(()));
        assert_eq!(result.get(), Ok(3), "a value outlives its setter");
    });
}

/// Drop against get: whoever is first, every getter comes to an end.
#[test]
fn setters_that_vanish_while_others_get() {
    for round in 0..500 {
        let result = AsyncResult::new();
        let setter = result.setter();
        let getter = {
            let result = result.clone();
            on_worker(0, move || result.get())
        };
        let end = on_worker(1, move || {
            if round % 2 == 0 {
                setter.set(round).unwrap();
            }
        });
        end.join().unwrap();
        let expected = if round % 2 == 0 {
            Ok(round)
        } else {
            Err(GetError::Abandoned)
        };
        assert_eq!(getter.join_timeout(LONG).unwrap().unwrap(), expected);
    }
}

#[test]
fn one_that_is_set_is_ready_as_often_as_one_asks() {
    everywhere(|| {
        let event = Event::new();
        event.set();
        for _ in 0..2 {
            event.wait();
            assert_eq!(wait(&[&event, &event], None, None), [0, 1]);
        }
    });
}
