//! How green threads are started.
//!
//! What must stay true: a green thread starts on the worker that it is to live on; whatever
//! becomes of it (a value, a panic, a kill, no memory for its stack) it *ends* exactly once, and
//! its closure, its value and all that they hold are gone before those who wait for its whole
//! set (a scope) are woken, because the data that it borrowed may be dropped then.

use crate::runtime;
use crate::scheduler::control::Control;
use crate::scheduler::discard::discard;
use crate::scheduler::giving_way::sleep;
use crate::scheduler::running::Running;
use crate::scheduler::stack::Measure;
use crate::scheduler::task_context::kind_of;
use crate::scheduler::thread::{self, Current, Unwind};
use crate::scheduler::worker::{self, Here, Message, Worker};
use crate::task::greenlet::{Greenlet, JoinError, Outcome};
use crate::task::local;
use crate::task::set::TaskSet;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

pub use crate::task::greenlet::panic_message;

/// Starts a green thread. Callable from anywhere.
///
/// It runs on the worker of the green thread that calls, when that one next waits; called from
/// an OS thread, on the worker that has the fewest. It never changes its worker afterwards.
///
/// ```
/// let answer = greenway_green::spawn(|| 6 * 7);
/// assert_eq!(answer.join().unwrap(), 42);
/// ```
pub fn spawn<F, T>(body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(body)
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
    Builder::new().spawn_local(body)
}

/// Starts a green thread on the worker that has the fewest: for work that need not stay close to
/// whoever starts it.
pub fn spawn_balanced<F, T>(body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().balanced().spawn(body)
}

/// Starts a green thread whose body begins after `delay`. Killing it before that is harmless.
///
/// ```
/// use greenway_green::spawn_later;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let later = spawn_later(Duration::from_millis(15), move || start.elapsed());
/// assert!(later.join().unwrap() >= Duration::from_millis(15));
/// ```
pub fn spawn_later<F, T>(delay: Duration, body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().delay(delay).spawn(body)
}

/// Starts a green thread on a worker of the caller's choice.
pub fn spawn_on<F, T>(home: &'static Worker, body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder {
        place: Place::On(home),
        ..Builder::new()
    }
    .spawn(body)
}

/// How a green thread is to be started: its name, its worker, when.
///
/// ```
/// use greenway_green::Builder;
///
/// let thread = Builder::new().name("collector").worker(0).spawn(|| "done");
/// assert_eq!(thread.name(), "collector");
/// assert_eq!(thread.worker(), 0);
/// assert_eq!(thread.join().unwrap(), "done");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Builder {
    name: Option<Box<str>>,
    place: Place,
    delay: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Place {
    /// The worker of the green thread that calls.
    #[default]
    Here,
    LeastLoaded,
    On(&'static Worker),
}

impl Builder {
    /// As [`spawn`] does it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The thread's name. Default: `green-` and a number.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into_boxed_str());
        self
    }

    /// On the worker with this number. Default: that of the green thread that calls.
    ///
    /// # Panics
    /// When there is no such worker; [`config`](crate::config) tells how many there are.
    #[must_use]
    pub fn worker(mut self, index: usize) -> Self {
        let workers = runtime::workers();
        let worker = workers.get(index).copied();
        self.place = Place::On(worker.unwrap_or_else(|| {
            panic!("there is no worker {index}, only {} of them", workers.len())
        }));
        self
    }

    /// On the worker that has the fewest green threads.
    #[must_use]
    pub fn balanced(mut self) -> Self {
        self.place = Place::LeastLoaded;
        self
    }

    /// The body begins after `delay`. Default: as soon as the worker comes to it.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Starts a green thread. Callable from anywhere.
    pub fn spawn<F, T>(self, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_then(body, None, |_| {})
    }

    /// Starts a green thread of the worker that calls; the closure may hold values that are not
    /// `Send`.
    ///
    /// # Panics
    /// When called outside a green thread, or when another worker was asked for.
    pub fn spawn_local<F, T>(self, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let here = self.local_home();
        let home = here.home();
        let Prepared { greenlet, start } = self.prepare(home, body, Outcome::new(None), |_| {});
        here.start(Box::new(|| start.run()));
        greenlet
    }

    /// As [`spawn`](Self::spawn), in a set, with something to be done when all is over.
    pub(crate) fn spawn_then<F, T, A>(self, body: F, set: Option<&TaskSet>, after: A) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
        A: FnOnce(&Control) + Send + 'static,
    {
        let home = self.home();
        let Prepared { greenlet, start } = self.prepare(home, body, Outcome::new(None), after);
        if let Some(set) = set {
            set.add(greenlet.control().clone());
        }
        start_on(home, Box::new(|| start.run()));
        greenlet
    }

    pub(crate) fn home(&self) -> &'static Worker {
        match self.place {
            Place::On(worker) => worker,
            Place::Here => worker::current().unwrap_or_else(runtime::least_loaded),
            Place::LeastLoaded => runtime::least_loaded(),
        }
    }

    pub(crate) fn local_home(&self) -> Here {
        let here = worker::here().expect("spawn_local() was called outside a green thread");
        if let Place::On(asked) = self.place {
            assert!(
                here.is(asked),
                "spawn_local() cannot start a green thread on another worker"
            );
        }
        here
    }

    /// Makes the handle and the first function of a green thread. When it has ended, and body,
    /// value and handle's share of them are gone, `after` runs on the worker.
    pub(crate) fn prepare<F, T, A>(
        self,
        home: &'static Worker,
        body: F,
        outcome: Arc<Outcome<T>>,
        after: A,
    ) -> Prepared<F, T, A>
    where
        F: FnOnce() -> T,
        A: FnOnce(&Control),
    {
        let control = Control::new(self.name, home);
        home.count(true);
        Prepared {
            greenlet: Greenlet::new(control.clone(), outcome.clone()),
            start: Start {
                body: Some(body),
                delay: self.delay,
                end: End(Some(Parts {
                    control,
                    outcome,
                    after,
                })),
            },
        }
    }
}

