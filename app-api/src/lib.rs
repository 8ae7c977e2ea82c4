//! The contract between a server and an application, and a small framework on
//! top of it.
//!
//! Greenway serves blocking handlers, ten thousand of them at once. This crate is
//! the half that knows no server: what a handler is given, what it may give back,
//! and what both sides may rely on. It is WSGI ([PEP 3333]) retold for Rust. It
//! has no sockets, no threads and no `unsafe`.
//!
//! ```
//! use greenway_app::{App, Body, HttpError, Request, abort, testing::Client};
//!
//! fn hello(request: Request) -> String {
//!     format!("Hello {}!", request.param("name"))
//! }
//!
//! // Each chunk is on the wire before its body waits. A real one sleeps in
//! // between, and the client sees START before END is there.
//! fn stream(_: Request) -> Body {
//!     Body::stream(|out| {
//!         out.send("START")?;
//!         out.send("MIDDLE")?;
//!         out.send("END")
//!     })
//! }
//!
//! fn add(request: Request) -> Result<(u16, String), HttpError> {
//!     let body = request.body(1024)?;
//!     if body.is_empty() {
//!         abort(400, "what shall be added?");
//!     }
//!     Ok((201, format!("{} bytes", body.len())))
//! }
//!
//! let mut app = App::new();
//! app.get("/hello/<name>", hello).get("/stream", stream).post("/things", add);
//!
//! let client = Client::new(app);
//! assert_eq!(client.get("/hello/Ada").send().text(), "Hello Ada!");
//! assert_eq!(client.get("/stream").send().chunks(), ["START", "MIDDLE", "END"]);
//! assert_eq!(client.post("/things").body("abc").send().status(), 201);
//! assert_eq!(client.post("/things").send().text(), "400 Bad Request: what shall be added?\n");
//! ```
//!
//! # The contract
//!
//! **One call per request.** The server calls the [`Application`] once for each
//! request, when its head is complete and before its body is read. The call may
//! block. Several calls may run at once, on one OS thread or on many; one request
//! stays on one thread from its first byte to its last, so [`Request`],
//! [`Input`] and [`Body`] may hold `Rc`s and other things that are not `Send`.
//!
//! **The request body is read on demand.** [`Input`] ends where the body ends
//! (Content-Length or last chunk) and gives nothing for ever after that, as PEP
//! 3333 asks of `wsgi.input`. A body is never read into memory without a bound
//! that the handler names ([`Request::body`]).
//!
//! **The response body is taken chunk by chunk.** PEP 3333, "Handling the
//! iterable": the server puts each chunk on the wire at once, or sees to it that
//! transmission continues while the body produces the next: small chunks that
//! come without a pause gather until the body waits, a millisecond at most
//! ([`Out::flush`] is for those who insist). Iteration is internal: the body is driven by
//! [`Body::send_to`] on the connection's own thread, so a closure that sends and
//! sleeps is a generator without a second stack. Empty chunks mean "nothing yet"
//! and are never written.
//!
//! **The head waits for the first chunk.** It goes out with the first chunk that
//! is not empty, or when the body ends, or when the body asks for it
//! ([`Out::start`]). Until then an error, a panic or an [`abort`] becomes a clean
//! answer; afterwards the server cuts the connection, so that the client sees
//! that something is missing.
//!
//! **What feeds a body is dropped exactly once**, like PEP 3333's `close()`: when
//! it ends, fails or panics, when the client leaves, and when the body is not
//! wanted at all (HEAD). It is dropped on the thread that served it, before the
//! next request of the connection.
//!
//! **A client that leaves ends the body.** [`Out::send`] fails with an error
//! whose [`is_gone`](BodyError::is_gone) is true; `?` passes it on. A producer
//! that ignores it cannot send any more, and cannot claim success.
//!
//! **Nothing is forged.** A header with CR, LF or NUL cannot be built
//! ([`Response::with_header`]). Request headers with underscores, and `Proxy`, do
//! not reach the [`Environ`]. A path that is not percent-encoded UTF-8 is refused
//! before any handler sees it. Strings are plain text until their author says
//! [`Html`].
//!
//! [PEP 3333]: https://peps.python.org/pep-3333/

#![forbid(unsafe_code)]

#[cfg(panic = "abort")]
compile_error!(
    "Greenway ends handlers by unwinding them: build with `panic = \"unwind\"`, in every profile"
);

mod application;
mod body;
mod connection;
pub mod cookies;
mod environ;
mod error;
mod error_page;
#[cfg(feature = "static-files")]
mod files;
#[cfg(feature = "forms")]
pub mod forms;
mod header;
mod input;
mod limits;
mod lint;
// Forms and JSON need a half of it each.
#[cfg_attr(not(all(feature = "json", feature = "forms")), allow(dead_code))]
mod media_type;
mod message;
pub mod middleware;
mod request;
mod response;
mod route;
// Static files and compression need a half of it each.
#[cfg_attr(
    not(all(feature = "static-files", feature = "compression")),
    allow(dead_code)
)]
mod semantics;
#[cfg(feature = "sessions")]
pub mod sessions;
pub mod sse;
#[cfg(feature = "templates")]
pub mod templates;
pub mod testing;
mod tls_info;
mod unblocker;
mod web;

pub use bytes::Bytes;
pub use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

pub use crate::application::Application;
pub use crate::body::{
    Body, BodyEncoder, BodyError, Gone, IntoBody, IntoChunk, Out, Sink, WholeBody,
};
pub use crate::connection::ConnectionInfo;
#[cfg(feature = "cookies")]
pub use crate::cookies::Keys;
pub use crate::cookies::{Cookie, SameSite};
pub use crate::environ::Environ;
pub use crate::error::{HttpError, OrStatus, StatusError, abort, catch_abort};
pub use crate::error_page::error_response;
#[cfg(feature = "static-files")]
pub use crate::files::{StaticFile, StaticFiles};
#[cfg(feature = "forms")]
pub use crate::forms::{FileUpload, FormData};
pub use crate::input::{Input, InputSource};
pub use crate::limits::Limits;
pub use crate::lint::{Validated, validate};
pub use crate::request::detached::Detached;
pub use crate::request::head::{Field, Fields, Head, Span};
pub use crate::request::{Peer, Request};
#[cfg(feature = "json")]
pub use crate::response::Json;
pub use crate::response::{
    Failure, Html, IntoResponse, Response, ResponseParts, WireResponse, html_escape,
};
pub use crate::route::{Route, UrlError};
pub use crate::semantics::dates::{http_date, parse_date};
pub use crate::semantics::ranges::{Ranges, parse_range_header};
#[cfg(feature = "templates")]
pub use crate::templates::{Templates, context};
pub use crate::tls_info::{ClientCertificate, TlsInfo};
pub use crate::unblocker::Unblocker;
pub use crate::web::{App, Middleware, Next, RouteBuilder};

// The example in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
