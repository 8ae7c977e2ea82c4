//! Green threads, from outside: what gevent's users know, and what a pinned worker owes to all
//! who live on it.

use greenway::green::{
    self, JoinError, Queue, is_green, sleep, spawn, spawn_local, worker_index, yield_now,
};
use greenway::{Engine, Request};
use greenway_tests::request::get;
use greenway_tests::{DEADLINE, Drops, Gate, TestServer, linted, next};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Runs on a green thread, and gives its value.
#[track_caller]
pub(crate) fn on_green<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    join(&spawn(body)).unwrap_or_else(|error| panic!("{error}"))
}

/// Waits for a green thread, but not for ever.
#[track_caller]
pub(crate) fn join<T>(thread: &green::Greenlet<T>) -> Result<T, JoinError> {
    thread
        .join_timeout(DEADLINE)
        .expect("the green thread has not ended")
}

#[test]
fn sleep_lasts_at_least_as_long_as_asked() {
    fn naps() {
        for micros in [0, 1, 50, 999, 1_000, 1_001, 7_300, 20_000] {
            let asked = Duration::from_micros(micros);
            let started = Instant::now();
            sleep(asked);
            assert!(
                started.elapsed() >= asked,
                "{:?} instead of {asked:?}",
                started.elapsed()
            );
        }
        sleep(Duration::from_nanos(1));
    }
    on_green(naps);
    naps(); // on an OS thread, too
}

