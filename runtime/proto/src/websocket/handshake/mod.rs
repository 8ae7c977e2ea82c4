//! The opening handshake without I/O (RFC 6455 section 4).
//!
//! [`server`] looks at a request and says what is to be answered; [`client`] makes a request and
//! looks at the response. Neither waits, reads or writes: connections do.
//!
//! `tungstenite` derives the keys. Its own handshakes read and write a stream, and its server takes
//! neither subprotocols nor extensions nor looks at `Origin`, so what is around the keys is written
//! here. A server's side takes the [`Head`](greenway_app::Head) that
//! [`HeadReader`](crate::http1::HeadReader) gives, and answers with a [`Rejection`](server::Rejection)
//! instead of an application's error, so that it can be used without an application. A client's key
//! comes from the system's random numbers; taking it as a parameter would only invite a constant.
//!
//! What must stay true: a request that does not ask for a WebSocket is no error; one that asks
//! wrongly gets the status that says what is wrong; and a response holds nothing that was not
//! offered.

pub mod client;
mod origin;
pub mod server;

#[cfg(test)]
mod tests;

pub use self::origin::Origins;

/// The only version that there is (RFC 6455 section 4.1).
const VERSION: &str = "13";

/// The elements of comma-separated lists in several fields, without blanks and empty ones.
fn elements<'a>(values: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let elements = values.into_iter().flat_map(|value| value.split(','));
    elements
        .map(|element| element.trim_matches([' ', '\t']))
        .filter(|element| !element.is_empty())
}
