//! Framing, Host, Connection, Expect and Upgrade.

use super::{BodyLength, HeadRecord, lines};

const POST: &str = "POST / HTTP/1.1";
const HOST: &str = "Host: h";

/// A request of this version with these fields, Host included.
fn with(version: &str, fields: &[&str]) -> Result<HeadRecord, u16> {
    let line = format!("POST / HTTP/{version}");
    let mut all = vec![line.as_str(), HOST];
    all.extend_from_slice(fields);
    lines(&all)
}

/// RFC 9112 section 6.3 for requests.
#[test]
fn body_length() {
    use BodyLength::{Chunked, Length, None};
    let long = format!("Content-Length: {}1", "0".repeat(30));
    for (fields, expected) in [
        (&[][..], Ok(None)),
        (&["Content-Length: 0"], Ok(None)),
        (&["Content-Length: 5"], Ok(Length(5))),
        (&["content-LENGTH:5"], Ok(Length(5))),
        (&["Content-Length: \t5 \t"], Ok(Length(5))),
        (&["Content-Length: 005"], Ok(Length(5))),
        (&[&long], Ok(Length(1))),
        (
            &["Content-Length: 18446744073709551615"],
            Ok(Length(u64::MAX)),
        ),
        (&["Content-Length: 18446744073709551616"], Err(400)),
        (&["Content-Length: 99999999999999999999999"], Err(400)),
        (&["Content-Length:"], Err(400)),
        (&["Content-Length: +5"], Err(400)),
        (&["Content-Length: -0"], Err(400)),
        (&["Content-Length: -5"], Err(400)),
        (&["Content-Length: 5 5"], Err(400)),
        (&["Content-Length: 5,"], Err(400)),
        (&["Content-Length: 5, 5"], Err(400)),
        (&["Content-Length: 0x5"], Err(400)),
        (&["Content-Length: 5.0"], Err(400)),
        (&["Content-Length: 1e3"], Err(400)),
        (&["Content-Length: 1_000"], Err(400)),
        (&["Content-Length: \"5\""], Err(400)),
        (&["Content-Length: \u{665}"], Err(400)),
        (&["Content-Length: 5", "Content-Length: 5"], Err(400)),
        (&["Content-Length: 5", "content-length: 6"], Err(400)),
        (&["Content-Length: 0", "Content-Length: 5"], Err(400)),
        (&["Transfer-Encoding: chunked"], Ok(Chunked)),
        (&["transfer-ENCODING:\tChunKED "], Ok(Chunked)),
        // Aliases by underscore are plain fields.
        (&["Content_Length: 5"], Ok(None)),
        (&["Transfer_Encoding: chunked"], Ok(None)),
        (&["Content_Length: 7", "Content-Length: 5"], Ok(Length(5))),
    ] {
        assert_eq!(
            with("1.1", fields).map(|seen| seen.body),
            expected,
            "{fields:?}"
        );
    }
}

/// RFC 9112 sections 6.1 and 7.
#[test]
fn transfer_encoding() {
    for (value, expected) in [
        ("chunked", Ok(())),
        ("CHUNKED", Ok(())),
        // Honest, but not supported.
        ("gzip, chunked", Err(501)),
        ("gzip,deflate , chunked", Err(501)),
        ("identity, CHUNKED", Err(501)),
        // Nobody can tell where the body ends: section 6.3, item 4.
        ("gzip", Err(400)),
        ("identity", Err(400)),
        ("br", Err(400)),
        ("chunked, br", Err(400)),
        // Made to be read in two ways.
        ("", Err(400)),
        (",", Err(400)),
        (", chunked", Err(400)),
        ("chunked,", Err(400)),
        ("chunked, chunked", Err(400)),
        ("chunked, gzip", Err(400)),
        ("chunked, identity", Err(400)),
        ("chunked chunked", Err(400)),
        ("chunked;q=1", Err(400)),
        ("gzip;q=1, chunked", Err(400)),
        ("xchunked", Err(400)),
        ("chunkedx", Err(400)),
        ("x-chunked", Err(400)),
        ("gzip, xchunked", Err(400)),
        ("xchunked, chunked", Err(400)),
        ("\"chunked\"", Err(400)),
        ("'chunked'", Err(400)),
        ("chunk\u{e9}d", Err(400)),
        ("\u{b}chunked", Err(400)),
        ("chunked\u{b}", Err(400)),
        ("chunked\u{0}", Err(400)),
        ("chunked\r\n\t", Err(400)),
    ] {
        let field = format!("Transfer-Encoding: {value}");
        assert_eq!(with("1.1", &[&field]).map(|_| ()), expected, "{value:?}");
    }
    for fields in [
        &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"][..],
        &["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding:"],
        &["Transfer-Encoding: chunked", "Content-Length: 5"],
        &["Content-Length: 5", "Transfer-Encoding: chunked"],
        &["Content-Length: 0", "Transfer-Encoding: chunked"],
        &["Content-Length: 5", "Transfer-Encoding: identity"],
        &["Transfer-Encoding : chunked"],
    ] {
        assert_eq!(with("1.1", fields).map(|_| ()), Err(400), "{fields:?}");
    }
    // Section 6.1: faulty in HTTP/1.0, whatever it says.
    for value in ["chunked", "identity", "gzip"] {
        let field = format!("Transfer-Encoding: {value}");
        assert_eq!(with("1.0", &[&field]).map(|_| ()), Err(400), "{value:?}");
    }
    assert_eq!(
        with("1.0", &["Content-Length: 5"]).unwrap().body,
        BodyLength::Length(5)
    );
}

