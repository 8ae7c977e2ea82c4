//! Where connections are served. Engines know connections and threads, not applications.
//!
//! The engines `green` and `threads` are one: connections live on the workers, each on a green
//! thread while there is something to do ([`workers`], [`host`]). They differ in which thread
//! calls the application: under `green` the connection's own, under `threads` one of a fixed pool
//! ([`threads`]). `minihttp` hosts the application on another crate's server.

mod accept;
mod host;
#[cfg(feature = "minihttp")]
mod minihttp;
#[cfg(feature = "tls")]
mod secure;
#[cfg(feature = "http2")]
mod streams;
mod threads;
mod workers;

use crate::connection::{Detached, Handlers, Here, Socket, Transport};
#[cfg(feature = "http2")]
use crate::http2::RequestStream;
use crate::service::{Service, config};
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;
use threads::Pool;
use workers::WorkersEngine;

/// An engine that runs.
pub(crate) trait Engine: Send {
    /// Takes no more connections. `queue` says what becomes of those that the kernel has taken
    /// already. Returns by `deadline`, also when a worker is held up.
    fn stop_accepting(&self, queue: AcceptQueue, deadline: Instant);
    /// Closes idle connections, unless they have something to say. Returns by `deadline`, as well.
    fn close_idle(&self, deadline: Instant);
    /// Waits for the engine's own threads. Called when all connections have ended.
    fn join(self: Box<Self>);
}

/// What becomes of the connections that the kernel has taken, and nobody has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcceptQueue {
    /// They are served: nobody else would.
    Serve,
    /// They are left to other processes, which listen on the same sockets. These may never be
    /// empty, so whoever waited for that would go on accepting.
    Leave,
}

/// Where the handlers of connections on the workers run.
pub(crate) trait HandlerThreads:
    Returns<Socket> + ReturnsStreams + Send + Sync + 'static
{
    /// Waits for those of its threads that have nothing more to do. No connection is left.
    fn stop(&self);
}

/// Gives connections back that have waited for the thread of a handler without one of their own.
pub(crate) trait Returns<T: Transport>: Handlers<T> {
    /// Has `go_on` called, on any thread, when a connection has had its handler; with `None` if it
    /// has ended.
    fn when_back(&self, queued: Self::Queued, go_on: GoOn<T>);
}

/// The same for streams of HTTP/2, in a build that has them.
#[cfg(feature = "http2")]
pub(crate) trait ReturnsStreams: Returns<RequestStream> {}
#[cfg(feature = "http2")]
impl<H: Returns<RequestStream>> ReturnsStreams for H {}
#[cfg(not(feature = "http2"))]
pub(crate) trait ReturnsStreams {}
#[cfg(not(feature = "http2"))]
impl<H> ReturnsStreams for H {}

/// What is done with a connection that comes back from its handler.
pub(crate) type GoOn<T> = Box<dyn FnOnce(Option<Box<Detached<T>>>) + Send>;

impl<T: Transport> Returns<T> for Here {
    fn when_back(&self, queued: Infallible, _: GoOn<T>) {
        match queued {}
    }
}

impl HandlerThreads for Here {
    fn stop(&self) {}
}

/// Starts the engine that the configuration names.
///
/// # Errors
/// When the process has no room for the engine's threads or descriptors.
pub(crate) fn start(
    service: &Arc<Service>,
    listeners: Vec<TcpListener>,
) -> io::Result<Box<dyn Engine>> {
    Ok(match service.config.engine {
        config::Engine::Green => Box::new(WorkersEngine::start(service, listeners, Here)?),
        config::Engine::Threads => {
            let pool = Pool::start(service)?;
            Box::new(WorkersEngine::start(service, listeners, pool)?)
        }
        #[cfg(feature = "minihttp")]
        config::Engine::MiniHttp => Box::new(minihttp::MiniHttpEngine::start(service, listeners)?),
    })
}
