//! What is wrong with a form, field by field.

use serde::ser::{Serialize, Serializer};
use std::error::Error;
use std::fmt;

/// What is wrong with the fields of a form, in words for the visitor who has filled it in: what
/// [`Request::form_or_errors`](crate::Request::form_or_errors) has found, and what the application
/// [adds](FormErrors::add) of its own.
///
/// A template is given it as a map from fields to messages: `{{ errors.title }}`. Given up with
/// `?`, it is a 400 with all of the messages, whose [source](crate::HttpError::source) it is; so
/// [`App::error_for`](crate::App::error_for) can answer all of them alike.
///
/// ```
/// use greenway_app::forms::FormErrors;
///
/// let mut errors = FormErrors::new();
/// errors.add("title", "must not be empty");
/// assert_eq!(errors.get("title"), Some("must not be empty"));
/// assert_eq!(errors.to_string(), "title: must not be empty");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormErrors(Vec<(String, String)>);

impl FormErrors {
    /// Nothing is wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what is wrong with a field; with the form as a whole, where the name is empty.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push((field.into(), message.into()));
    }

    /// The first message of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.iter()
            .find(|(name, _)| *name == field)
            .map(|(_, message)| message)
    }

    /// All of them, as fields and messages.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(field, message)| (field.as_str(), message.as_str()))
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `title: is missing; count: must be a whole number`.
impl fmt::Display for FormErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (field, message)) in self.iter().enumerate() {
            let between = if at == 0 { "" } else { "; " };
            match field {
                "" => write!(f, "{between}{message}")?,
                _ => write!(f, "{between}{field}: {message}")?,
            }
        }
        Ok(())
    }
}

impl Error for FormErrors {}

/// A map from fields to their first messages.
impl Serialize for FormErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_first = |at: usize| self.0[..at].iter().all(|(name, _)| *name != self.0[at].0);
        let firsts = (0..self.0.len()).filter(|at| is_first(*at));
        serializer.collect_map(firsts.map(|at| (&self.0[at].0, &self.0[at].1)))
    }
}

#[cfg(feature = "templates")]
impl From<&FormErrors> for minijinja::Value {
    fn from(errors: &FormErrors) -> Self {
        minijinja::value::Serde(errors).into()
    }
}

#[cfg(feature = "templates")]
impl From<FormErrors> for minijinja::Value {
    fn from(errors: FormErrors) -> Self {
        (&errors).into()
    }
}
