//! Middleware that most applications need some of.
//!
//! Each is installed with [`App::install`](crate::App::install), for a group or for a route
//! ([`RouteBuilder::apply`](crate::RouteBuilder::apply)), and a route does without it by
//! [`RouteBuilder::skip`](crate::RouteBuilder::skip). The first that is installed is the outermost;
//! this order is right for nearly all applications:
//!
//! ```
//! use greenway_app::App;
//! use greenway_app::middleware::*;
//! use std::time::Duration;
//!
//! let mut app = App::new();
//! app.install(RequestIds::new()) // all others can name the request
//!     .install(SecurityHeaders::new()) // on refusals, too
//!     .install(Cors::new().origin("https://app.example")) // preflights carry no credentials
//!     .install(RateLimit::new(100, Duration::from_secs(60))) // before anything that costs
//!     .install(Compression::new())
//!     .install(ETags::new()); // of what is compressed on its way out
//! ```
//!
//! What must stay true: none of them waits for a body or keeps one whole; none of them answers
//! HEAD with other headers than GET; a header that a handler has set is the handler's (but
//! [`Cors`] sets its own over the handler's); and what a client sends can make a table or a string
//! grow to a fixed bound and no further.

#[cfg(feature = "auth")]
mod auth;
#[cfg(feature = "compression")]
mod compression;
mod cors;
mod etags;
mod limits;
mod method_override;
mod rate;
mod request_ids;
mod security_headers;

use http::{HeaderMap, HeaderValue, header};

#[cfg(feature = "auth")]
pub use self::auth::{BasicAuth, BearerAuth, User};
#[cfg(feature = "compression")]
pub use self::compression::Compression;
pub use self::cors::Cors;
pub use self::etags::ETags;
pub use self::limits::{BodyLimit, TimeLimit};
pub use self::method_override::method_override;
pub use self::rate::{MemoryRates, Quota, RateLimit, RateStore};
pub use self::request_ids::RequestIds;
pub use self::security_headers::SecurityHeaders;
use crate::semantics::elements;

/// Notes that the answer depends on this field of requests (RFC 9110, 12.5.5).
fn vary(headers: &mut HeaderMap, name: &'static str) {
    let is_known = |known: &[u8]| known == b"*" || known.eq_ignore_ascii_case(name.as_bytes());
    let mut fields = headers.get_all(header::VARY).iter();
    if !fields.any(|value| elements(value.as_bytes()).any(is_known)) {
        headers.append(header::VARY, HeaderValue::from_static(name));
    }
}

/// 128 bits that nobody can guess, as 32 hexadecimal digits.
fn random_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
