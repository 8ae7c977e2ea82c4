//! How a server of one's own speaks TLS, on a socket that a handler or a green thread has.

use super::server::{ClientCertificates, Oldest, ServerTls, Wanted};
use super::stream::TlsStream;
use super::{Pair, Reloaded};
use crate::green::net::TcpStream;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How a server of one's own speaks TLS, with a certificate from a file. (What
/// [`Server`](crate::Server) serves has it by [`certfile`](crate::Server::certfile).)
///
/// ```no_run
/// use greenway::green::{self, net::TcpListener};
/// use greenway::tls::Acceptor;
/// use std::io::Write;
///
/// let acceptor = Acceptor::new("cert.pem", "key.pem")?;
/// let listener = TcpListener::bind("0.0.0.0:7000")?;
/// loop {
///     let (stream, _) = listener.accept()?;
///     let acceptor = acceptor.clone();
///     green::spawn(move || acceptor.accept(stream)?.write_all(b"Hello\n"));
/// }
/// # #[allow(unreachable_code)]
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Acceptor(Arc<ServerTls>);

impl Acceptor {
    /// Reads the certificate with its chain, and its key (PEM).
    ///
    /// # Errors
    /// Says which file cannot be used, and why.
    pub fn new(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> io::Result<Self> {
        let wanted = Wanted {
            pairs: vec![Pair {
                certificate: certificate.as_ref().to_owned(),
                key: key.as_ref().to_owned(),
            }],
            roots: None,
            clients: ClientCertificates::NotAsked,
            oldest: Oldest::Tls12,
            protocols: Vec::new(),
            handshakes: usize::MAX,
            tickets: None,
        };
        Ok(Self(Arc::new(ServerTls::new(wanted)?)))
    }

    /// Reads the files anew, for the connections that come.
    ///
    /// # Errors
    /// When they cannot be used; then all stays as it was.
    pub fn reload(&self) -> io::Result<()> {
        match self.0.reload(true) {
            Reloaded::Changed | Reloaded::Unchanged => Ok(()),
            Reloaded::Failed(error) => Err(error),
        }
    }

    /// Shakes hands with a client that has connected. A [`Timeout`](crate::green::Timeout) around
    /// it bounds how long that takes.
    ///
    /// # Errors
    /// When the client does not speak TLS as we do, or the connection is lost.
    pub fn accept(&self, stream: TcpStream) -> io::Result<TlsStream> {
        TlsStream::server(self.0.config(), stream)
    }
}
