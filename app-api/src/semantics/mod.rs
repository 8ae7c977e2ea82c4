//! Rules of RFC 9110 that static files and middleware share, as functions of text: conditions,
//! ranges, and the codings that a client accepts.
//!
//! What must stay true: nothing here reads a file, a clock or a request, so that a table of inputs
//! and outputs tests all of it; and no header that a client sends makes it panic, or do more work
//! than its length.

pub(crate) mod codings;
pub(crate) mod conditions;
pub(crate) mod dates;
pub(crate) mod disposition;
pub(crate) mod etag;
pub(crate) mod ranges;

/// The elements of a comma-separated list (RFC 9110, 5.6.1), trimmed; empty ones are left out.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}
