//! Where connections are served. Engines know connections and threads, not applications.

mod green;
mod minihttp;
mod threads;

use crate::config;
use crate::http1;
use crate::server::Service;
use greenway_app::Connection as Facts;
use http::StatusCode;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// An engine that runs.
pub(crate) trait Engine: Send {
    /// Takes no more connections. Those that the kernel has taken already are served.
    fn stop_accepting(&self);
    /// Gives up whatever the lifecycle's seats do not reach.
    fn end_all(&self);
    /// Waits for the engine's own threads. Called when all connections have ended.
    fn join(self: Box<Self>);
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
        config::Engine::Green => Box::new(green::GreenEngine::start(service, &listeners)?),
        config::Engine::Threads => Box::new(threads::ThreadsEngine::start(service, listeners)?),
        config::Engine::MiniHttp => Box::new(minihttp::MiniHttpEngine::start(service, listeners)?),
    })
}

/// What is known of a connection when it is accepted.
fn facts(service: &Service, stream: &TcpStream) -> Arc<Facts> {
    let facts = Facts::new(stream.local_addr().ok(), stream.peer_addr().ok());
    Arc::new(facts.with_engine(service.config.engine.name()))
}

/// Tells a client that there is no room for it, without waiting for it.
fn refuse(stream: &TcpStream) {
    let mut response = Vec::new();
    http1::error_response(
        &mut response,
        StatusCode::SERVICE_UNAVAILABLE,
        "too many connections",
        Some(1),
    );
    // Best effort from here on: the socket's empty buffer takes the response at once, and
    // reading what has come keeps the close from being a reset that would overtake it.
    let _ = stream.set_nonblocking(true);
    let _ = (&*stream).write(&response);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = (&*stream).read(&mut [0; 4096]);
}

/// How long to leave `accept` alone after an error such as "too many open files", doubling from
/// 5 ms to 1 s, as Go does.
#[derive(Debug)]
struct BackOff(Duration);

impl BackOff {
    fn new() -> Self {
        Self(Duration::from_millis(5))
    }

    /// The pause after an error; zero if it concerns only the one connection.
    fn after(&mut self, error: &io::Error) -> Duration {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionReset | Interrupted
        ) {
            return Duration::ZERO;
        }
        let pause = self.0;
        self.0 = (pause * 2).min(Duration::from_secs(1));
        log::error!("accepting connections pauses for {pause:?}: {error}");
        pause
    }

    fn reset(&mut self) {
        *self = Self::new();
    }
}
