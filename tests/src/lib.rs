//! What the tests stand on: servers, clients and programs that say what went wrong.
//!
//! Greenway's promises are about what a peer sees on the wire and when. So the tests speak to
//! real sockets, byte by byte, and every promise is tried on every engine that makes it.
//!
//! What must stay true of each test:
//! - **No clock decides.** What has to happen first is made to happen first, by a [`Gate`] that
//!   the other side passes; never by a sleep. Time limits exist only so that a failure ends.
//! - **No wait is endless.** [`DEADLINE`] bounds them all, and what was waited for is named.
//! - **All tests may run at once, in one process.** The workers of green threads are shared, so
//!   handlers wait with [`greenway::green`] only; a server of its own belongs to each test.

#![forbid(unsafe_code)]

pub mod architecture;
mod client;
mod engines;
mod folder;
pub mod http2;
mod limits;
mod load;
mod program;
mod reply;
pub mod request;
mod server;
pub mod services;
mod sync;
pub mod tls;
pub mod webdriver;
pub mod websocket;
mod witness;

pub use client::Client;
pub use folder::Folder;
pub use limits::raise_descriptor_limit;
pub use load::{Load, under_load};
pub use program::{Ended, Program, Signal, neighbour};
pub use reply::{Head, Reply};
pub use server::{TestServer, as_it_comes, linted};
pub use sync::{DEADLINE, Gate, next, until};
pub use websocket::RawSocket;
pub use witness::{Dropped, Drops, Witness};

#[doc(hidden)] // for the macro
pub use greenway::Engine;
