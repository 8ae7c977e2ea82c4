//! The sockets of a client that is polled: none of them waits.

use crate::DEADLINE;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that is asked again and again.
pub(super) struct Polled(Box<dyn Duplex>);

/// A socket that does not wait.
trait Duplex: Read + Write + Send {
    /// Says that nothing more will be sent.
    fn finish(&mut self) -> io::Result<()>;
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

impl Duplex for TcpStream {
    fn finish(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Duplex for Secure {
    fn finish(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.shutdown(Shutdown::Write)
    }
}

impl Polled {
    #[track_caller]
    pub(super) fn plain(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_nonblocking(true).expect("a mode of sockets");
        Self(Box::new(stream))
    }

    /// With TLS. The handshake is over when this returns.
    #[track_caller]
    pub(super) fn secure(addr: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let mut stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_nodelay(true).expect("TCP knows it");
        let name = ServerName::try_from("localhost").expect("it is a name");
        let mut tls = ClientConnection::new(config.clone(), name).expect("a client");
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).expect("a handshake");
        }
        assert_eq!(tls.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 was offered");
        stream.set_nonblocking(true).expect("a mode of sockets");
        Self(Box::new(StreamOwned::new(tls, stream)))
    }
}

fn poll_io<R>(result: io::Result<R>) -> Poll<io::Result<R>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

impl AsyncRead for Polled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = self.0.read(buf.initialize_unfilled());
        poll_io(result).map_ok(|n| buf.advance(n))
    }
}

impl AsyncWrite for Polled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_io(self.0.write(buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_io(self.0.flush())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_io(self.0.finish())
    }
}
