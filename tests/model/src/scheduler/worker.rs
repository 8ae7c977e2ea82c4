//! Workers of which only the mailbox is left: what is posted is delivered some time, on the worker.

use super::thread::Thread;
use crate::platform::sync::{lock, wait};
use crate::platform::time::{self, Instant};
use crate::platform::{BorrowedFd, coroutine};
use crate::sys::Interest;
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread::JoinHandle;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub enum Message {
    Wake(Arc<Thread>),
}

#[derive(Debug, Default)]
pub struct Baton {
    taken: Mutex<bool>,
    changed: Condvar,
}

impl Baton {
    pub fn take(&self) {
        let mut taken = lock(&self.taken);
        while *taken {
            taken = wait(&self.changed, taken);
        }
        *taken = true;
    }

    pub fn give(&self) {
        *lock(&self.taken) = false;
        self.changed.notify_one();
    }
}

#[derive(Debug)]
pub struct Turn;

impl Turn {
    pub fn leave(&self) {}
    pub fn enter(&self, _running: ()) {}
    /// Nothing of what is checked asks for it.
    ///
    /// # Safety
    /// None is needed.
    pub unsafe fn running(&self) -> Option<&Thread> {
        None
    }
}

pub struct Worker {
    index: usize,
    baton: Baton,
    mail: Mutex<Mail>,
    came: Condvar,
    turn: Turn,
}

#[derive(Default)]
struct Mail {
    messages: Vec<Box<dyn FnOnce() + Send>>,
    closed: bool,
}

shuttle::thread_local! {
    static HERE: Cell<Option<&'static Worker>> = Cell::new(None);
}

pub fn current() -> Option<&'static Worker> {
    HERE.with(Cell::get)
}

/// As the real one: a proof that the caller runs on the worker.
#[derive(Debug, Clone, Copy)]
pub struct Here(&'static Worker);

pub fn here() -> Option<Here> {
    current().map(Here)
}

impl Deref for Here {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        self.0
    }
}

impl Here {
    pub fn is(&self, worker: &Worker) -> bool {
        self.0.index == worker.index
    }

    pub fn wake(self, thread: &Arc<Thread>) {
        thread.deliver(self);
    }

    /// The timer, which fires on this worker.
    pub fn set_timer(self, at: Instant, thread: Arc<Thread>) -> super::timer::Key {
        let fire = thread.clone();
        if !time::when_moved(move || self.0.put(move || fire.timer_fired(self))) {
            self.0.put(move || thread.timer_fired(self));
        }
        (at, 0)
    }

    pub fn cancel_timer(self, _key: super::timer::Key) {}

    pub fn watch(
        self,
        _fd: BorrowedFd<'_>,
        _interest: Interest,
        _thread: &Arc<Thread>,
    ) -> std::io::Result<()> {
        Ok(())
    }

    pub fn unwatch(self, _fd: BorrowedFd<'_>, _thread: &Arc<Thread>) {}
}

pub fn is_current(worker: &Worker) -> bool {
    current().is_some_and(|here| here.index == worker.index)
}

pub fn migrated(_id: u64, _home: &Worker) -> ! {
    unreachable!("nobody moves coroutines here")
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({})", self.index)
    }
}

impl Worker {
    /// A worker, and the thread that delivers its mail until [`close`](Self::close).
    pub fn start(index: usize) -> (&'static Self, JoinHandle<()>) {
        let worker: &'static Self = Box::leak(Box::new(Self {
            index,
            baton: Baton::default(),
            mail: Mutex::default(),
            came: Condvar::new(),
            turn: Turn,
        }));
        (
            worker,
            shuttle::thread::spawn(move || worker.run_mailbox_task()),
        )
    }

    pub fn close(&self) {
        lock(&self.mail).closed = true;
        self.came.notify_all();
    }

    /// Runs a coroutine.
    pub fn spawn<T: Send + 'static>(
        &'static self,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        shuttle::thread::spawn(move || {
            HERE.with(|here| here.set(Some(self)));
            coroutine::begin();
            self.baton.take();
            let value = body();
            self.baton.give();
            value
        })
    }

    fn run_mailbox_task(&'static self) {
        HERE.with(|here| here.set(Some(self)));
        loop {
            let mut mail = lock(&self.mail);
            while mail.messages.is_empty() && !mail.closed {
                mail = wait(&self.came, mail);
            }
            let messages = std::mem::take(&mut mail.messages);
            let closed = mail.closed;
            drop(mail);
            if messages.is_empty() && closed {
                return;
            }
            self.baton.take();
            for message in messages {
                message();
            }
            self.baton.give();
        }
    }

    fn put(&self, message: impl FnOnce() + Send + 'static) {
        lock(&self.mail).messages.push(Box::new(message));
        self.came.notify_all();
    }

    pub fn baton(&self) -> &Baton {
        &self.baton
    }

    pub fn index(&self) -> usize {
        self.index
    }

    pub fn turn(&self) -> &Turn {
        &self.turn
    }

    pub fn post(&self, message: Message) {
        let Message::Wake(thread) = message;
        self.put(move || thread.deliver(here().expect("mail is delivered on the worker")));
    }
}
