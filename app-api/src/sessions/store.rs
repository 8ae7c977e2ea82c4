//! Where sessions are kept.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;

use crate::cookies::random;
use crate::{HttpError, Keys};

/// Somewhere to keep sessions.
///
/// The token is what the client's cookie holds: for most stores an id that is not to be guessed
/// ([`new_token`]). The middleware hands on whatever a client sends, so a store must find nothing
/// under what it has not given out. It need not look at dates: a session knows its own, and the
/// lifetime is for the store to clear up.
///
/// The calls may wait, on a green thread as a handler does. For a server such as Redis, `load` is
/// `GET`, `create` is `SET key data EX lifetime`, `replace` is `SET key data XX EX lifetime`, and
/// `remove` is `DEL`.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use greenway_app::HttpError;
/// use greenway_app::sessions::{SessionStore, Sessions, new_token};
///
/// /// For ever, and without a bound: not for production.
/// #[derive(Default)]
/// struct Simple(Mutex<HashMap<String, Vec<u8>>>);
///
/// impl SessionStore for Simple {
///     fn load(&self, token: &str) -> Result<Option<Vec<u8>>, HttpError> {
///         Ok(self.0.lock().unwrap().get(token).cloned())
///     }
///     fn create(&self, data: Vec<u8>, _: Duration) -> Result<String, HttpError> {
///         let token = new_token();
///         self.0.lock().unwrap().insert(token.clone(), data);
///         Ok(token)
///     }
///     fn replace(&self, token: &str, data: Vec<u8>, _: Duration) -> Result<Option<String>, HttpError> {
///         let mut sessions = self.0.lock().unwrap();
///         let Some(there) = sessions.get_mut(token) else { return Ok(None) };
///         *there = data;
///         Ok(Some(token.to_owned()))
///     }
///     fn remove(&self, token: &str) -> Result<(), HttpError> {
///         self.0.lock().unwrap().remove(token);
///         Ok(())
///     }
/// }
///
/// let sessions = Sessions::new(Simple::default());
/// ```
///
/// # Errors
///
/// Each method may fail, and the error is the response: usually a 503 with the cause as its
/// [source](HttpError::with_source), which is logged.
pub trait SessionStore: Send + Sync + 'static {
    /// What is kept for this token; `None` where there is nothing.
    fn load(&self, token: &str) -> Result<Option<Vec<u8>>, HttpError>;

    /// Keeps a new session for so long, and gives its token.
    fn create(&self, data: Vec<u8>, lifetime: Duration) -> Result<String, HttpError>;

    /// Keeps a session that was loaded for so long from now, and gives its token from now on.
    /// `None` if there is none under this token any more: then it was given up meanwhile, and
    /// must not come back.
    fn replace(
        &self,
        token: &str,
        data: Vec<u8>,
        lifetime: Duration,
    ) -> Result<Option<String>, HttpError>;

    /// Forgets a session, if it is there.
    fn remove(&self, token: &str) -> Result<(), HttpError>;
}

/// An id that cannot be guessed: 256 random bits in 43 letters, digits, `-` and `_`.
///
/// # Panics
///
/// When the system has no random numbers.
#[must_use]
pub fn new_token() -> String {
    BASE64URL_NOPAD.encode(&random::<32>())
}

/// Keeps sessions in their cookies, encrypted: the server keeps nothing, and every process that
/// has the keys knows every session.
///
/// There is room for about 3,000 bytes. A session cannot be taken back: whoever has copied the
/// cookie before a logout has a session until its [lifetime](super::Sessions::lifetime) is over,
/// and a request that is on its way while another one logs out can set the old session's cookie
/// again, which undoes the logout.
/// Where that matters, keep sessions elsewhere. Applications with the same keys know each other's
/// sessions: give each its own.
#[derive(Clone)]
pub struct CookieStore(Keys);

/// What the data is bound to, so that no other encrypted cookie is a session.
const LABEL: &str = "greenway: session";

impl CookieStore {
    /// A store that encrypts with these keys.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self(keys)
    }
}

impl SessionStore for CookieStore {
    fn load(&self, token: &str) -> Result<Option<Vec<u8>>, HttpError> {
        Ok(self.0.open(LABEL, token))
    }

    fn create(&self, data: Vec<u8>, _: Duration) -> Result<String, HttpError> {
        Ok(self.0.seal(LABEL, &data))
    }

    fn replace(
        &self,
        _: &str,
        data: Vec<u8>,
        lifetime: Duration,
    ) -> Result<Option<String>, HttpError> {
        self.create(data, lifetime).map(Some)
    }

    fn remove(&self, _: &str) -> Result<(), HttpError> {
        Ok(())
    }
}

impl fmt::Debug for CookieStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CookieStore").field(&self.0).finish()
    }
}
