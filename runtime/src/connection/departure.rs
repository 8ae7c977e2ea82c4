//! Noticing that a client has left while its handler waits.
//!
//! One OS thread watches all connections whose handler has ever waited; a request that is
//! answered without waiting is never registered, and a connection is registered once at most.
//!
//! A reset, or the death of a peer, ends the handler at its wait. A FIN alone is ambiguous: the
//! client has closed, or it has only finished sending. [`HalfClose`](crate::HalfClose) says what it means.
//! With TLS a client may say that it has finished (close_notify) without a FIN, so there whatever
//! comes is looked at.
//!
//! # Implementation
//!
//! The watcher thread has an epoll of its own, edge-triggered and asking for hang-ups only. News
//! goes to the [`Watched`] state of the connection and, while a request is being served, to the
//! thread that serves it: an interrupt, or a wake that makes it look.

use crate::green::embed::{Interrupt, PeerEpoll, PeerNews, Thread, current, lock};
use crate::service::ServiceThread;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// How long the watcher leaves its epoll alone after an error.
const PAUSE: Duration = Duration::from_secs(1);

/// A connection that is watched, until it is dropped. Its socket is closed soon after.
#[derive(Debug)]
pub(crate) struct Watch {
    number: u64,
    watched: Arc<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    /// There was news of the peer: it has finished sending, at least.
    finished: AtomicBool,
    /// Something has come, which may be the peer's word that this is the end.
    came: AtomicBool,
    /// Who serves a request of this connection now.
    thread: Mutex<Option<Arc<Thread>>>,
}

struct Watcher {
    epoll: PeerEpoll,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    watched: HashMap<u64, Arc<Watched>>,
}

static WATCHER: OnceLock<Watcher> = OnceLock::new();

impl Watcher {
    /// The watcher; starts it, if none runs yet.
    ///
    /// # Errors
    /// When there is no descriptor or no thread for it. The next call tries again.
    fn get() -> io::Result<&'static Self> {
        static STARTING: Mutex<()> = Mutex::new(());
        if let Some(watcher) = WATCHER.get() {
            return Ok(watcher);
        }
        let _one_at_a_time = lock(&STARTING);
        if let Some(watcher) = WATCHER.get() {
            return Ok(watcher);
        }
        let epoll = PeerEpoll::new()?;
        // It ends with the process. Nobody sees a watcher without a thread: it is shown to others
        // only once the thread is there, which waits for that.
        let (show, shown) = crossbeam_channel::bounded::<()>(0);
        let _detached = ServiceThread::start("greenway-watcher", move || {
            let _shown_or_restarted = shown.recv();
            if let Some(watcher) = WATCHER.get() {
                watcher.run();
            }
        })?;
        let watcher = WATCHER.get_or_init(|| Self {
            epoll,
            table: Mutex::default(),
        });
        drop(show);
        Ok(watcher)
    }

    fn run(&self) {
        loop {
            let result = self.epoll.wait(|number, news| {
                let watched = lock(&self.table).watched.get(&number).cloned();
                if let Some(watched) = watched {
                    watched.tell(news);
                }
            });
            if let Err(error) = result
                && error.kind() != io::ErrorKind::Interrupted
            {
                log::error!("departed clients cannot be noticed at the moment: {error}");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

impl Watched {
    fn tell(&self, news: Option<PeerNews>) {
        // Under the lock: after `detach` nobody is interrupted for this connection.
        let thread = lock(&self.thread);
        let flag = match news {
            Some(_) => &self.finished,
            None => &self.came,
        };
        flag.store(true, Ordering::SeqCst);
        if let Some(thread) = &*thread {
            match news {
                None | Some(PeerNews::Finished) => thread.wake(),
                Some(PeerNews::Gone) => thread.interrupt(Interrupt::Departed),
            }
        }
    }
}

impl Watch {
    /// Begins to watch a socket. With `input`, whatever comes is news: it may be the end.
    ///
    /// # Errors
    /// When the kernel's limit on watches is reached, or the watcher cannot be started.
    pub(crate) fn new(
        socket: BorrowedFd<'_>,
        input: bool,
        thread: Arc<Thread>,
    ) -> io::Result<Self> {
        let watcher = Watcher::get()?;
        let watched = Arc::new(Watched {
            thread: Mutex::new(Some(thread)),
            ..Watched::default()
        });
        let number = {
            let mut table = lock(&watcher.table);
            table.next += 1;
            let number = table.next;
            table.watched.insert(number, watched.clone());
            number
        };
        let watch = Self { number, watched };
        // What has happened already is reported at once. On error, `watch` takes itself back, and
        // the thread's next wait tries again.
        watcher.epoll.watch(socket, number, input)?;
        Ok(watch)
    }

    /// From here on, news goes to this thread.
    pub(crate) fn attach(&self, thread: Arc<Thread>) {
        *lock(&self.watched.thread) = Some(thread);
    }

    /// From here on, news is only noted.
    pub(crate) fn detach(&self) {
        *lock(&self.watched.thread) = None;
    }

    /// Whether there was any news of the peer. That something has come is news once.
    pub(crate) fn has_news(&self) -> bool {
        self.watched.finished.load(Ordering::SeqCst)
            || (self.watched.came.load(Ordering::SeqCst)
                && self.watched.came.swap(false, Ordering::SeqCst))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watcher) = WATCHER.get() {
            lock(&watcher.table).watched.remove(&self.number);
        }
    }
}

/// What is known of whether the client leaves.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// There is none before a handler has waited.
    pub(super) watch: RefCell<Option<Watch>>,
    /// The protocol that has taken over waits for input itself, and will see the client's end.
    receiving: Cell<bool>,
    /// News of the client may go to the thread that serves it.
    pub(super) told: Cell<bool>,
    /// The handler waits for the client to leave: whether it was seen to, as the wait began.
    awaited: Cell<Option<bool>>,
}

impl Client {
    /// A request begins, on the thread that calls.
    pub(super) fn begin(&self) {
        self.receiving.set(false);
        self.told.set(true);
        if let Some(watch) = &*self.watch.borrow() {
            watch.attach(current().handle());
        }
    }

    /// It is over.
    pub(super) fn end(&self) {
        if let Some(watch) = &*self.watch.borrow() {
            watch.detach();
            current().clear_departure();
        }
    }

    /// Whether the protocol that has taken over waits for input.
    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.get()
    }

    /// The thread that serves the request begins to wait for the client to leave, or has waited.
    pub(super) fn set_awaited(&self, awaited: bool) {
        self.awaited.set(awaited.then_some(false));
    }

    /// Has whoever waits for the client to leave see that it has. False if nobody waits for that.
    pub(super) fn tell_awaiting(&self) -> bool {
        let awaited = self.awaited.get().is_some();
        if awaited {
            self.awaited.set(Some(true));
        }
        awaited
    }

    /// Whether the client was seen to leave as somebody began to wait for that.
    pub(super) fn was_seen_to_leave(&self) -> bool {
        self.awaited.get() == Some(true)
    }

    pub(super) fn set_receiving(&self, receiving: bool) {
        self.receiving.set(receiving);
    }

    /// From here on, news of the client does not interrupt the thread `me`, which serves it.
    pub(super) fn leave_alone(&self, me: &Thread) {
        if self.told.take() {
            if let Some(watch) = &*self.watch.borrow() {
                watch.detach();
            }
            me.clear_departure();
        }
    }
}
