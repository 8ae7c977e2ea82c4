//! Requests as they stand on the wire.
//!
//! Only the shape that most tests need. What a test is about, it writes out itself.

use std::fmt::Write as _;

/// `GET` of a path, keeping the connection.
#[must_use]
pub fn get(path: &str) -> String {
    with("GET", path, "", "")
}

/// `GET` of a path as the last request of its connection.
#[must_use]
pub fn get_close(path: &str) -> String {
    with("GET", path, "Connection: close\r\n", "")
}

/// `POST` of a body with its Content-Length.
#[must_use]
pub fn post(path: &str, body: &str) -> String {
    with(
        "POST",
        path,
        &format!("Content-Length: {}\r\n", body.len()),
        body,
    )
}

/// `POST` of a body in chunks, one for each of `chunks`.
#[must_use]
pub fn post_chunked(path: &str, chunks: &[&str]) -> String {
    let mut body = String::new();
    for chunk in chunks {
        body.push_str(&self::chunk(chunk));
    }
    body.push_str("0\r\n\r\n");
    with("POST", path, "Transfer-Encoding: chunked\r\n", &body)
}

/// One chunk of a chunked body. An empty one ends the body.
#[must_use]
pub fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// Any request; `fields` are whole lines, each with its CRLF.
#[must_use]
pub fn with(method: &str, path: &str, fields: &str, body: &str) -> String {
    let mut request = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        request,
        "{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n{body}"
    );
    request
}
