//! Cookies that clients cannot change, and such that they cannot even read.
//!
//! The crate `cookie` has jars for both. They do not fit: they know one key, and a key that is
//! changed would end every session; they are filled from a whole header, where we read one cookie
//! of it in place; and they bring older copies of crates that are here already. What is difficult
//! is the cryptography, and that is the RustCrypto project's here and there.
//!
//! What must stay true: a value that was made for one name, or for one purpose, is worth nothing
//! under another; and a forged value takes the same time wherever it differs from a right one.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::Cookie;
use crate::Request;

/// Bytes of a nonce, so many that random ones never repeat.
const NONCE: usize = 24;

/// Secrets by which cookies are signed and encrypted.
///
/// A signed cookie can be read by the client, and any change is noticed (HMAC-SHA-256). An
/// encrypted one cannot be read either (XChaCha20-Poly1305). Both are bound to the cookie's name.
/// Neither is bound to a time: a client may keep them and send them again, so what must end is to
/// hold a date, or to be a [session](crate::sessions::Sessions).
///
/// To change the secret, name the new one first, and the old one until its cookies are gone:
///
/// ```
/// use greenway_app::{Cookie, Keys, Request, Response, testing::Client};
///
/// let keys = |secrets: [&str; 2]| Keys::new(secrets[0]).and_old(secrets[1]);
/// let old = "before: 32 bytes, and not to be guessed";
/// let new = "now: 32 bytes at least, from a secret store";
///
/// let cookie = Keys::new(old).sign(Cookie::new("user", "Ada"));
/// let keys = keys([new, old]);
/// let app = move |request: Request| {
///     let user = request.signed_cookie("user", &keys).unwrap_or("nobody".into());
///     Response::new(user)
/// };
/// let client = Client::new(app);
/// let sent = |value: &str| client.get("/").header("cookie", format!("user={value}")).send().text();
/// assert_eq!(sent(cookie.value()), "Ada");
/// assert_eq!(sent("Ada"), "nobody");
/// ```
#[derive(Clone)]
pub struct Keys(Vec<Pair>);

/// Of one secret, what it is used for.
#[derive(Clone)]
struct Pair {
    signing: [u8; 32],
    encrypting: [u8; 32],
}

impl Keys {
    /// Keys made of a secret, such as 32 bytes or more of `openssl rand -base64 48`.
    ///
    /// # Panics
    ///
    /// When the secret has less than 32 bytes.
    #[must_use]
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        Self(vec![Pair::of(secret.as_ref())])
    }

    /// Keys that nobody knows, and that end with the program: all cookies become worthless with
    /// the next start, and are to no other process. For tests and while developing.
    ///
    /// # Panics
    ///
    /// When the system has no random numbers.
    #[must_use]
    pub fn random() -> Self {
        Self::new(random::<32>())
    }

    /// Accepts what was made with an earlier secret, too.
    ///
    /// # Panics
    ///
    /// When the secret has less than 32 bytes.
    #[must_use]
    pub fn and_old(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.0.push(Pair::of(secret.as_ref()));
        self
    }

    /// The cookie with a signature in front of its value; see
    /// [`Request::signed_cookie`].
    pub fn sign(&self, cookie: Cookie) -> Cookie {
        let tag = self.0[0].mac(cookie.name(), cookie.value());
        let tag = BASE64URL_NOPAD.encode(&tag.finalize().into_bytes());
        let value = format!("{tag}.{}", cookie.value());
        cookie.with_value(value)
    }

    /// The cookie with its value encrypted; see [`Request::private_cookie`].
    pub fn encrypt(&self, cookie: Cookie) -> Cookie {
        let value = self.seal(cookie.name(), cookie.value().as_bytes());
        cookie.with_value(value)
    }

    /// What was signed by one of the keys under this name.
    fn verified<'a>(&self, name: &str, value: &'a str) -> Option<&'a str> {
        let (tag, text) = value.split_once('.')?;
        let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?;
        let mut pairs = self.0.iter();
        pairs
            .any(|pair| pair.mac(name, text).verify_slice(&tag).is_ok())
            .then_some(text)
    }

    /// Encrypts something that is to be opened under the same name.
    pub(crate) fn seal(&self, name: &str, plain: &[u8]) -> String {
        let nonce = random::<NONCE>();
        let payload = Payload {
            msg: plain,
            aad: name.as_bytes(),
        };
        let sealed = self.0[0].cipher().encrypt(&XNonce::from(nonce), payload);
        // It fails for 256 GiB and more.
        let sealed = sealed.expect("a cookie is encrypted");
        BASE64URL_NOPAD.encode(&[&nonce[..], &sealed].concat())
    }

    /// What was sealed by one of the keys under this name.
    pub(crate) fn open(&self, name: &str, sealed: &str) -> Option<Vec<u8>> {
        let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let nonce = XNonce::from(*nonce);
        self.0.iter().find_map(|pair| {
            let payload = Payload {
                msg: sealed,
                aad: name.as_bytes(),
            };
            pair.cipher().decrypt(&nonce, payload).ok()
        })
    }
}

impl Pair {
    fn of(secret: &[u8]) -> Self {
        assert!(
            secret.len() >= 32,
            "Keys: the secret has {} bytes, and 32 are needed",
            secret.len()
        );
        // One secret for two purposes, by HKDF's second half with two labels (RFC 5869, 2.3).
        let derive = |label: &[u8]| hmac(secret).chain_update(label).finalize().into_bytes();
        Self {
            signing: derive(b"greenway: signed cookies\x01").into(),
            encrypting: derive(b"greenway: private cookies\x01").into(),
        }
    }

    /// The length of the name is part of it: no other name and text are the same bytes.
    fn mac(&self, name: &str, text: &str) -> Hmac<Sha256> {
        hmac(&self.signing)
            .chain_update((name.len() as u64).to_be_bytes())
            .chain_update(name)
            .chain_update(text)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.encrypting.into())
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    // The only error is a length that the algorithm does not take, and HMAC takes all.
    <Hmac<Sha256> as hmac::digest::KeyInit>::new_from_slice(key)
        .expect("HMAC takes keys of any length")
}

/// Bytes that nobody can guess.
///
/// # Panics
///
/// When the system has none: nothing that is a secret can be made without.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

impl fmt::Debug for Keys {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Request {
    /// The value of a cookie that was made by [`Keys::sign`] under this name. `None` where there is
    /// none, or the client has made it up.
    #[must_use]
    pub fn signed_cookie(&self, name: &str, keys: &Keys) -> Option<String> {
        let value = self.cookie(name)?;
        keys.verified(name, &value).map(str::to_owned)
    }

    /// The value of a cookie that was made by [`Keys::encrypt`] under this name. `None` where there
    /// is none, or the client has made it up.
    #[must_use]
    pub fn private_cookie(&self, name: &str, keys: &Keys) -> Option<String> {
        let value = self.cookie(name)?;
        String::from_utf8(keys.open(name, &value)?).ok()
    }
}
