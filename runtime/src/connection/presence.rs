//! The client, while its request is being served: is it still there, and what can it be told
//! before the response? Asked whenever a handler is about to wait, and by handlers.

use super::departure::Watch;
use super::transport::Transport;
use super::upgrade::Upgradable;
use super::wire::Wire;
use crate::green::embed::{
    Awaited, Interrupt, Io, PeerNews, TimedOut, current, deadline_in, peer_news, wait_for,
};
use crate::service::config::HalfClose;
use greenway_app::Peer;
use greenway_proto::http1;
use http::{HeaderMap, StatusCode};
use std::any::Any;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

impl<T: Transport> Wire<T> {
    /// What this connection does whenever its thread is about to block.
    pub(super) fn before_block(&self) {
        self.flush_before_block();
        if self.is_serving() && !self.is_receiving() && self.news_of_peer() {
            let me = current();
            me.interrupt(Interrupt::Departed);
            me.raise_if_over();
        }
    }

    /// Whether the client has left, as far as the watcher knows; begins to watch if need be.
    fn news_of_peer(&self) -> bool {
        let Some(socket) = self.stream.socket() else {
            return false;
        };
        self.set_watched();
        let has_news = self.with_incoming(|incoming| match &incoming.watch {
            Some(watch) => {
                if self.upgraded.get().is_some() {
                    watch.attach(current().handle()); // it is left alone while input is waited for
                }
                watch.has_news()
            }
            None => {
                match Watch::new(socket, current().handle()) {
                    Ok(watch) => incoming.watch = Some(watch),
                    Err(error) => log::warn!("a client's departure will not be noticed: {error}"),
                }
                false // if there is, the watcher wakes us with it
            }
        });
        has_news && self.peer_has_left()
    }

    /// Whether the client has left, as far as the kernel knows.
    fn peer_has_left(&self) -> bool {
        let Some(socket) = self.stream.socket() else {
            return false;
        };
        match (peer_news(socket), self.half_close) {
            (Some(PeerNews::Gone), _) | (Some(PeerNews::Finished), HalfClose::Leave) => true,
            (None, _) | (Some(PeerNews::Finished), HalfClose::Serve) => false,
            (Some(PeerNews::Finished), HalfClose::Auto) if self.upgraded.get().is_some() => {
                self.upgraded_peer_has_left()
            }
            (Some(PeerNews::Finished), HalfClose::Auto) => {
                self.is_answering() || (self.take_probe() && !self.probe())
            }
        }
    }

    /// Asks a client that has finished sending whether it is there. False if writing fails;
    /// otherwise the answer of one that has closed is a reset, which comes later.
    fn probe(&self) -> bool {
        self.queue(|out| out.extend_from_slice(http1::CONTINUE));
        self.flush().is_ok() && peer_news_is_good(self)
    }
}

fn peer_news_is_good<T: Transport>(wire: &Wire<T>) -> bool {
    wire.stream
        .socket()
        .is_none_or(|socket| peer_news(socket) != Some(PeerNews::Gone))
}

impl<T: Transport> Peer for Wire<T> {
    fn has_left(&self) -> bool {
        self.peer_has_left()
    }

    fn wait_until_left(&self, timeout: Duration) -> bool {
        // About to block, the thread begins to watch the client if it does not yet.
        let result = wait_for(
            Awaited::Other("client to leave"),
            deadline_in(timeout),
            Io::None,
            |_, _| self.peer_has_left().then_some(()),
        );
        !matches!(result, Err(TimedOut))
    }

    fn routed(&self, rule: &Arc<str>) {
        if let Some(seat) = self.seat() {
            seat.set_route(rule);
        }
    }

    fn early_hints(&self, headers: &HeaderMap) -> io::Result<()> {
        if self.take_interim() {
            self.queue(|out| http1::write_interim(out, StatusCode::EARLY_HINTS, headers));
            self.flush()?;
        }
        Ok(())
    }

    fn upgrade(self: Rc<Self>) -> Option<Rc<dyn Any>> {
        self.stream.handle()?;
        Some(Rc::new(Upgradable(self)))
    }
}
