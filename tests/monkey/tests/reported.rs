//! What cannot work is found, not suffered: each in a process of its own with one worker, since some of it hangs.

use greenway::green::{self, Config, JoinError, spawn, unblock};
use greenway::monkey::{self, Patch};
use greenway_monkey_tests::log_to_stderr;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// What a process is asked to do.
const CASE: &str = "GREENWAY_TEST_CASE";

/// Says what is to come; until then it may take as long as it takes.
const BEGINS: &str = "it begins";

/// The first line of standard error that has `text` in it, of a process that does this case, and after what
/// time it came; the process is ended then. `None` if the process has ended without it.
fn told(case: &str, text: &str) -> Option<(String, Duration)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_of_its_own", "--nocapture"])
        .env(CASE, case)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (send, lines) = mpsc::channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = send.send(line); // nobody asks any more
        }
    });
    let mut begun = Instant::now();
    let deadline = begun + Duration::from_secs(60);
    let mut found = None;
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        eprintln!("{case}: {line}");
        if line == BEGINS {
            begun = Instant::now();
        } else if line.contains(text) {
            found = Some((line, begun.elapsed()));
            break;
        }
    }
    let _ = child.kill(); // it may have ended
    child.wait().unwrap();
    found
}

/// One worker, all patched, and a log.
fn begin() {
    log_to_stderr();
    green::start(Config {
        workers: 1,
        ..Config::default()
    });
    monkey::patch_all();
    eprintln!("{BEGINS}");
}

/// Does a case, if this process is asked for one.
#[test]
fn a_process_of_its_own() {
    match std::env::var(CASE).as_deref() {
        Ok("mpsc") => channel_of_std(),
        Ok("crossbeam") => channel_of_crossbeam(),
        Ok("parking_lot") => queue_of_parking_lot(),
        Ok("r2d2") => pool_of_r2d2(),
        Ok("held") => lock_that_is_held(),
        Ok("stdout") => lock_of_stdout(),
        Ok("tokio") => runtime_of_tokio(),
        Ok("epoll") => runtimes_that_wait(),
        Ok(case) => panic!("no case is called {case}"),
        Err(_) => {} // only one of the tests
    }
}

fn channel_of_std() {
    begin();
    let (send, receive) = mpsc::channel();
    let receiver = spawn(move || receive.recv().unwrap());
    let sender = spawn(move || {
        green::sleep(Duration::from_millis(50));
        send.send(1).unwrap();
        green::sleep(Duration::MAX); // else the receiver would learn that it is alone
    });
    receiver.join().unwrap();
    sender.join().unwrap();
}

fn channel_of_crossbeam() {
    begin();
    let (send, receive) = crossbeam_channel::bounded(1);
    let sender = spawn(move || {
        for n in 0..3 {
            send.send(n).unwrap();
        }
        green::sleep(Duration::MAX);
    });
    let receiver = spawn(move || {
        green::sleep(Duration::from_millis(50));
        (0..3).for_each(|n| assert_eq!(receive.recv(), Ok(n)));
    });
    receiver.join().unwrap();
    sender.join().unwrap();
}

