//! What templates know of the visitor: the session, its messages, and the tokens of forms.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Object, Serde, Value};
use minijinja::{Error, ErrorKind, State};

use crate::request::place::PageOfError;
use crate::sessions::{Flash, Session};
use crate::{HttpError, Request, StatusError};

/// The session of a request, which is loaded when a template asks for it.
#[derive(Clone)]
pub(super) struct Visitor {
    session: Option<Session>,
    /// The page is one for an error. It may have the layout of all pages, but the session is over.
    of_error: bool,
    /// For a page that is rendered when the session was saved.
    prepared: Option<Prepared>,
}

/// What is done with a session before it is saved, for a template that is rendered later.
#[derive(Debug, Clone, Default)]
struct Prepared {
    loaded: bool,
    flashes: Option<Arc<Mutex<Vec<Flash>>>>,
    has_token: bool,
}

impl Visitor {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            session: request.unloaded_session(),
            of_error: request.extensions().get::<PageOfError>().is_some(),
            prepared: None,
        }
    }

    /// Does with the session what the template is going to ask for, by the words that are in it.
    pub(super) fn prepare(&mut self, is_named: impl Fn(&str) -> bool) -> Result<(), HttpError> {
        let mut prepared = Prepared::default();
        if let Some(session) = &self.session {
            let takes = is_named("take_flashes");
            let has_token = is_named("csrf_");
            if takes || has_token || is_named("session") {
                session.loaded()?;
                prepared.loaded = true;
            }
            if takes {
                prepared.flashes = Some(Arc::new(Mutex::new(session.take_flashes())));
            }
            if has_token {
                // Those that come later are made of what the first one leaves in the session.
                let _first = session.csrf_token();
                prepared.has_token = true;
            }
        }
        self.prepared = Some(prepared);
        Ok(())
    }

    /// The variable of this name.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        let own = self.clone();
        match name {
            "session" => Some(Value::from_object(own)),
            "take_flashes" => Some(Value::from_function(move || own.take_flashes())),
            "csrf_token" => Some(Value::from_function(move || own.csrf_token())),
            "csrf_field" => Some(Value::from_function(move || own.csrf_field())),
            _ => None,
        }
    }

    /// `None` on the page of an error whose request has not come as far as that, or whose session
    /// cannot be loaded.
    fn session(&self) -> Result<Option<&Session>, Error> {
        match &self.session {
            Some(session) if self.of_error => Ok(session.loaded().ok()),
            Some(_) if self.prepared.as_ref().is_some_and(|it| !it.loaded) => Err(too_late()),
            Some(session) => session.loaded().map(Some).map_err(failed),
            None if self.of_error => Ok(None),
            None => Err(Error::new(
                ErrorKind::InvalidOperation,
                "the route has no sessions: install the middleware, as in \
                 `app.install(Sessions::in_memory())`",
            )),
        }
    }

    fn take_flashes(&self) -> Result<Vec<Value>, Error> {
        let session = self.session()?;
        let flashes = match (session, &self.prepared) {
            // What is taken here would be there again on the next page.
            _ if self.of_error => Vec::new(),
            (Some(session), None) => session.take_flashes(),
            (Some(_), Some(prepared)) => {
                let flashes = prepared.flashes.as_ref().ok_or_else(too_late)?;
                mem::take(&mut *flashes.lock().unwrap_or_else(PoisonError::into_inner))
            }
            (None, _) => Vec::new(),
        };
        let value = |flash: Flash| {
            let pairs = [("category", flash.category), ("text", flash.text)];
            Value::from_pairs(pairs)
        };
        Ok(flashes.into_iter().map(value).collect())
    }

    fn csrf_token(&self) -> Result<String, Error> {
        let session = self.session()?;
        if session.is_some() && self.prepared.as_ref().is_some_and(|it| !it.has_token) {
            return Err(too_late());
        }
        // One that is made on the page of an error is not saved, so it would be of no use.
        let session = session.filter(|session| !self.of_error || session.has_csrf_tokens());
        Ok(session.map(Session::csrf_token).unwrap_or_default())
    }

    /// The token has letters, digits, dashes and underscores only.
    fn csrf_field(&self) -> Result<Value, Error> {
        let token = self.csrf_token()?;
        let field = format!(r#"<input type="hidden" name="csrf_token" value="{token}">"#);
        Ok(Value::from_safe_string(field))
    }

    fn key(&self, key: &str) -> Result<Value, Error> {
        let value = self.session()?.and_then(|session| session.get(key));
        Ok(json(value))
    }
}

/// The variable `session`.
impl Object for Visitor {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.key(key.as_str()?) {
            Ok(value) => Some(value),
            Err(error) => Some(Value::from(error)),
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match (method, args) {
            ("user", []) => Ok(json(self.session()?.and_then(Session::user))),
            ("get", [key]) => self.key(key.as_str().unwrap_or_default()),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Visitor").field(&self.session).finish()
    }
}

/// A name that a template has put together hides what it leads to.
fn too_late() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        "the page is rendered while it is sent, when the session was saved already: write the name \
         of this template out where it is included, or let the handler give the value",
    )
}

fn json(value: Option<serde_json::Value>) -> Value {
    value.map_or(Value::UNDEFINED, |value| Value::from(Serde(value)))
}

/// The store has failed. The answer is the one that it asks for.
fn failed(error: HttpError) -> Error {
    Error::new(ErrorKind::InvalidOperation, "the session was not loaded")
        .with_source(StatusError::from(error))
}