/// `may` takes sleeps under a millisecond for endless ones.
#[test]
fn short_sleeps_end() {
    on_green(|| {
        for nanos in (0..1_000_000).step_by(10_000) {
            sleep(Duration::from_nanos(nanos));
        }
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_clocks() {
    let order = Queue::new(10);
    on_green({
        let order = order.clone();
        move || {
            for n in [5_u64, 2, 4, 1, 3] {
                let order = order.clone();
                spawn_local(move || {
                    sleep(Duration::from_millis(n * 40));
                    order.put(n).unwrap();
                });
            }
        }
    });
    assert_eq!([(); 5].map(|()| next(&order)), [1, 2, 3, 4, 5]);
}

#[test]
fn ten_thousand_sleep_at_once() {
    let sleepers: Vec<_> = (0..10_000_u64)
        .map(|n| {
            spawn(move || {
                sleep(Duration::from_millis(200));
                n
            })
        })
        .collect();
    let sum: u64 = sleepers.iter().map(|sleeper| join(sleeper).unwrap()).sum();
    assert_eq!(sum, (0..10_000).sum::<u64>());
}

#[test]
fn join_gives_the_value() {
    assert!(!is_green(), "the test itself is not");
    assert_eq!(worker_index(), None);
    let greenlet = spawn(|| (is_green(), worker_index()));
    let (green, worker) = join(&greenlet).unwrap();
    assert!(green && worker.is_some_and(|worker| worker < green::config().workers));
    assert!(greenlet.ready());
    assert!(
        matches!(greenlet.join(), Err(JoinError::Taken)),
        "the value is given once"
    );
    assert_eq!(
        on_green(|| spawn(|| 6 * 7).join().unwrap()),
        42,
        "a green thread may join another"
    );
}

#[test]
fn join_gives_the_panic() {
    let greenlet = spawn(|| {
        std::panic::panic_any(vec![1, 2, 3]);
    });
    match join(&greenlet) {
        Err(JoinError::Panicked(payload)) => {
            assert_eq!(*payload.downcast::<Vec<i32>>().unwrap(), [1, 2, 3]);
        }
        other => panic!("{other:?}"),
    }
    let error = join(&spawn(|| panic!("in {} words", 3))).unwrap_err();
    assert_eq!(error.to_string(), "the green thread panicked: in 3 words");
}

#[test]
fn join_may_have_a_timeout() {
    let gate = Gate::new();
    let there = gate.clone();
    let greenlet = spawn(move || there.pass());
    assert!(greenlet.join_timeout(Duration::from_millis(5)).is_none());
    assert!(!greenlet.ready());
    gate.open();
    join(&greenlet).unwrap();
}

#[test]
fn kill_unwinds_from_the_wait_and_runs_destructors() {
    let waits: [(&str, fn()); 3] = [
        ("sleep", || sleep(Duration::MAX)),
        ("get", || assert_eq!(Queue::<()>::new(1).get(), None)),
        ("join", || {
            assert!(spawn(|| sleep(Duration::from_secs(1))).join().is_ok());
        }),
    ];
    for (name, wait) in waits {
        let (drops, entered) = (Drops::new(), Gate::new());
        let (witness, arrived) = (drops.witness(), entered.clone());
        let greenlet = spawn(move || {
            let _witness = witness;
            arrived.open();
            wait();
            panic!("nobody comes here");
        });
        entered.pass();
        greenlet.kill();
        assert!(matches!(join(&greenlet), Err(JoinError::Killed)), "{name}");
        assert!(drops.wait().unwinding, "{name}");
    }
}

#[test]
fn kill_before_the_first_step_prevents_it() {
    let ran = Arc::new(AtomicBool::new(false));
    let there = ran.clone();
    let (drops, killed) = on_green(move || {
        let drops = Drops::new();
        let witness = drops.witness();
        // It can start only when this one waits.
        let greenlet = spawn_local(move || {
            let _witness = witness;
            there.store(true, Ordering::SeqCst);
        });
        greenlet.kill();
        (drops, matches!(greenlet.join(), Err(JoinError::Killed)))
    });
    assert!(killed);
    assert!(!ran.load(Ordering::SeqCst));
    drops.wait(); // what it has captured is dropped all the same
}

#[test]
fn kill_after_the_end_does_nothing() {
    let greenlet = spawn(|| 1);
    greenway_tests::until("it has ended", || greenlet.ready());
    greenlet.kill();
    assert_eq!(join(&greenlet).unwrap(), 1);
}

/// While a thread unwinds, waits return at once: a destructor cannot hold up a kill.
#[test]
fn a_destructor_that_sleeps_does_not_hold_up_a_kill() {
    struct Sleepy(Queue<&'static str>);
    impl Drop for Sleepy {
        fn drop(&mut self) {
            sleep(Duration::MAX);
            let nothing = Queue::<()>::new(1).get();
            let _ = self
                .0
                .try_put(if nothing.is_none() { "awake" } else { "odd" });
        }
    }
    let (report, entered) = (Queue::new(1), Gate::new());
    let (sleepy, arrived) = (Sleepy(report.clone()), entered.clone());
    let greenlet = spawn(move || {
        let _sleepy = sleepy;
        arrived.open();
        sleep(Duration::MAX);
    });
    entered.pass();
    greenlet.kill();
    assert!(matches!(join(&greenlet), Err(JoinError::Killed)));
    assert_eq!(next(&report), "awake");
}

#[test]
fn a_value_that_is_not_send_may_be_shared_on_one_worker() {
    let sum = on_green(|| {
        let shared = Rc::new(Cell::new(0));
        let threads: Vec<_> = (1..=10)
            .map(|n| {
                let shared = shared.clone();
                spawn_local(move || {
                    for _ in 0..10 {
                        shared.set(shared.get() + n);
                        // Others come here in between, on this very thread.
                        sleep(Duration::from_micros(100));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(Rc::strong_count(&shared), 1, "all clones are gone");
        shared.get()
    });
    assert_eq!(sum, 10 * (1..=10).sum::<i32>());
}

#[test]
fn spawn_local_outside_a_green_thread_panics() {
    assert!(catch_unwind(|| spawn_local(|| ())).is_err());
}

#[test]
fn spawn_from_a_green_thread_stays_on_its_worker() {
    on_green(|| {
        for _ in 0..10 {
            assert_eq!(spawn(worker_index).join().unwrap(), worker_index());
        }
    });
}

/// A connection whose worker is kept busy by `business`, which runs until it is told to stop.
fn answers_while_worker_is_busy(business: fn(&'static AtomicBool)) {
    // Leaked, so that green threads may hold it: one for each test.
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let app = move |request: Request| {
        match request.path() {
            "/busy" => business(stop),
            "/sleep" => sleep(Duration::from_millis(1)),
            "/stop" => stop.store(true, Ordering::SeqCst),
            _ => {}
        }
        format!("{:?}", worker_index())
    };
    let server = TestServer::start(linted(app).engine(Engine::Green));
    let mut client = server.connect();
    let worker = client.send(get("/busy")).reply().text();
    for _ in 0..50 {
        assert_eq!(
            client.send(get("/")).reply().text(),
            worker,
            "input and output on the busy worker"
        );
        assert_eq!(
            client.send(get("/sleep")).reply().text(),
            worker,
            "and its clock"
        );
    }
    client.send(get("/stop")).reply();
}

#[test]
fn one_that_yields_for_ever_starves_nobody() {
    answers_while_worker_is_busy(|stop| {
        spawn_local(move || {
            while !stop.load(Ordering::SeqCst) {
                yield_now();
            }
        });
    });
}

#[test]
fn two_that_wake_one_another_for_ever_starve_nobody() {
    answers_while_worker_is_busy(|stop| {
        play_ping_pong(stop, |other| drop(spawn_local(other)));
    });
}

/// A green thread wakes another thread, which wakes it, until `stop`.
fn play_ping_pong(stop: &'static AtomicBool, start: fn(Box<dyn FnOnce() + Send>)) {
    let (ping, pong) = (Queue::new(1), Queue::new(1));
    let (there, back) = (ping.clone(), pong.clone());
    start(Box::new(move || {
        while there.get().is_some() {
            back.put(()).unwrap();
        }
    }));
    spawn_local(move || {
        while !stop.load(Ordering::SeqCst) {
            ping.put(()).unwrap();
            pong.get();
        }
        ping.close();
    });
}

/// One worker's green threads flood another's mailbox.
#[test]
fn wakes_from_elsewhere_starve_nobody() {
    answers_while_worker_is_busy(|stop| {
        play_ping_pong(stop, |other| drop(std::thread::spawn(other)));
    });
}

/// In `may`, a payload whose destructor panics kills the worker that drops it.
#[test]
fn a_payload_that_panics_when_dropped_kills_nobody() {
    struct Bomb(Gate);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.open();
            panic!("a destructor that panics");
        }
    }
    on_green(|| {
        let here = worker_index();
        for kind in 0..2 {
            let exploded = Gate::new();
            let bomb = Bomb(exploded.clone());
            // Nobody holds the handle, so the worker has to drop payload and value.
            drop(spawn_local(move || {
                if kind == 0 {
                    std::panic::panic_any(bomb);
                }
                bomb
            }));
            exploded.pass();
            sleep(Duration::from_millis(1));
            assert_eq!(worker_index(), here, "the worker is alive");
        }
    });
}

/// A blocked thread that catches the unwinding is interrupted again at its next wait.
#[test]
fn a_kill_cannot_be_swallowed() {
    let entered = Gate::new();
    let arrived = entered.clone();
    let greenlet = spawn(move || {
        arrived.open();
        let swallowed = catch_unwind(AssertUnwindSafe(|| sleep(Duration::MAX))).is_err();
        sleep(Duration::MAX);
        swallowed
    });
    entered.pass();
    greenlet.kill();
    assert!(matches!(join(&greenlet), Err(JoinError::Killed)));
}
