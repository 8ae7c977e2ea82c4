//! A connection to an application, in process: one end of a pair of sockets, the other end of which
//! the server's own code serves, on a green thread.

use crate::connection::{Connection, Detached, Here, Incoming, IoParts, Socket};
use crate::green::embed::{Stream, least_loaded, spawn_on};
use crate::service::config::{Config, FOR_EVER};
use crate::service::{ConnContext, ConnState, Service, panics};
use greenway_app::{Application, ConnectionInfo};
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// A connection that seems to come in as `info` says. Whoever drops it has left.
pub(super) fn connect(app: Arc<dyn Application>, info: &ConnectionInfo) -> io::Result<Stream> {
    panics::install_hook();
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let service = Arc::new(Service::new(Box::new(app), Config::default(), 1, None));
    let info = info.clone().with_engine(service.config.engine.name());
    let info = Arc::new(info.with_multithread(true));
    spawn_on(least_loaded(), move || {
        let context = ConnContext::new(ConnState::Busy);
        match Stream::new(as_tcp(theirs)) {
            Ok(stream) => {
                let parts = IoParts::new(Socket::from(stream), Incoming::default());
                let connection = Connection::attach(Detached::new(parts, info), service, context);
                drop(connection.serve(&Here, FOR_EVER));
            }
            Err(error) => log::error!("a test's connection cannot be served: {error}"),
        }
    });
    Stream::new(as_tcp(ours))
}

/// What serves connections takes a socket of either family in this form.
fn as_tcp(socket: UnixStream) -> TcpStream {
    TcpStream::from(OwnedFd::from(socket))
}
