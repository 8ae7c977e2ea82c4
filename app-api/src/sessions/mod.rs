//! Sessions: what the server remembers of a visitor from one request to the next.
//!
//! [`Sessions`] is a middleware. With it, [`Request::session`](crate::Request::session) gives each
//! handler the [`Session`] of its visitor, which is loaded when it is first asked for and saved when
//! the handler is done. Where it is kept is the business of a [`SessionStore`]: in the cookie
//! itself, encrypted ([`CookieStore`]); in the memory of the process ([`MemoryStore`]); or wherever
//! else somebody keeps it. [`Csrf`] refuses forms that other sites have made.
//!
//! ```
//! use greenway_app::sessions::{Csrf, Sessions};
//! use greenway_app::{App, HttpError, Keys, Request, Response, testing::Client};
//!
//! fn visits(request: Request) -> Result<String, HttpError> {
//!     let session = request.session()?;
//!     let visits = session.get("visits").unwrap_or(0) + 1;
//!     session.set("visits", visits);
//!     Ok(format!("visit {visits}"))
//! }
//!
//! let mut app = App::new();
//! let keys = Keys::new("the program's secret, of 32 bytes at least");
//! app.install(Sessions::in_cookie(keys)).get("/", visits);
//!
//! let client = Client::new(app);
//! let first = client.get("/").send();
//! let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
//! assert_eq!(client.get("/").header("cookie", cookie).send().text(), "visit 2");
//! ```
//!
//! What must stay true: an id that the client has made up is never taken for a session; a session
//! that was given up is not saved again by a request that was on its way (but by a [`CookieStore`],
//! which does not know what was given up: there a logout can be undone so); what is kept has a bound
//! and an end; and no lock is held while a store is asked, which may wait.

mod csrf;
mod data;
mod memory;
mod session;
mod store;
#[cfg(test)]
mod tests;

use crate::response::for_page::ForPage;
use http::Extensions;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use self::csrf::Csrf;
pub use self::data::Flash;
pub use self::memory::MemoryStore;
pub use self::session::Session;
pub use self::store::{CookieStore, SessionStore, new_token};
use crate::{Cookie, IntoResponse, Keys, Middleware, Next, Request, Response};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Gives requests their sessions: a middleware.
///
/// A session begins when something is put into it; visitors of whom nothing is to be remembered get
/// no cookie. A response whose handler has looked at the session says `Vary: Cookie`, and one that
/// sets the cookie is `private` to caches: a Cache-Control of the handler's that has neither
/// `private` nor `no-store` is replaced.
///
/// What is put into a session after the response has begun, in a body that streams, is not saved.
/// Of two requests of one session at the same time that both change it, the last one wins.
#[derive(Clone)]
pub struct Sessions(Arc<Settings>);

struct Settings {
    store: Arc<dyn SessionStore>,
    cookie: Cookie,
    lifetime: Duration,
    longest: Duration,
    largest: usize,
    clock: fn() -> u64,
}

impl Sessions {
    /// Sessions that are kept in this store.
    #[must_use]
    pub fn new(store: impl SessionStore) -> Self {
        Self(Arc::new(Settings {
            store: Arc::new(store),
            cookie: Cookie::new("session", ""),
            lifetime: 14 * DAY,
            longest: 90 * DAY,
            largest: 64 << 10,
            clock: || {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                now.map_or(0, |now| now.as_secs())
            },
        }))
    }

    /// Sessions that are kept by the browsers, encrypted; see [`CookieStore`].
    #[must_use]
    pub fn in_cookie(keys: Keys) -> Self {
        Self::new(CookieStore::new(keys))
    }

    /// Sessions that are kept in the memory of this process, 100,000 of them and 64 MiB at most;
    /// see [`MemoryStore`].
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(MemoryStore::default())
    }

    /// The cookie that holds the session's id, or the session: its name and its attributes. The
    /// value and `Max-Age` are set by this middleware. Default: `Cookie::new("session", "")`. For
    /// a site that is on https alone, `__Host-session` is better: no other host can set it.
    #[must_use]
    pub fn cookie(self, cookie: Cookie) -> Self {
        self.with(|settings| settings.cookie = cookie)
    }

    /// How long a session lasts without being looked at. Default: 14 days.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.with(|settings| settings.lifetime = lifetime)
    }

    /// How long a session lasts at most, however often it is looked at. Default: 90 days.
    #[must_use]
    pub fn longest(self, longest: Duration) -> Self {
        self.with(|settings| settings.longest = longest)
    }

    /// Bytes of a session, as JSON. More is answered with 500. Default: 64 KiB. (A cookie has no
    /// room for more than about 3,000.)
    #[must_use]
    pub fn largest(self, largest: usize) -> Self {
        self.with(|settings| settings.largest = largest)
    }

    #[cfg(test)]
    fn clock(self, clock: fn() -> u64) -> Self {
        self.with(|settings| settings.clock = clock)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        if Arc::get_mut(&mut self.0).is_none() {
            self.0 = Arc::new(self.0.copy());
        }
        // Nobody else has it now.
        change(Arc::get_mut(&mut self.0).expect("it was copied just now"));
        self
    }
}

impl Settings {
    fn copy(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            cookie: self.cookie.clone(),
            ..*self
        }
    }
}

impl Middleware for Sessions {
    fn call(&self, mut request: Request, next: Next<'_>) -> Response {
        let token = request.cookie(self.0.cookie.name());
        let token = token.map(|token| token.into_owned());
        let session = Session::new(Arc::clone(&self.0), token);
        request.extensions_mut().insert(session.clone());
        let mut response = next.run(request);
        match session.finish(&mut response) {
            Ok(()) => {
                if response.error().is_some() {
                    // The page for it may greet the visitor.
                    let mut extensions = Extensions::new();
                    extensions.insert(session.clone());
                    response.extensions_mut().insert(ForPage {
                        extensions,
                        is_used: Arc::new(move || session.is_loaded()),
                    });
                }
                response
            }
            Err(error) => error.into_response(),
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("cookie", &self.0.cookie.name())
            .field("lifetime", &self.0.lifetime)
            .field("longest", &self.0.longest)
            .field("largest", &self.0.largest)
            .finish_non_exhaustive()
    }
}
