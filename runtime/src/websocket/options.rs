//! How WebSockets are accepted, and what holds for those that are.

use super::WebSocket;
use super::core::{Ending, SocketCore};
use crate::connection::protocol::Upgradable;
#[cfg(feature = "tls")]
use crate::tls::Connector;
use greenway_app::{HttpError, Request};
use greenway_proto::websocket::Origins;
use greenway_proto::websocket::handshake::client::Handshake;
use greenway_proto::websocket::handshake::server::{self, Policy, Rejection, Site};
use greenway_proto::websocket::{Deflate, Limits, Role};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

/// How WebSockets are accepted, and what holds for them. Made once, used for each request.
///
/// ```
/// use greenway::websocket::Options;
/// use greenway::{App, HttpError, Request, abort};
/// use std::time::Duration;
///
/// let options = Options::new()
///     .protocols(["v2.chat", "v1.chat"])
///     .max_message(64 * 1024)
///     .heartbeat(Some(Duration::from_secs(10)));
/// let mut app = App::new();
/// app.get("/chat", move |request: Request| -> Result<(), HttpError> {
///     let Some(ws) = options.accept(&request)? else {
///         abort(400, "Expected a WebSocket request.");
///     };
///     while let Some(message) = ws.receive()? {
///         ws.send(message)?;
///     }
///     Ok(())
/// });
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    protocols: Vec<String>,
    origins: Origins,
    deflate: Option<Deflate>,
    headers: HeaderMap,
    pub(super) limits: Limits,
    pub(super) fragment: usize,
    pub(super) heartbeat: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) write_timeout: Option<Duration>,
    pub(super) close_timeout: Duration,
    pub(super) connect_timeout: Duration,
    #[cfg(feature = "tls")]
    pub(super) connector: Option<Connector>,
    pub(super) queue_messages: usize,
    pub(super) queue_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            protocols: Vec::new(),
            origins: Origins::default(),
            deflate: None,
            headers: HeaderMap::new(),
            limits: Limits::default(),
            fragment: usize::MAX,
            heartbeat: Some(Duration::from_secs(25)),
            idle_timeout: None,
            write_timeout: None,
            close_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            connector: None,
            queue_messages: 256,
            queue_bytes: 1 << 20,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Subprotocols that the application speaks, the best first. The first one that the client
    /// offers is chosen; a client that offers none of them is accepted without. Default: none.
    pub fn protocols<P: Into<String>>(mut self, names: impl IntoIterator<Item = P>) -> Self {
        self.protocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Pages that may connect; others are answered with 403. Default: those of the same origin.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Compresses messages (permessage-deflate, RFC 7692) for clients that offer it. Default: off.
    pub fn deflate(mut self, deflate: Option<Deflate>) -> Self {
        self.deflate = deflate;
        self
    }

    /// A header of the response with which the WebSocket is accepted, in addition to those of the
    /// handshake.
    ///
    /// # Panics
    /// When name or value cannot stand in a response's head.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header's name is a token");
        let value: HeaderValue = value.parse().expect("a header's value is visible ASCII");
        self.headers.append(name, value);
        self
    }

    /// Bytes of one frame that are taken; beyond that the peer is sent 1009. Default: 1 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.limits.frame = bytes;
        self
    }

    /// Bytes of one message that are taken, after decompression; beyond that the peer is told
    /// 1009. Default: 1 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.limits.message = bytes;
        self
    }

    /// Sends messages in frames of at most so many bytes. Default: each in one frame.
    pub fn fragment(mut self, bytes: usize) -> Self {
        self.fragment = bytes;
        self
    }

    /// How often to ping the peer. One that has sent nothing by the second ping after is taken for
    /// gone. `None` never pings. Default: 25 s, below what proxies have patience for.
    pub fn heartbeat(mut self, every: Option<Duration>) -> Self {
        self.heartbeat = every;
        self
    }

    /// Closes (1000) a WebSocket over which no message has come for so long. Default: `None`.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long the peer may take to accept a piece of what is sent; then the connection is reset.
    /// Default: the server's `--write-timeout`; 30 s for a client.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = Some(timeout);
        self
    }

    /// How long the peer may take to answer a close frame. Default: 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How long a client may take to connect: the look-up of the name, the connection and the
    /// handshake. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How TLS is spoken with `wss:` servers: whom they have to be signed by, and the client's own
    /// certificate. Default: [`Connector::new`], which believes those whom Mozilla believes.
    #[cfg(feature = "tls")]
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = Some(connector);
        self
    }

    /// What [`Sender::try_send`](super::Sender::try_send) may queue for a peer that is slower.
    /// One message is always taken. Default: 256 messages, 1 MiB.
    pub fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.queue_messages = messages;
        self.queue_bytes = bytes;
        self
    }

    /// Accepts the WebSocket that a request asks for. `None` for a request that asks for none,
    /// which is to be answered as any other.
    ///
    /// From then on the connection is the WebSocket's: what the handler returns is ignored. When
    /// it has returned, the WebSocket is closed, with 1000, or with 1011 if it has panicked or
    /// aborted. Of the server's clocks only that for writing counts; see
    /// [`WebSocket`] for the others.
    ///
    /// # Errors
    /// What is to be answered to a faulty handshake (RFC 6455 section 4.2): 405, 400, 426, 403;
    /// 501 where the server cannot (the engine `minihttp`); 503 where as many WebSockets are open
    /// as `--websocket-threads` allows, or the server stops.
    pub fn accept(&self, request: &Request) -> Result<Option<WebSocket>, HttpError> {
        let policy = Policy {
            origins: &self.origins,
            protocols: &self.protocols,
            deflate: self.deflate.as_ref(),
        };
        let site = Site {
            scheme: request.scheme(),
            host: request.host(),
        };
        let accepted = server::accept(request.head(), site, policy).map_err(http_error)?;
        let Some(accepted) = accepted else {
            return Ok(None);
        };
        let upgradable = request
            .upgrade()
            .and_then(|any| any.downcast::<Upgradable>().ok());
        let Some(upgradable) = upgradable else {
            let message = "WebSockets cannot be had here: use --engine green or threads, and no \
                           handler that is called on another thread; in a test, \
                           greenway::testing::Live";
            return Err(HttpError::new(501, message));
        };
        let gone = || HttpError::new(400, "the request is over");
        let switch = &upgradable.0;
        let service = switch.service().ok_or_else(gone)?;
        if service.lifecycle.is_stopping() {
            return Err(unavailable("the server is stopping"));
        }
        let sockets = service.websockets.clone();
        let permit = sockets.permit();
        let permit = permit.ok_or_else(|| unavailable("too many WebSockets at once"))?;
        let socket = switch.shared().ok_or_else(gone)?;
        let mut headers = accepted.headers();
        headers.extend(self.headers.clone());
        let shared = SocketCore::new(
            socket,
            Role::Server,
            self,
            service.config.clocks.write,
            (accepted.protocol, accepted.deflate),
            Some((sockets, permit)),
        );
        let (link, first) = switch
            .switch(&headers, Arc::new(Ending(shared.clone())))
            .map_err(|error| HttpError::new(400, error.to_string()))?;
        shared.register();
        Ok(Some(WebSocket::new(shared, link, first)))
    }

    /// A client's handshake that offers what is wanted here.
    pub(crate) fn handshake(&self) -> Handshake {
        Handshake::new(self.protocols.clone(), self.deflate.clone())
    }

    /// The headers of a response, or of a client's request.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

