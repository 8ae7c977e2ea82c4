//! What all requests of one connection have in common.
//!
//! The server makes one [`ConnectionInfo`] when it accepts and shares it by `Arc`,
//! so that a request costs a reference count and no copying of addresses.

use crate::TlsInfo;
use std::net::SocketAddr;
use std::sync::Arc;

/// Facts of the connection that a request came in on.
///
/// `#[non_exhaustive]`: start from [`ConnectionInfo::new`] and use the `with_*`
/// methods.
///
/// ```
/// use greenway_app::ConnectionInfo;
///
/// let local = "127.0.0.1:8080".parse().ok();
/// let connection = ConnectionInfo::new(local, None).with_scheme("https");
/// assert_eq!(connection.scheme, "https");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Our end; `None` for a unix socket.
    pub local: Option<SocketAddr>,
    /// The client's end, or the proxy's if it does not say who the client is
    /// or is not trusted; `None` for a unix socket. Port 0 if a proxy has told
    /// the address only.
    pub peer: Option<SocketAddr>,
    /// `"http"` (the default) or `"https"`: `wsgi.url_scheme`.
    pub scheme: &'static str,
    /// `SERVER_SOFTWARE`, by default `"greenway/"` and this crate's version.
    pub server: &'static str,
    /// The engine that runs the handler, for logs; `"none"` by default.
    pub engine: &'static str,
    /// Whether the application may be running on another OS thread at the same
    /// time: `wsgi.multithread`. `false` by default.
    pub multithread: bool,
    /// Whether the other end is a proxy whose word about the client is taken
    /// (`--forwarded-allow-ips`). [`peer`](ConnectionInfo::peer) and
    /// [`scheme`](ConnectionInfo::scheme) of a request are then what it says.
    /// `false` by default.
    pub trusted_proxy: bool,
    /// What a trusted proxy has taken off the front of the path (`X-Forwarded-Prefix`),
    /// percent-encoded: it starts with a slash and does not end with one. `None` by default.
    pub prefix: Option<Arc<str>>,
    /// Whether the server runs for development (`--debug`): the application may
    /// show its clients what goes wrong inside of it. `false` by default.
    pub debug: bool,
    /// The TLS of the connection, if this server itself speaks it: not that of a proxy, which
    /// [`scheme`](ConnectionInfo::scheme) tells of as well. `None` by default.
    pub tls: Option<Arc<TlsInfo>>,
}

impl ConnectionInfo {
    /// A plain `http` connection between two addresses.
    #[must_use]
    pub fn new(local: Option<SocketAddr>, peer: Option<SocketAddr>) -> Self {
        Self {
            local,
            peer,
            scheme: "http",
            server: concat!("greenway/", env!("CARGO_PKG_VERSION")),
            engine: "none",
            multithread: false,
            trusted_proxy: false,
            prefix: None,
            debug: false,
            tls: None,
        }
    }

    /// Sets [`scheme`](ConnectionInfo::scheme).
    #[must_use]
    pub fn with_scheme(mut self, scheme: &'static str) -> Self {
        self.scheme = scheme;
        self
    }

    /// Sets [`server`](ConnectionInfo::server).
    #[must_use]
    pub fn with_server(mut self, server: &'static str) -> Self {
        self.server = server;
        self
    }

    /// Sets [`engine`](ConnectionInfo::engine).
    #[must_use]
    pub fn with_engine(mut self, engine: &'static str) -> Self {
        self.engine = engine;
        self
    }

    /// Sets [`multithread`](ConnectionInfo::multithread).
    #[must_use]
    pub fn with_multithread(mut self, multithread: bool) -> Self {
        self.multithread = multithread;
        self
    }

    /// Sets [`trusted_proxy`](ConnectionInfo::trusted_proxy).
    #[must_use]
    pub fn with_trusted_proxy(mut self, trusted: bool) -> Self {
        self.trusted_proxy = trusted;
        self
    }

    /// Sets [`prefix`](ConnectionInfo::prefix), without slashes at its end; an empty one is none.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/');
        self.prefix = Some(prefix)
            .filter(|prefix| !prefix.is_empty())
            .map(Arc::from);
        self
    }

    /// Sets [`tls`](ConnectionInfo::tls).
    #[must_use]
    pub fn with_tls(mut self, tls: TlsInfo) -> Self {
        self.tls = Some(Arc::new(tls));
        self
    }

    /// Sets [`debug`](ConnectionInfo::debug).
    #[must_use]
    pub fn with_debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }
}

/// A connection without addresses, as over a unix socket.
impl Default for ConnectionInfo {
    fn default() -> Self {
        Self::new(None, None)
    }
}
