//! What may stand in a header, for all that build one: responses, errors, and requests of tests.
//!
//! What must stay true: a name or value with CR, LF or NUL is refused here, and nothing else in
//! the crate makes headers of foreign text.

use std::fmt;

use http::{HeaderName, HeaderValue};

/// A header that can stand on the wire (RFC 9110, 5.5), or what is wrong with it.
pub(crate) fn checked_header<N, V>(name: N, value: V) -> Result<(HeaderName, HeaderValue), String>
where
    N: TryInto<HeaderName, Error: fmt::Display>,
    V: TryInto<HeaderValue, Error: fmt::Display>,
{
    let name = name
        .try_into()
        .map_err(|error| format!("the header name is refused: {error}"))?;
    let value = value.try_into().map_err(|error| {
        format!(
            "the value given for header `{name}` cannot stand in a header \
             (CR, LF, NUL or another control character): {error}"
        )
    })?;
    Ok((name, value))
}
