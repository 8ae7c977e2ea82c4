//! What a server needs to speak TLS: its certificates, whom it believes, and what it remembers of
//! earlier connections; and how all of that is read anew.
//!
//! What must stay true:
//! - A connection keeps the configuration that it began with. A new one is for those who come.
//! - What cannot be read leaves everything as it was.

use super::files::{Identity, Pair, read_pair, read_roots};
use super::line::Line;
use super::reload::Seen;
use super::tickets::Tickets;
use crate::green::embed::lock;
use crate::ticket_keys::TicketRing;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{
    ClientHello, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Sessions of TLS 1.2 that a server remembers, for clients that take no tickets. Each is a few
/// hundred bytes.
const REMEMBERED: usize = 4096;

/// What is wanted of a server's TLS.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The first is for clients that name no server, or one that we are not.
    pub(crate) pairs: Vec<Pair>,
    /// Who may sign the certificates of clients.
    pub(crate) roots: Option<PathBuf>,
    pub(crate) clients: ClientCertificates,
    pub(crate) oldest: Oldest,
    /// What may be spoken within TLS (ALPN), the best first.
    pub(crate) protocols: Vec<Vec<u8>>,
    /// Handshakes at once.
    pub(crate) handshakes: usize,
    /// What tickets are sealed with. `None` for keys of its own.
    pub(crate) tickets: Option<Arc<TicketRing>>,
}

/// Whether clients show certificates. The numbers are in tickets, which must not be mistaken for those
/// of servers that ask in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    NotAsked = 0,
    Optional = 1,
    Required = 2,
}

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oldest {
    Tls12,
    Tls13,
}

/// What a server needs to speak TLS.
#[derive(Debug)]
pub(crate) struct ServerTls {
    wanted: Wanted,
    tickets: Arc<TicketRing>,
    pub(crate) line: Line,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// The files as they were when that was made of them, or could not be.
    seen: Seen,
}

/// What became of a look at the files.
#[derive(Debug)]
pub(crate) enum Reloaded {
    Unchanged,
    Changed,
    /// They have changed, and cannot be used.
    Failed(io::Error),
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Says which file is wrong, and why.
    pub(crate) fn new(wanted: Wanted) -> io::Result<Self> {
        let seen = Seen::of(&wanted);
        let tickets = match &wanted.tickets {
            Some(shared) => shared.clone(),
            None => Arc::new(TicketRing::new()?),
        };
        let config = build(&wanted, &tickets, None)?;
        Ok(Self {
            tickets,
            line: Line::new(wanted.handshakes),
            wanted,
            current: Mutex::new(Current { config, seen }),
        })
    }

    /// For a connection that begins.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        lock(&self.current).config.clone()
    }

    /// Reads the files anew; if `always` is not set, only if they have changed. Waits for the disk.
    pub(crate) fn reload(&self, always: bool) -> Reloaded {
        let seen = Seen::of(&self.wanted);
        let former = {
            let mut current = lock(&self.current);
            if !always && current.seen == seen {
                return Reloaded::Unchanged;
            }
            // Also if it cannot be used: once is often enough to say so.
            current.seen = seen;
            current.config.clone()
        };
        match build(&self.wanted, &self.tickets, Some(&former)) {
            Ok(config) => {
                lock(&self.current).config = config;
                Reloaded::Changed
            }
            Err(error) => Reloaded::Failed(error),
        }
    }
}

/// The crypto of `ring`: it is compiled in seconds, and as fast as the alternative where that
/// matters here (AES-GCM, ChaCha20-Poly1305, X25519, ECDSA).
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const NEWEST: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// Makes a configuration of the files, which goes on with the sessions of the `former` one.
fn build(
    wanted: &Wanted,
    tickets: &Arc<TicketRing>,
    former: Option<&ServerConfig>,
) -> io::Result<Arc<ServerConfig>> {
    let provider = provider();
    let identities: io::Result<Vec<_>> = wanted
        .pairs
        .iter()
        .map(|pair| read_pair(pair, &provider))
        .collect();
    let identities = Identities::new(identities?);
    let versions = match wanted.oldest {
        Oldest::Tls12 => BOTH,
        Oldest::Tls13 => NEWEST,
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?;
    let mut believed = None;
    let builder = match (&wanted.roots, wanted.clients) {
        (Some(roots), clients) if clients != ClientCertificates::NotAsked => {
            let roots = Arc::new(read_roots(roots)?);
            believed = Some(roots.clone());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match clients {
                ClientCertificates::Required => verifier,
                ClientCertificates::Optional | ClientCertificates::NotAsked => {
                    verifier.allow_unauthenticated()
                }
            };
            builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
        }
        (None, clients) if clients != ClientCertificates::NotAsked => {
            let why = "client certificates are asked for (--cert-reqs), and --ca-certs does not \
                       say who may have signed them";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(identities));
    config.alpn_protocols = wanted.protocols.clone();
    // A session that is resumed is not asked for a certificate again. So where clients show them, a
    // new configuration, which may believe others, remembers none; and tickets say for whom they are.
    let kept = former.filter(|_| wanted.clients == ClientCertificates::NotAsked);
    config.session_storage = match kept {
        Some(former) => former.session_storage.clone(),
        None => ServerSessionMemoryCache::new(REMEMBERED),
    };
    let how = wanted.clients as u8;
    config.ticketer = Arc::new(Tickets::new(tickets.clone(), how, believed.as_deref()));
    Ok(Arc::new(config))
}

/// Certificates by the names that they are for.
#[derive(Debug)]
struct Identities {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that name nobody whom we are.
    first: Option<Arc<CertifiedKey>>,
}

thread_local! {
    /// The name that the client of the handshake under way has asked for. Set and taken within one
    /// call that does not wait.
    static ASKED: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// The name that was asked for in the call that has just processed a client's hello.
pub(super) fn take_asked() -> Option<Box<str>> {
    ASKED.with_borrow_mut(Option::take)
}

impl Identities {
    fn new(identities: Vec<Identity>) -> Self {
        let mut by_name = HashMap::new();
        let mut first = None;
        for Identity { key, names } in identities {
            let key = Arc::new(key);
            first.get_or_insert_with(|| key.clone());
            for name in names {
                by_name.entry(name).or_insert_with(|| key.clone());
            }
        }
        Self { by_name, first }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            let (_, domain) = name.split_once('.')?;
            self.by_name.get(&format!("*.{domain}"))
        })
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        ASKED.with_borrow_mut(|asked| *asked = name.map(Box::from));
        let found = name.and_then(|name| self.find(name));
        found.or(self.first.as_ref()).cloned()
    }
}
