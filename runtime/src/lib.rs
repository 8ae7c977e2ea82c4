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
//! # Names
//!
//! For those who write handlers (most of it is the contract of [`greenway_app`], whose items are
//! all here as well):
//!
//! - the application: [`App`], [`Application`], [`RouteBuilder`], [`Route`], [`Middleware`], [`Next`];
//! - a request: [`Request`], [`Input`], [`Environ`], [`Peer`], [`ConnectionInfo`], [`Detached`];
//! - a response: [`Response`], [`IntoResponse`], [`Html`], [`Body`], [`Out`], [`IntoChunk`];
//! - errors: [`HttpError`], [`OrStatus`], [`StatusError`], [`abort`], [`Failure`], [`BodyError`], [`Gone`];
//! - waiting: [`green`], and [`blocking`] for handlers that would hold up their worker;
//! - other servers: `client`, `tls`, and pages: `templates`, with the features of those names; completions
//!   of a program's flags and its page for `man`, with the feature `generate`;
//! - many clients at once: [`room`], [`sse`], [`websocket`];
//! - trying it, with a socket or without: [`testing`], [`validate`].
//!
//! For those who run the server:
//!
//! - from the command line, with gunicorn's flags: [`serve`];
//! - from code: [`Server`], [`Engine`], [`HalfClose`], [`ProxyProtocol`], and what they give, [`Running`] and
//!   [`Stopped`];
//! - [`VERSION`].
//!
//! For those who write a server of their own for the contract: [`Head`], [`Fields`], [`Field`],
//! [`Span`], [`InputSource`], [`Sink`], [`ResponseParts`], [`WireResponse`], [`WholeBody`].
//!
//! # Features
//!
//! - `minihttp` (off): the engine [`Engine`]`::MiniHttp`, which hosts applications on the crate
//!   `may_minihttp`, to compare with.
//! - `client` (off): an HTTP client for handlers, `greenway::client`.
//! - `monkey` (off): unmodified blocking code waits as green threads do, `greenway::monkey`.
//! - `templates` (off): pages from templates, `greenway::templates`.
//! - `redis` (off): rooms, sessions and limits that several processes share, over Redis, `greenway::redis`.
//! - `http2` (off): HTTP/2, over TLS and with prior knowledge.
//! - `brotli`, `zstd` (off): more codings for `middleware::Compression`, beside gzip.
//! - `tls` (off): a server that speaks TLS (`--certfile`), and sockets that do.
//!
//! # Implementation
//!
//! Rooms, from above to below; a test holds that none knows one above it: `cli` (flags, the program's
//! life), `processes` (a master and those that it starts), `server` (builds, listens, starts, stops), `engine` (gives connections their threads),
//! `connection` (one connection), `service` (what a connection needs of its server: settings,
//! lifecycle, counters, logs). Beside them and above `connection`: `websocket`; above that [`room`]. Above all of them: [`testing`].
//! Below all of them are the crates `greenway_green` (green threads), `greenway_proto` (protocols
//! without I/O) and [`greenway_app`] (the contract).
//!
//! Threads that exist: one worker for each core, which runs green threads (`may` starts them, and
//! one for its own timers that stays idle); with `--engine threads` the pool; with an access log
//! its writer; a thread for signals. See [`green`] for what holds on a worker.

#![forbid(unsafe_code)]

#[cfg(panic = "abort")]
compile_error!(
    "Greenway ends handlers by unwinding them: build with `panic = \"unwind\"`, in every profile"
);

mod blocking;
mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "monkey")]
pub use greenway_monkey as monkey;
mod connection;
mod engine;
#[cfg(feature = "http2")]
mod http2;
mod processes;
#[cfg(feature = "redis")]
pub mod redis;
pub mod room;
mod server;
mod service;
pub mod sse;
pub mod testing;
// Masters have keys in every build, since the next program may be one with TLS.
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
mod ticket_keys;
#[cfg(feature = "tls")]
pub mod tls;
pub mod websocket;

pub use blocking::{Blocking, blocking};
pub use cli::serve;

pub use greenway_app::*;
pub use greenway_green as green;
pub use server::{Running, Server, Stopped};
pub use service::config::{CertReqs, Engine, HalfClose, ProxyProtocol, TlsVersion};

/// Greenway's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

// The example in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
