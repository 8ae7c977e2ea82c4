//! What another protocol is to a connection, and a connection to it: the two seams of an upgrade.

use super::shared_socket::SharedSocket;
use crate::service::Service;
use bytes::BytesMut;
use http::HeaderMap;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What `Request::upgrade` gives on the engines that share the connection loop.
pub(crate) struct Upgradable(pub(crate) Rc<dyn Switch>);

/// A connection that HTTP can give away.
pub(crate) trait Switch {
    /// `None` when the connection is gone, here and below.
    fn service(&self) -> Option<Arc<Service>>;
    /// The socket, for all threads.
    fn shared(&self) -> Option<Arc<dyn SharedSocket>>;
    /// Answers the request with 101 and `headers`. Gives the connection, and what has come behind
    /// the request.
    ///
    /// # Errors
    /// When the request asks for no upgrade, is answered already or over, has a body, is on another
    /// thread than its handler, or when the client cannot be written to.
    fn switch(
        &self,
        headers: &HeaderMap,
        protocol: Arc<dyn Protocol>,
    ) -> io::Result<(Rc<dyn Link>, BytesMut)>;
}

/// A connection that another protocol has, whatever it began with.
pub(crate) trait Link {
    /// Reads once, waiting for something to come; 0 at the end, `TimedOut` at the deadline.
    fn read(&self, deadline: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<usize>;
    /// The calling thread is about to wait for input. True if its end is to be told by
    /// [`received`](Self::received).
    fn receiving(&self) -> bool;
    /// It has done so.
    fn received(&self);
}

/// What has taken the place of HTTP on a connection.
pub(crate) trait Protocol {
    /// The handler is over: ends the protocol in good order, as far as `end` allows. Called on
    /// the handler's thread, where it may wait.
    fn finish(&self, link: &dyn Link, end: End);
    /// The client has ended its sending direction, and nobody waits for input. False if it has
    /// left; else it is asked, and if it has left, its kernel answers with a reset.
    fn ask_peer(&self) -> bool;
}

/// How a handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Returned,
    /// It panicked or aborted.
    Failed,
    /// The server stops, or somebody has killed it.
    Stopped,
    /// The client has left.
    Departed,
}

/// A connection that has another protocol.
pub(super) struct Upgraded {
    pub(super) protocol: Arc<dyn Protocol>,
}

impl fmt::Debug for Upgradable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgradable")
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgraded")
    }
}
