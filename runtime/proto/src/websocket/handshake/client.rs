//! The client's side: RFC 6455 section 4.1.

use bytes::BytesMut;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::{VERSION, elements};
use crate::http1::ResponseHead;
use crate::websocket::{Deflate, DeflateParameters, parse_extensions};

/// A handshake of our own.
#[derive(Debug)]
pub struct Handshake {
    key: String,
    protocols: Vec<String>,
    deflate: Option<Deflate>,
}

/// What the server agreed to.
#[derive(Debug)]
pub struct Established {
    /// The subprotocol that it has chosen among those that were offered.
    pub protocol: Option<String>,
    /// What was agreed on of permessage-deflate.
    pub deflate: Option<DeflateParameters>,
}

/// There is no WebSocket at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The server answered with another status than 101.
    Status(u16),
    /// It answered 101, but not to our question.
    Faulty(&'static str),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the server answered {status} instead of 101"),
            Self::Faulty(problem) => write!(f, "the server's handshake is faulty: {problem}"),
        }
    }
}

impl Handshake {
    /// With a key of its own, from random numbers. Subprotocols must be tokens, the best first.
    pub fn new(protocols: Vec<String>, deflate: Option<Deflate>) -> Self {
        Self {
            key: generate_key(),
            protocols,
            deflate,
        }
    }

    /// The request. `host` is the authority of the URL, without a default port; `target` its path
    /// and query; `extra` are further fields, among which those of the handshake are left out.
    pub fn request(&self, host: &str, target: &str, extra: &HeaderMap) -> Vec<u8> {
        let mut head = format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\n\
             connection: upgrade\r\nsec-websocket-version: {VERSION}\r\n\
             sec-websocket-key: {}\r\n",
            self.key
        );
        if !self.protocols.is_empty() {
            head += &format!("sec-websocket-protocol: {}\r\n", self.protocols.join(", "));
        }
        if let Some(deflate) = &self.deflate {
            head += &format!("sec-websocket-extensions: {}\r\n", deflate.offer());
        }
        let mut head = head.into_bytes();
        for (name, value) in extra.iter().filter(|(name, _)| !is_ours(name)) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Takes the response's head off `buf`; `None` if more bytes have to arrive. What is left
    /// behind it are the first frames. Interim responses are passed over.
    ///
    /// # Errors
    ///
    /// The server refused, or broke a rule; the connection is of no use.
    pub fn response(&self, buf: &mut BytesMut) -> Result<Option<Established>, Refused> {
        loop {
            let Some(head) = ResponseHead::read(buf).map_err(Refused::Faulty)? else {
                return Ok(None);
            };
            match head.status.as_u16() {
                101 => return self.check(&head.headers).map(Some),
                100..200 => {}
                status => return Err(Refused::Status(status)),
            }
        }
    }

    /// What the headers of a 101 say: as [`response`](Self::response), which reads them itself.
    ///
    /// # Errors
    ///
    /// The server broke a rule; the connection is of no use.
    pub fn check(&self, headers: &HeaderMap) -> Result<Established, Refused> {
        let has = |name: HeaderName, element: &str| {
            let values = headers.get_all(name).into_iter();
            elements(values.filter_map(|value| value.to_str().ok()))
                .any(|found| found.eq_ignore_ascii_case(element))
        };
        if !has(header::UPGRADE, "websocket") {
            return Err(Refused::Faulty("no upgrade to websocket"));
        }
        if !has(header::CONNECTION, "upgrade") {
            return Err(Refused::Faulty("Connection lacks the option upgrade"));
        }
        let expected = derive_accept_key(self.key.as_bytes());
        if single(headers, header::SEC_WEBSOCKET_ACCEPT)? != Some(&expected) {
            return Err(Refused::Faulty("Sec-WebSocket-Accept does not fit the key"));
        }
        let protocol = single(headers, header::SEC_WEBSOCKET_PROTOCOL)?.map(str::to_owned);
        if let Some(protocol) = &protocol
            && !self.protocols.contains(protocol)
        {
            return Err(Refused::Faulty("a subprotocol that was not offered"));
        }
        let deflate = self.extensions(headers)?;
        Ok(Established { protocol, deflate })
    }

    fn extensions(&self, headers: &HeaderMap) -> Result<Option<DeflateParameters>, Refused> {
        let mut extensions = Vec::new();
        for value in headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS) {
            let list = value.to_str().ok().and_then(parse_extensions);
            extensions.extend(list.ok_or(Refused::Faulty("malformed extensions"))?);
        }
        match &self.deflate {
            Some(deflate) => deflate.check(&extensions).map_err(Refused::Faulty),
            None if extensions.is_empty() => Ok(None),
            None => Err(Refused::Faulty("an extension that was not offered")),
        }
    }
}

/// Fields that the handshake sets itself.
fn is_ours(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::UPGRADE,
        header::CONNECTION,
        header::SEC_WEBSOCKET_VERSION,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_EXTENSIONS,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
    ]
    .contains(name)
}

fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Refused> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next().map(HeaderValue::to_str).transpose();
    let value = value.map_err(|_| Refused::Faulty("a field is not ASCII"))?;
    match values.next() {
        None => Ok(value),
        Some(_) => Err(Refused::Faulty("a field appears twice")),
    }
}
