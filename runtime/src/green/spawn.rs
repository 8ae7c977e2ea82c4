//! Starting green threads, and waiting for them to end.

use super::thread::{self, Interrupt, Io, Thread, TimedOut, Unwind, deadline_in, wait_for};
use super::worker::{self, Message, Worker};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A green thread, seen from outside: gevent's name for it. Dropping it lets the thread go on.
pub struct Greenlet<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T>(Mutex<State<T>>);

struct State<T> {
    thread: Option<Arc<Thread>>,
    killed: bool,
    ended: bool,
    outcome: Option<Result<T, JoinError>>,
    joiners: Vec<Arc<Thread>>,
}

/// Why a green thread gave no value.
pub enum JoinError {
    /// It panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
    /// It was killed.
    Killed,
    /// It could not be started: there was no memory or no memory mapping for its stack.
    NotStarted,
    /// Its value has been taken by an earlier join.
    Taken,
}

/// Starts a green thread. Callable from anywhere.
///
/// It runs on the worker of the green thread that calls, when that one next waits; called from
/// an OS thread, on the worker that has the fewest. It never changes its worker afterwards.
///
/// ```
/// let answer = greenway::green::spawn(|| 6 * 7);
/// assert_eq!(answer.join().unwrap(), 42);
/// ```
pub fn spawn<F, T>(body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match worker::current() {
        Some(_) => spawn_local(body),
        None => spawn_on(worker::least_loaded(), body),
    }
}

/// Starts a green thread on the worker of the one that calls; the closure may hold values that
/// are not `Send`, such as an `Rc` that both use.
///
/// # Panics
/// When called outside a green thread.
pub fn spawn_local<F, T>(body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    let here = worker::current().expect("spawn_local() was called outside a green thread");
    let (greenlet, start) = prepare(here, body);
    here.start_here(Box::new(start));
    greenlet
}

/// Starts a green thread on a worker of the caller's choice.
pub(crate) fn spawn_on<F, T>(home: &'static Worker, body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if worker::is_current(home) {
        return spawn_local(body);
    }
    let (greenlet, start) = prepare(home, body);
    home.post(Message::Spawn(Box::new(start)));
    greenlet
}

/// Makes the handle and the first function of a green thread.
fn prepare<F, T>(home: &'static Worker, body: F) -> (Greenlet<T>, impl FnOnce() + use<F, T>)
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    let shared = Arc::new(Shared(Mutex::new(State {
        thread: None,
        killed: false,
        ended: false,
        outcome: None,
        joiners: Vec::new(),
    })));
    home.count(true);
    let end = End {
        shared: Some(shared.clone()),
        home,
    };
    let start = move || {
        let mut end = end;
        let me = thread::current();
        let killed = {
            let mut state = end.state();
            state.thread = Some(me.clone());
            state.killed
        };
        let outcome = if killed {
            Err(JoinError::Killed)
        } else {
            run(body)
        };
        me.finish();
        end.settle(outcome);
    };
    (Greenlet { shared }, start)
}

/// Runs the body of a green thread and says how it ended.
fn run<T>(body: impl FnOnce() -> T) -> Result<T, JoinError> {
    // Unwind safety: whatever the body shares is as exposed as in a std thread that panics.
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| match Unwind::of(&*payload) {
        Some(_) => JoinError::Killed,
        None => JoinError::Panicked(payload),
    })
}

/// Reports a green thread's end, also when it is dropped without ever having run.
struct End<T> {
    shared: Option<Arc<Shared<T>>>,
    home: &'static Worker,
}

impl<T> End<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.shared.as_ref().expect("only settle() takes it").lock()
    }

    fn settle(&mut self, outcome: Result<T, JoinError>) {
        let Some(shared) = self.shared.take() else {
            return;
        };
        let joiners = {
            let mut state = shared.lock();
            state.ended = true;
            state.outcome = Some(outcome);
            state.thread = None;
            std::mem::take(&mut state.joiners)
        };
        self.home.count(false);
        for joiner in joiners {
            joiner.wake();
        }
        // If nobody holds the handle, the value or the panic's payload is dropped here, and a
        // destructor that panics would take the worker with it.
        discard(shared);
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.settle(Err(JoinError::NotStarted));
    }
}

