//! Certificates of a test, and how its clients speak TLS.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

mod hello;

pub use hello::{Answer, Hello, ServerHello, answer};
pub use rcgen;
pub use rustls;

/// An authority and what it has signed, in a folder of their own, which goes with the value.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct PairFiles {
    /// The certificate (PEM).
    pub cert: String,
    /// The key (PEM).
    pub key: String,
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificates {
    /// An authority, whose certificate is in the file [`root`](Self::root).
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("greenway-tls-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Authority of a test");
        let key = KeyPair::generate().expect("ring makes keys");
        let root = params.self_signed(&key).expect("the parameters are right");
        fs::write(folder.join("root.pem"), root.pem()).expect("the folder can be written");
        Self {
            root: root.der().clone(),
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    /// Makes a certificate for these names, and its key, in files that begin with `file`. Its
    /// subject has the first name.
    ///
    /// # Panics
    /// When a file cannot be written.
    #[must_use]
    pub fn make(&self, file: &str, names: &[&str]) -> PairFiles {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let common = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names).expect("these are names");
        params.distinguished_name.push(DnType::CommonName, common);
        self.sign(file, params)
    }

    /// Makes a certificate of what is to be in it, and its key.
    ///
    /// # Panics
    /// As [`make`](Self::make).
    #[must_use]
    pub fn sign(&self, file: &str, params: CertificateParams) -> PairFiles {
        let key = KeyPair::generate().expect("ring makes keys");
        let made = params.signed_by(&key, &self.issuer);
        let made = made.expect("the parameters are right");
        let files = PairFiles {
            cert: self.path(&format!("{file}.pem")),
            key: self.path(&format!("{file}.key")),
        };
        fs::write(&files.cert, made.pem()).expect("the folder can be written");
        fs::write(&files.key, key.serialize_pem()).expect("the folder can be written");
        files
    }

    /// The file of the authority's certificate.
    #[must_use]
    pub fn root(&self) -> String {
        self.path("root.pem")
    }

    /// A file of this name in the folder.
    #[must_use]
    pub fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    /// A client that believes the authority.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client_with(rustls::ALL_VERSIONS, None)
    }

    /// The same with other versions, and with a certificate of its own.
    ///
    /// # Panics
    /// When the files of that cannot be read.
    #[must_use]
    pub fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&PairFiles>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("it is a certificate");
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("the provider knows both versions")
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let cert = CertificateDer::from_pem_file(&files.cert).expect("it was written");
                let key = PrivateKeyDer::from_pem_file(&files.key).expect("it was written");
                let config = builder.with_client_auth_cert(vec![cert], key);
                config.expect("the key belongs to it")
            }
        };
        Arc::new(config)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _somebody_else_has = fs::remove_dir_all(Path::new(&self.folder));
    }
}
