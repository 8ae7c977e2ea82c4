//! What templates know of the visitor: the session, its messages, and the tokens of forms.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, Serde, Value};
use minijinja::{Error, ErrorKind, State};

use crate::request::place::PageOfError;
use crate::sessions::Session;
use crate::{HttpError, Request, StatusError};

/// The session of a request, which is loaded when a template asks for it.
#[derive(Clone)]
pub(super) struct Visitor {
    session: Option<Session>,
    /// The page is one for an error. It may have the layout of all pages, but the session is over.
    of_error: bool,
}

impl Visitor {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            session: request.unloaded_session(),
            of_error: request.extensions().get::<PageOfError>().is_some(),
        }
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

    /// `None` on the page of an error, where there is none any more.
    fn session(&self) -> Result<Option<&Session>, Error> {
        match &self.session {
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
        let flashes = self.session()?.map(Session::take_flashes);
        let value = |flash: crate::sessions::Flash| {
            let pairs = [("category", flash.category), ("text", flash.text)];
            Value::from_pairs(pairs)
        };
        Ok(flashes.unwrap_or_default().into_iter().map(value).collect())
    }

    fn csrf_token(&self) -> Result<String, Error> {
        let token = self.session()?.map(Session::csrf_token);
        Ok(token.unwrap_or_default())
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

fn json(value: Option<serde_json::Value>) -> Value {
    value.map_or(Value::UNDEFINED, |value| Value::from(Serde(value)))
}

/// The store has failed. The answer is the one that it asks for.
fn failed(error: HttpError) -> Error {
    Error::new(ErrorKind::InvalidOperation, "the session was not loaded")
        .with_source(StatusError::from(error))
}
