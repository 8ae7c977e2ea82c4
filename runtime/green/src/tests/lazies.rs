use super::{LONG, everywhere, ms, on_worker, until_waiting};
use crate::{Lazy, WorkerLocal, is_green, sleep, worker_index};
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn many_that_come_at_once_get_the_one_value() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static VALUE: Lazy<usize> = Lazy::new(|| {
        sleep(ms(5));
        MADE.fetch_add(1, Ordering::SeqCst)
    });
    assert_eq!(Lazy::get(&VALUE), None);
    let threads: Vec<_> = (0..40).map(|n| on_worker(n % 2, || *VALUE)).collect();
    let os: Vec<_> = (0..4).map(|_| std::thread::spawn(|| *VALUE)).collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 0);
    }
    for thread in os {
        assert_eq!(thread.join().unwrap(), 0);
    }
    assert_eq!(MADE.load(Ordering::SeqCst), 1);
    assert_eq!(Lazy::get(&VALUE), Some(&0));
}

#[test]
fn an_initialiser_that_panics_or_is_killed_is_tried_again() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    static VALUE: Lazy<usize> = Lazy::new(|| match TRIES.fetch_add(1, Ordering::SeqCst) {
        0 => {
            sleep(LONG);
            unreachable!("it is killed")
        }
        1 => std::panic::resume_unwind(Box::new("no")),
        n => n,
    });
    let first = on_worker(0, || *VALUE);
    until_waiting(&first.name());
    let second = on_worker(1, || catch_unwind(|| *VALUE).is_err());
    first.kill();
    assert!(first.join().is_err());
    assert!(second.join().unwrap(), "its own panic");
    assert_eq!(*VALUE, 2);
}

#[test]
fn one_that_needs_itself_panics() {
    static VALUE: Lazy<u8> = Lazy::new(|| *VALUE);
    everywhere(|| assert!(catch_unwind(|| *VALUE).is_err()));
}

#[test]
fn each_worker_has_a_value_which_all_its_threads_share() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static VALUE: WorkerLocal<Rc<Option<usize>>> = WorkerLocal::new(|| {
        sleep(ms(5));
        MADE.fetch_add(1, Ordering::SeqCst);
        Rc::new(worker_index())
    });
    let threads: Vec<_> = (0..20)
        .map(|n| {
            on_worker(n % 2, || {
                VALUE.with(|value| {
                    sleep(ms(1)); // and the reference stays what it is
                    assert_eq!(**value, worker_index());
                    Rc::as_ptr(value).addr()
                })
            })
        })
        .collect();
    let mut places: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), super::workers().min(2));
    assert_eq!(MADE.load(Ordering::SeqCst), places.len());
    assert!(!is_green() && VALUE.with(|value| value.is_none()));
}

#[test]
fn a_worker_value_whose_initialiser_is_killed_is_made_by_the_next() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    static VALUE: WorkerLocal<usize> = WorkerLocal::new(|| {
        let n = TRIES.fetch_add(1, Ordering::SeqCst);
        if n == 0 {
            sleep(LONG);
        }
        n
    });
    let first = on_worker(0, || VALUE.with(|value| *value));
    until_waiting(&first.name());
    let second = on_worker(0, || VALUE.with(|value| *value));
    until_waiting(&second.name());
    first.kill();
    assert!(first.join().is_err());
    assert_eq!(second.join().unwrap(), 1);
}