fn queue_of_parking_lot() {
    begin();
    let lock = Arc::new(parking_lot::Mutex::new(()));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let lock = lock.clone();
            spawn(move || {
                let _held = lock.lock();
                thread::sleep(Duration::from_millis(50));
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Its pool waits with `parking_lot`.
fn pool_of_r2d2() {
    struct Nothing;
    impl r2d2::ManageConnection for Nothing {
        type Connection = ();
        type Error = std::convert::Infallible;
        fn connect(&self) -> Result<(), Self::Error> {
            Ok(())
        }
        fn is_valid(&self, (): &mut ()) -> Result<(), Self::Error> {
            Ok(())
        }
        fn has_broken(&self, (): &mut ()) -> bool {
            false
        }
    }
    begin();
    let pool = r2d2::Pool::builder().max_size(1).build(Nothing).unwrap();
    let users = [(); 3].map(|()| {
        let pool = pool.clone();
        spawn(move || {
            let _connection = pool.get().unwrap();
            thread::sleep(Duration::from_millis(50));
        })
    });
    for user in users {
        user.join().unwrap();
    }
}

fn lock_that_is_held() {
    begin();
    let lock = Arc::new(std::sync::Mutex::new(()));
    let held = lock.clone();
    let holder = spawn(move || {
        let _held = held.lock().unwrap();
        green::sleep(Duration::MAX);
    });
    green::sleep(Duration::from_millis(50));
    spawn(move || drop(lock.lock())).join().unwrap();
    holder.join().unwrap();
}

/// Both think that they have the lock, which is one for the OS thread: it is told by its own output alone.
fn lock_of_stdout() {
    begin();
    let holder = spawn(|| {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(b"first half, ").unwrap();
        thread::sleep(Duration::from_millis(100));
        stdout.write_all(b"second half\n").unwrap();
    });
    let other = spawn(|| {
        thread::sleep(Duration::from_millis(20));
        std::io::stdout().lock().write_all(b"a guest, ").unwrap();
        eprintln!("the guest was let in");
    });
    holder.join().unwrap();
    other.join().unwrap();
}

fn tokio_sleeps(time: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .unwrap()
        .block_on(async move { tokio::time::sleep(time).await });
}

fn runtime_of_tokio() {
    begin();
    let threads = [(); 2].map(|()| spawn(|| tokio_sleeps(Duration::from_millis(1_500))));
    for thread in threads {
        thread.join().unwrap();
    }
    // The way out: an OS thread of the pool.
    let start = Instant::now();
    let threads = [(); 4].map(|()| spawn(|| unblock(|| tokio_sleeps(Duration::from_millis(500)))));
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(1_500));
    eprintln!("through the pool, at once");
}

fn runtimes_that_wait() {
    begin();
    monkey::patch(Patch::EPOLL);
    let threads = [(); 2].map(|()| spawn(|| tokio_sleeps(Duration::from_millis(100))));
    let ends = threads.map(|thread| thread.join());
    assert!(
        ends.iter()
            .any(|end| matches!(end, Err(JoinError::Panicked(_))))
    );
}

/// How late a report may come on a machine that does other things as well.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn channels_between_two_of_one_worker() {
    for case in ["mpsc", "crossbeam"] {
        let (line, after) = told(case, "has been parked for more than a second").unwrap();
        assert!(
            line.contains("green::Queue") && line.contains("worker 0"),
            "{line}"
        );
        assert!(after < SOON, "{case}: {after:?}");
    }
}

#[test]
fn the_queue_of_parking_lot() {
    let (line, after) = told("parking_lot", "wait in one place of a queue").unwrap();
    assert!(
        line.contains("parking_lot") && after < SOON,
        "{line}: {after:?}"
    );
}

#[test]
fn the_pool_of_r2d2() {
    told("r2d2", "wait in one place of a queue").unwrap();
}

#[test]
fn a_lock_that_is_held_over_a_wait() {
    let (line, after) = told("held", "has waited for more than a second for the lock").unwrap();
    assert!(line.contains("dump") && after < SOON, "{line}: {after:?}");
}

#[test]
fn a_lock_of_the_os_thread_lets_its_green_threads_in() {
    told("stdout", "the guest was let in").unwrap();
}

#[test]
fn a_runtime_of_tokio_holds_its_worker_up() {
    told("tokio", "held up").unwrap();
    told("tokio", "through the pool, at once").unwrap();
}

#[test]
fn two_runtimes_of_tokio_find_one_another() {
    told("epoll", "annot start a runtime").unwrap();
}

#[test]
fn a_borrow_over_a_wait() {
    thread_local!(static SHARED: RefCell<u32> = const { RefCell::new(0) });
    green::start(Config::default());
    monkey::patch_all();
    let threads = [(); 8].map(|()| {
        spawn(|| {
            SHARED.with_borrow_mut(|shared| {
                thread::sleep(Duration::from_millis(50));
                *shared += 1;
            });
        })
    });
    let ends = threads.map(|thread| thread.join());
    assert!(
        ends.iter()
            .any(|end| matches!(end, Err(JoinError::Panicked(_))))
    );
    assert!(ends.iter().any(Result::is_ok));
}
