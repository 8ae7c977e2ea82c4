//! What templates have beside the values that a handler gives them.
//!
//! It is looked up when a template asks for it: a page that does not name the session does not load
//! it.

use std::fmt::{self, Display};
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, Value, merge_maps};
use minijinja::{Error, ErrorKind};

use super::source::Sources;
use super::stream::Flush;
use crate::request::place::Urls;
use crate::{HttpError, Request};

/// The values of a handler, and ours.
pub(super) fn with_ours(request: &Request, values: Value) -> Value {
    merged(Ours::new(request), values)
}

/// The same for a page that is rendered when the handler is done.
pub(super) fn for_stream(
    request: &Request,
    sources: &Sources,
    name: &str,
    flush: &Flush,
    values: Value,
) -> Result<Value, HttpError> {
    #[cfg_attr(not(feature = "sessions"), allow(unused_mut))]
    let mut ours = Ours {
        flush: Some(flush.clone()),
        ..Ours::new(request)
    };
    #[cfg(feature = "sessions")]
    ours.visitor.prepare(|word| named(sources, name, word))?;
    #[cfg(not(feature = "sessions"))]
    let _nothing_to_prepare = (sources, name);
    Ok(merged(ours, values))
}

fn merged(ours: Ours, values: Value) -> Value {
    // The last one that has a name gives its value.
    merge_maps([Value::from_object(ours), values])
}

/// Whether a template has this word, or one whose name stands in it.
#[cfg(feature = "sessions")]
fn named(sources: &Sources, name: &str, word: &str) -> bool {
    let mut names = vec![name];
    let mut at = 0;
    while let Some(text) = names.get(at).and_then(|name| sources.get(*name)) {
        if text.contains(word) {
            return true;
        }
        for quoted in text.split(['"', '\'']) {
            if let Some((other, _)) = sources.get_key_value(quoted)
                && !names.contains(&other.as_str())
            {
                names.push(other);
            }
        }
        at += 1;
    }
    false
}

/// Our values, of one request.
struct Ours {
    urls: Urls,
    asked: Value,
    /// `None` where the page is sent as a whole.
    flush: Option<Flush>,
    #[cfg(feature = "sessions")]
    visitor: super::visitor::Visitor,
}

impl Ours {
    fn new(request: &Request) -> Self {
        Self {
            urls: request.urls(),
            asked: asked(request),
            flush: None,
            #[cfg(feature = "sessions")]
            visitor: super::visitor::Visitor::of(request),
        }
    }

    fn flush(&self) -> Value {
        let flush = self.flush.clone();
        Value::from_function(move || flush.as_ref().map_or(Value::from(""), Flush::ask))
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
            "flush" => Some(self.flush()),
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
        #[cfg(feature = "forms")]
        ("form", Value::from(request.form_so_far())),
    ])
}
