//! What templates have beside the values that a handler gives them.
//!
//! It is looked up when a template asks for it: a page that does not name the session does not load
//! it.

use std::fmt::{self, Display};
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, Value, merge_maps};
use minijinja::{Error, ErrorKind};

use crate::Request;
use crate::request::place::Urls;

/// The values of a handler, and ours.
pub(super) fn with_ours(request: &Request, values: Value) -> Value {
    // The last one that has a name gives its value.
    merge_maps([Value::from_object(Ours::new(request)), values])
}

/// Our values, of one request.
struct Ours {
    urls: Urls,
    asked: Value,
    #[cfg(feature = "sessions")]
    visitor: super::visitor::Visitor,
}

impl Ours {
    fn new(request: &Request) -> Self {
        Self {
            urls: request.urls(),
            asked: asked(request),
            #[cfg(feature = "sessions")]
            visitor: super::visitor::Visitor::of(request),
        }
    }

    fn url_for(&self) -> Value {
        let urls = self.urls.clone();
        Value::from_function(move |name: String, values: Kwargs| url_for(&urls, &name, &values))
    }
}

impl Object for Ours {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "url_for" => Some(self.url_for()),
            "request" => Some(self.asked.clone()),
            #[cfg(feature = "sessions")]
            name => self.visitor.value(name),
            #[cfg(not(feature = "sessions"))]
            _ => None,
        }
    }
}

impl fmt::Debug for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ours").finish_non_exhaustive()
    }
}

/// A value that is undefined or none counts as one that was not given.
fn url_for(urls: &Urls, name: &str, values: &Kwargs) -> Result<String, Error> {
    let mut given = Vec::new();
    for key in values.args() {
        let value: Value = values.peek(key)?;
        if !value.is_undefined() && !value.is_none() {
            given.push((key, value));
        }
    }
    let given: Vec<(&str, &dyn Display)> = given
        .iter()
        .map(|(key, value)| (*key, value as &dyn Display))
        .collect();
    urls.url_for(name, &given)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("url_for: {error}")))
}

/// What the client has asked for: `request`.
fn asked(request: &Request) -> Value {
    // Of several values the first one counts, as in `Request::query`; a map keeps the last.
    let mut query: Vec<_> = request.query_pairs().collect();
    query.reverse();
    let query = query.iter().map(|(name, value)| (&**name, &**value));
    let route = request.route().and_then(|route| route.name());
    Value::from_pairs([
        ("method", Value::from(request.method().as_str())),
        ("path", Value::from(request.path())),
        ("script_name", Value::from(&*request.script_name())),
        ("scheme", Value::from(request.scheme())),
        ("host", Value::from(request.host())),
        ("query_string", Value::from(request.query_string())),
        ("query", Value::from_pairs(query)),
        ("params", Value::from_pairs(request.params())),
        ("route", Value::from(route)),
    ])
}
