//! A response's head off the front of a buffer, for the WebSocket handshake's client and for the
//! client of tests. What they ask is their own server's or one that they trust, so limits are fixed.

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The most bytes of a response's head, and the most fields in it.
const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 100;

/// The head of a response of HTTP/1.1.
#[derive(Debug)]
pub struct ResponseHead {
    /// Its status, which may be an interim one.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
}

impl ResponseHead {
    /// Takes a head off `buf`; `None` if more bytes have to arrive.
    ///
    /// # Errors
    ///
    /// What is wrong with it; the connection is of no use.
    pub fn read(buf: &mut BytesMut) -> Result<Option<Self>, &'static str> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(buf) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if buf.len() < MAX_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) => return Err("its head is too big"),
            Err(_) => return Err("malformed HTTP"),
        };
        let (Some(1), Some(status)) = (response.version, response.code) else {
            return Err("not HTTP/1.1");
        };
        let status = StatusCode::from_u16(status).map_err(|_| "a status of its own")?;
        let mut headers = HeaderMap::new();
        for field in &*response.headers {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            match (name, value) {
                (Ok(name), Ok(value)) => headers.append(name, value),
                _ => return Err("malformed HTTP"),
            };
        }
        buf.advance(length);
        Ok(Some(Self { status, headers }))
    }
}
