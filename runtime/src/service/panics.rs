//! A handler's panic is one line in the log, with request and backtrace, instead of a message
//! from the panic hook that does not say whose it is.

use super::Service;
use crate::green::embed::{Thread, current, discard, panic_message};
use std::any::Any;
use std::backtrace::Backtrace;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Once;

/// While it lives, a panic of its thread is noted instead of printed.
#[derive(Debug)]
pub(crate) struct Noted<'a>(&'a Thread, PhantomData<*const ()>);

impl<'a> Noted<'a> {
    /// `me` is the thread that calls.
    pub(crate) fn new(me: &'a Thread) -> Self {
        me.here().set_noting(true);
        Self(me, PhantomData)
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.here().set_noting(false);
    }
}

/// A panic's message and where it was. Names of functions are looked up when it is shown.
struct Panic {
    message: String,
    backtrace: Backtrace,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.message, self.backtrace)
    }
}

/// Counts and logs the panic that has ended a handler of this thread. `kind` is what its like
/// have in common, such as method and route; `line` the request.
#[cold]
#[inline(never)] // not to be part of the frame of those that do not panic
pub(crate) fn report(
    service: &Service,
    kind: &str,
    line: &dyn fmt::Display,
    payload: Box<dyn Any + Send>,
) {
    service.metrics.panicked();
    let kind = format!("panics of {kind}");
    match current().take_note() {
        Some(note) => {
            let what = format_args!("{line}: the handler panicked: {note}");
            service.error_log.error(&kind, what);
        }
        None => {
            let text = panic_message(&*payload);
            let what = format_args!("{line}: the handler panicked: {text}");
            service.error_log.error(&kind, what);
        }
    }
    discard(payload);
}

/// Puts our hook in front of the one that is in place. Panics of other threads go on to it.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let me = current();
            if me.is_noting() {
                me.put_note(Box::new(Panic {
                    message: info.to_string(),
                    backtrace: Backtrace::force_capture(),
                }));
            } else {
                previous(info);
            }
        }));
    });
}
