//! What a session holds, and how it is written down.

use serde_json::{Map, Value};

/// How many messages wait to be shown; older ones go.
const FLASHES: usize = 20;

/// A message for the next page that the visitor sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// What kind of message it is, say `success` or `error`: for the page's style.
    pub category: String,
    /// What it says.
    pub text: String,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Data {
    /// When the session began and when it was saved, in seconds since 1970.
    pub(super) created: u64,
    pub(super) saved: u64,
    pub(super) values: Map<String, Value>,
    pub(super) user: Option<Value>,
    pub(super) flashes: Vec<Flash>,
    /// What tokens of forms are made of.
    pub(super) csrf: Option<String>,
}

impl Data {
    /// Whether there is nothing to be remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.user.is_none()
            && self.flashes.is_empty()
            && self.csrf.is_none()
    }

    pub(super) fn flash(&mut self, flash: Flash) {
        if self.flashes.len() == FLASHES {
            self.flashes.remove(0);
        }
        self.flashes.push(flash);
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
        put("created", self.created.into());
        put("saved", self.saved.into());
        if !self.values.is_empty() {
            put("values", Value::Object(self.values.clone()));
        }
        if let Some(user) = &self.user {
            put("user", user.clone());
        }
        if !self.flashes.is_empty() {
            let pair = |flash: &Flash| Value::from([&*flash.category, &*flash.text].as_slice());
            put("flashes", self.flashes.iter().map(pair).collect());
        }
        if let Some(csrf) = &self.csrf {
            put("csrf", csrf.as_str().into());
        }
        Value::Object(map).to_string().into_bytes()
    }

    /// What was written down; `None` if it is something else, say of another program.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let Value::Object(mut map) = serde_json::from_slice(bytes).ok()? else {
            return None;
        };
        let flash = |pair: &Value| {
            Some(Flash {
                category: pair.get(0)?.as_str()?.to_owned(),
                text: pair.get(1)?.as_str()?.to_owned(),
            })
        };
        let flashes = map.get("flashes").and_then(Value::as_array);
        let flashes = flashes.map(|list| list.iter().filter_map(flash).collect());
        Some(Self {
            created: map.get("created")?.as_u64()?,
            saved: map.get("saved")?.as_u64()?,
            flashes: flashes.unwrap_or_default(),
            csrf: map.get("csrf").and_then(Value::as_str).map(str::to_owned),
            user: map.remove("user"),
            values: match map.remove("values") {
                Some(Value::Object(values)) => values,
                _ => Map::new(),
            },
        })
    }
}
