//! Other processes: their locks, their ends, and what a child does to what its parent waits for.

use greenway::green::{self, spawn};
use greenway_monkey_tests::{Folder, begin, crowd, until};
use std::ffi::{CString, c_char, c_int};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn lock_of_another_process(path: *const c_char, kind: c_int, ms: c_int) -> c_int;
    fn wait_for_children(ms: c_int) -> c_int;
    fn wait_for_any(ms: c_int) -> c_int;
    fn child_that_closes(fd: c_int, shares_memory: c_int) -> c_int;
    fn busy_child(path: *const c_char) -> c_int;
    fn handle_signals() -> c_int;
    fn raise_signals(rounds: c_int, others_ran: *const c_int) -> c_int;
}

/// An empty file, in a folder of its own.
fn file(name: &str) -> (Folder, CString) {
    let folder = Folder::new(name);
    let path = folder.path(name);
    std::fs::write(&path, b"").unwrap();
    let name = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    (folder, name)
}

#[test]
fn locks_of_files() {
    begin();
    let start = Instant::now();
    let lines = crowd(20, |n| {
        let (_folder, name) = file(&format!("lock-{n}"));
        // SAFETY: a string of C's, which lives over the call.
        unsafe { lock_of_another_process(name.as_ptr(), n as c_int % 4, 400) }
    });
    assert_eq!(lines, [0; 20]);
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn children_of_c() {
    begin();
    let start = Instant::now();
    // SAFETY: takes a number.
    assert_eq!(crowd(20, |_| unsafe { wait_for_children(200) }), [0; 20]);
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    // `wait` takes any child, so there must be no other one: a process of its own.
    let myself = std::env::current_exe().unwrap();
    let alone = std::process::Command::new(myself)
        .args(["--exact", "any_child"])
        .env("GREENWAY_TEST_ANY", "1")
        .status();
    assert!(alone.unwrap().success());
}

#[test]
fn any_child() {
    if std::env::var_os("GREENWAY_TEST_ANY").is_none() {
        return; // `children_of_c` starts a process for it
    }
    begin();
    // SAFETY: takes a number.
    assert_eq!(crowd(1, |_| unsafe { wait_for_any(100) }), [0]);
}

/// One that waits for a byte, how often it has got one wrongly, and the other end.
fn readers(n: usize) -> Vec<(green::Greenlet<u8>, c_int, UnixStream)> {
    let all = (0..n).map(|_| {
        let (mut near, far) = UnixStream::pair().unwrap();
        let fd = near.as_raw_fd();
        let reader = spawn(move || {
            let mut one = [0];
            near.read_exact(&mut one).expect("nobody closes it here");
            one[0]
        });
        (reader, fd, far)
    });
    all.collect()
}

#[test]
fn a_child_closes_its_own_descriptors() {
    begin();
    crowd(1, |_| {
        for shares_memory in [0, 1] {
            let readers = readers(20);
            green::sleep(Duration::from_millis(20));
            let mut children = Vec::new();
            for (_, fd, _) in &readers {
                // SAFETY: takes numbers.
                let child = unsafe { child_that_closes(*fd, shares_memory) };
                assert!(child > 0);
                children.push(child);
            }
            for child in children {
                let mut status = 0;
                // SAFETY: a number, which lives over the call.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0);
            }
            for (reader, _, mut far) in readers {
                far.write_all(&[7]).unwrap();
                assert_eq!(reader.join().unwrap(), 7);
            }
        }
    });
}

#[test]
fn a_child_runs_no_green_threads() {
    begin();
    let (folder, name) = file("busy");
    let file = folder.path("busy");
    let ran = spawn(move || {
        // Would write into the file as well, if it ran in the child.
        for _ in 0..200 {
            green::sleep(Duration::from_millis(1));
        }
        std::fs::metadata(file).unwrap().len()
    });
    let lines = crowd(20, move |_| {
        // SAFETY: a string of C's, which lives over the call.
        unsafe { busy_child(name.as_ptr()) }
    });
    assert_eq!(lines, [0; 20]);
    ran.join().unwrap();
}

#[test]
fn children_fork_while_locks_are_held() {
    begin();
    // Others register waits and wake one another all the time, on all workers.
    let stop = Arc::new(AtomicI32::new(0));
    let noise: Vec<_> = (0..8)
        .map(|_| {
            let stop = stop.clone();
            spawn(move || {
                let (near, mut far) = UnixStream::pair().unwrap();
                near.set_read_timeout(Some(Duration::from_micros(50)))
                    .unwrap();
                while stop.load(Ordering::Relaxed) == 0 {
                    let _ = (&near).read(&mut [0; 1]);
                    far.write_all(&[1]).unwrap();
                    (&near).read_exact(&mut [0; 1]).unwrap();
                }
            })
        })
        .collect();
    crowd(1, |_| {
        let (near, far) = UnixStream::pair().unwrap();
        for _ in 0..100 {
            // SAFETY: takes numbers.
            let child = unsafe { child_that_closes(near.as_raw_fd(), 0) };
            let mut status = 0;
            // SAFETY: a number, which lives over the call.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        }
        drop(far);
    });
    stop.store(1, Ordering::Relaxed);
    for thread in noise {
        thread.join().unwrap();
    }
}

#[test]
fn below_a_handler_of_a_signal_nobody_runs() {
    static RAN: AtomicI32 = AtomicI32::new(0);
    begin();
    // SAFETY: takes nothing.
    assert_eq!(unsafe { handle_signals() }, 0);
    let others: Vec<_> = (0..4 * green::config().workers)
        .map(|_| {
            spawn(|| {
                while RAN.load(Ordering::Relaxed) >= 0 {
                    RAN.fetch_add(1, Ordering::Relaxed);
                    green::yield_now();
                }
            })
        })
        .collect();
    until("others run", || RAN.load(Ordering::Relaxed) > 10);
    if green::config().workers == 1 {
        // SAFETY: a number that lives for ever.
        let lines = crowd(1, |_| unsafe { raise_signals(100, RAN.as_ptr()) });
        assert_eq!(lines, [0]);
    }
    RAN.store(i32::MIN, Ordering::Relaxed);
    for thread in others {
        thread.join().unwrap();
    }
}
