//! Where connections are served. Engines know connections and threads, not applications.

mod accept;
mod green;
mod minihttp;
mod threads;

use crate::service::Service;
use crate::service::config;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

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
        config::Engine::Green => Box::new(green::GreenEngine::start(service, listeners)?),
        config::Engine::Threads => Box::new(threads::ThreadsEngine::start(service, listeners)?),
        config::Engine::MiniHttp => Box::new(minihttp::MiniHttpEngine::start(service, listeners)?),
    })
}
