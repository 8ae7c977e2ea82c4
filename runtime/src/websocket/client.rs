//! The other side: a WebSocket to somebody else's server, from handlers and from tests.

use super::core::SocketCore;
use super::options::Options;
use super::{CloseCode, CloseFrame, WebSocket};
use crate::connection::protocol::Link;
use crate::connection::{Socket, Transport};
use crate::green::embed::deadline_in;
use crate::green::net::{Stream, TcpStream};
#[cfg(feature = "tls")]
use crate::tls;
use bytes::BytesMut;
use greenway_app::{HttpError, StatusError};
use greenway_proto::websocket::Role;
use greenway_proto::websocket::handshake::client::{Established, Refused};
use http::{StatusCode, Uri};
use std::fmt;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// How long a client's peer may take to accept a piece of what is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to a WebSocket server, with the default [`Options`]. Usable in green and OS threads.
///
/// ```
/// use greenway::websocket::{self, Upgrade};
/// use greenway::{App, Request, Server, abort};
///
/// let mut app = App::new();
/// app.get("/echo", |request: Request| {
///     let Some(ws) = request.websocket() else { abort(400, "Expected a WebSocket request.") };
///     while let Some(message) = ws.receive()? {
///         ws.send(message)?;
///     }
///     Ok(())
/// });
/// let running = Server::new(app).bind("127.0.0.1:0").start()?;
///
/// let ws = websocket::connect(&format!("ws://{}/echo", running.addrs()[0]))?;
/// ws.send("Hello")?;
/// assert_eq!(ws.receive()?, Some("Hello".into()));
/// # drop(ws);
/// # running.stop();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Options::connect`].
pub fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    Options::default().connect(url)
}

impl Options {
    /// Connects to a WebSocket server: `ws://host:port/path?query`, or `wss:` with TLS (the feature
    /// `tls` of this crate).
    ///
    /// Subprotocols and compression are what is offered, headers are sent with the request;
    /// [`origins`](Self::origins) has no meaning here. The whole of it may take
    /// [`connect_timeout`](Self::connect_timeout).
    ///
    /// Dropped, the WebSocket is closed with 1001 and its answer not waited for. To part in good
    /// order, call [`close`](WebSocket::close) and then `receive` until it gives `None`.
    ///
    /// # Errors
    /// When the URL is none of that kind, nobody answers in time, or the answer is no WebSocket.
    pub fn connect(&self, url: &str) -> Result<WebSocket, ConnectError> {
        let target = Target::parse(url)?;
        let deadline = deadline_in(self.connect_timeout);
        let socket =
            TcpStream::connect_timeout((target.host.as_str(), target.port), self.connect_timeout)?;
        socket.set_nodelay(true)?;
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true)?; // std's are blocking
        let stream = self.secure(Stream::new(socket)?, &target, deadline)?;
        let handshake = self.handshake();
        let request = handshake.request(&target.authority, &target.path, self.headers());
        write_all(&stream, &request, deadline)?;
        let mut buf = BytesMut::new();
        let established = loop {
            match handshake.response(&mut buf) {
                Ok(Some(established)) => break established,
                Ok(None) => {}
                Err(Refused::Status(status)) => {
                    let status = StatusCode::from_u16(status);
                    return Err(ConnectError::Refused(
                        status.map_err(|_| ConnectError::Handshake("a status of its own"))?,
                    ));
                }
                Err(Refused::Faulty(why)) => return Err(ConnectError::Handshake(why)),
            }
            let read = stream.read(deadline, &mut |bytes| buf.extend_from_slice(bytes));
            if read? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        Ok(self.over(stream, established, buf))
    }

