//! A client for tests: in process, or of a server that runs; the same calls for both.
//!
//! [`Client`] calls an application on the test's own thread, which is all that most tests need.
//! What needs a connection, it gets one for: [`Live`] has streams that are read while they are made,
//! and WebSockets. In process that is a pair of sockets without a network, one end of which is
//! served by the server's own code. [`TestServer`] starts a server on a free port, and
//! [`client_to`] asks one that runs already.
//!
//! ```
//! use greenway::testing::{Client, Live, TestServer};
//! use greenway::websocket::Upgrade;
//! use greenway::{App, Request, abort};
//!
//! fn app() -> App {
//!     let mut app = App::new();
//!     app.get("/hello", |_: Request| "Hello");
//!     app.get("/echo", |request: Request| {
//!         let Some(ws) = request.websocket() else { abort(400, "Expected a WebSocket request.") };
//!         while let Some(message) = ws.receive()? {
//!             ws.send(message)?;
//!         }
//!         Ok(())
//!     });
//!     app
//! }
//!
//! let server = TestServer::start(app());
//! for client in [Client::new(app()), server.client()] {
//!     assert_eq!(client.get("/hello").send().text(), "Hello");
//!
//!     let echo = client.websocket("/echo").connect();
//!     echo.send("Hi");
//!     assert_eq!(echo.receive_text(), "Hi");
//! }
//! ```
//!
//! What must stay true: no wait is endless ([`PATIENCE`]); and a test that lets go of a stream or a
//! WebSocket has left, which its handler is told at its wait.

mod exchange;
mod live;
mod pair;
mod server;
mod socket;

pub use self::live::{Live, Streamed};
pub use self::server::{TestServer, client_to};
pub use self::socket::TestWebSocket;
pub use greenway_app::testing::*;

/// How long a test waits for something to come. Then it fails.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
