//! What `may` does when it is left to itself, and that it does not do it here: the pairs of
//! `docs/src/evidence/hazards.md`.
//!
//! Those of [`raw`] show the hazard on plain `may`; should one fail with a later version, there is
//! one reason less for what we do. They are ignored when they are run by themselves, since they
//! leave workers behind that hang or are dead, or end their process: [`alone`] runs each in a
//! process of its own. So does it those of [`ours`] that change something for the whole process.

use super::{OnDrop, alone, everywhere, on_worker, passes_alone};
use crate::{sleep, spawn, yield_now};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn a_sleep_does_not_change_the_os_thread() {
    passes_alone("hazards::raw::a_sleep_changes_the_os_thread");
    everywhere(|| {
        let before = std::thread::current().id();
        for _ in 0..20 {
            sleep(Duration::from_millis(1));
            assert_eq!(std::thread::current().id(), before);
        }
    });
}

#[test]
fn a_wait_of_less_than_a_millisecond_ends() {
    passes_alone("hazards::raw::a_wait_of_less_than_a_millisecond_does_not_end");
    everywhere(|| sleep(Duration::from_micros(900)));
}

/// Ours: `one_that_yields_for_ever_starves_nobody` of the suite.
#[test]
fn plain_yielding_starves_input() {
    passes_alone("hazards::raw::yielding_starves_input");
}

/// Ours: `in_a_destructor_nothing_blocks_after_a_kill_or_a_limit`.
#[test]
fn plain_locks_in_destructors_abort() {
    let output = alone("hazards::raw::a_lock_in_the_destructor_of_a_cancelled_one_aborts");
    assert_eq!(output.status.signal(), Some(6), "{output:?}"); // SIGABRT
}

/// Ours: `a_payload_that_panics_when_dropped_kills_nobody` of the suite.
#[test]
fn plain_payloads_kill_workers() {
    passes_alone("hazards::raw::a_payload_that_panics_kills_its_worker");
}

#[test]
fn a_kill_is_not_shown_to_a_later_panic_hook() {
    passes_alone("hazards::raw::a_cancel_is_shown_to_a_later_panic_hook");
    passes_alone("hazards::ours::a_kill_is_not_shown_to_a_later_panic_hook");
}

#[test]
fn a_descriptor_is_forgotten_before_it_is_closed() {
    passes_alone("hazards::raw::a_descriptor_is_closed_before_it_is_forgotten");
    passes_alone("hazards::ours::a_descriptor_is_forgotten_before_it_is_closed");
}

#[test]
fn without_memory_for_a_stack_a_spawn_is_an_error() {
    passes_alone("hazards::raw::without_memory_for_a_stack_a_spawn_panics");
    passes_alone("hazards::ours::without_memory_for_a_stack_a_spawn_is_an_error");
}

/// Ours: `a_kill_ends_any_operation_and_runs_destructors`.
#[test]
fn plain_writes_cannot_be_cancelled() {
    passes_alone("hazards::raw::a_write_cannot_be_cancelled");
}

