//! The client, while its request is being served: is it still there, and what can it be told
//! before the response? Asked whenever a handler is about to wait, and by handlers.

use super::departure::Watch;
use super::io::BufferedIo;
use super::transport::Transport;
use super::upgrade::Upgradable;
use crate::green::embed::sys::{PeerNews, peer_news};
use crate::green::embed::thread::{
    self, Awaited, Interrupt, Io, Thread, TimedOut, deadline_in, wait_for,
};
use crate::service::config::HalfClose;
use greenway_app::Peer;
use greenway_proto::http1::{self, exchange::Exchange};
use http::{HeaderMap, StatusCode};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What is known of whether the client leaves.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// There is none before a handler has waited.
    watch: RefCell<Option<Watch>>,
    /// The protocol that has taken over waits for input itself, and will see the client's end.
    receiving: Cell<bool>,
    /// News of the client may go to the thread that serves it.
    told: Cell<bool>,
}

impl Client {
    /// A request begins, on the thread that calls.
    pub(super) fn begin(&self) {
        self.receiving.set(false);
        self.told.set(true);
        if let Some(watch) = &*self.watch.borrow() {
            watch.attach(thread::current());
        }
    }

    /// It is over.
    pub(super) fn end(&self) {
        if let Some(watch) = &*self.watch.borrow() {
            watch.detach();
            thread::current().clear_departure();
        }
    }

    /// Whether the protocol that has taken over waits for input.
    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.get()
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

/// Those who use a connection's I/O through a lease. All of them are on the connection's thread
/// or on green threads of its worker, one of which may wait in here when the request ends.
#[derive(Debug, Default)]
pub(super) struct Users {
    count: Cell<usize>,
    /// Who waits for the client in here.
    waiting: RefCell<Vec<Arc<Thread>>>,
    /// Set while they are to leave.
    leave: AtomicBool,
    /// Who waits for that.
    last_one_wakes: RefCell<Option<Arc<Thread>>>,
}

impl Users {
    /// Does `wait`, which gives up when the flag that it is given is set.
    pub(super) fn waiting<R>(&self, wait: impl FnOnce(&AtomicBool) -> R) -> R {
        /// Takes itself off the list, also when the wait unwinds.
        struct Listed<'a>(&'a Users, u64);
        impl Drop for Listed<'_> {
            fn drop(&mut self) {
                let mut waiting = self.0.waiting.borrow_mut();
                if let Some(at) = waiting.iter().position(|thread| thread.id() == self.1) {
                    waiting.swap_remove(at);
                }
            }
        }
        let me = thread::current();
        let _listed = Listed(self, me.id());
        self.waiting.borrow_mut().push(me);
        wait(&self.leave)
    }

    /// Makes all of them leave, and waits until they have. The request of their lease must be over,
    /// so that they do not come back.
    pub(super) fn send_away(&self) {
        if self.count.get() > 0 {
            self.send_away_and_wait();
        }
    }

    #[cold]
    #[inline(never)] // a leaked `Input` is rare, and the frame of those who have none stays small
    fn send_away_and_wait(&self) {
        self.leave.store(true, Ordering::SeqCst);
        for thread in &*self.waiting.borrow() {
            thread.wake();
        }
        // Each is at its client's mercy for one write at most, which has a clock of its own.
        let waited = wait_for(Awaited::Connections, None, Io::None, |me, _| {
            if self.count.get() == 0 {
                return Some(());
            }
            *self.last_one_wakes.borrow_mut() = Some(me.clone());
            None
        });
        let (Ok(()) | Err(TimedOut)) = waited;
        self.leave.store(false, Ordering::SeqCst);
    }

    fn enter(&self) {
        self.count.set(self.count.get() + 1);
    }

    fn exit(&self) {
        self.count.set(self.count.get() - 1);
        if self.count.get() == 0
            && let Some(thread) = self.last_one_wakes.take()
        {
            thread.wake();
        }
    }
}

/// The use of a connection's I/O for one request. It may outlive the request, in a body or in
/// another green thread; then it gives nothing.
pub(super) struct Lease<T> {
    io: Weak<BufferedIo<T>>,
    request: u64,
}

/// A lease that is used now.
pub(super) struct Using<T: Transport>(Rc<BufferedIo<T>>);

impl<T: Transport> Lease<T> {
    /// For the present request.
    pub(super) fn new(io: &Rc<BufferedIo<T>>) -> Self {
        Self {
            io: Rc::downgrade(io),
            request: io.with_incoming(|incoming| incoming.request),
        }
    }

    /// The I/O, until the value is dropped. `None` when the request is over.
    pub(super) fn get(&self) -> Option<Using<T>> {
        let io = self.io.upgrade()?;
        if io.with_incoming(|incoming| incoming.request) != self.request {
            return None;
        }
        Some(Using::new(io))
    }

