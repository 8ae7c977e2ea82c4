//! The methods that set up TLS and HTTP/2, and whether what is wanted of TLS can be had.

use super::{Server, limit};
#[cfg(feature = "tls")]
use crate::server::certificates;
#[cfg(feature = "minihttp")]
use crate::service::config::Engine;
use crate::service::config::{
    CertReqs, Config, FOR_EVER, LEAST_FRAME, MOST_FRAME, MOST_HEADER_LIST, MOST_STREAMS,
    MOST_WINDOW, TlsVersion,
};
use std::io;
use std::time::Duration;

impl Server {
    /// Speaks TLS on all addresses, with the certificate and its chain in this file (PEM), and the
    /// key in the same file or in that of [`keyfile`](Self::keyfile). May be called several times:
    /// clients say which server they mean (SNI), and the first certificate is for those that name no
    /// other. The files are [read anew](Self::tls_reload) when they change. Takes the feature `tls`.
    /// Default: no TLS.
    pub fn certfile(self, path: impl Into<String>) -> Self {
        self.set(|config| config.tls.certificates.push(path.into()))
    }

    /// The private key of a certificate (PEM); several in the order of the certificates. Default:
    /// it is in the file of the certificate.
    pub fn keyfile(self, path: impl Into<String>) -> Self {
        self.set(|config| config.tls.keys.push(path.into()))
    }

    /// The certificates of those who may sign the certificates of clients (PEM). Default: nobody.
    pub fn ca_certs(self, path: impl Into<String>) -> Self {
        self.set(|config| config.tls.ca_certs = Some(path.into()))
    }

    /// Whether clients have to show certificates; see
    /// [`ConnectionInfo::tls`](crate::ConnectionInfo::tls) for what they say. Default: none.
    pub fn cert_reqs(self, whether: CertReqs) -> Self {
        self.set(|config| config.tls.cert_reqs = whether)
    }

    /// The oldest version of TLS that is spoken. Default: 1.2.
    pub fn tls_min_version(self, version: TlsVersion) -> Self {
        self.set(|config| config.tls.min_version = version)
    }

    /// How long a TLS handshake may take, from the connection's beginning. 0 for no limit.
    /// Default: 10 s.
    pub fn handshake_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.handshake = limit(timeout))
    }

    /// TLS handshakes that may be under way at once. One more ends the oldest of them, which is
    /// that of a client that takes its time. Default: 1024.
    pub fn limit_handshakes(self, count: usize) -> Self {
        self.set(|config| config.tls.handshakes = count)
    }

    /// How often to look whether the files of certificates and keys have changed, which are read
    /// anew then; 0 for never. Files that cannot be used are reported in the log, and the server
    /// goes on with what it has. Connections that are open keep what they began with. Default:
    /// 10 s.
    pub fn tls_reload(self, every: Duration) -> Self {
        self.set(|config| config.tls.reload = every.min(FOR_EVER))
    }

    /// Listens on this address, `host:port`, for HTTP without TLS, and answers all of it with the
    /// way to https (308). Default: nowhere.
    pub fn redirect_bind(self, address: impl Into<String>) -> Self {
        self.set(|config| config.tls.redirect_bind = Some(address.into()))
    }

    /// Versions of HTTP that are spoken: `"h1"`, `"h2"` (with the feature `http2` of this crate) or
    /// both, with a comma between them. Default: all that the build has.
    pub fn http_protocols(self, protocols: &str) -> Self {
        self.parse(protocols, |config, protocols| {
            config.http_protocols = protocols;
        })
    }

    /// Requests of a connection of HTTP/2 at once. Default: 100.
    pub fn http2_max_concurrent_streams(self, streams: u32) -> Self {
        self.set(|config| config.http2.streams = streams.clamp(1, MOST_STREAMS))
    }

    /// Bytes of a request's body over HTTP/2 that may come before they are read. Default: 65535.
    pub fn http2_initial_window_size(self, bytes: u32) -> Self {
        self.set(|config| config.http2.window = bytes.clamp(1, MOST_WINDOW))
    }

    /// Bytes that a frame of HTTP/2 may carry, from 16384 to 16777215. Default: 16384.
    pub fn http2_max_frame_size(self, bytes: u32) -> Self {
        self.set(|config| config.http2.frame = bytes.clamp(LEAST_FRAME, MOST_FRAME))
    }

    /// Bytes of a request's fields over HTTP/2, each counted with 32 more (RFC 9113 section 6.5.2);
    /// beyond it 431. Default: 65536.
    pub fn http2_max_header_list_size(self, bytes: u32) -> Self {
        self.set(|config| config.http2.header_list = bytes.clamp(1, MOST_HEADER_LIST))
    }
}

/// Whether what is wanted of TLS can be had: by this build, and of the files.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn check_certificates(config: &Config) -> io::Result<()> {
    check_tls(config)?;
    #[cfg(feature = "tls")]
    certificates::read(config)?;
    Ok(())
}

/// Whether this build can do what is wanted of TLS.
pub(super) fn check_tls(config: &Config) -> io::Result<()> {
    let wrong = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let tls = &config.tls;
    if tls.certificates.is_empty() {
        let of = [
            (!tls.keys.is_empty(), "--keyfile"),
            (tls.cert_reqs != CertReqs::None, "--cert-reqs"),
            (tls.ca_certs.is_some(), "--ca-certs"),
            (tls.redirect_bind.is_some(), "--redirect-bind"),
        ];
        return match of.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) => wrong(&format!(
                "{flag} takes --certfile: without it there is no TLS"
            )),
            None => Ok(()),
        };
    }
    if !cfg!(feature = "tls") {
        return wrong("this program was built without TLS: build it with greenway's feature `tls`");
    }
    #[cfg(feature = "minihttp")]
    if config.engine == Engine::MiniHttp {
        return wrong("the engine minihttp has no TLS: use --engine green or threads");
    }
    Ok(())
}