#[test]
fn one_that_unwinds_is_not_taken_for_another() {
    passes_alone("hazards::raw::one_that_unwinds_is_taken_for_another");
    let (tell, other) = std::sync::mpsc::channel();
    let panics = on_worker(0, move || {
        let _guard = OnDrop(|| {
            // On this worker, as soon as this one gives way: so not before it has unwound.
            let other = spawn(std::thread::panicking);
            tell.send(other).expect("it is waited for");
            sleep(NEVER);
            yield_now();
        });
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(panics.join().is_err());
    let other = other.recv().expect("the destructor has run");
    assert!(!other.join().expect("it does not panic"));
}

/// A descriptor that looks, when it is about to be closed, whether an epoll still has it.
struct Probe {
    fd: std::os::fd::OwnedFd,
    watched: &'static AtomicBool,
}

impl Probe {
    fn new(watched: &'static AtomicBool) -> Self {
        let (fd, _) = std::os::unix::net::UnixStream::pair().expect("there are descriptors");
        let fd = fd.into();
        Self { fd, watched }
    }
}

impl std::os::fd::AsFd for Probe {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl std::os::fd::AsRawFd for Probe {
    fn as_raw_fd(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.fd)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let number = std::os::fd::AsRawFd::as_raw_fd(&self.fd).to_string();
        let files = std::fs::read_dir("/proc/self/fdinfo").expect("it is there on Linux");
        let watched = files.filter_map(Result::ok).any(|file| {
            let info = std::fs::read_to_string(file.path()).unwrap_or_default();
            info.lines()
                .filter_map(|line| line.strip_prefix("tfd:"))
                .any(|line| line.split_whitespace().next() == Some(&number))
        });
        self.watched.store(watched, Ordering::SeqCst);
    }
}

/// Lets this process have 64 MiB more than it has, for as long as the guard lives.
fn scarce_memory() -> impl Drop {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // An OS thread that is just beginning needs memory, too, and without it ends the process.
    super::eventually(others_sleep);
    // The first number is the size in pages.
    let sizes = std::fs::read_to_string("/proc/self/statm").expect("it is there on Linux");
    let pages = sizes.split(' ').next().and_then(|n| n.parse::<u64>().ok());
    let size = 4096 * pages.expect("it begins with a number");
    let before = getrlimit(Resource::As);
    let set = move |current| {
        let limit = Rlimit { current, ..before };
        setrlimit(Resource::As, limit).expect("below the hard limit");
    };
    set(Some(size + 64 * 1024 * 1024));
    OnDrop(move || set(before.current))
}

/// Whether all OS threads but the one that calls wait for something.
fn others_sleep() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").expect("it is there on Linux");
    let asleep = |task: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat"))?;
        // The state follows the name, which stands in parentheses.
        Ok::<_, std::io::Error>(
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.starts_with(" S")),
        )
    };
    // One that has ended meanwhile is not asleep, and is not there the next time.
    let tasks = tasks.filter_map(Result::ok);
    tasks
        .filter(|task| !matches!(asleep(task), Ok(true)))
        .count()
        == 1
}

/// What is to be shown is that something does not happen: so long it is waited for.
const NEVER: Duration = Duration::from_millis(300);

