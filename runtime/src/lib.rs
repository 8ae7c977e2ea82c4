//! Write blocking handlers; serve ten thousand of them at once.
//!
//! Greenway is a WSGI-style web runtime: a handler is plain blocking code that returns a body of
//! chunks, and every connection has a green thread of its own, so handlers may sleep, wait on
//! queues and read sockets without holding an OS thread. The same program runs on a pool of OS
//! threads by a flag, `--engine threads`.
//!
//! ```no_run
//! use greenway::{App, Body, Request, green::sleep};
//! use std::time::Duration;
//!
//! let mut app = App::new();
//! app.get("/hello/<name>", |req: Request| format!("Hello {}!\n", req.param("name")));
//! app.get("/stream", |_: Request| {
//!     Body::stream(|out| {
//!         out.send("START\n")?;
//!         sleep(Duration::from_secs(3));
//!         out.send("MIDDLE\n")?;
//!         sleep(Duration::from_secs(5));
//!         out.send("END\n")
//!     })
//! });
//! greenway::serve(app)
//! ```
//!
//! The contract between an application and a server is in [`greenway_app`], whose items are all
//! here as well. [`green`] is what handlers wait with. [`serve`] takes its settings from the
//! command line, [`Server`] from code.
//!
//! # Implementation
//!
//! Threads that exist: one worker for each core, which runs green threads (`may` starts them, and
//! one for its own timers that stays idle); with `--engine threads` a poller and the pool; with
//! an access log its writer; a thread for signals. See [`green`] for what holds on a worker.

#![forbid(unsafe_code)]

mod blocking;
mod cli;
mod connection;
mod engine;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(any(test, greenway_micro))]
#[doc(hidden)]
pub mod micro;
pub mod room;
mod server;
mod service;
pub mod sse;
pub mod websocket;

pub use blocking::{Blocking, blocking};
pub use cli::serve;

pub use greenway_app::*;
pub use greenway_green as green;
pub use server::{Running, Server, Stopped};
pub use service::config::{Engine, HalfClose};

/// Greenway's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