    /// Whether the request is over.
    pub(super) fn is_over(&self, io: &BufferedIo<T>) -> bool {
        io.with_incoming(|incoming| incoming.request) != self.request
    }
}

impl<T: Transport> Using<T> {
    fn new(io: Rc<BufferedIo<T>>) -> Self {
        io.users.enter();
        Self(io)
    }
}

impl<T: Transport> Deref for Using<T> {
    type Target = BufferedIo<T>;

    fn deref(&self) -> &BufferedIo<T> {
        &self.0
    }
}

impl<T: Transport> Drop for Using<T> {
    fn drop(&mut self) {
        self.0.users.exit();
    }
}

/// A connection's client, as requests know it. One for all requests of a connection.
pub(super) struct ClientHandle<T>(pub(super) Weak<BufferedIo<T>>);

impl<T: Transport> BufferedIo<T> {
    /// What this connection does whenever its thread is about to block.
    pub(super) fn before_block(&self) {
        self.flush_before_block();
        if self.exchange.get().is_serving() && !self.client.is_receiving() && self.news_of_peer() {
            let me = thread::current();
            me.interrupt(Interrupt::Departed);
            me.raise_if_over();
        }
    }

    /// Whether the client has left, as far as the watcher knows; begins to watch if need be.
    fn news_of_peer(&self) -> bool {
        let Some(socket) = self.stream.socket() else {
            return false;
        };
        self.client.told.set(true);
        if let Some(watch) = &*self.client.watch.borrow() {
            if self.exchange.get().is_upgraded() {
                watch.attach(thread::current()); // it is left alone while input is waited for
            }
            if !watch.has_news() {
                return false;
            }
        } else {
            return self.begin_to_watch(socket);
        }
        self.peer_has_left()
    }

    /// Watches the client from here on. `false`: if there is news already, the watcher wakes us
    /// with it.
    #[cold]
    fn begin_to_watch(&self, socket: BorrowedFd<'_>) -> bool {
        match Watch::new(socket, thread::current()) {
            Ok(watch) => drop(self.client.watch.replace(Some(watch))),
            Err(error) => log::warn!("a client's departure will not be noticed: {error}"),
        }
        false
    }

    /// Whether the client has left, as far as the kernel knows.
    pub(super) fn peer_has_left(&self) -> bool {
        let Some(socket) = self.stream.socket() else {
            return false;
        };
        let exchange = self.exchange.get();
        match (peer_news(socket), self.service.config.half_close) {
            (Some(PeerNews::Gone), _) | (Some(PeerNews::Finished), HalfClose::Leave) => true,
            (None, _) | (Some(PeerNews::Finished), HalfClose::Serve) => false,
            (Some(PeerNews::Finished), HalfClose::Auto) if exchange.is_upgraded() => {
                self.take_probe() && self.upgraded_peer_has_left()
            }
            (Some(PeerNews::Finished), HalfClose::Auto) => {
                exchange.is_answering() || (self.take_probe() && !self.probe())
            }
        }
    }

    /// Whether the client may be asked for a sign of life: not between the two halves of something
    /// else.
    fn take_probe(&self) -> bool {
        !self.is_writing() && self.exchange(Exchange::take_probe)
    }

    /// Asks a client that has finished sending whether it is there. False if writing fails;
    /// otherwise the answer of one that has closed is a reset, which comes later.
    fn probe(&self) -> bool {
        self.queue(|out| out.extend_from_slice(http1::CONTINUE));
        let socket = self.stream.socket();
        self.flush().is_ok()
            && socket.is_none_or(|socket| peer_news(socket) != Some(PeerNews::Gone))
    }
}

impl<T: Transport> Peer for ClientHandle<T> {
    fn has_left(&self) -> bool {
        self.0.upgrade().is_none_or(|io| io.peer_has_left())
    }

    fn wait_until_left(&self, timeout: Duration) -> bool {
        // About to block, the thread begins to watch the client if it does not yet.
        let result = wait_for(
            Awaited::Departure,
            deadline_in(timeout),
            Io::None,
            |_, _| self.has_left().then_some(()),
        );
        !matches!(result, Err(TimedOut))
    }

    fn routed(&self, rule: &Arc<str>) {
        if let Some(io) = self.0.upgrade() {
            io.context.set_route(rule);
        }
    }

    fn early_hints(&self, headers: &HeaderMap) -> io::Result<()> {
        let Some(io) = self.0.upgrade().map(Using::new) else {
            return Ok(());
        };
        if io.exchange(Exchange::take_interim) {
            io.queue(|out| http1::write_interim(out, StatusCode::EARLY_HINTS, headers));
            io.flush()?;
        }
        Ok(())
    }

    fn upgrade(self: Rc<Self>) -> Option<Rc<dyn Any>> {
        self.0.upgrade()?.stream.handle()?;
        Some(Rc::new(Upgradable(self)))
    }
}
