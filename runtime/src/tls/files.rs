//! Certificates and keys in files, and what can be wrong with them.
//!
//! Whoever starts a server reads these messages, often at night: each names the file, says what was
//! found in it, and what should have been there.

use super::certificate::Certificate;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A certificate that ends so soon is worth a word.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// No file with certificates is as large.
const LARGEST: u64 = 4 << 20;

/// A certificate with its chain, and the key that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    /// May be the same file.
    pub(crate) key: PathBuf,
}

/// A [`Pair`] that was read.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) key: CertifiedKey,
    /// The names that it is for.
    pub(super) names: Vec<String>,
}

/// Reads a pair, and warns of a certificate that is not valid now.
///
/// # Errors
/// Says which file is wrong, and why.
pub(super) fn read_pair(pair: &Pair, provider: &CryptoProvider) -> io::Result<Identity> {
    let Pair { certificate, key } = pair;
    let chain = certificates(certificate)?;
    let key_der = private_key(key)?;
    let shown = certificate.display();
    let Some(leaf) = Certificate::read(&chain[0]) else {
        return Err(wrong(certificate, "its first certificate is malformed"));
    };
    look_at_times(certificate, &leaf);
    let key = CertifiedKey::from_der(chain, key_der, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => wrong(
            key,
            format_args!("the key does not belong to the certificate in {shown}"),
        ),
        rustls::Error::General(_) => wrong(
            key,
            "the key cannot be used: RSA takes 2048 to 8192 bits, ECDSA the curve P-256, P-384 or \
             P-521, and Ed25519 works as well",
        ),
        other => wrong(certificate, other),
    })?;
    if !leaf.has_alternative_names {
        log::warn!(
            "the certificate in {shown} names no host in a subjectAltName: clients will refuse it"
        );
    }
    let names = leaf.dns_names;
    Ok(Identity { key, names })
}

/// Reads the certificates of those who may sign certificates of clients or servers.
///
/// # Errors
/// As [`read_pair`].
pub(super) fn read_roots(path: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added
            .map_err(|error| wrong(path, format_args!("a certificate cannot be used: {error}")))?;
    }
    Ok(roots)
}

/// The certificates in a file: at least one.
fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| malformed(path, &error))?;
    if found.is_empty() {
        return Err(match first_section(&text) {
            Some(kind) if is_key(kind) => wrong(
                path,
                "this is a private key, not a certificate: are --certfile and --keyfile swapped?",
            ),
            Some(_) => wrong(path, "there is no certificate in it"),
            None => not_pem(path, &text, "certificate"),
        });
    }
    Ok(found)
}

/// The private key in a file.
fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    let text = read(path)?;
    let first = PrivateKeyDer::pem_slice_iter(&text).next();
    if let Some(key) = first {
        let encrypted = holds(&text, b"Proc-Type: 4,ENCRYPTED");
        return match key {
            _ if encrypted => Err(encrypted_key(path)),
            Ok(key) => Ok(key),
            Err(error) => Err(malformed(path, &error)),
        };
    }
    if holds(&text, b"BEGIN ENCRYPTED PRIVATE KEY") {
        return Err(encrypted_key(path));
    }
    Err(match first_section(&text) {
        Some(SectionKind::Certificate) => wrong(
            path,
            "there is a certificate in it and no private key: --keyfile names the key's file \
             (without that flag, --certfile has to hold both)",
        ),
        Some(_) => wrong(path, "there is no private key in it"),
        None => not_pem(path, &text, "private key"),
    })
}

fn encrypted_key(path: &Path) -> io::Error {
    let why = "the private key is encrypted, and nobody is there to type its password: decrypt it \
               with `openssl pkey`, and let only this server's user read it";
    wrong(path, why)
}

fn is_key(kind: SectionKind) -> bool {
    use SectionKind::{EcPrivateKey, PrivateKey, RsaPrivateKey};
    matches!(kind, PrivateKey | RsaPrivateKey | EcPrivateKey)
}

/// What the first thing in a file is, if it is of a kind that is known.
fn first_section(text: &[u8]) -> Option<SectionKind> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text)
        .next()?
        .ok()
        .map(|(kind, _)| kind)
}

fn holds(text: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(text, what).is_some()
}

fn not_pem(path: &Path, text: &[u8], what: &str) -> io::Error {
    if text.is_empty() {
        return wrong(path, "the file is empty");
    }
    let why = match text.first() {
        Some(0x30) => {
            "this looks like DER; PEM is wanted: convert it with `openssl ... -inform DER`"
        }
        _ => "this is not PEM",
    };
    let wanted = format!("{why} (a {what} begins with a line -----BEGIN ...-----)");
    wrong(path, wanted)
}

fn malformed(path: &Path, error: &pem::Error) -> io::Error {
    let why = match error {
        pem::Error::MissingSectionEnd { .. } => {
            "its last -----BEGIN ...----- has no -----END ...-----: it was cut off"
        }
        pem::Error::IllegalSectionStart { .. } => "a line that begins with ----- is malformed",
        pem::Error::Base64Decode(_) => "what is between two ----- lines is no base64",
        _ => "it cannot be read",
    };
    wrong(path, format_args!("this is malformed PEM: {why}"))
}

fn wrong(path: &Path, why: impl std::fmt::Display) -> io::Error {
    let text = format!("cannot use {}: {why}", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => wrong(path, "there is no such file"),
        io::ErrorKind::PermissionDenied => wrong(
            path,
            "this server's user may not read it (permission denied): give it to a group of that \
             user (chgrp, chmod 640), or pass it on with systemd's LoadCredential=",
        ),
        io::ErrorKind::IsADirectory => wrong(path, "this is a folder"),
        _ => wrong(path, error),
    };
    let length = fs::metadata(path).map_err(told)?.len();
    if length > LARGEST {
        return Err(wrong(path, "the file is too large to hold certificates"));
    }
    fs::read(path).map_err(told)
}

/// A certificate that is not valid is used all the same: who has set the clock wrong, or is late,
/// still wants a server that answers.
fn look_at_times(path: &Path, leaf: &Certificate) {
    let (now, shown) = (SystemTime::now(), path.display());
    if leaf.not_after <= now {
        log::warn!("the certificate in {shown} has expired: clients will refuse it");
    } else if leaf.not_after <= now + SOON {
        log::warn!("the certificate in {shown} expires within a week");
    }
    if leaf.not_before > now {
        log::warn!("the certificate in {shown} is not valid yet: is the clock right?");
    }
}
