//! The server's side: RFC 6455 section 4.2.

use greenway_app::Head;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use std::borrow::Cow;
use std::fmt;
use tungstenite::handshake::derive_accept_key;

use super::{Origins, VERSION, elements};
use crate::http1::is_token;
use crate::websocket::{Deflate, DeflateParameters, Extension, parse_extensions};

/// What the server takes.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// Whose pages may connect.
    pub origins: &'a Origins,
    /// Subprotocols, the best first.
    pub protocols: &'a [String],
    /// What is agreed on of permessage-deflate; `None` for no compression.
    pub deflate: Option<&'a Deflate>,
}

/// Where the request was sent to, as the client sees it: behind a proxy that is trusted, the
/// proxy's word.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host, and port if it is not the scheme's; `None` if the request names none.
    pub host: Option<&'a str>,
}

/// A handshake that is not in order: the response that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// 400, 403, 405 or 426.
    pub status: StatusCode,
    /// What is wrong, in words that are safe to send back: they never quote the request.
    pub reason: Cow<'static, str>,
}

impl Rejection {
    fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            reason: reason.into(),
        }
    }

    fn bad(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// The fields that the status demands (RFC 9110 sections 15.5.6 and 15.5.22).
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        } else if self.status == StatusCode::UPGRADE_REQUIRED {
            let version = HeaderValue::from_static(VERSION);
            headers.insert(header::SEC_WEBSOCKET_VERSION, version);
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        headers
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_str(), self.reason)
    }
}

impl std::error::Error for Rejection {}

/// A handshake that is in order, and what was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// `Sec-WebSocket-Accept`.
    pub key: String,
    /// The first of the policy's subprotocols that the client offers.
    pub protocol: Option<String>,
    /// What was agreed on of permessage-deflate, for [`Encoder`](crate::websocket::Encoder) and
    /// [`Receiver`](crate::websocket::Receiver).
    pub deflate: Option<DeflateParameters>,
    /// `Sec-WebSocket-Extensions`, if there is any.
    pub extensions: Option<String>,
}

/// Looks at a head: `None` if it does not ask for a WebSocket.
///
/// # Errors
///
/// 405 (with `Allow`), 400, 426 (with `Sec-WebSocket-Version` and `Upgrade`) or 403, in this
/// order of precedence.
pub fn accept(
    head: &Head,
    site: Site<'_>,
    policy: Policy<'_>,
) -> Result<Option<Accepted>, Rejection> {
    if !has_element(head, "upgrade", "websocket")? {
        return Ok(None);
    }
    if head.method != Method::GET {
        let reason = "a WebSocket handshake is a GET";
        return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, reason));
    }
    if head.version < Version::HTTP_11 {
        return Err(Rejection::bad("a WebSocket handshake needs HTTP/1.1"));
    }
    if !has_element(head, "connection", "upgrade")? {
        return Err(Rejection::bad("Connection lacks the option upgrade"));
    }
    if has_body(head) {
        return Err(Rejection::bad("a WebSocket handshake has no body"));
    }
    check_version(head)?;
    let key = single(head, "sec-websocket-key")?
        .ok_or_else(|| Rejection::bad("Sec-WebSocket-Key is missing"))?;
    let nonce = data_encoding::BASE64.decode(key.as_bytes());
    if !nonce.is_ok_and(|nonce| nonce.len() == 16) {
        return Err(Rejection::bad(
            "Sec-WebSocket-Key is not 16 bytes in base64",
        ));
    }
    check_origin(head, site, policy.origins)?;
    let protocol = choose(head, policy.protocols)?;
    let offers = extensions(head)?;
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

/// The values of all fields of this name.
///
/// # Errors
///
/// 400 if one is not ASCII text.
fn values<'a>(head: &'a Head, name: &'static str) -> Result<Vec<&'a str>, Rejection> {
    head.fields()
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| {
            let text = str::from_utf8(value).ok().filter(|text| text.is_ascii());
            text.ok_or_else(|| Rejection::bad(format!("{name} is not ASCII")))
        })
        .collect()
}

/// The value of a field that must not appear twice.
fn single<'a>(head: &'a Head, name: &'static str) -> Result<Option<&'a str>, Rejection> {
    match *values(head, name)? {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        _ => Err(Rejection::bad(format!("more than one {name}"))),
    }
}

fn has_element(head: &Head, name: &'static str, element: &'static str) -> Result<bool, Rejection> {
    let values = values(head, name)?;
    Ok(elements(values).any(|found| found.eq_ignore_ascii_case(element)))
}

/// What follows the head of a handshake are frames; nobody may take them for a body.
fn has_body(head: &Head) -> bool {
    let mut fields = head.fields();
    fields.any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding")
            || name.eq_ignore_ascii_case("content-length") && value.iter().any(|&b| b != b'0')
    })
}

/// RFC 6455 section 4.4: who speaks another version is told ours.
fn check_version(head: &Head) -> Result<(), Rejection> {
    match single(head, "sec-websocket-version")? {
        Some(VERSION) => Ok(()),
        Some(_) => {
            let reason = "the WebSocket version must be 13";
            Err(Rejection::new(StatusCode::UPGRADE_REQUIRED, reason))
        }
        None => Err(Rejection::bad("Sec-WebSocket-Version is missing")),
    }
}

fn check_origin(head: &Head, site: Site<'_>, origins: &Origins) -> Result<(), Rejection> {
    if *origins == Origins::Any {
        return Ok(());
    }
    match single(head, "origin")? {
        None => Ok(()),
        Some(origin) if origins.allow(origin, site) => Ok(()),
        Some(_) => Err(Rejection::new(
            StatusCode::FORBIDDEN,
            "pages of this origin may not connect here",
        )),
    }
}

fn choose(head: &Head, protocols: &[String]) -> Result<Option<String>, Rejection> {
    let values = values(head, "sec-websocket-protocol")?;
    let offered: Vec<_> = elements(values).collect();
    if !offered.iter().all(|name| is_token(name.as_bytes())) {
        return Err(Rejection::bad("Sec-WebSocket-Protocol is malformed"));
    }
    let chosen = protocols
        .iter()
        .find(|name| offered.contains(&name.as_str()));
    Ok(chosen.cloned())
}

/// RFC 6455 section 9.1: malformed lists fail the handshake, unknown extensions do not.
fn extensions(head: &Head) -> Result<Vec<Extension>, Rejection> {
    let mut extensions = Vec::new();
    for value in values(head, "sec-websocket-extensions")? {
        let list = parse_extensions(value)
            .ok_or_else(|| Rejection::bad("Sec-WebSocket-Extensions is malformed"))?;
        extensions.extend(list);
    }
    Ok(extensions)
}