mod ours {
    use super::super::{LONG, OnDrop, eventually};
    use super::{Probe, scarce_memory};
    use crate::scheduler::registered::Registered;
    use crate::{Config, JoinError, sleep, spawn, start};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    #[ignore = "run in a process of its own by the test of the same name"]
    fn a_kill_is_not_shown_to_a_later_panic_hook() {
        static SHOWN: AtomicUsize = AtomicUsize::new(0);
        let unwound = std::sync::Arc::new(AtomicBool::new(false));
        let tell = unwound.clone();
        let sleeper = spawn(move || {
            let _guard = OnDrop(|| tell.store(true, Ordering::SeqCst));
            sleep(LONG);
        });
        super::super::until_waiting(&sleeper.name());
        std::panic::set_hook(Box::new(|_| {
            SHOWN.fetch_add(1, Ordering::SeqCst);
        }));
        sleeper.kill();
        assert!(matches!(sleeper.join(), Err(JoinError::Killed)));
        assert!(unwound.load(Ordering::SeqCst));
        assert_eq!(SHOWN.load(Ordering::SeqCst), 0);
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the same name"]
    fn a_descriptor_is_forgotten_before_it_is_closed() {
        static WATCHED: AtomicBool = AtomicBool::new(true);
        start(Config::default());
        drop(Registered::new(Probe::new(&WATCHED)).expect("epoll takes it"));
        assert!(!WATCHED.load(Ordering::SeqCst));
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the same name"]
    fn without_memory_for_a_stack_a_spawn_is_an_error() {
        start(Config {
            workers: 1,
            // So large that where none fits, there is still memory to say so, and to unwind.
            stack_size: 8 * 1024 * 1024,
            // To look up the names of a stack takes more memory than there is.
            max_blocking_time: Duration::ZERO,
            ..Config::default()
        });
        spawn(|| ()).join().expect("there is memory");
        std::panic::set_hook(Box::new(|_| {})); // a message takes memory as well
        let scarce = scarce_memory();
        let threads: Vec<_> = (0..400).map(|_| spawn(|| sleep(LONG))).collect();
        let last = threads.last().expect("there are some");
        let last = last.join_timeout(LONG).expect("it ends at once");
        assert!(matches!(last, Err(JoinError::NotStarted)));
        drop(scarce);
        for thread in &threads {
            thread.kill();
        }
        eventually(|| threads.iter().all(|thread| thread.ready()));
        assert_eq!(spawn(|| 1).join().expect("there is memory again"), 1);
    }
}

mod raw {
    use super::super::{LONG, OnDrop};
    use super::{NEVER, Probe, scarce_memory};
    use may::coroutine::{self, JoinHandle};
    use std::io::{Read, Write};
    use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    /// Starts a coroutine.
    fn go<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        // SAFETY: `may` asks for care with thread-locals and with stack overflow. These closures
        // keep no thread-local over a wait, and their frames are shallow.
        unsafe { coroutine::spawn(body) }
    }

    fn cancel<T>(thread: &JoinHandle<T>) {
        // SAFETY: `may` asks that what the coroutine borrows outlives its unwinding: it owns all
        // that it uses.
        unsafe { thread.coroutine().cancel() };
    }

    /// A flag for a coroutine to set.
    #[derive(Clone, Default)]
    struct Flag(Arc<AtomicBool>);

    impl Flag {
        fn set(&self) {
            self.0.store(true, Ordering::SeqCst);
        }
        fn is_set(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
        fn wait(&self) {
            let start = std::time::Instant::now();
            while !self.is_set() {
                assert!(start.elapsed() < LONG);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        fn stays_unset(&self) {
            std::thread::sleep(NEVER);
            assert!(!self.is_set(), "the hazard is gone");
        }
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn a_sleep_changes_the_os_thread() {
        may::config().set_workers(2);
        let moved = go(|| {
            let before = std::thread::current().id();
            coroutine::sleep(Duration::from_millis(5));
            std::thread::current().id() != before
        });
        assert!(moved.join().unwrap(), "the hazard is gone");
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn a_wait_of_less_than_a_millisecond_does_not_end() {
        let ended = Flag::default();
        let tell = ended.clone();
        go(move || {
            coroutine::park_timeout(Duration::from_micros(900));
            tell.set();
        });
        ended.stays_unset();
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn yielding_starves_input() {
        may::config().set_workers(1);
        let (waits, came, stop) = (Flag::default(), Flag::default(), Flag::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let (begin, tell) = (waits.clone(), came.clone());
        go(move || {
            // SAFETY: the descriptor is open, and owned by the new stream alone.
            let mut server = unsafe {
                use std::os::fd::{FromRawFd, IntoRawFd};
                may::net::TcpStream::from_raw_fd(server.into_raw_fd())
            };
            begin.set();
            server.read_exact(&mut [0]).unwrap();
            tell.set();
        });
        waits.wait();
        let (hogging, end) = (Flag::default(), stop.clone());
        let tell = hogging.clone();
        go(move || {
            while !end.is_set() {
                tell.set();
                coroutine::yield_now();
            }
        });
        hogging.wait();
        client.write_all(b"x").unwrap();
        came.stays_unset();
        stop.set();
        came.wait();
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn a_lock_in_the_destructor_of_a_cancelled_one_aborts() {
        let lock = Arc::new(may::sync::Mutex::new(()));
        let held = lock.lock().unwrap();
        let waits = Flag::default();
        let (tell, wanted) = (waits.clone(), lock.clone());
        let thread = go(move || {
            let _guard = OnDrop(|| drop(wanted.lock()));
            tell.set();
            coroutine::sleep(LONG);
        });
        waits.wait();
        std::thread::sleep(NEVER);
        cancel(&thread);
        drop(thread.join());
        drop(held);
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn a_payload_that_panics_kills_its_worker() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("as the test wants it");
            }
        }
        may::config().set_workers(1);
        let (alone, exploding) = (Flag::default(), Flag::default());
        let (begin, tell) = (alone.clone(), exploding.clone());
        let handle = go(move || {
            begin.wait(); // the last owner of the payload is to be the worker
            tell.set();
            panic_any(Bomb);
        });
        drop(handle);
        alone.set();
        exploding.wait();
        std::thread::sleep(NEVER);
        let other = Flag::default();
        let tell = other.clone();
        go(move || tell.set());
        other.stays_unset();
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn a_cancel_is_shown_to_a_later_panic_hook() {
        static SHOWN: AtomicUsize = AtomicUsize::new(0);
        let waits = Flag::default();
        let tell = waits.clone();
        let thread = go(move || {
            tell.set();
            coroutine::sleep(LONG);
        });
        waits.wait();
        std::thread::sleep(NEVER);
        std::panic::set_hook(Box::new(|_| {
            SHOWN.fetch_add(1, Ordering::SeqCst);
        }));
        cancel(&thread);
        assert!(thread.join().is_err());
        assert_eq!(SHOWN.load(Ordering::SeqCst), 1, "the hazard is gone");
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn a_descriptor_is_closed_before_it_is_forgotten() {
        static WATCHED: AtomicBool = AtomicBool::new(false);
        drop(may::io::CoIo::new(Probe::new(&WATCHED)).expect("epoll takes it"));
        assert!(WATCHED.load(Ordering::SeqCst), "the hazard is gone");
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn without_memory_for_a_stack_a_spawn_panics() {
        may::config()
            .set_workers(1)
            .set_stack_size(1024 * 1024 / size_of::<usize>())
            .set_pool_capacity(1);
        go(|| ()).join().unwrap();
        std::panic::set_hook(Box::new(|_| {})); // a message takes memory as well
        let scarce = scarce_memory();
        let panicked = (0..400).any(|_| {
            catch_unwind(AssertUnwindSafe(|| {
                drop(go(|| coroutine::sleep(LONG)));
            }))
            .is_err()
        });
        drop(scarce);
        assert!(panicked, "the hazard is gone");
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn a_write_cannot_be_cancelled() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _server = listener.accept().unwrap();
        let (writes, unwound) = (Flag::default(), Flag::default());
        let (begin, tell) = (writes.clone(), unwound.clone());
        let thread = go(move || {
            let _guard = OnDrop(|| tell.set());
            // SAFETY: the descriptor is open, and owned by the new stream alone.
            let mut client = unsafe {
                use std::os::fd::{FromRawFd, IntoRawFd};
                may::net::TcpStream::from_raw_fd(client.into_raw_fd())
            };
            begin.set();
            while client.write(&[0; 65536]).is_ok() {} // until the buffers are full
        });
        writes.wait();
        std::thread::sleep(NEVER);
        cancel(&thread);
        unwound.stays_unset();
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the pair"]
    fn one_that_unwinds_is_taken_for_another() {
        may::config().set_workers(1);
        let seen = Flag::default();
        let tell = seen.clone();
        let panics = go(move || {
            // The worker has nothing but the other to run until that has ended.
            let _guard = OnDrop(|| {
                if go(std::thread::panicking).join().unwrap() {
                    tell.set();
                }
            });
            resume_unwind(Box::new(()));
        });
        assert!(panics.join().is_err());
        assert!(seen.is_set(), "the hazard is gone");
    }
}
