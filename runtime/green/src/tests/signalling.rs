//! Signals, each test with numbers of its own: they come to the whole process.

use super::super::Queue;
use super::super::signals::{SIGKILL, SIGSEGV, Signals, signal};
use super::{SHORT, everywhere, ms, on_worker};
use signal_hook::low_level::raise;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn signals_are_waited_for_on_any_thread() {
    everywhere(|| {
        let mut signals = Signals::new([40, 41]).unwrap();
        assert_eq!(signals.try_wait(), None);
        assert_eq!(signals.wait_timeout(SHORT), None);
        raise(41).unwrap();
        raise(41).unwrap(); // not looked at in between: one
        assert_eq!(signals.wait(), Some(41));
        assert_eq!(signals.try_wait(), None);
        for number in [41, 40] {
            raise(number).unwrap();
        }
        let mut both: Vec<_> = signals.take(2).collect();
        both.sort_unstable();
        assert_eq!(both, [40, 41]);
    });
}

#[test]
fn one_who_waits_for_a_signal_is_woken_and_holds_up_nobody() {
    let ready = Queue::new(1);
    let tell = ready.clone();
    let waiter = on_worker(0, move || {
        let mut signals = Signals::new([42]).unwrap();
        tell.put(()).unwrap();
        signals.wait()
    });
    ready.get();
    on_worker(0, || raise(42).unwrap()).join().unwrap();
    assert_eq!(waiter.join().unwrap(), Some(42));
}

#[test]
fn all_who_listen_get_it() {
    let mut first = Signals::new([43]).unwrap();
    let mut second = Signals::new([43]).unwrap();
    raise(43).unwrap();
    assert_eq!((first.wait(), second.wait()), (Some(43), Some(43)));
    drop(first);
    raise(43).unwrap();
    assert_eq!(second.wait(), Some(43));
}

#[test]
fn a_handler_runs_in_a_green_thread_until_it_is_cancelled() {
    static FAIL: AtomicBool = AtomicBool::new(false);
    let seen = Queue::new(8);
    let tell = seen.feeder();
    let handler = signal(44, move || {
        super::super::sleep(ms(1)); // it may wait
        tell.put(super::super::is_green()).unwrap();
        assert!(!FAIL.load(Ordering::SeqCst), "as the test wants it");
    })
    .unwrap();
    raise(44).unwrap();
    assert_eq!(seen.get(), Some(true));
    // A panic changes nothing.
    FAIL.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        raise(44).unwrap();
        assert_eq!(seen.get(), Some(true));
    }
    handler.cancel();
    assert_eq!(seen.get(), None, "the feeder is dropped with the handler");
    raise(44).unwrap(); // and nobody minds
}

#[test]
fn what_cannot_be_handled_is_an_error() {
    for number in [SIGKILL, SIGSEGV, 0, -1, 128] {
        let error = Signals::new([number]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&number.to_string()), "{error}");
    }
}