/// RFC 9112 section 3.2.
#[test]
fn host() {
    for (value, valid) in [
        ("example.com", true),
        ("example.com:8080", true),
        ("EXAMPLE.com:0", true),
        ("127.0.0.1:65535", true),
        ("[::1]", true),
        ("[2001:db8::1]:443", true),
        ("[::ffff:1.2.3.4]", true),
        ("my_host", true),
        ("a%20b", true),
        ("a!$&'()*+,;=b~", true),
        // What a client sends whose target has no authority.
        ("", true),
        ("example.com:", true),
        ("example.com:80a", false),
        ("example.com:-1", false),
        ("example.com:65536", false),
        ("example.com:80:80", false),
        (":80", false),
        ("::1", false),
        ("user@example.com", false),
        ("user:pass@example.com", false),
        ("a b", false),
        ("a, b", false),
        ("a/b", false),
        ("http://a", false),
        ("a\\b", false),
        ("a?b", false),
        ("a#b", false),
        ("a%2", false),
        ("a%zz", false),
        ("<a>", false),
        ("\"a\"", false),
        ("caf\u{e9}", false),
        ("[::1", false),
        ("[]", false),
        ("[::1]x", false),
        ("[::1]80", false),
        ("[::1]:", true),
        ("[1.2.3.4]", false),
        ("[fe80::1%25eth0]", false),
        ("[v1.a]", false),
        ("x[::1]", false),
    ] {
        for version in ["1.0", "1.1"] {
            let line = format!("GET / HTTP/{version}");
            let outcome = lines(&[&line, &format!("Host: {value}")]).map(|_| ());
            assert_eq!(
                outcome,
                if valid { Ok(()) } else { Err(400) },
                "{value:?} {version}"
            );
        }
    }
    assert_eq!(lines(&["GET / HTTP/1.1"]).map(|_| ()), Err(400));
    assert_eq!(
        lines(&["GET / HTTP/1.1", "Hosts: h", "XHost: h"]).map(|_| ()),
        Err(400)
    );
    assert!(lines(&["GET / HTTP/1.0"]).is_ok());
    for version in ["1.0", "1.1"] {
        let line = format!("GET / HTTP/{version}");
        assert_eq!(lines(&[&line, HOST, HOST]).map(|_| ()), Err(400));
        assert_eq!(lines(&[&line, HOST, "host: i"]).map(|_| ()), Err(400));
        assert_eq!(lines(&[&line, HOST, "Host:"]).map(|_| ()), Err(400));
    }
    // Section 3.2.2: absolute-form replaces Host, but does not excuse it.
    let seen = lines(&["GET http://a/ HTTP/1.1", "Host: b"]).unwrap();
    assert_eq!(seen.authority.as_deref(), Some("a"));
    assert_eq!(lines(&["GET http://a/ HTTP/1.1"]).map(|_| ()), Err(400));
    assert_eq!(
        lines(&["GET http://a/ HTTP/1.1", "Host: b@c"]).map(|_| ()),
        Err(400)
    );
}