/// Starts a green thread on a worker, from anywhere.
pub(crate) fn start_on(home: &'static Worker, start: Box<dyn FnOnce() + Send>) {
    match worker::here() {
        Some(here) if here.is(home) => here.start(start),
        _ => home.post(Message::Spawn(start)),
    }
}

pub(crate) struct Prepared<F, T, A: FnOnce(&Control)> {
    pub(crate) greenlet: Greenlet<T>,
    pub(crate) start: Start<F, T, A>,
}

/// The first function of a green thread, with all that it needs.
///
/// It stays where it was boxed while it runs: what lies on the stack here lies below all that the
/// thread does, and one page is to do for a connection.
pub(crate) struct Start<F, T, A: FnOnce(&Control)> {
    // The order matters: when this is dropped without having run, the body goes first.
    body: Option<F>,
    delay: Option<Duration>,
    end: End<T, A>,
}

impl<F: FnOnce() -> T, T, A: FnOnce(&Control)> Start<F, T, A> {
    pub(crate) fn run(mut self) {
        let me = thread::current();
        let running = Running::begin(&me);
        if self.begin(&me) {
            let result = self.call();
            self.finish(&me, result);
        }
        drop(running);
    }

    /// Whether it is to run: it may have been killed before.
    #[inline(never)] // off the stack of what it runs, as are the others
    fn begin(&mut self, me: &Current) -> bool {
        let runs = self.end.control().begin(me.handle());
        if !runs {
            if let Some(body) = self.body.take() {
                discard(body);
            }
            self.finish(me, Err(JoinError::Killed));
        }
        runs
    }

    /// Runs the body and says how it ended.
    #[inline]
    fn call(&mut self) -> Result<T, JoinError> {
        let measure = Measure::begin();
        let (body, delay) = (&mut self.body, self.delay);
        // Unwind safety: whatever the body shares is as exposed as in a std thread that panics.
        let result = catch_unwind(AssertUnwindSafe(|| {
            // Dropped last, and while unwinding if the body unwinds: so waits in the destructors of
            // a killed thread's local values return at once, as in all its destructors.
            let _locals = local::EndOfThread;
            if let Some(delay) = delay {
                sleep(delay);
            }
            body.take().expect("it runs once")()
        }));
        measure.end(|| Some(kind_of(None, &self.end.control().name())));
        result.map_err(why)
    }

    /// Does what is left to do when the body is over and gone: those who join must not be woken
    /// before that.
    #[inline(never)]
    fn finish(&mut self, me: &Current, result: Result<T, JoinError>) {
        me.finish();
        self.end.settle(result);
        // Destructors may have set local values since the body was over, and the coroutine is about
        // to run another thread, which must not find them.
        local::end_of_work(me);
    }
}

impl<F: FnOnce() -> T, T, A: FnOnce(&Control)> Start<F, T, A> {
    /// Runs the body on the stack of the caller, as a function.
    pub(crate) fn run_inline(mut self) {
        // Unwind safety: whatever the body shares is as exposed as in a std thread that panics.
        let result = self
            .body
            .take()
            .map(|body| catch_unwind(AssertUnwindSafe(body)));
        if let Some(result) = result {
            self.end.settle(result.map_err(JoinError::Panicked));
        }
    }
}

/// Why a green thread's body was unwound.
#[cold]
fn why(payload: Box<dyn Any + Send>) -> JoinError {
    match Unwind::of(&*payload) {
        // What was caught in another thread and raised again here has killed nobody.
        Some(Unwind::Interrupted(_)) if thread::current().interrupted().is_some() => {
            JoinError::Killed
        }
        _ => JoinError::Panicked(payload),
    }
}

/// Reports a green thread's end, also when it is dropped without ever having run.
struct End<T, A: FnOnce(&Control)>(Option<Parts<T, A>>);

struct Parts<T, A> {
    control: Arc<Control>,
    outcome: Arc<Outcome<T>>,
    after: A,
}

impl<T, A: FnOnce(&Control)> End<T, A> {
    fn control(&self) -> &Arc<Control> {
        &self.0.as_ref().expect("only settle() takes it").control
    }

    fn settle(&mut self, result: Result<T, JoinError>) {
        let Some(Parts {
            control,
            outcome,
            after,
        }) = self.0.take()
        else {
            return;
        };
        outcome.put(result);
        control.home().count(false);
        control.end();
        // If nobody holds the handle, the value or the panic's payload is dropped here, and a
        // destructor that panics would take the worker with it.
        discard(outcome);
        after(&control);
    }
}

impl<T, A: FnOnce(&Control)> Drop for End<T, A> {
    fn drop(&mut self) {
        self.settle(Err(JoinError::NotStarted));
    }
}
