use super::{LONG, QUIET, everywhere, ms, on_worker, until_waiting, workers};
use crate::green::{Builder, Doing, Sight, green_threads, sleep};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn find(name: &str) -> Option<Sight> {
    green_threads().into_iter().find(|sight| sight.name == name)
}

#[test]
fn each_green_thread_is_seen_until_it_has_ended() {
    everywhere(|| {
        for worker in 0..workers() {
            let name = format!("seen {:?} {worker}", crate::green::worker_index());
            let sleeper = Builder::new()
                .name(&*name)
                .worker(worker)
                .spawn(|| sleep(LONG));
            sleep(ms(10));
            until_waiting(&name);
            let sight = find(&name).unwrap();
            assert_eq!((sight.worker, sight.doing), (worker, Doing::Waiting));
            assert!(sight.age >= ms(10) && sight.age < LONG);
            assert!(sight.to_string().ends_with("old: waiting"), "{sight}");
            sleeper.kill();
            assert!(sleeper.join().is_err());
            assert_eq!(find(&name), None);
        }
    });
}

#[test]
fn a_worker_that_is_held_up_does_not_hold_up_the_one_who_asks() {
    let _quiet = QUIET.write();
    let (started, go) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let hog = {
        let (started, go) = (started.clone(), go.clone());
        let how = Builder::new().name("hog").worker(workers() - 1);
        how.spawn(move || {
            started.store(true, Ordering::SeqCst);
            while !go.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
        })
    };
    while !started.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    assert_eq!(find("hog").unwrap().doing, Doing::Unknown);
    go.store(true, Ordering::SeqCst);
    hog.join().unwrap();
    assert_eq!(on_worker(1, || 1).join().unwrap(), 1);
}
