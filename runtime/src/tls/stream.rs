//! A TLS connection that a handler has: `Read` and `Write`, as std's sockets are.

use super::info::info_of;
use super::session::faulty;
use crate::green::net::TcpStream;
use greenway_app::TlsInfo;
use rustls::{ClientConfig, ClientConnection, CommonState, ServerConfig, ServerConnection};
use rustls::{ConnectionCommon, SideData, StreamOwned};
use rustls_pki_types::ServerName;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A TLS connection over a [`TcpStream`], whose waits are this thread's alone.
///
/// Reading gives `Ok(0)` when the other side has said that this is the end, and the error
/// `UnexpectedEof` when the connection has ended without that: somebody on the way may have cut it.
/// Dropped, it says so to the other side, if there is room for that; [`close`](Self::close) waits
/// for the room.
pub struct TlsStream(Box<Side>);

enum Side {
    Client(StreamOwned<ClientConnection, TcpStream>),
    Server(StreamOwned<ServerConnection, TcpStream>),
}

impl TlsStream {
    pub(super) fn client(
        config: Arc<ClientConfig>,
        server: ServerName<'static>,
        stream: TcpStream,
    ) -> io::Result<Self> {
        let connection = ClientConnection::new(config, server).map_err(faulty)?;
        let mut stream = StreamOwned::new(connection, stream);
        shake_hands(&mut stream)?;
        Ok(Self(Box::new(Side::Client(stream))))
    }

    pub(super) fn server(config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<Self> {
        let connection = ServerConnection::new(config).map_err(faulty)?;
        let mut stream = StreamOwned::new(connection, stream);
        shake_hands(&mut stream)?;
        Ok(Self(Box::new(Side::Server(stream))))
    }

    /// The connection below: for addresses and timeouts. What is read from it or written to it
    /// directly breaks the TLS.
    pub fn get_ref(&self) -> &TcpStream {
        match &*self.0 {
            Side::Client(stream) => &stream.sock,
            Side::Server(stream) => &stream.sock,
        }
    }

    /// What was agreed upon. The name that a client has asked for is the server's to know.
    #[must_use]
    pub fn info(&self) -> TlsInfo {
        let asked = match &*self.0 {
            Side::Client(_) => None,
            Side::Server(stream) => stream.conn.server_name().map(Box::from),
        };
        info_of(self.state(), asked)
    }

    /// The protocol that was agreed upon (ALPN), if one was.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.state().alpn_protocol()
    }

    /// Says that nothing more will be written, and waits until that is sent. The other side may
    /// still write.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn close(&mut self) -> io::Result<()> {
        match &mut *self.0 {
            Side::Client(stream) => close(stream)?,
            Side::Server(stream) => close(stream)?,
        }
        self.get_ref().shutdown(Shutdown::Write)
    }

    fn state(&self) -> &CommonState {
        match &*self.0 {
            Side::Client(stream) => &stream.conn,
            Side::Server(stream) => &stream.conn,
        }
    }
}

fn shake_hands<C, S>(stream: &mut StreamOwned<C, TcpStream>) -> io::Result<()>
where
    C: DerefMut + Deref<Target = ConnectionCommon<S>>,
    S: SideData,
{
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(())
}

fn close<C, S>(stream: &mut StreamOwned<C, TcpStream>) -> io::Result<()>
where
    C: DerefMut + Deref<Target = ConnectionCommon<S>>,
    S: SideData,
{
    stream.conn.send_close_notify();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock)?;
    }
    Ok(())
}

impl Read for TlsStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut *self.0 {
            Side::Client(stream) => stream.read(buf),
            Side::Server(stream) => stream.read(buf),
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut *self.0 {
            Side::Client(stream) => stream.write(buf),
            Side::Server(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *self.0 {
            Side::Client(stream) => stream.flush(),
            Side::Server(stream) => stream.flush(),
        }
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        // A thread that unwinds from a wait may have left a record half sent: what is here follows it.
        let _never_fails = self.get_ref().set_nonblocking(true);
        let _no_room_or_gone = match &mut *self.0 {
            Side::Client(stream) => close(stream),
            Side::Server(stream) => close(stream),
        };
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsStream").field(self.get_ref()).finish()
    }
}
