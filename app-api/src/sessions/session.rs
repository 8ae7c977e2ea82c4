//! The session of one visitor, while a request of his is handled.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::Settings;
use super::data::{Data, Flash};
use super::store::new_token;
use crate::cookies::random;
use crate::semantics::elements;
use crate::{HttpError, Request, Response};

/// What is remembered of a visitor; see [`Request::session`].
///
/// A handle: clones of it are the same session. Values are anything that `serde` can write as JSON.
/// All of it is saved when the handler, and the middleware further in, are done, even if they fail
/// with an error or an [`abort`](crate::abort). After a panic nothing is saved.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    /// What the client has sent.
    token: Option<String>,
    /// Nobody waits, and no code of the application's runs, while it is locked.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    data: Data,
    /// Whether somebody has looked.
    loaded: bool,
    /// Whether the client's token stands for a session.
    known: bool,
    changed: bool,
    /// Whether it is to have another token.
    renewed: bool,
}

/// A part of the lifetime: a session that is looked at is saved again when so much of it is over.
const REFRESHED: u32 = 10;

impl Request {
    /// The session of the visitor, for which [`Sessions`](super::Sessions) must be installed. It is
    /// loaded at the first call.
    ///
    /// ```
    /// use greenway_app::{HttpError, Request, Response};
    ///
    /// fn log_in(request: Request) -> Result<Response, HttpError> {
    ///     let form = request.form()?;
    ///     let name = form.get("name").unwrap_or_default();
    ///     if form.get("password") != Some("secret") { // in earnest: a hash
    ///         return Err(HttpError::new(403, "that is not your password"));
    ///     }
    ///     let session = request.session()?;
    ///     session.log_in(name);
    ///     session.flash("success", format!("Welcome, {name}!"));
    ///     Ok(Response::redirect("/", 303))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What the store says when it fails; 500 when no `Sessions` is installed for the route.
    pub fn session(&self) -> Result<Session, HttpError> {
        let Some(session) = self.extensions().get::<Session>() else {
            return Err(HttpError::new(500, "").with_source(
                "the route has no sessions, or not yet: install the middleware, as in \
                 `app.install(Sessions::in_memory())`, before `Csrf` and all that needs one",
            ));
        };
        session.load()?;
        Ok(session.clone())
    }

    /// The session, which may have to be [loaded](Session::loaded) yet; `None` where none is
    /// installed.
    #[cfg(feature = "templates")]
    pub(crate) fn unloaded_session(&self) -> Option<Session> {
        self.extensions().get::<Session>().cloned()
    }
}

impl Session {
    pub(super) fn new(settings: Arc<Settings>, token: Option<String>) -> Self {
        Self(Arc::new(Inner {
            settings,
            token,
            state: Mutex::default(),
        }))
    }

