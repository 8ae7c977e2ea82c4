//! How a client speaks TLS: whom it believes, and who it says that it is.

use super::files::{Pair, read_pair, read_roots};
use super::server::provider;
use super::stream::TlsStream;
use crate::green::Timeout;
use crate::green::net::TcpStream;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// How a client speaks TLS. Made once, used for many connections: they resume each other's
/// sessions.
///
/// ```no_run
/// use greenway::tls::Connector;
/// use std::io::{Read, Write};
///
/// let mut stream = Connector::new().connect("example.org", 443)?;
/// stream.write_all(b"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n")?;
/// let mut page = String::new();
/// stream.read_to_string(&mut page)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Connector {
    roots: Arc<RootCertStore>,
    identity: Option<Arc<SingleCertAndKey>>,
    protocols: Vec<Vec<u8>>,
    config: Arc<ClientConfig>,
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl Connector {
    /// Believes those whom Mozilla believes. The list is a part of the program, so nothing of the
    /// system is needed, and a new one comes with a new build.
    pub fn new() -> Self {
        static MOZILLAS: LazyLock<Connector> = LazyLock::new(|| {
            let mut roots = RootCertStore::empty();
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            Connector::of(Arc::new(roots), None, Vec::new())
        });
        MOZILLAS.clone()
    }

    /// Believes those whose certificates are in a file (PEM), and nobody else: an authority of one's
    /// own, or the certificate of the one server itself.
    ///
    /// # Errors
    /// When there is no certificate in the file, or it cannot be read.
    pub fn trusting(path: impl AsRef<Path>) -> io::Result<Self> {
        let roots = read_roots(path.as_ref())?;
        Ok(Self::of(Arc::new(roots), None, Vec::new()))
    }

    /// Shows a certificate of one's own to servers that ask for it: the files of the certificate
    /// with its chain, and of its key (PEM).
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn certificate(
        self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> io::Result<Self> {
        let pair = Pair {
            certificate: certificate.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
        };
        let key: CertifiedKey = read_pair(&pair, &provider())?.key;
        let identity = Arc::new(SingleCertAndKey::from(key));
        Ok(Self::of(self.roots, Some(identity), self.protocols))
    }

    /// The protocols that are offered (ALPN), the best first. Default: none.
    pub fn protocols<P: Into<Vec<u8>>>(self, names: impl IntoIterator<Item = P>) -> Self {
        let protocols = names.into_iter().map(Into::into).collect();
        Self::of(self.roots, self.identity, protocols)
    }

    /// Connects to a server, which has to have a certificate for the name or address `host`. A
    /// [`Timeout`](crate::green::Timeout) around it bounds how long that takes.
    ///
    /// # Errors
    /// When it cannot be reached, has no such certificate, or does not speak TLS as we do.
    pub fn connect(&self, host: &str, port: u16) -> io::Result<TlsStream> {
        let stream = TcpStream::connect((host, port))?;
        stream.set_nodelay(true)?;
        self.secure(host, stream)
    }

    /// As [`connect`](Self::connect), within `timeout` altogether.
    ///
    /// # Errors
    /// `TimedOut`; otherwise as `connect`.
    pub fn connect_timeout(
        &self,
        host: &str,
        port: u16,
        timeout: Duration,
    ) -> io::Result<TlsStream> {
        Timeout::run(timeout, || self.connect(host, port))
            .unwrap_or_else(|_over| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Begins TLS on a connection that is open, to the server `host`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn secure(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream> {
        TlsStream::client(self.config.clone(), server_name(host)?, stream)
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    fn of(
        roots: Arc<RootCertStore>,
        identity: Option<Arc<SingleCertAndKey>>,
        protocols: Vec<Vec<u8>>,
    ) -> Self {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for both versions")
            .with_root_certificates(roots.clone());
        let mut config = match &identity {
            Some(identity) => builder.with_client_cert_resolver(identity.clone()),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.clone();
        Self {
            roots,
            identity,
            protocols,
            config: Arc::new(config),
        }
    }
}

/// A host's name or address, as certificates have it.
pub(crate) fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let name = ServerName::try_from(bare.unwrap_or(host).to_owned());
    name.map_err(|_| {
        let why = format!("{host:?} is no host that a certificate could be for");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })
}
