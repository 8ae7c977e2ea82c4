//! [`at_exit`]: what is to be done when the program ends in good order.

use crate::scheduler::lock::lock;
use crate::task::spawn::Builder;
use std::sync::Mutex;
use std::time::Duration;

/// How long a function may take, unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(5);

/// How long one is waited for that was killed.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How many there may be: a program that registers one for each request is to notice.
const MOST: usize = 1000;

struct Function {
    limit: Duration,
    body: Box<dyn FnOnce() + Send>,
}

static FUNCTIONS: Mutex<Vec<Function>> = Mutex::new(Vec::new());

/// Registers a function that a server (`greenway::serve`) calls when it has stopped and all
/// requests are over, just before the process ends: Python's `atexit`. A program without `serve`
/// calls [`run_at_exit`] itself.
///
/// The one that was registered last is called first. Each runs in a green thread of its own, one
/// after the other, and may wait for 5 seconds altogether; then it is killed. A panic is logged.
/// None of this keeps the others from being called.
///
/// ```
/// use greenway_green::{Queue, at_exit, spawn};
///
/// let events = Queue::new(1000);
/// let writer = {
///     let events = events.clone();
///     spawn(move || events.iter().for_each(|event: String| println!("{event}")))
/// };
/// at_exit(move || {
///     events.close();
///     let _written = writer.join();
/// });
/// # greenway_green::run_at_exit();
/// ```
///
/// # Panics
/// When 1,000 functions are registered already.
pub fn at_exit(function: impl FnOnce() + Send + 'static) {
    at_exit_within(LIMIT, function);
}

/// As [`at_exit`], for a function that may take `limit`.
///
/// # Panics
/// As [`at_exit`].
pub fn at_exit_within(limit: Duration, function: impl FnOnce() + Send + 'static) {
    let body = Box::new(function);
    let mut functions = lock(&FUNCTIONS);
    let full = functions.len() >= MOST;
    if !full {
        functions.push(Function { limit, body });
    }
    drop(functions);
    assert!(
        !full,
        "{MOST} functions are to be called at exit already: register them once, not for each request"
    );
}

/// Calls the functions that [`at_exit`] has collected, as well as those that these register in
/// their turn, and forgets them.
pub fn run_at_exit() {
    for _ in 0..2 * MOST {
        let Some(Function { limit, body }) = lock(&FUNCTIONS).pop() else {
            return;
        };
        let thread = Builder::new().name("at_exit").balanced().spawn(body);
        match thread.join_timeout(limit) {
            Some(Ok(())) => {}
            Some(Err(error)) => log::error!("a function called at exit has failed: {error}"),
            None => {
                thread.kill();
                let _killed = thread.join_timeout(LAST_WAIT);
                log::error!("a function called at exit took longer than {limit:?}: killed");
            }
        }
    }
}