    /// A value; `None` where there is none, or it is no `T`.
    ///
    /// ```
    /// # fn example(session: greenway_app::sessions::Session) {
    /// session.set("cart", ["apple", "pear"]);
    /// assert_eq!(session.get::<Vec<String>>("cart").unwrap().len(), 2);
    /// assert_eq!(session.get::<u32>("cart"), None);
    /// # }
    /// ```
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let value = self.state().data.values.get(key).cloned();
        serde_json::from_value(value?).ok()
    }

    /// Sets a value.
    ///
    /// # Panics
    ///
    /// When the value cannot be JSON: a map whose keys are no strings or numbers, or a type whose
    /// `Serialize` fails.
    pub fn set(&self, key: impl Into<String>, value: impl Serialize) {
        let (key, value) = (key.into(), json(value));
        let state = &mut *self.change();
        state.data.values.insert(key, value);
    }

    /// Takes a value out; `None` where there is none, or it is no `T`.
    pub fn take<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let value = {
            let state = &mut *self.state();
            let value = state.data.values.remove(key);
            state.changed |= value.is_some();
            value
        };
        serde_json::from_value(value?).ok()
    }

    /// Whether there is a value of this name.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.state().data.values.contains_key(key)
    }

    /// Notes who the visitor is, and gives the session another id: one that was foisted upon the
    /// visitor before is worth nothing now (session fixation).
    ///
    /// # Panics
    ///
    /// As [`set`](Session::set).
    pub fn log_in(&self, user: impl Serialize) {
        let user = json(user);
        self.renew();
        self.change().data.user = Some(user);
    }

    /// Who has [logged in](Session::log_in); `None` where nobody has, or it is no `T`.
    #[must_use]
    pub fn user<T: DeserializeOwned>(&self) -> Option<T> {
        let user = self.state().data.user.clone();
        serde_json::from_value(user?).ok()
    }

    /// Forgets who the visitor is, and all else. What is put into the session after that is in a
    /// new one. With a [`CookieStore`](super::CookieStore) a request that is on its way meanwhile
    /// can undo this, as it gives the browser its own cookie.
    pub fn log_out(&self) {
        self.clear();
    }

    /// Forgets everything, and the id.
    pub fn clear(&self) {
        let state = &mut *self.change();
        state.data = Data {
            created: (self.0.settings.clock)(),
            ..Data::default()
        };
        state.renewed = true;
    }

    /// Gives the session another id and other tokens for forms, and keeps what is in it: to be
    /// done whenever a visitor gets more rights. [`log_in`](Session::log_in) does it.
    pub fn renew(&self) {
        let state = &mut *self.change();
        state.data.csrf = None;
        state.renewed = true;
    }

    /// Leaves a message for the next page that the visitor sees, which
    /// [takes](Session::take_flashes) it. The last 20 are kept.
    pub fn flash(&self, category: impl Into<String>, text: impl Into<String>) {
        let flash = Flash {
            category: category.into(),
            text: text.into(),
        };
        self.change().data.flash(flash);
    }

    /// Takes the messages that wait to be shown, in their order.
    #[must_use]
    pub fn take_flashes(&self) -> Vec<Flash> {
        if self.state().data.flashes.is_empty() {
            return Vec::new();
        }
        std::mem::take(&mut self.change().data.flashes)
    }

    /// A token for a form, by which [`Csrf`](super::Csrf) knows that the form is ours. It is
    /// another one each time, so that compression does not tell it (BREACH), and all of them are
    /// good as long as the session, up to the next [renewal](Session::renew).
    ///
    /// ```
    /// # fn example(request: greenway_app::Request) -> Result<greenway_app::Html<String>, greenway_app::HttpError> {
    /// let token = request.session()?.csrf_token();
    /// Ok(greenway_app::Html(format!(
    ///     r#"<form method="post"><input type="hidden" name="csrf_token" value="{token}">...</form>"#
    /// )))
    /// # }
    /// ```
    #[must_use]
    pub fn csrf_token(&self) -> String {
        let there = self.csrf_secret();
        let secret = there.unwrap_or_else(|| {
            let text = new_token();
            self.change().data.csrf = Some(text);
            self.csrf_secret().unwrap_or_default()
        });
        let pad = random::<32>();
        let mut token = [0; 64];
        token[..32].copy_from_slice(&pad);
        for (at, byte) in token[32..].iter_mut().enumerate() {
            *byte = pad[at] ^ secret[at];
        }
        BASE64URL_NOPAD.encode(&token)
    }

    /// Whether a token was made for this session. How long it takes says nothing about how wrong
    /// it is.
    #[must_use]
    pub fn is_csrf_token(&self, token: &str) -> bool {
        let Some(secret) = self.csrf_secret() else {
            return false;
        };
        let Ok(token) = BASE64URL_NOPAD.decode(token.as_bytes()) else {
            return false;
        };
        let Ok(token) = <[u8; 64]>::try_from(token) else {
            return false;
        };
        let (pad, masked) = token.split_at(32);
        let bytes = pad.iter().zip(masked).map(|(pad, masked)| pad ^ masked);
        bytes.collect::<Vec<_>>().ct_eq(&secret).into()
    }

    /// Whether a token was made for this session at all.
    pub(crate) fn has_csrf_tokens(&self) -> bool {
        self.csrf_secret().is_some()
    }

    fn csrf_secret(&self) -> Option<[u8; 32]> {
        let state = self.state();
        let text = state.data.csrf.as_ref()?;
        BASE64URL_NOPAD
            .decode(text.as_bytes())
            .ok()?
            .try_into()
            .ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, which is to be saved.
    fn change(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.changed = true;
        state
    }

    /// Whether somebody has looked at it.
    pub(crate) fn is_loaded(&self) -> bool {
        self.state().loaded
    }

    /// This session, after it was loaded.
    #[cfg(feature = "templates")]
    pub(crate) fn loaded(&self) -> Result<&Self, HttpError> {
        self.load()?;
        Ok(self)
    }

    fn load(&self) -> Result<(), HttpError> {
        if self.state().loaded {
            return Ok(());
        }
        let settings = &self.0.settings;
        let found = match &self.0.token {
            Some(token) => settings.store.load(token)?,
            None => None,
        };
        let now = (settings.clock)();
        let over = |since: u64, limit: Duration| now.saturating_sub(since) >= limit.as_secs();
        let data = found.as_deref().and_then(Data::of_bytes);
        let data = data.filter(|data| {
            !over(data.saved, settings.lifetime) && !over(data.created, settings.longest)
        });
        let state = &mut *self.state();
        // Two green threads of the handler may have asked at once.
        if !state.loaded {
            state.loaded = true;
            state.known = data.is_some();
            state.data = data.unwrap_or_else(|| Data {
                created: now,
                ..Data::default()
            });
        }
        Ok(())
    }

    /// Saves what is to be saved, and tells the client.
    pub(super) fn finish(&self, response: &mut Response) -> Result<(), HttpError> {
        let settings = &self.0.settings;
        let (bytes, renewed, known) = {
            let state = &mut *self.state();
            if !state.loaded {
                return Ok(());
            }
            let cookie = HeaderValue::from_static("Cookie");
            response.headers_mut().append(header::VARY, cookie);
            let now = (settings.clock)();
            let age = now.saturating_sub(state.data.saved);
            let stale = state.known && age >= (settings.lifetime / REFRESHED).as_secs();
            if !state.changed && !stale {
                return Ok(());
            }
            state.data.saved = now;
            let bytes = (!state.data.is_empty()).then(|| state.data.to_bytes());
            (bytes, state.renewed, state.known)
        };
        let token = self.0.token.as_deref().filter(|_| known);
        let kept = match (bytes, token) {
            (None, None) => return Ok(()),
            (None, Some(token)) => {
                settings.store.remove(token)?;
                None
            }
            (Some(bytes), token) => match self.save(bytes, token, renewed)? {
                // It was given up meanwhile, and the client may have been given another session
                // since, whose cookie is not to be deleted.
                None => return Ok(()),
                kept => kept,
            },
        };
        let cookie = match &kept {
            Some(token) => settings.cookie.clone().with_value(token.clone()),
            None => settings.cookie.clone(),
        };
        let lifetime = kept.map_or(Duration::ZERO, |_| settings.lifetime);
        let problem = |problem: String| HttpError::new(500, "").with_source(problem);
        response
            .try_set_cookie(&cookie.max_age(lifetime))
            .map_err(problem)?;
        make_private(response.headers_mut());
        Ok(())
    }

    /// Gives the data to the store. `None` if the session was given up meanwhile.
    fn save(
        &self,
        bytes: Vec<u8>,
        token: Option<&str>,
        renewed: bool,
    ) -> Result<Option<String>, HttpError> {
        let settings = &self.0.settings;
        if bytes.len() > settings.largest {
            return Err(HttpError::new(500, "").with_source(format!(
                "a session of {} bytes; `Sessions::largest` is {}",
                bytes.len(),
                settings.largest
            )));
        }
        let store = &settings.store;
        match token {
            Some(token) if !renewed => store.replace(token, bytes, settings.lifetime),
            old => {
                let token = store.create(bytes, settings.lifetime)?;
                if let Some(old) = old {
                    store.remove(old)?;
                }
                Ok(Some(token))
            }
        }
    }
}

/// Keeps a response out of the caches that several people share, whatever its handler has said: a
/// cookie that is kept there would give the session to all of them.
fn make_private(headers: &mut HeaderMap) {
    let has = |headers: &HeaderMap, name: &[u8]| {
        let fields = headers.get_all(header::CACHE_CONTROL).iter();
        let mut directives = fields.flat_map(|value| elements(value.as_bytes()));
        directives.any(|directive| directive.eq_ignore_ascii_case(name))
    };
    if has(headers, b"private") || has(headers, b"no-store") {
        return;
    }
    // What must be asked for again each time still must.
    let value = match has(headers, b"no-cache") {
        true => "private, no-cache",
        false => "private",
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
}

fn json(value: impl Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(value) => value,
        Err(error) => panic!("a value for a session cannot be JSON: {error}"),
    }
}

impl fmt::Debug for Session {
    /// Shows no secret: neither the id nor a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Session")
            .field("keys", &state.data.values.keys().collect::<Vec<_>>())
            .field("known", &state.known)
            .field("changed", &state.changed)
            .finish_non_exhaustive()
    }
}
