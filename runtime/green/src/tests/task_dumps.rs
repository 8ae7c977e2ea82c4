use super::{LONG, QUIET, eventually, everywhere, ms, on_worker, until_waiting, workers};
use crate::{
    AsyncResult, Awaited, Barrier, Blocked, Builder, Channel, Condition, Event, Greenlet,
    JoinableQueue, Lock, Queue, RwLock, Semaphore, TaskInfo, TaskState, green_threads, on_blocked,
    run_info, select, sleep, spawn, unblock,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn find(name: &str) -> Option<TaskInfo> {
    green_threads().into_iter().find(|task| task.name == name)
}

#[test]
fn each_green_thread_is_seen_until_it_has_ended() {
    everywhere(|| {
        for worker in 0..workers() {
            let name = format!("seen {:?} {worker}", crate::worker_index());
            let sleeper = Builder::new()
                .name(&*name)
                .worker(worker)
                .spawn(|| sleep(LONG));
            sleep(ms(30));
            until_waiting(&name);
            let task = find(&name).unwrap();
            let waits = TaskState::Waiting(Awaited::Time);
            assert_eq!((task.worker, task.state), (worker, waits));
            assert!(task.age >= ms(30) && task.age < LONG);
            assert!(task.since < task.age + ms(20), "{task}"); // the clock is coarse
            assert!(task.to_string().contains(": sleep for "), "{task}");
            sleeper.kill();
            assert!(sleeper.join().is_err());
            assert_eq!(find(&name), None);
        }
    });
}

#[test]
fn a_child_names_its_parent() {
    everywhere(|| {
        let name = format!("parent {:?}", crate::worker_index());
        let here = name.clone();
        let parent = Builder::new().name(&*name).spawn(move || {
            let child = Builder::new().name(format!("{here}'s child"));
            let child = child.spawn(|| sleep(LONG));
            sleep(LONG);
            drop(child);
        });
        until_waiting(&format!("{name}'s child"));
        let child = find(&format!("{name}'s child")).unwrap();
        assert_eq!(child.parent, find(&name).map(|parent| parent.number));
        parent.kill();
        drop(parent.join());
    });
    let orphan = Builder::new().name("orphan").spawn(|| sleep(LONG));
    assert_eq!(find("orphan").unwrap().parent, None, "an OS thread");
    orphan.kill();
}

/// Starts `body`, and waits until it waits for this.
fn waits_for(what: Awaited, body: impl FnOnce() + Send + 'static) {
    let name = format!("waits for {what}");
    let thread = Builder::new().name(&*name).spawn(body);
    eventually(|| {
        let task = find(&name).unwrap_or_else(|| panic!("{name} has ended"));
        task.state == TaskState::Waiting(what)
    });
    let text = run_info().to_string();
    assert!(text.contains(&format!("{name}: {what}\n")), "{text}");
    thread.kill();
    drop(thread.join());
}

#[test]
fn each_wait_says_what_it_is_for() {
    workers();
    waits_for(Awaited::Time, || sleep(LONG));
    waits_for(Awaited::QueueGet, || {
        Queue::<u8>::new(1).get();
    });
    waits_for(Awaited::QueuePeek, || {
        Queue::<u8>::new(1).peek();
    });
    waits_for(Awaited::QueuePut, || {
        let queue = Queue::new(1);
        queue.put(1).unwrap();
        let _ = queue.put(2);
    });
    waits_for(Awaited::QueuePut, || {
        let _ = Channel::new().put(1);
    });
    waits_for(Awaited::QueueDone, || {
        let queue = JoinableQueue::new(1);
        queue.put(1).unwrap();
        queue.join();
    });
    waits_for(Awaited::Event, || Event::new().wait());
    waits_for(Awaited::AsyncResult, || {
        let result = AsyncResult::<u8>::new();
        let _ = result.take();
    });
    waits_for(Awaited::Permit, || {
        let _ = Semaphore::new(0).acquire();
    });
    waits_for(Awaited::RwLock, || {
        let lock = RwLock::new(());
        let _read = lock.read();
        let _ = lock.write();
    });
    waits_for(Awaited::Condition, || {
        let lock = Lock::new(());
        drop(Condition::new().wait(lock.lock().unwrap()));
    });
    waits_for(Awaited::Barrier, || {
        let _ = Barrier::new(2).wait();
    });
    waits_for(Awaited::Several, || {
        let _ = select(&[&Event::new()], None);
    });
    waits_for(Awaited::Join, || {
        let child = spawn(|| sleep(LONG));
        let _ = child.join();
    });
    waits_for(Awaited::Job, || {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        unblock(move || assert!(wait.recv_timeout(LONG).is_err()));
        drop(go);
    });
}

/// Computes on a worker until the guard is dropped.
struct Hog {
    go: Arc<AtomicBool>,
    thread: Option<Greenlet<()>>,
}

#[inline(never)]
fn computes_and_never_waits(started: &AtomicBool, go: &AtomicBool) {
    started.store(true, Ordering::SeqCst);
    while !go.load(Ordering::SeqCst) {
        std::hint::spin_loop();
    }
}

impl Hog {
    fn on(worker: usize, name: &str) -> Self {
        let (started, go) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let thread = {
            let (started, go) = (started.clone(), go.clone());
            let how = Builder::new().name(name).worker(worker);
            how.spawn(move || computes_and_never_waits(&started, &go))
        };
        while !started.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let thread = Some(thread);
        Self { go, thread }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.go.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok());
        }
    }
}

