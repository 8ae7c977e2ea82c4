//! Payloads that make two servers see different requests.
//!
//! Each hides a second request, for `/admin`, where one reading of the framing
//! sees a body and another sees a request. The only right answer is a refusal
//! before it: no event may tell of `/admin`, neither as a head nor as data of a
//! complete body.

use super::{Event, whole};

const HIDDEN: &str = "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n";

/// A POST with these fields and this body; `{}` becomes the hidden request.
fn refused(fields: &str, body: &str) -> Result<(), String> {
    let body = body.replace("{}", HIDDEN);
    let input = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}");
    let seen = whole(input.as_bytes());
    let escaped = seen.iter().any(|event| match event {
        Event::Head(head) => head.target == "/admin",
        Event::End => true,
        Event::Body(_) | Event::Refused(_) => false,
    });
    match seen.last() {
        Some(Event::Refused(reject)) if !escaped && reject.status.as_u16() / 100 >= 4 => Ok(()),
        _ => Err(format!("{input:?} gave {seen:?}")),
    }
}

fn all_refused(table: &[(&str, &str)]) {
    for (fields, body) in table {
        if let Err(complaint) = refused(fields, body) {
            panic!("{complaint}");
        }
    }
}

/// The front takes Content-Length, the back Transfer-Encoding, or vice versa.
#[test]
fn both_framings() {
    all_refused(&[
        (
            "Content-Length: 41\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n{}",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "24\r\n{}\r\n0\r\n\r\n",
        ),
        (
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n{}",
        ),
        ("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", "{}"),
        ("Content-Length: 5\r\nTransfer-Encoding: \r\n", "{}"),
        ("Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n", "{}"),
    ]);
}

/// Two lengths, or one that can be read as two.
#[test]
fn two_lengths() {
    all_refused(&[
        ("Content-Length: 0\r\nContent-Length: 36\r\n", "{}"),
        ("Content-Length: 36\r\nContent-Length: 0\r\n", "{}"),
        ("Content-Length: 36\r\ncontent-length: 36\r\n", "{}"),
        ("Content-Length: 0, 36\r\n", "{}"),
        ("Content-Length: 36, 36\r\n", "{}"),
        ("Content-Length: +36\r\n", "{}"),
        ("Content-Length: 0x24\r\n", "{}"),
        ("Content-Length: 3 6\r\n", "{}"),
        ("Content-Length: 36;\r\n", "{}"),
        ("Content-Length: -1\r\n", "{}"),
        ("Content-Length: \r\n", "{}"),
        // 2^64 wraps to 0 in a careless parser, 2^64 + 36 to 36.
        ("Content-Length: 18446744073709551616\r\n", "{}"),
        ("Content-Length: 18446744073709551652\r\n", "{}"),
    ]);
}

/// `Transfer-Encoding` so disguised that one of two does not recognise it.
#[test]
fn disguised_codings() {
    let body = "0\r\n\r\n{}";
    for fields in [
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;a=b\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: , chunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding:\u{c}chunked\r\n",
        "Transfer-Encoding: chunked\u{b}\r\n",
        "Transfer-Encoding: chunked\u{0}\r\n",
        "Transfer-Encoding: chunk\u{131}ed\r\n",
        "Transfer-Encoding\u{0}: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding\u{b}: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "\tTransfer-Encoding: chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding\r\n: chunked\r\n",
        "Transfer-Encoding: chunked\r\n\tx\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\r\rTransfer-Encoding: chunked\r\n",
        "X: y\0Transfer-Encoding: chunked\r\n",
        "\u{feff}Transfer-Encoding: chunked\r\n",
        "Transfer Encoding: chunked\r\n",
        "X: y\r\n\nTransfer-Encoding: chunked\r\n",
    ] {
        all_refused(&[
            (fields, body),
            (&format!("Content-Length: 41\r\n{fields}"), body),
        ]);
    }
}

/// Chunks whose end can be seen at two places.
#[test]
fn chunk_tricks() {
    let te = "Transfer-Encoding: chunked\r\n";
    all_refused(&[
        // Line ends of the size line.
        (te, "0\n\r\n{}"),
        (te, "0\r\r\n{}"),
        (te, "0\r\n\n{}"),
        (te, "0\n\n{}"),
        (te, "1;\nx\r\n0\r\n\r\n{}"),
        (te, "1;\rx\r\n0\r\n\r\n{}"),
        // The terminator of the data: missing, doubled, or something else.
        (te, "1\r\nx0\r\n\r\n{}"),
        (te, "1\r\nx\n0\r\n\r\n{}"),
        (te, "1\r\nx\r0\r\n\r\n{}"),
        (te, "1\r\nxx\r\n0\r\n\r\n{}"),
        (te, "1\r\nxXX0\r\n\r\n{}"),
        (te, "1\r\nx\r\n\r\n0\r\n\r\n{}"),
        // Sizes that overflow, or that only some parsers accept.
        (te, "10000000000000000\r\n{}"),
        (te, "fffffffffffffffff\r\n{}"),
        (te, "100000000000000000000000000000000\r\n{}"),
        (te, "0x0\r\n\r\n{}"),
        (te, "-0\r\n\r\n{}"),
        (te, "+0\r\n\r\n{}"),
        (te, " 0\r\n\r\n{}"),
        (te, "0 \r\n\r\n{}"),
        (te, "0_0\r\n\r\n{}"),
        (te, "0,0\r\n\r\n{}"),
        (te, "\r\n0\r\n\r\n{}"),
        (te, "z\r\n\r\n{}"),
        // Trailers that are a request in disguise.
        (te, "0\r\n{}"),
        (te, "0\r\nx\r\n\r\n{}"),
        (te, "0\r\n x: y\r\n\r\n{}"),
        (te, "0\r\nx: y\n\r\n{}"),
    ]);
}

/// The hidden request in the head itself.
#[test]
fn line_end_tricks() {
    all_refused(&[
        ("X: y\n\n", "{}"),
        ("X: y\r\n\n", "{}"),
        ("X: y\n\r\n", "{}"),
        ("X: y\r\r\n", "{}"),
        ("X: y\r\n\r\r\n", "{}"),
        ("Host: other\r\n", "{}"),
        ("host: h\r\n", "{}"),
    ]);
}

/// The control: an honest body that contains a request is a body, and a
/// pipelined request is a request.
#[test]
fn honest_requests_pass() {
    let length = HIDDEN.len();
    let by_length =
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{HIDDEN}");
    let by_chunk = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
         {length:x}\r\n{HIDDEN}\r\n0\r\n\r\n"
    );
    for input in [by_length, by_chunk] {
        let seen = whole((input + HIDDEN).as_bytes());
        assert_eq!(seen.len(), 5, "{seen:?}");
        assert_eq!(seen[1], Event::Body(HIDDEN.as_bytes().to_vec()));
        assert!(matches!(&seen[3], Event::Head(head) if head.target == "/admin"));
    }
}