/// Drops a value; a panic of its destructor is swallowed, however often it panics.
pub(crate) fn discard<T>(value: T) {
    let mut next = catch_unwind(AssertUnwindSafe(move || drop(value))).err();
    for _ in 0..8 {
        let Some(payload) = next else { return };
        next = catch_unwind(AssertUnwindSafe(move || drop(payload))).err();
    }
    std::mem::forget(next); // a payload that panics in its destructor for ever
}

/// Runs a green thread's first function in a new coroutine, until it waits for the first time.
/// Called by the porter of the worker that it is to live on.
pub(super) fn launch(start: Box<dyn FnOnce()>) {
    struct Pinned(Box<dyn FnOnce()>);
    // SAFETY: `may` asks for Send because it may move a coroutine before its first instruction.
    // `spawn_local` runs it on this OS thread at once, and without work stealing it stays here.
    unsafe impl Send for Pinned {}

    let start = Pinned(start);
    // `may` panics where there is no memory or mapping for the stack. The closure is dropped
    // then, which tells whoever joins.
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `may` asks for care with thread-locals and with stack overflow. Green threads
        // are pinned, so thread-locals stay what they are; a stack ends in a guard page.
        unsafe {
            may::coroutine::Builder::new().spawn_local(move || {
                let start = start;
                (start.0)();
            })
        }
    }));
    let error = match result {
        Ok(Ok(_detached)) => return,
        Ok(Err(error)) => error,
        Err(payload) => {
            discard(payload);
            io::Error::from(io::ErrorKind::OutOfMemory)
        }
    };
    log::error!("a green thread could not be started: {error}");
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Greenlet<T> {
    /// Waits for the thread to end, and gives its value.
    ///
    /// # Errors
    /// [`JoinError`] when it panicked, was killed, or could not be started.
    pub fn join(self) -> Result<T, JoinError> {
        self.join_until(None).unwrap_or(Err(JoinError::Taken))
    }

    /// Waits at most `timeout` for the thread to end. `None` when it has not.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Option<Result<T, JoinError>> {
        self.join_until(deadline_in(timeout)).ok()
    }

    fn join_until(&self, deadline: Option<Instant>) -> Result<Result<T, JoinError>, TimedOut> {
        let mut asked = false;
        wait_for(deadline, Io::None, |me, _| {
            let mut state = self.shared.lock();
            if state.ended {
                return Some(state.outcome.take().unwrap_or(Err(JoinError::Taken)));
            }
            if !asked {
                asked = true;
                state.joiners.push(me.clone());
            }
            None
        })
    }

    /// Whether the thread has ended.
    pub fn ready(&self) -> bool {
        self.shared.lock().ended
    }

    /// Ends the thread: it unwinds from its present wait, or from its next one. Its destructors
    /// run. Does nothing when it has ended. Does not wait; [`join`](Self::join) does.
    pub fn kill(&self) {
        let thread = {
            let mut state = self.shared.lock();
            state.killed = true;
            state.thread.clone()
        };
        if let Some(thread) = thread {
            thread.interrupt(Interrupt::Kill);
        }
    }

    /// As [`kill`](Self::kill), for the server's own reasons.
    pub(crate) fn interrupt(&self, why: Interrupt) {
        let thread = self.shared.lock().thread.clone();
        if let Some(thread) = thread {
            thread.interrupt(why);
        }
    }
}

impl<T> fmt::Debug for Greenlet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Greenlet")
            .field("thread", &state.thread)
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => {
                write!(
                    f,
                    "the green thread panicked: {}",
                    panic_message(&**payload)
                )
            }
            Self::Killed => f.write_str("the green thread was killed"),
            Self::NotStarted => f.write_str("the green thread could not be started"),
            Self::Taken => f.write_str("the green thread's value has been taken before"),
        }
    }
}

impl Error for JoinError {}

/// What a panic said, if it said it in words.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a payload that is not text)")
}
