//! A library of C's that is loaded later and knows nothing of green threads: see `src/c/strangers.c`.

use greenway::green::{self, spawn, worker_index};
use greenway::monkey::unpatched;
use greenway_monkey_tests::{begin, crowd, until};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

/// Loads a library whose constructor waits.
fn load_from(path: &str) -> *mut c_void {
    let path = CString::new(path).unwrap();
    // SAFETY: a string of C's. The library's constructor may run in any thread.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null());
    library
}

/// The address of a function of a library.
fn address(library: *mut c_void, name: &CStr) -> usize {
    // SAFETY: the library is loaded, and never closed; a string of C's.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!address.is_null(), "{name:?}");
    address.expose_provenance()
}

fn find(name: &CStr) -> usize {
    address(unpatched(|| load_from(env!("GREENWAY_STRANGERS"))), name)
}

/// A function that takes nothing.
fn function(name: &CStr) -> impl Fn() -> c_int + Clone + Send + 'static {
    function_at(find(name))
}

fn function_at(address: usize) -> impl Fn() -> c_int + Clone + Send + 'static {
    move || {
        // SAFETY: the function of this name takes nothing and gives a number.
        let function: extern "C-unwind" fn() -> c_int =
            unsafe { std::mem::transmute(std::ptr::with_exposed_provenance::<()>(address)) };
        function()
    }
}

/// A function that takes a number.
fn function_of(name: &CStr, number: c_int) -> impl Fn() -> c_int + Clone + Send + 'static {
    let address = find(name);
    move || {
        // SAFETY: the function of this name takes a number and gives one.
        let function: extern "C-unwind" fn(c_int) -> c_int =
            unsafe { std::mem::transmute(std::ptr::with_exposed_provenance::<()>(address)) };
        function(number)
    }
}

/// The lock of the loader is one for the OS thread, so another green thread of the worker is let in while a
/// constructor waits, and gets a library that is half made; unless the constructor holds up the worker.
#[test]
fn a_constructor_that_waits() {
    begin();
    let half_made = |name: &str, load: fn(&str) -> usize| {
        let copy = format!(
            "{}-{}-{name}",
            env!("GREENWAY_STRANGERS"),
            std::process::id()
        );
        std::fs::copy(env!("GREENWAY_STRANGERS"), &copy).unwrap();
        let file = copy.clone();
        let constructed = move |_| {
            let library = std::ptr::with_exposed_provenance_mut(load(&file));
            function_at(address(library, c"constructed_once"))()
        };
        let lines = crowd(20, constructed);
        std::fs::remove_file(copy).unwrap();
        lines.iter().filter(|line| **line != 0).count()
    };
    let many = half_made("patched", |path| load_from(path).expose_provenance());
    assert!(many > 0 || green::config().workers > 1);
    let none = half_made("alone", |path| {
        unpatched(|| load_from(path).expose_provenance())
    });
    assert_eq!(none, 0);
}

#[test]
fn a_pool_of_threads() {
    begin();
    assert_eq!(crowd(1, |_| function(c"pool_start")()), [0]);
    let use_it = function_of(c"pool_use", 50);
    assert_eq!(crowd(40, move |_| use_it()), [0; 40]);
    assert_eq!(crowd(1, |_| function(c"pool_stop")()), [0]);
}

#[test]
fn a_main_loop_children_and_signals() {
    begin();
    let run = function(c"main_loop");
    assert_eq!(crowd(20, move |_| run()), [0; 20]);
    let run = function(c"spawned");
    assert_eq!(crowd(20, move |_| run()), [0; 20]);
    let run = function(c"interrupted");
    assert_eq!(crowd(1, move |_| run()), [0]);
}

#[test]
fn a_child_on_our_memory_runs_no_green_thread() {
    static RAN: AtomicI32 = AtomicI32::new(0);
    begin();
    let noise: Vec<_> = (0..4)
        .map(|_| {
            spawn(|| {
                while RAN.load(Ordering::Relaxed) >= 0 {
                    RAN.fetch_add(1, Ordering::Relaxed);
                    green::yield_now();
                }
            })
        })
        .collect();
    until("they run", || RAN.load(Ordering::Relaxed) > 0);
    let address = find(c"child_on_our_memory");
    let alone = (green::config().workers == 1).into();
    let lines = crowd(1, move |_| {
        // SAFETY: the function of this name takes the address of a number, which lives for ever, and a number.
        let run: extern "C-unwind" fn(*const c_int, c_int) -> c_int =
            unsafe { std::mem::transmute(std::ptr::with_exposed_provenance::<()>(address)) };
        (0..20).map(|_| run(RAN.as_ptr(), alone)).max()
    });
    assert_eq!(lines, [Some(0)]);
    RAN.store(i32::MIN, Ordering::Relaxed);
    for thread in noise {
        thread.join().unwrap();
    }
}

/// Destructors of thread-locals of OS threads, which run when most of the thread is gone.
#[test]
fn a_thread_local_whose_destructor_waits() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    struct Waits(Arc<(Mutex<usize>, Barrier)>);
    impl Drop for Waits {
        fn drop(&mut self) {
            thread::sleep(Duration::from_micros(100));
            *self.0.0.lock().unwrap() += 1;
            self.0.1.wait();
            std::fs::read("/dev/null").unwrap();
            ENDED.fetch_add(1, Ordering::SeqCst);
        }
    }
    thread_local!(static KEPT: RefCell<Option<Waits>> = const { RefCell::new(None) });
    begin();
    let shared = Arc::new((Mutex::new(0), Barrier::new(10)));
    let keep = move |_| {
        let shared = shared.clone();
        thread::spawn(move || KEPT.set(Some(Waits(shared))))
            .join()
            .unwrap();
        assert!(worker_index().is_some());
    };
    crowd(10, keep);
    assert_eq!(ENDED.load(Ordering::SeqCst), 10);
}
