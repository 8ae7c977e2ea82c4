//! HTTP/1 and WebSocket for servers, as state machines over bytes.
//!
//! Everything of Greenway that knows a wire format lives in this crate. It takes buffers and says
//! what it found in them, and it writes responses and frames into buffers; whoever owns the socket
//! decides when to read, to write and to give up. The server, its tests and its fuzz targets thus
//! share one and the same protocol.
//!
//! ```text
//!               http1                                    websocket
//!   bytes --> HeadReader --> RequestHead --> (application)     |
//!   bytes --> Decoder    --> body            |          \--> handshake --> 101
//!                                            v                 |
//!   bytes <-- write_head, chunk_head <-- plan     bytes --> Receiver --> Event
//!                                                 bytes <-- Encoder  <-- Message
//! ```
//!
//! # In scope
//!
//! - Request heads, request bodies by length and in chunks, and all rules about where one message
//!   ends and the next one begins ([`http1`]).
//! - How a response is framed, response heads and chunks, interim and error responses.
//! - The WebSocket handshake of both ends, frames, messages, permessage-deflate ([`websocket`]).
//! - Limits for all of it: untrusted input costs bounded memory and never panics.
//!
//! # Out of scope
//!
//! - **I/O.** No socket is read or written, no name is resolved, no file is opened.
//! - **Time.** No clock is looked at. Deadlines are the caller's, and the [date](http1::Date) of a
//!   response is passed in.
//! - **Threads.** None is started, nothing is shared, no thread-local is kept. What is worth
//!   sharing (the [date](http1::DateCache), the [compressors](websocket::CompressorPool)) is a value
//!   that the caller owns.
//! - HTTP/1 clients, apart from what a WebSocket's and a test's need; TLS.
//! - HTTP/2's frames, header compression and flow control, which the crate `h2` has. Here is what
//!   HTTP/2 has in common with HTTP/1, and what keeps a peer from wearing it out ([`http2`]).
//! - Content: codings, ranges, conditional requests and cookies are the application's.
//!
//! One thing does come from the system: the masks and the key of a WebSocket *client*, which have
//! to be random (RFC 6455 sections 4.1 and 10.3). A server never asks for them.
//!
//! # HTTP/1
//!
//! One exchange, to the byte:
//!
//! ```
//! use bytes::BytesMut;
//! use greenway_proto::http1::{
//!     BodyLength, Date, Decoder, HeadLimits, HeadReader, RequestInfo, Step, plan, write_head,
//! };
//! use http::{Method, StatusCode};
//! use std::time::{Duration, UNIX_EPOCH};
//!
//! // A head comes in two reads, and its body with the second one.
//! let (mut reader, limits) = (HeadReader::default(), HeadLimits::default());
//! let mut buf = BytesMut::from("POST /up HTTP/1.1\r\nHost: a\r\nContent-Le");
//! assert!(reader.read(&mut buf, &limits)?.is_none());
//! buf.extend_from_slice(b"ngth: 2\r\n\r\nhi");
//! let request = reader.read(&mut buf, &limits)?.expect("it is complete");
//! assert_eq!(request.head.method, Method::POST);
//! assert_eq!(request.head.text(request.head.path), "/up");
//! assert_eq!(request.body, BodyLength::Length(2));
//!
//! let mut body = Decoder::new(request.body);
//! assert_eq!(body.next(&mut buf)?, Step::Data(2));
//! assert_eq!(body.take(&mut buf, 2), "hi");
//! assert_eq!(body.next(&mut buf)?, Step::End);
//!
//! let info = RequestInfo {
//!     head: request.head.method == Method::HEAD,
//!     version: request.head.version,
//!     keep_alive: request.keep_alive,
//! };
//! let response = plan(&info, StatusCode::OK, None, Some(5));
//! let date = Date::at(UNIX_EPOCH + Duration::from_secs(784_111_777));
//! let mut out = Vec::new();
//! write_head(&mut out, info.version, StatusCode::OK, None, None, &response, &date);
//! out.extend_from_slice(b"Done.");
//! assert_eq!(
//!     str::from_utf8(&out)?,
//!     "HTTP/1.1 200 OK\r\n\
//!      server: greenway\r\n\
//!      date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
//!      content-length: 5\r\n\
//!      \r\n\
//!      Done."
//! );
//! assert!(response.keep_alive, "the next head may follow");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # WebSocket
//!
//! The example of RFC 6455 section 1.3, and then of section 5.7:
//!
//! ```
//! use bytes::BytesMut;
//! use greenway_proto::http1::{HeadLimits, HeadReader};
//! use greenway_proto::websocket::handshake::server::{Policy, Site, accept};
//! use greenway_proto::websocket::{Encoder, Event, Limits, Origins, Receiver, Role};
//!
//! let mut buf = BytesMut::from(
//!     "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
//!      Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
//!      Origin: http://example.com\r\nSec-WebSocket-Version: 13\r\n\r\n",
//! );
//! let request = HeadReader::default().read(&mut buf, &HeadLimits::default())?;
//! let request = request.expect("it is complete");
//! let site = Site { scheme: "http", host: Some("server.example.com") };
//! let policy = Policy { origins: &Origins::Any, protocols: &[], deflate: None };
//! let accepted = accept(&request.head, site, policy)?.expect("it asks for a WebSocket");
//! assert_eq!(accepted.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
//!
//! let mut receiver = Receiver::new(Role::Server, Limits::default(), accepted.deflate.as_ref());
//! buf.extend_from_slice(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
//! assert_eq!(receiver.next(&mut buf)?, Some(Event::Message("Hello".into())));
//!
//! let mut encoder = Encoder::new(Role::Server, accepted.deflate.as_ref());
//! let mut out = Vec::new();
//! encoder.message(&"Hello".into(), &mut out);
//! assert_eq!(out, b"\x81\x05Hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod http1;
pub mod http2;
pub mod websocket;

// The example in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
