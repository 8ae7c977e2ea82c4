//! TLS as the settings want it, and as the files of certificates change.

use crate::green;
use crate::green::unblock;
use crate::service::Service;
use crate::service::config::{CertReqs, Config, TlsVersion};
use crate::tls::{ClientCertificates, Oldest, Pair, Reloaded, ServerTls, Wanted};
use std::io;
use std::sync::{Arc, Weak};

/// What connections need to speak TLS; `None` if no certificate is named.
///
/// # Errors
/// Where a setting or a file is wrong.
pub(super) fn read(config: &Config) -> io::Result<Option<ServerTls>> {
    let tls = &config.tls;
    let wrong = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if tls.certificates.is_empty() {
        return Ok(None);
    }
    let (certificates, keys) = (tls.certificates.len(), tls.keys.len());
    if keys > 0 && keys != certificates {
        return wrong(format!(
            "--certfile is given {certificates} times and --keyfile {keys} times: each certificate \
             has its key in a file of its own, or all have it in their own files"
        ));
    }
    let pairs = tls.certificates.iter().enumerate().map(|(at, path)| Pair {
        certificate: path.into(),
        key: tls.keys.get(at).unwrap_or(path).into(),
    });
    let wanted = Wanted {
        pairs: pairs.collect(),
        roots: tls.ca_certs.as_ref().map(Into::into),
        clients: match tls.cert_reqs {
            CertReqs::None => ClientCertificates::NotAsked,
            CertReqs::Optional => ClientCertificates::Optional,
            CertReqs::Required => ClientCertificates::Required,
        },
        oldest: match tls.min_version {
            TlsVersion::Tls12 => Oldest::Tls12,
            TlsVersion::Tls13 => Oldest::Tls13,
        },
        protocols: config.http_protocols.alpn(),
        handshakes: tls.handshakes,
        tickets: config.tickets.clone(),
    };
    ServerTls::new(wanted).map(Some)
}

/// Reads the files anew; if `always` is not set, only if they have changed.
pub(super) fn reload(service: &Service, always: bool) {
    let Some(tls) = &service.tls else {
        return;
    };
    match tls.reload(always) {
        Reloaded::Unchanged => {}
        Reloaded::Changed => log::info!("the certificates were read anew"),
        Reloaded::Failed(error) => {
            log::error!("the certificates stay as they were: {error}");
        }
    }
}

/// Looks at the files now and then, until the server stops. The disk is asked on an OS thread.
pub(super) fn watch(service: &Arc<Service>) {
    let every = service.config.tls.reload;
    if service.tls.is_none() || every.is_zero() {
        return;
    }
    let watched = Arc::downgrade(service);
    let watcher = green::spawn(move || {
        loop {
            green::sleep(every);
            if watched.strong_count() == 0 {
                break;
            }
            let service = Weak::clone(&watched);
            unblock(move || {
                if let Some(service) = service.upgrade() {
                    reload(&service, false);
                }
            });
        }
    });
    service.keep_until_stop(Box::new(Watcher(watcher)));
}

/// Ends the thread that looks when it is dropped.
struct Watcher(green::Greenlet<()>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.kill();
    }
}