#[test]
fn a_worker_that_is_held_up_does_not_hold_up_the_one_who_asks() {
    let _quiet = QUIET.write();
    let worker = workers() - 1;
    let sleeper = Builder::new().name("behind a hog").worker(worker);
    let sleeper = sleeper.spawn(|| sleep(LONG));
    until_waiting("behind a hog");
    let hog = Hog::on(worker, "hog");
    let start = Instant::now();
    assert_eq!(find("hog").unwrap().state, TaskState::Running);
    let waits = TaskState::Waiting(Awaited::Time);
    assert_eq!(find("behind a hog").unwrap().state, waits);
    sleeper.kill();
    assert_eq!(find("behind a hog").unwrap().state, TaskState::Ready);
    assert!(start.elapsed() < LONG);
    drop(hog);
    assert!(sleeper.join().is_err());
    assert_eq!(on_worker(1, || 1).join().unwrap(), 1);
}

/// The hook is one for the process, so that all about it is one test.
#[test]
fn one_who_holds_up_a_worker_is_reported_and_sleepers_are_not() {
    if crate::config().max_blocking_time > ms(500) {
        return; // an optimised build waits for longer; the program in tests/suite shows it there
    }
    let _quiet = QUIET.write();
    type Report = (String, usize, Duration, Vec<String>);
    let reports = Arc::new(Mutex::new(Vec::<Report>::new()));
    let here = reports.clone();
    on_blocked(move |blocked: &Blocked| {
        let stack = blocked.stack().to_vec();
        let report = (
            blocked.name().to_owned(),
            blocked.worker(),
            blocked.duration(),
            stack,
        );
        here.lock().unwrap().push(report);
        assert!(blocked.name() != "hook panics", "a hook that panics");
        false
    });
    let of = |name: &str| -> Option<Report> {
        let reports = reports.lock().unwrap();
        reports.iter().find(|report| report.0 == name).cloned()
    };

    let sleeper = Builder::new().name("only sleeps").spawn(|| sleep(ms(400)));
    let worker = workers() - 1;
    for name in ["blocks the worker", "hook panics", "blocks it again"] {
        let hog = Hog::on(worker, name);
        eventually(|| of(name).is_some());
        let text = run_info().to_string();
        assert!(text.contains("IS HELD UP for "), "{text}");
        assert!(text.contains(name), "{text}");
        drop(hog);
        let (_, on, duration, stack) = of(name).unwrap();
        assert_eq!(on, worker);
        assert!(duration >= crate::config().max_blocking_time);
        let place = stack
            .iter()
            .position(|frame| frame.contains("computes_and_never_waits"));
        assert!(place.is_some_and(|place| place < 6), "{stack:#?}");
        assert!(
            !stack.iter().any(|frame| frame.contains("on_signal")),
            "{stack:#?}"
        );
    }
    sleeper.join().unwrap();
    assert!(of("only sleeps").is_none());
    on_blocked(|_| true);
}
