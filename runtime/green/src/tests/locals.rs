use super::{LONG, everywhere, ms, on_worker};
use crate::{Event, Local, joinall, sleep, spawn, with_fresh_locals, yield_now};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn each_thread_has_its_own() {
    static NUMBER: Local<Cell<usize>> = Local::new(|| Cell::new(0));
    everywhere(|| {
        NUMBER.with(|n| n.set(100));
        let threads: Vec<_> = (0..10)
            .map(|n| {
                spawn(move || {
                    for _ in 0..10 {
                        NUMBER.with(|number| number.set(number.get() + n));
                        yield_now();
                    }
                    NUMBER.with(Cell::get)
                })
            })
            .collect();
        joinall(&threads, Some(LONG), None);
        for (n, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), 10 * n);
        }
        assert_eq!(NUMBER.with(Cell::get), 100);
    });
}

#[test]
fn set_get_and_remove() {
    static NAME: Local<String> = Local::new(|| "default".into());
    everywhere(|| {
        assert_eq!(NAME.get(), "default");
        NAME.with(|old| {
            NAME.set("new".into());
            assert_eq!(old, "default", "what is being looked at stays");
        });
        assert_eq!(NAME.get(), "new");
        NAME.remove();
        assert_eq!(NAME.get(), "default");
    });
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        sleep(ms(1)); // a destructor may wait
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn values_are_dropped_at_the_end_of_their_thread_however_it_ends() {
    static VALUE: Local<Counted> = Local::new(|| Counted);
    let before = || DROPPED.load(Ordering::SeqCst);
    for worker in 0..2 {
        let start = before();
        on_worker(worker, || VALUE.with(|_| ())).join().unwrap();
        assert_eq!(before(), start + 1);

        let panicking = on_worker(worker, || {
            VALUE.with(|_| std::panic::resume_unwind(Box::new(())));
        });
        let panicking: Result<(), _> = panicking.join();
        assert!(panicking.is_err());
        assert_eq!(before(), start + 2);

        let ready = Event::new();
        let set = ready.clone();
        let sleeper = on_worker(worker, move || {
            VALUE.with(|_| set.set());
            sleep(LONG);
        });
        ready.wait();
        sleeper.kill();
        assert!(sleeper.join().is_err());
        assert_eq!(before(), start + 3);
    }
    let start = before();
    std::thread::spawn(|| VALUE.with(|_| ())).join().unwrap();
    assert_eq!(before(), start + 1);
}

#[test]
fn destructors_may_use_other_values() {
    static SECOND: Local<Cell<u8>> = Local::new(|| Cell::new(0));
    struct First;
    impl Drop for First {
        fn drop(&mut self) {
            SECOND.with(|second| second.set(second.get() + 1));
        }
    }
    static FIRST: Local<First> = Local::new(|| First);
    everywhere(|| {
        spawn(|| FIRST.with(|_| ())).join().unwrap();
        assert_eq!(SECOND.with(Cell::get), 0);
    });
}

#[test]
fn fresh_values_end_with_their_piece_of_work() {
    static ID: Local<u32> = Local::new(|| 0);
    everywhere(|| {
        ID.set(1);
        with_fresh_locals(|| {
            assert_eq!(ID.get(), 0);
            ID.set(2);
            with_fresh_locals(|| assert_eq!(ID.get(), 0));
            assert_eq!(ID.get(), 2);
        });
        let unwound = std::panic::catch_unwind(|| {
            with_fresh_locals(|| {
                ID.set(3);
                std::panic::resume_unwind(Box::new(()));
            });
        });
        assert!(unwound.is_err());
        assert_eq!(ID.get(), 1);
        ID.remove();
    });
}

/// Its initialiser sets the value itself, so what it gives is for nothing, and its destructor uses
/// another value.
#[test]
fn what_is_made_for_nothing_is_dropped_where_nothing_is_borrowed() {
    static OTHER: Local<Cell<u32>> = Local::new(|| Cell::new(0));
    static VALUE: Local<Noisy> = Local::new(|| {
        VALUE.set(Noisy(1));
        Noisy(2)
    });

    struct Noisy(u32);

    impl Drop for Noisy {
        fn drop(&mut self) {
            OTHER.with(|other| other.set(other.get() + self.0));
        }
    }

    everywhere(|| {
        with_fresh_locals(|| {
            VALUE.with(|value| assert_eq!(value.0, 1));
            assert_eq!(OTHER.with(Cell::get), 2, "the other one is gone");
        });
    });
}