/// RFC 9112 section 9.3.
#[test]
fn persistence() {
    for (version, fields, expected) in [
        ("1.1", &[][..], true),
        ("1.1", &["Connection: close"], false),
        ("1.1", &["Connection: CLOSE"], false),
        ("1.1", &["Connection: keep-alive"], true),
        ("1.1", &["Connection: a, b, cLOse, foo"], false),
        ("1.1", &["Connection: a ,\tclose"], false),
        ("1.1", &["Connection: a,,close,"], false),
        ("1.1", &["Connection: keep-alive, close"], false),
        ("1.1", &["Connection: close, keep-alive"], false),
        ("1.1", &["Connection: a", "Connection: close"], false),
        (
            "1.1",
            &["Connection: close", "Connection: keep-alive"],
            false,
        ),
        ("1.1", &["Connection: closed"], true),
        ("1.1", &["Connection: not-close"], true),
        ("1.1", &["Connection: close x"], true),
        ("1.1", &["Connection:"], true),
        ("1.1", &["Keep-Alive: timeout=5"], true),
        ("1.0", &[], false),
        ("1.0", &["Connection: keep-alive"], true),
        ("1.0", &["Connection: Keep-Alive"], true),
        ("1.0", &["Connection: foo, Keep-Alive"], true),
        ("1.0", &["Connection: foo", "Connection: keep-alive"], true),
        ("1.0", &["Connection: keep-alive, close"], false),
        ("1.0", &["Connection: close"], false),
        ("1.0", &["Connection: keepalive"], false),
        ("1.0", &["Keep-Alive: timeout=5"], false),
        ("1.0", &["Proxy-Connection: keep-alive"], false),
    ] {
        let keep_alive = with(version, fields).unwrap().keep_alive;
        assert_eq!(keep_alive, expected, "{version} {fields:?}");
    }
}

/// RFC 9110 section 10.1.1.
#[test]
fn expectations() {
    const BODY: &str = "Content-Length: 1";
    const CHUNKED: &str = "Transfer-Encoding: chunked";
    for (version, fields, expected) in [
        ("1.1", &[BODY][..], Ok(false)),
        ("1.1", &[BODY, "Expect: 100-continue"], Ok(true)),
        ("1.1", &["Expect: 100-Continue", CHUNKED], Ok(true)),
        (
            "1.1",
            &[BODY, "Expect: 100-continue", "Expect: 100-continue"],
            Ok(true),
        ),
        ("1.1", &[BODY, "Expect: 100-continue, "], Ok(true)),
        ("1.1", &[BODY, "Expect:"], Ok(false)),
        ("1.1", &["Expect: 100-continue"], Ok(false)),
        (
            "1.1",
            &["Expect: 100-continue", "Content-Length: 0"],
            Ok(false),
        ),
        ("1.1", &[BODY, "Expect: 200-ok"], Err(417)),
        ("1.1", &["Expect: 200-ok"], Err(417)),
        ("1.1", &[BODY, "Expect: 100-continue, x"], Err(417)),
        (
            "1.1",
            &[BODY, "Expect: x", "Expect: 100-continue"],
            Err(417),
        ),
        ("1.1", &[BODY, "Expect: 100-continue;a=b"], Err(417)),
        ("1.1", &[BODY, "Expect: 100"], Err(417)),
        ("1.0", &[BODY, "Expect: 100-continue"], Ok(false)),
        ("1.0", &[BODY, "Expect: x"], Ok(false)),
    ] {
        let seen = with(version, fields).map(|seen| seen.expect_continue);
        assert_eq!(seen, expected, "{version} {fields:?}");
    }
}

/// RFC 9110 section 7.8.
#[test]
fn upgrades() {
    for (version, fields, expected) in [
        (
            "1.1",
            &["Upgrade: websocket", "Connection: Upgrade"][..],
            true,
        ),
        (
            "1.1",
            &["Connection: keep-alive, UPGRADE", "upgrade: h2c"],
            true,
        ),
        ("1.1", &["Upgrade: websocket"], false),
        ("1.1", &["Connection: upgrade"], false),
        (
            "1.1",
            &["Upgrade: websocket", "Connection: upgrades"],
            false,
        ),
        ("1.0", &["Upgrade: websocket", "Connection: Upgrade"], false),
    ] {
        assert_eq!(
            with(version, fields).unwrap().upgrade,
            expected,
            "{version} {fields:?}"
        );
    }
}

#[test]
fn the_method_does_not_change_the_framing() {
    // RFC 9112 section 6: "even if the method does not define any use for content".
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "X"] {
        let line = POST.replace("POST", method);
        let seen = lines(&[&line, HOST, "Content-Length: 3"]).unwrap();
        assert_eq!(seen.body, BodyLength::Length(3), "{method}");
    }
}
