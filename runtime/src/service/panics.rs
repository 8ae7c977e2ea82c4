//! A handler's panic is one line in the log, with request and backtrace, instead of a message
//! from the panic hook that does not say whose it is.

use super::{Service, logger};
use crate::green::embed::{
    Frames, Note, Thread, current, current_worker, discard, is_of_application, is_starting,
    panic_message,
};
use crate::green::{ThreadPool, shield};
use std::any::Any;
use std::backtrace::Backtrace;
use std::fmt::{self, Write as _};
use std::marker::PhantomData;
use std::panic::PanicHookInfo;
use std::sync::{LazyLock, Once};
use std::time::{Duration, Instant};

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
    backtrace: Option<Backtrace>,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.backtrace {
            None => Ok(()),
            Some(all) if Frames::wanted() == Frames::Everything => write!(f, "\n{all}"),
            Some(all) => f.write_str(&of_application(&all.to_string())),
        }
    }
}

/// The frames of a backtrace that are neither the runtime's nor std's, numbered anew; each on a
/// line of its own, after a line end.
fn of_application(backtrace: &str) -> String {
    let mut out = String::new();
    let mut number = 0;
    let mut wanted = false;
    for line in backtrace.lines() {
        let text = line.trim_start();
        if let Some(place) = text.strip_prefix("at ") {
            if wanted {
                let _infallible = write!(out, " at {place}");
            }
            continue;
        }
        // What was inlined into another function has no number.
        let symbol = match text.split_once(": ") {
            Some((digits, symbol)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => symbol,
            _ => text,
        };
        wanted = is_of_application(symbol);
        if wanted {
            let _infallible = write!(out, "\n{number:4}: {symbol}");
            number += 1;
        }
    }
    out
}

/// Counts and logs the panic that has ended a handler of this thread. `kind` is what its like
/// have in common, such as method and route; `line` the request. Gives the message, and where it
/// was, as it is in the log.
#[cold]
#[inline(never)] // not to be part of the frame of those that do not panic
pub(crate) fn report(
    service: &Service,
    kind: &str,
    line: &dyn fmt::Display,
    payload: Box<dyn Any + Send>,
) -> String {
    service.metrics.panicked();
    let kind = format!("panics of {kind}");
    let text = match current().take_note() {
        Some(note) => text_of(note),
        None => panic_message(&*payload).to_string(),
    };
    let what = format_args!("{line}: the handler panicked: {text}");
    service.error_log.error(&kind, what);
    discard(payload);
    text
}

/// The text of a note. The names of its functions are looked up on an OS thread, since the first of a
/// process that are looked up take tenths of a second: the others of the worker go on meanwhile.
/// Whatever ends the thread comes after that.
#[cold]
#[inline(never)] // as above
pub(crate) fn text_of(note: Note) -> String {
    // One thread, as std looks one name up at a time; it ends when it has nothing to do.
    static NAMING: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new(1, 64));
    if current_worker().is_none() {
        return note.to_string();
    }
    shield(|| NAMING.apply(move || note.to_string()))
}

/// Puts our hook in front of the one that is in place. Handlers' panics are noted; those of other
/// green threads go to the server's log, where that is ours, since whoever prints to the standard
/// error may wait there. Panics of all other threads go on to the hook that was in place.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if is_starting() {
                return; // told by whoever starts green threads
            }
            let me = current();
            let panic = || Panic {
                message: info.to_string(),
                backtrace: (Frames::wanted() != Frames::Nothing).then(Backtrace::force_capture),
            };
            if ends_the_process(info) && logger::is_ours() {
                tell_the_end(&me, &panic());
            } else if me.is_noting() {
                me.put_note(Box::new(panic()));
            } else if current_worker().is_some() && logger::is_ours() {
                log::error!("a green thread has panicked: {}", panic());
            } else {
                previous(info);
            }
        }));
    });
}

/// How long the last lines are waited for before the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Whether a panic is one with which std ends the process after the hook: one that a destructor lets
/// out while its thread unwinds, or a function that must not unwind. Std tells nobody but by its words.
fn ends_the_process(info: &PanicHookInfo<'_>) -> bool {
    let fatal = [
        "panic in a destructor during cleanup",
        "panic in a function that cannot unwind",
    ];
    let payload = info.payload();
    payload
        .downcast_ref::<&str>()
        .is_some_and(|text| fatal.contains(text))
}

/// Says why the process ends, while there is time. What a destructor has panicked with was noted, and
/// nobody else will come to tell it.
#[cold]
fn tell_the_end(me: &Thread, last: &Panic) {
    let context = me.context();
    let doing = context.map(|context| context.request_info().to_string());
    let doing = doing.unwrap_or_else(|| format!("{me:?}"));
    match me.here().take_note() {
        Some(first) => log::error!("{doing}: the process ends: {last}\nbefore that: {first}"),
        None => log::error!("{doing}: the process ends: {last}"),
    }
    logger::flush(Instant::now() + LAST_LINES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_on_another_thread_and_an_end_waits_for_that() {
        use std::sync::mpsc;
        use std::thread::{ThreadId, current};

        struct Here(mpsc::Sender<ThreadId>);

        impl fmt::Display for Here {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let _received = self.0.send(current().id());
                f.write_str("here")
            }
        }

        let (send, threads) = mpsc::channel();
        let worker = crate::green::spawn(move || {
            let of_limit =
                crate::green::Timeout::run(Duration::ZERO, || text_of(Box::new(Here(send))));
            (current().id(), of_limit)
        });
        let (worker, text) = worker.join().unwrap();
        assert_eq!(text.as_deref(), Ok("here"));
        assert_ne!(threads.recv().unwrap(), worker);
    }

    #[test]
    fn the_applications_frames_are_left() {
        let all = "   0: std::backtrace::Backtrace::create\n   1: greenway::service::panics::hook\n   \
                   2: core::panicking::panic_fmt\n             at /rustc/core/panicking.rs:75:14\n   \
                   3: app::sum_up\n             at ./src/report.rs:31:5\n      app::inlined\n             \
                   at ./src/report.rs:9:1\n   4: <F as core::ops::function::Fn<A>>::call\n   5: \
                   <app::Report as core::fmt::Display>::fmt\n   6: <alloc::boxed::Box<F> as \
                   core::ops::function::FnOnce<A>>::call_once\n   7: <&app::View as \
                   greenway_app::application::Application>::call\n   8: start_thread\n   9: main\n";
        let left = "\n   0: app::sum_up at ./src/report.rs:31:5\n   1: app::inlined at \
                    ./src/report.rs:9:1\n   2: <app::Report as core::fmt::Display>::fmt\n   3: \
                    <&app::View as greenway_app::application::Application>::call";
        assert_eq!(of_application(all), left);
    }
}
