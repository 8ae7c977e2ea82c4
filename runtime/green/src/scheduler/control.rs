//! [`Control`]: a green thread as seen from outside (its name, its life, those who wait for its end),
//! without the type of its value.

use crate::scheduler::config;
use crate::scheduler::line::{Line, Lookout, Ticket, wait_in};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{self, Awaited, Identity, Interrupt, Thread};
use crate::scheduler::timed_out::TimedOut;
use crate::scheduler::worker::Worker;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// All green threads that have not ended, by worker: so that two workers never contend for it.
static ALIVE: OnceLock<Box<[Mutex<Alive>]>> = OnceLock::new();

/// The keys are counted by this crate and not chosen by a client, so a fast hash will do.
type Alive = FxHashMap<u64, Arc<Control>>;

fn alive() -> &'static [Mutex<Alive>] {
    let workers = || config::in_effect().expect("there are workers").workers;
    ALIVE.get_or_init(|| (0..workers()).map(|_| Mutex::default()).collect())
}

/// All green threads of a worker that have not ended, oldest first.
pub(crate) fn alive_on(worker: &Worker) -> Vec<Arc<Control>> {
    let mut all: Vec<_> = lock(&alive()[worker.index()]).values().cloned().collect();
    all.sort_unstable_by_key(|control| control.number);
    all
}

/// The life of a green thread: shared by itself, its handle and the groups that it is in.
pub(crate) struct Control {
    number: u64,
    name: Option<Box<str>>,
    home: &'static Worker,
    /// The number of the greenlet that has spawned it.
    parent: Option<u64>,
    born: Instant,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    thread: Option<Arc<Thread>>, // while it runs
    killed: bool,
    ended: bool,
    /// Those who wait for its end.
    joiners: Line,
}

impl Control {
    pub(crate) fn new(name: Option<Box<str>>, home: &'static Worker) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let control = Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            name,
            home,
            parent: thread::parent(),
            born: Instant::now(),
            life: Mutex::default(),
        });
        lock(&alive()[home.index()]).insert(control.number, control.clone());
        control
    }

    pub(crate) fn name(&self) -> Cow<'_, str> {
        match &self.name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("green-{}", self.number)),
        }
    }

    pub(crate) fn home(&self) -> &'static Worker {
        self.home
    }

    pub(crate) fn parent(&self) -> Option<u64> {
        self.parent
    }

    pub(crate) fn born(&self) -> Instant {
        self.born
    }

    /// 1, 2, …: no other green thread has or has had it.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The thread, while it runs.
    pub(crate) fn thread(&self) -> Option<Arc<Thread>> {
        lock(&self.life).thread.clone()
    }

    /// Notes that it runs. False if it has been killed before that, and must not.
    pub(crate) fn begin(self: &Arc<Self>, thread: Arc<Thread>) -> bool {
        thread.begin(self.clone());
        let mut life = lock(&self.life);
        life.thread = Some(thread);
        !life.killed
    }

    /// Notes that it has ended, and tells those who wait for that.
    pub(crate) fn end(&self) {
        lock(&alive()[self.home.index()]).remove(&self.number);
        let mut life = lock(&self.life);
        life.ended = true;
        life.thread = None;
        life.joiners.wake_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.life).ended
    }

    pub(crate) fn wait_end(&self, deadline: Option<Instant>) -> Result<(), TimedOut> {
        let ended = |life: &mut Life| life.ended.then_some(());
        wait_in(
            Awaited::Join,
            &self.life,
            |life| &mut life.joiners,
            deadline,
            ended,
        )
    }

    pub(crate) fn kill(&self) {
        let thread = {
            let mut life = lock(&self.life);
            life.killed = true;
            life.thread.clone()
        };
        if let Some(thread) = thread {
            thread.interrupt(Interrupt::Kill);
        }
    }

    /// As [`kill`](Self::kill), for other reasons, and only if it runs already.
    pub(crate) fn interrupt(&self, why: Interrupt) {
        if let Some(thread) = self.thread() {
            thread.interrupt(why);
        }
    }
}

impl Identity for Control {
    fn number(&self) -> u64 {
        self.number
    }

    fn write_name(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match &self.name {
            Some(name) => write!(out, "green thread {name:?} (#{})", self.number),
            None => write!(out, "green thread #{}", self.number),
        }
    }
}

impl Lookout for Control {
    fn is_ready(&self) -> bool {
        self.has_ended()
    }
    fn watch(&self, thread: &Arc<Thread>) -> Ticket {
        lock(&self.life).joiners.enter(thread.clone())
    }
    fn unwatch(&self, ticket: Ticket) {
        lock(&self.life).joiners.leave(ticket);
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: what is written to is the user's.
        let (running, ended) = {
            let life = lock(&self.life);
            (life.thread.is_some(), life.ended)
        };
        f.debug_struct("Greenlet")
            .field("name", &self.name())
            .field("worker", &self.home.index())
            .field("running", &running)
            .field("ended", &ended)
            .finish_non_exhaustive()
    }
}