    /// The socket of a connection, with TLS if the target asks for it.
    #[cfg(feature = "tls")]
    fn secure(
        &self,
        stream: Stream,
        target: &Target,
        deadline: Option<Instant>,
    ) -> io::Result<Socket> {
        if !target.secure {
            return Ok(stream.into());
        }
        let config = match &self.connector {
            Some(connector) => connector.config(),
            None => tls::Connector::new().config(),
        };
        let name = tls::server_name(&target.host)?;
        let socket = tls::connect(stream, config, name, deadline)?;
        Ok(Socket::Tls(Box::new(socket)))
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, stream: Stream, target: &Target, _: Option<Instant>) -> io::Result<Socket> {
        if target.secure {
            let why = "this program was built without TLS (greenway's feature `tls`)";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        Ok(stream.into())
    }

    /// The WebSocket on a connection whose handshake is over, and `first` has come behind it.
    pub(crate) fn over(
        &self,
        stream: Socket,
        established: Established,
        first: BytesMut,
    ) -> WebSocket {
        let shared_socket = stream.shared().expect("a socket can be shared");
        let shared = SocketCore::new(
            shared_socket,
            Role::Client,
            self,
            WRITE_TIMEOUT,
            (established.protocol, established.deflate),
            None,
        );
        shared.register();
        let link = Rc::new(Client {
            shared: shared.clone(),
            stream,
        });
        WebSocket::new(shared, link, first)
    }
}

fn write_all(stream: &Socket, mut bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = stream.write(&[IoSlice::new(bytes)], deadline)?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Where a URL points to.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    /// As it stands in `Host`: without the default port.
    authority: String,
    path: String,
    /// With TLS.
    secure: bool,
}

impl Target {
    fn parse(url: &str) -> Result<Self, ConnectError> {
        let bad = |why| Err(ConnectError::Url(why));
        let Ok(uri) = url.parse::<Uri>() else {
            return bad("it is not of the form ws://host:port/path");
        };
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return bad("it does not begin with ws:// or wss://"),
        };
        let default_port = if secure { 443 } else { 80 };
        let Some(authority) = uri
            .authority()
            .filter(|authority| !authority.host().is_empty())
        else {
            return bad("it has no host");
        };
        if authority.as_str().contains('@') {
            return bad("it has a user name: send an Authorization header instead");
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() == authority.host() => default_port,
            None => return bad("its port is none"),
        };
        let host = authority.host();
        Ok(Self {
            host: host.to_owned(),
            port,
            authority: if port == default_port {
                host.to_owned()
            } else {
                format!("{host}:{port}")
            },
            secure,
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

/// A client's connection.
struct Client {
    shared: Arc<SocketCore>,
    stream: Socket,
}

impl Link for Client {
    fn read(&self, deadline: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        self.stream.read(deadline, take)
    }

    fn receiving(&self) -> bool {
        false // nobody is interrupted because of a client's peer
    }

    fn received(&self) {}
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared
            .close(CloseFrame::new(CloseCode::GOING_AWAY, ""));
        self.shared.end();
    }
}

/// Why there is no WebSocket to a server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// What is wrong with the URL.
    Url(&'static str),
    /// Connecting, reading or writing has failed; `TimedOut` if it took too long.
    Io(io::Error),
    /// The server has answered with another status than 101.
    Refused(StatusCode),
    /// The server has answered 101, but not to our question.
    Handshake(&'static str),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "the WebSocket's URL cannot be used: {why}"),
            Self::Io(error) => write!(f, "the WebSocket's server cannot be reached: {error}"),
            Self::Refused(status) => write!(f, "the server has answered {status} instead of 101"),
            Self::Handshake(why) => write!(f, "the server's handshake is faulty: {why}"),
        }
    }
}

/// As an answer of a handler: 504 if it took too long; 502, since the fault is the other server's;
/// 500 if the URL is bad.
impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        static ANSWERS: LazyLock<[StatusError; 2]> = LazyLock::new(|| {
            [504, 502]
                .map(|status| HttpError::new(status, "another server cannot be reached").into())
        });
        match self {
            Self::Url(_) => None,
            Self::Io(error) if error.kind() == io::ErrorKind::TimedOut => Some(&ANSWERS[0]),
            // The error itself is a part of what is shown.
            Self::Io(_) | Self::Refused(_) | Self::Handshake(_) => Some(&ANSWERS[1]),
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, host, port, authority, path) in [
            ("ws://example.com", "example.com", 80, "example.com", "/"),
            (
                "ws://example.com:80/a",
                "example.com",
                80,
                "example.com",
                "/a",
            ),
            ("ws://h:8000?q=1", "h", 8000, "h:8000", "/?q=1"),
            ("wss://h", "h", 443, "h", "/"),
            ("wss://h:80", "h", 80, "h:80", "/"),
            ("ws://[::1]:9/a/b?c=d", "[::1]", 9, "[::1]:9", "/a/b?c=d"),
        ] {
            let target = Target::parse(url).unwrap();
            let found = (
                target.host.as_str(),
                target.port,
                target.authority.as_str(),
                target.path.as_str(),
            );
            assert_eq!(found, (host, port, authority, path), "{url}");
        }
        for url in [
            "",
            "/echo",
            "example.com",
            "http://h/",
            "ws://",
            "ws:///x",
            "ws://u@h/",
            "ws://h:99999/",
            "ws://h:/",
            "ws://h/a b",
        ] {
            assert!(
                matches!(Target::parse(url), Err(ConnectError::Url(_))),
                "{url}"
            );
        }
    }
}
