//! An allocator that gives way whenever it is called, as some do that wait for a lock of their own: whatever takes
//! memory may let other green threads run, also what the scheduler and the patched calls take for themselves.

use greenway::green::{self, Event, Local, Queue, spawn};
use greenway_monkey_tests::{begin, crowd, slow_server, until};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread;
use std::time::Duration;

struct Yields;

/// It is to give way.
static YIELDS: AtomicBool = AtomicBool::new(false);

thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });

/// A lock of the allocator's, as std has them: a word, and the system call.
static WORD: AtomicU32 = AtomicU32::new(0);

fn give_way() {
    if !YIELDS.load(Ordering::Relaxed) {
        return;
    }
    let count = COUNT.replace(COUNT.get().wrapping_add(1));
    // SAFETY: takes nothing; a time and a word that live over the calls.
    unsafe {
        match count % 8 {
            0 => {
                libc::sched_yield();
            }
            1 => {
                let short = libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 1,
                };
                libc::nanosleep(&short, std::ptr::null_mut());
            }
            2 => {
                let short = libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 1_000,
                };
                let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
                libc::syscall(libc::SYS_futex, WORD.as_ptr(), wait, 0, &short, 0, 0);
            }
            _ => {}
        }
    }
}

// SAFETY: the system's allocator, with calls in between that leave memory alone.
unsafe impl GlobalAlloc for Yields {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        give_way();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        give_way();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Yields = Yields;

#[test]
fn whatever_takes_memory_may_let_others_run() {
    begin();
    // What is made once is made.
    crowd(4, |_| thread::sleep(Duration::from_micros(10)));
    YIELDS.store(true, Ordering::SeqCst);
    static NAME: Local<String> = Local::new(|| "nobody".to_owned());
    let shared = Arc::new((Mutex::new(0), Condvar::new(), RwLock::new(Vec::new())));
    let queue = Arc::new(Queue::new(40));
    let total = {
        let (shared, queue) = (shared.clone(), queue.clone());
        crowd(40, move |n| {
            for round in 0..10 {
                NAME.set(format!("{n} {round}"));
                *shared.0.lock().unwrap() += 1;
                shared.1.notify_all();
                shared.2.write().unwrap().push(n);
                queue.put(n).unwrap();
                let event = Arc::new(Event::new());
                let its = event.clone();
                let other = spawn(move || {
                    thread::sleep(Duration::from_micros(20));
                    its.set();
                });
                green::Timeout::run(Duration::from_secs(60), || event.wait()).unwrap();
                other.join().unwrap();
                let (mut near, mut far) = UnixStream::pair().unwrap();
                let writer = thread::spawn(move || far.write_all(b"hello").unwrap());
                let mut text = String::new();
                near.read_to_string(&mut text).unwrap();
                assert_eq!(text, "hello");
                writer.join().unwrap();
                thread::park_timeout(Duration::from_micros(50));
                queue.get();
                assert_eq!(NAME.get(), format!("{n} {round}"));
            }
        })
        .len()
    };
    assert_eq!(total, 40);
    assert_eq!(*shared.0.lock().unwrap(), 400);
    assert_eq!(shared.2.read().unwrap().len(), 400);
    // Those that are killed in the middle of that, and wait in destructors.
    struct Waits(Arc<Mutex<u32>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            thread::sleep(Duration::from_micros(10));
            *self.0.lock().unwrap() += 1;
        }
    }
    let dropped = Arc::new(Mutex::new(0));
    let doomed: Vec<_> = (0..20)
        .map(|_| {
            let waits = Waits(dropped.clone());
            spawn(move || {
                let _waits = waits;
                loop {
                    let _memory = vec![0; 100];
                    green::yield_now();
                }
            })
        })
        .collect();
    green::sleep(Duration::from_millis(5));
    for thread in &doomed {
        thread.kill();
    }
    for thread in doomed {
        let end = thread.join_timeout(Duration::from_secs(60));
        assert!(end.expect("it ends").is_err());
    }
    until("all are dropped", || *dropped.lock().unwrap() == 20);
    // A server of ours.
    let server = slow_server(Duration::from_millis(1));
    let address = server.addrs()[0];
    crowd(20, move |n| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET /slow/{n} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with(&n.to_string()), "{answer}");
    });
    YIELDS.store(false, Ordering::SeqCst);
}
