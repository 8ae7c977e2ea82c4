//! The client, while its request is being served: is it still there, and what can it be told
//! before the response? Asked whenever a handler is about to wait, and by handlers.

use super::departure::Watch;
use super::io::BufferedIo;
use super::protocol::Upgradable;
use super::transport::Transport;
use crate::green::embed::{
    Awaited, Interrupt, Io, PeerNews, TimedOut, current, deadline_in, trim, wait_for,
};
use crate::green::unblock;
use crate::service::config::HalfClose;
use greenway_app::{Peer, Route, Unblocker};
use greenway_proto::http1::{self, exchange::Exchange};
use http::{HeaderMap, StatusCode};
use std::any::Any;
use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

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
            let me = current();
            if self.client.tell_awaiting() {
                me.wake(); // its wait is the one that a departure does not end the handler in
                return;
            }
            me.interrupt(Interrupt::Departed);
            me.raise_if_over();
        }
    }

    /// Whether the client has left, as far as the watcher knows; begins to watch if need be.
    fn news_of_peer(&self) -> bool {
        if let Some(framed) = self.stream.framed() {
            return framed.has_left();
        }
        let Some(socket) = self.stream.socket() else {
            return false;
        };
        self.client.told.set(true);
        if let Some(watch) = &*self.client.watch.borrow() {
            if self.exchange.get().is_upgraded() {
                watch.attach(current().handle()); // it is left alone while input is waited for
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
    /// with it. Where that fails, the next wait tries again.
    #[cold]
    fn begin_to_watch(&self, socket: BorrowedFd<'_>) -> bool {
        if self.stream.says_end() {
            trim(); // decryption is deeper than the handler, which may wait for long
        }
        match Watch::new(socket, self.stream.says_end(), current().handle()) {
            Ok(watch) => drop(self.client.watch.replace(Some(watch))),
            Err(error) => self.service.error_log.log(
                log::Level::Warn,
                "departures that cannot be noticed",
                format_args!("a client's departure will not be noticed: {error}"),
            ),
        }
        false
    }

    /// Whether the client has left, as far as the kernel knows.
    pub(super) fn peer_has_left(&self) -> bool {
        if let Some(framed) = self.stream.framed() {
            return framed.has_left();
        }
        let exchange = self.exchange.get();
        match (self.stream.peer_news(), self.service.config.half_close) {
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
        self.flush().is_ok() && self.stream.peer_news() != Some(PeerNews::Gone)
    }
}

/// The thread that serves a request waits for the client to leave, until this is dropped.
struct Awaiting<'a, T: Transport>(&'a Weak<BufferedIo<T>>);

impl<'a, T: Transport> Awaiting<'a, T> {
    /// `None` for another thread than the one that serves the request, which departures do not end.
    fn begin(io: &'a Weak<BufferedIo<T>>) -> Option<Self> {
        let shared = io.upgrade()?;
        if !Arc::ptr_eq(&shared.context.thread, &current().handle()) {
            return None;
        }
        shared.client.set_awaited(true);
        Some(Self(io))
    }
}

impl<T: Transport> Drop for Awaiting<'_, T> {
    fn drop(&mut self) {
        if let Some(io) = self.0.upgrade() {
            io.client.set_awaited(false);
        }
    }
}

impl<T: Transport> Peer for ClientHandle<T> {
    fn has_left(&self) -> bool {
        self.0.upgrade().is_none_or(|io| io.peer_has_left())
    }

    fn wait_until_left(&self, timeout: Duration) -> bool {
        // About to block, the thread begins to watch the client if it does not yet, and looks
        // whether it has left meanwhile.
        let _awaiting = Awaiting::begin(&self.0);
        let seen = || (self.0.upgrade()).is_some_and(|io| io.client.was_seen_to_leave());
        let result = wait_for(
            Awaited::Other("client to leave"),
            deadline_in(timeout),
            Io::None,
            |_, _| (seen() || self.has_left()).then_some(()),
        );
        !matches!(result, Err(TimedOut))
    }

    fn routed(&self, route: &Route) {
        if let Some(io) = self.0.upgrade() {
            io.context.set_route(route.shared_rule());
            if let Some(timeout) = route.timeout() {
                io.move_handlers_clock(timeout);
            }
        }
    }

    fn identified(&self, id: &str) {
        if let Some(io) = self.0.upgrade() {
            io.context.set_id(id);
        }
    }

    fn limit_time(&self, time: Duration) {
        if let Some(io) = self.0.upgrade() {
            io.move_handlers_clock(time);
        }
    }

    fn unblocker(&self) -> Unblocker {
        unblock
    }

    fn early_hints(&self, headers: &HeaderMap) -> io::Result<()> {
        let Some(io) = self.0.upgrade().map(Using::new) else {
            return Ok(());
        };
        if !io.exchange(Exchange::take_interim) {
            return Ok(());
        }
        if let Some(framed) = io.stream.framed() {
            framed.send_interim(StatusCode::EARLY_HINTS, Some(headers))?;
        } else {
            io.queue(|out| http1::write_interim(out, StatusCode::EARLY_HINTS, headers));
            io.flush()?;
        }
        Ok(())
    }

    fn upgrade(self: Rc<Self>) -> Option<Rc<dyn Any>> {
        self.0.upgrade()?.stream.shared()?;
        Some(Rc::new(Upgradable(self)))
    }
}
