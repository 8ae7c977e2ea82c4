//! The server's side: RFC 6455 section 4.2.

use greenway_app::{HttpError, Request};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use tungstenite::handshake::derive_accept_key;

use super::{Origins, VERSION, elements};
use crate::websocket::protocol::{Deflate, Extension, Negotiated, is_token, parse_extensions};

/// What the server takes.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    pub origins: &'a Origins,
    /// Subprotocols, the best first.
    pub protocols: &'a [String],
    pub deflate: Option<&'a Deflate>,
}

/// A handshake that is in order, and what was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// `Sec-WebSocket-Accept`.
    pub key: String,
    /// The first of the policy's subprotocols that the client offers.
    pub protocol: Option<String>,
    pub deflate: Option<Negotiated>,
    /// `Sec-WebSocket-Extensions`, if there is any.
    pub extensions: Option<String>,
}

/// Looks at a request: `None` if it does not ask for a WebSocket.
///
/// # Errors
///
/// 405 (with `Allow`), 400, 426 (with `Sec-WebSocket-Version` and `Upgrade`) or 403, in this
/// order of precedence.
pub fn accept(request: &Request, policy: Policy<'_>) -> Result<Option<Accepted>, HttpError> {
    if !has_element(request, "upgrade", "websocket")? {
        return Ok(None);
    }
    if request.method() != Method::GET {
        let error = HttpError::new(405, "a WebSocket handshake is a GET");
        return Err(error.with_header(header::ALLOW, "GET"));
    }
    if request.version() < Version::HTTP_11 {
        return Err(bad("a WebSocket handshake needs HTTP/1.1"));
    }
    if !has_element(request, "connection", "upgrade")? {
        return Err(bad("Connection lacks the option upgrade"));
    }
    if has_body(request) {
        return Err(bad("a WebSocket handshake has no body"));
    }
    check_version(request)?;
    let key =
        single(request, "sec-websocket-key")?.ok_or_else(|| bad("Sec-WebSocket-Key is missing"))?;
    let nonce = data_encoding::BASE64.decode(key.as_bytes());
    if !nonce.is_ok_and(|nonce| nonce.len() == 16) {
        return Err(bad("Sec-WebSocket-Key is not 16 bytes in base64"));
    }
    check_origin(request, policy.origins)?;
    let protocol = choose(request, policy.protocols)?;
    let offers = extensions(request)?;
    let agreed = policy.deflate.and_then(|deflate| deflate.accept(&offers));
    let (deflate, extensions) = agreed.unzip();
    Ok(Some(Accepted {
        key: derive_accept_key(key.as_bytes()),
        protocol,
        deflate,
        extensions,
    }))
}

impl Accepted {
    /// The fields of the 101, but for `Connection: upgrade`, which follows from `Upgrade`.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let mut insert = |name: HeaderName, value: &str| {
            let value = HeaderValue::from_str(value).expect("made of tokens and base64");
            headers.insert(name, value);
        };
        insert(header::SEC_WEBSOCKET_ACCEPT, &self.key);
        if let Some(protocol) = &self.protocol {
            insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        if let Some(extensions) = &self.extensions {
            insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions);
        }
        headers
    }
}

fn bad(message: &'static str) -> HttpError {
    HttpError::new(400, message)
}

/// The values of all fields of this name.
///
/// # Errors
///
/// 400 if one is not ASCII text.
fn values<'a>(request: &'a Request, name: &'static str) -> Result<Vec<&'a str>, HttpError> {
    let fields = request.head().fields();
    fields
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| {
            let text = str::from_utf8(value).ok().filter(|text| text.is_ascii());
            text.ok_or_else(|| HttpError::new(400, format!("{name} is not ASCII")))
        })
        .collect()
}

/// The value of a field that must not appear twice.
fn single<'a>(request: &'a Request, name: &'static str) -> Result<Option<&'a str>, HttpError> {
    match *values(request, name)? {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        _ => Err(HttpError::new(400, format!("more than one {name}"))),
    }
}

fn has_element(
    request: &Request,
    name: &'static str,
    element: &'static str,
) -> Result<bool, HttpError> {
    let values = values(request, name)?;
    Ok(elements(values).any(|found| found.eq_ignore_ascii_case(element)))
}

/// What follows the head of a handshake are frames; nobody may take them for a body.
fn has_body(request: &Request) -> bool {
    let mut fields = request.head().fields();
    fields.any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding")
            || name.eq_ignore_ascii_case("content-length") && value.iter().any(|&b| b != b'0')
    })
}

/// RFC 6455 section 4.4: who speaks another version is told ours.
fn check_version(request: &Request) -> Result<(), HttpError> {
    match single(request, "sec-websocket-version")? {
        Some(VERSION) => Ok(()),
        Some(_) => {
            let error = HttpError::new(426, "the WebSocket version must be 13");
            Err(error
                .with_header(header::SEC_WEBSOCKET_VERSION, VERSION)
                .with_header(header::UPGRADE, "websocket"))
        }
        None => Err(bad("Sec-WebSocket-Version is missing")),
    }
}

fn check_origin(request: &Request, origins: &Origins) -> Result<(), HttpError> {
    if *origins == Origins::Any {
        return Ok(());
    }
    match single(request, "origin")? {
        None => Ok(()),
        Some(origin) if origins.allow(origin, request) => Ok(()),
        Some(_) => Err(HttpError::new(
            403,
            "pages of this origin may not connect here",
        )),
    }
}

fn choose(request: &Request, protocols: &[String]) -> Result<Option<String>, HttpError> {
    let values = values(request, "sec-websocket-protocol")?;
    let offered: Vec<_> = elements(values).collect();
    if !offered.iter().all(|name| is_token(name)) {
        return Err(bad("Sec-WebSocket-Protocol is malformed"));
    }
    let chosen = protocols
        .iter()
        .find(|name| offered.contains(&name.as_str()));
    Ok(chosen.cloned())
}

/// RFC 6455 section 9.1: malformed lists fail the handshake, unknown extensions do not.
fn extensions(request: &Request) -> Result<Vec<Extension>, HttpError> {
    let mut extensions = Vec::new();
    for value in values(request, "sec-websocket-extensions")? {
        let list =
            parse_extensions(value).ok_or_else(|| bad("Sec-WebSocket-Extensions is malformed"))?;
        extensions.extend(list);
    }
    Ok(extensions)
}
