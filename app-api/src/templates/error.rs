//! What went wrong in a template, for the log.

use std::error::Error;
use std::fmt::Write;

use super::source::Sources;
use crate::HttpError;

/// How many names a message lists.
const LISTED: usize = 20;

/// The error and its causes, each with its template and line.
pub(super) fn chain(error: &minijinja::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _infallible = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// No template has this name.
#[track_caller]
pub(super) fn unknown(name: &str, sources: &Sources) -> HttpError {
    let mut names: Vec<_> = sources.keys().take(LISTED).map(String::as_str).collect();
    if sources.len() > LISTED {
        names.push("...");
    }
    let names = names.join(", ");
    HttpError::from(format!("no template is named {name:?}; there are: {names}"))
}
