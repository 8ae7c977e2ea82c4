//! Servers for tests, and clients of servers.

use super::PATIENCE;
use super::exchange::Exchange;
use crate::green::embed::Stream;
use crate::green::net::TcpStream;
use crate::{Application, Running, Server};
use greenway_app::testing::{Client, Incoming, Outgoing, Remote};
use http::Uri;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What requests may still take when a test is over.
const GRACE: Duration = Duration::from_millis(100);

/// A server on a free port of this machine, in this process. It stops when it is dropped.
///
/// ```
/// use greenway::testing::TestServer;
/// use greenway::{Engine, Request, Server};
///
/// let server = TestServer::start(|_: Request| "Hello");
/// assert_eq!(server.client().get("/").send().text(), "Hello");
///
/// let server = Server::new(|_: Request| "Hello").engine(Engine::Threads).limit_request_line(50);
/// let server = TestServer::run(server);
/// let long = format!("/{}", "a".repeat(50));
/// assert_eq!(server.client().get(&long).send().status(), 414);
/// ```
#[derive(Debug)]
pub struct TestServer(Running);

impl TestServer {
    /// Starts a server with the defaults.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[track_caller]
    #[must_use]
    pub fn start(app: impl Application) -> Self {
        Self::run(Server::new(app))
    }

    /// Starts this server, on an address of its own besides those that it has.
    ///
    /// # Panics
    /// When it does not start: see [`Server::start`].
    #[track_caller]
    #[must_use]
    pub fn run(server: Server) -> Self {
        match server.bind("127.0.0.1:0").start() {
            Ok(running) => Self(running),
            Err(error) => panic!("the server does not start: {error}"),
        }
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::remote(Http::to(&format!("http://{}", self.addr())))
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        *self.0.addrs().last().expect("it was bound to one")
    }

    /// The server, for its own methods.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.0
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.0.stop_within(GRACE);
    }
}

/// A client of a server that runs somewhere: `http://127.0.0.1:8000`. Each request has a connection
/// of its own.
///
/// # Panics
/// When the URL is not of this kind. It has no path.
#[track_caller]
#[must_use]
pub fn client_to(url: &str) -> Client {
    Client::remote(Http::to(url))
}

/// A server that is asked by HTTP.
pub(super) struct Http {
    origin: String,
    host: String,
    port: u16,
}

impl Http {
    #[track_caller]
    fn to(url: &str) -> Self {
        let uri: Option<Uri> = url.parse().ok();
        let uri = uri.filter(|uri| uri.scheme_str() == Some("http") && uri.path() == "/");
        let authority = uri.as_ref().and_then(Uri::authority);
        let Some(authority) = authority else {
            panic!("{url:?} is not of the form http://host:port");
        };
        Self {
            origin: format!("http://{authority}"),
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(80),
        }
    }

    /// A new connection.
    pub(super) fn connect(&self) -> io::Result<Stream> {
        let socket = TcpStream::connect_timeout((self.host.as_str(), self.port), PATIENCE)?;
        socket.set_nodelay(true)?;
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true)?; // std's are blocking
        Stream::new(socket)
    }
}

impl Remote for Http {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn open(&self, request: Outgoing) -> io::Result<Box<dyn Incoming>> {
        let mut exchange = Exchange::begin(self.connect()?, request);
        exchange.head()?;
        Ok(Box::new(exchange))
    }
}
