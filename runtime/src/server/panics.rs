//! A handler's panic is one line in the log, with request and backtrace, instead of a message
//! from the panic hook that does not say whose it is.

use crate::green::thread::{self, Thread};
use std::backtrace::Backtrace;
use std::marker::PhantomData;
use std::sync::Once;

/// While it lives, a panic of its thread is noted instead of printed.
#[derive(Debug)]
pub(crate) struct Noted<'a>(&'a Thread, PhantomData<*const ()>);

impl<'a> Noted<'a> {
    /// `me` is the thread that calls.
    pub(crate) fn new(me: &'a Thread) -> Self {
        me.set_noting(true);
        Self(me, PhantomData)
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.set_noting(false);
    }
}

/// What was noted of this thread's last panic.
pub(crate) fn take_note() -> Option<String> {
    thread::current().take_note()
}

/// Puts our hook in front of the one that is in place. Panics of other threads go on to it.
pub(super) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let me = thread::current();
            if me.is_noting() {
                me.put_note(format!("{info}\n{}", Backtrace::force_capture()));
            } else {
                previous(info);
            }
        }));
    });
}