fn http_error(rejection: Rejection) -> HttpError {
    let headers = rejection.headers();
    let error = HttpError::new(rejection.status, rejection.reason);
    headers
        .iter()
        .fold(error, |error, (name, value)| error.with_header(name, value))
}

fn unavailable(why: &'static str) -> HttpError {
    HttpError::new(503, why).with_header("retry-after", "1")
}

/// WebSockets for requests.
pub trait Upgrade {
    /// The WebSocket that the request asks for, with the default [`Options`]; `None` for a plain
    /// request. gevent-websocket's `environ.get('wsgi.websocket')`.
    ///
    /// ```
    /// use greenway::websocket::Upgrade;
    /// use greenway::{App, Request, abort};
    ///
    /// let mut app = App::new();
    /// app.get("/echo", |request: Request| {
    ///     let Some(ws) = request.websocket() else {
    ///         abort(400, "Expected a WebSocket request.");
    ///     };
    ///     while let Some(message) = ws.receive()? {
    ///         ws.send(message)?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    ///
    /// Aborts with the status that a faulty handshake deserves; [`Options::accept`] gives it as an
    /// error instead.
    fn websocket(&self) -> Option<WebSocket>;
}

impl Upgrade for Request {
    fn websocket(&self) -> Option<WebSocket> {
        match Options::default().accept(self) {
            Ok(ws) => ws,
            Err(error) => resume_unwind(Box::new(error)), // as `abort` does
        }
    }
}
