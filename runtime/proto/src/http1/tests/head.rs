//! Request lines, line ends, field syntax and limits.

use bytes::BytesMut;
use http::Version;

use super::super::HeadReader;
use super::{Event, HeadLimits, HeadRecord, head, lines, whole, whole_with};

/// A GET of this target, and whether it is let through.
fn target(method: &str, target: &str) -> Result<HeadRecord, u16> {
    lines(&[&format!("{method} {target} HTTP/1.1"), "Host: h"])
}

#[test]
fn a_head_is_taken_apart() {
    let wire = b"POST /a%20b?c=d&e HTTP/1.1\r\nHost: example.com:80\r\nX-Empty:\r\n\
                 x-latin:  caf\xe9\t \r\nContent-Length: 3\r\n\r\nabcGET";
    let seen = head(wire).unwrap();
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.version, Version::HTTP_11);
    assert_eq!(seen.target, "/a%20b?c=d&e");
    assert_eq!(seen.path, "/a%20b");
    assert_eq!(seen.query.as_deref(), Some("c=d&e"));
    assert_eq!(seen.authority, None);
    let fields: [(&str, &[u8]); 4] = [
        ("Host", b"example.com:80"),
        ("X-Empty", b""),
        ("x-latin", b"caf\xe9"),
        ("Content-Length", b"3"),
    ];
    assert_eq!(seen.fields.len(), fields.len());
    for ((name, value), (expected_name, expected_value)) in seen.fields.iter().zip(fields) {
        assert_eq!(
            (name.as_str(), value.as_slice()),
            (expected_name, expected_value)
        );
    }
    assert_eq!(seen.wire, wire[..wire.len() - 6]);
    assert!(seen.keep_alive && !seen.expect_continue && !seen.upgrade);
}

#[test]
fn pipelined_heads_come_one_by_one() {
    let seen = whole(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /2 HTTP/1.0\r\n\r\nGET /3");
    let targets: Vec<_> = seen
        .iter()
        .filter_map(|event| match event {
            Event::Head(seen) => Some(seen.target.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(targets, ["/1", "/2"]);
    assert_eq!(
        seen.len(),
        4,
        "each of the two has ended, and the third has not begun"
    );
}

/// RFC 9112 section 3: `method SP request-target SP HTTP-version`.
#[test]
fn request_lines() {
    for (line, expected) in [
        ("GET / HTTP/1.1", Ok(("GET", Version::HTTP_11))),
        ("GET / HTTP/1.0", Ok(("GET", Version::HTTP_10))),
        // Section 9.1 of RFC 9110: methods are tokens, and case-sensitive.
        ("get / HTTP/1.1", Ok(("get", Version::HTTP_11))),
        ("PROPFIND / HTTP/1.1", Ok(("PROPFIND", Version::HTTP_11))),
        (
            "M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1",
            Ok(("M-SEARCH!#$%&'*+.^_`|~", Version::HTTP_11)),
        ),
        // RFC 9110 section 2.5: a higher minor version is the highest known.
        ("GET / HTTP/1.2", Ok(("GET", Version::HTTP_11))),
        ("GET / HTTP/1.9", Ok(("GET", Version::HTTP_11))),
        // Section 15.6.6: another major version.
        ("GET / HTTP/2.0", Err(505)),
        ("PRI * HTTP/2.0", Err(505)),
        ("GET / HTTP/3.7", Err(505)),
        ("GET / HTTP/0.9", Err(505)),
        // RFC 9112 section 2.3: "HTTP/" DIGIT "." DIGIT, case-sensitive.
        ("GET / HTTP/2", Err(400)),
        ("GET / HTTP/1.", Err(400)),
        ("GET / HTTP/1.10", Err(400)),
        ("GET / HTTP/11.1", Err(400)),
        ("GET / HTTP/1.a", Err(400)),
        ("GET / HTTP/a.1", Err(400)),
        ("GET / HTTP/+.1", Err(400)),
        ("GET / http/1.1", Err(400)),
        ("GET / HTTPS/1.1", Err(400)),
        ("GET / ICY/1.1", Err(400)),
        ("GET / HTTP/1.1 ", Err(400)),
        ("GET / HTTP/1.1 x", Err(400)),
        ("GET / HTTP/2.0\rx", Err(400)),
        // Single spaces, and nothing else for a space.
        ("GET  / HTTP/1.1", Err(400)),
        ("GET /  HTTP/1.1", Err(400)),
        ("GET\t/ HTTP/1.1", Err(400)),
        ("GET /\tHTTP/1.1", Err(400)),
        (" GET / HTTP/1.1", Err(400)),
        ("GET / a HTTP/1.1", Err(400)),
        ("GET / a HTTP/2.0", Err(400)),
        ("GET /", Err(400)),
        ("GET / ", Err(400)),
        ("GET", Err(400)),
        ("GET  HTTP/1.1", Err(400)),
        ("G<T / HTTP/1.1", Err(400)),
        ("G\u{e9}T / HTTP/1.1", Err(400)),
        ("\u{16}\u{3}\u{1}", Err(400)),
        (": / HTTP/1.1", Err(400)),
    ] {
        let seen = lines(&[line, "Host: h"]);
        let seen = seen
            .as_ref()
            .map(|seen| (seen.method.as_str(), seen.version));
        assert_eq!(seen, expected.as_ref().copied(), "{line:?}");
    }
}

/// RFC 9112 section 3.2.
#[test]
fn target_forms() {
    // Method, target; path, query, authority.
    for (method, text, path, query, authority) in [
        ("GET", "/", "/", None, None),
        ("GET", "/?", "/", Some(""), None),
        ("GET", "/a?b?c", "/a", Some("b?c"), None),
        ("GET", "//x/y", "//x/y", None, None),
        ("GET", "/http://h/", "/http://h/", None, None),
        ("GET", "/%zz%00", "/%zz%00", None, None),
        ("GET", "/?{}|\\^`[]'()", "/", Some("{}|\\^`[]'()"), None),
        ("OPTIONS", "*", "*", None, None),
        ("OPTIONS", "/", "/", None, None),
        ("GET", "http://a.b/c?d", "/c", Some("d"), Some("a.b")),
        ("GET", "http://a.b", "/", None, Some("a.b")),
        ("GET", "HTTP://a.b?d/e", "/", Some("d/e"), Some("a.b")),
        ("GET", "https://a.b:8443/", "/", None, Some("a.b:8443")),
        ("GET", "http://[::1]:80/x", "/x", None, Some("[::1]:80")),
        ("OPTIONS", "http://a.b", "/", None, Some("a.b")),
    ] {
        let seen = target(method, text).unwrap_or_else(|status| panic!("{text}: {status}"));
        assert_eq!(seen.target, text);
        assert_eq!(seen.path, path, "{text}");
        assert_eq!(seen.query.as_deref(), query, "{text}");
        assert_eq!(seen.authority.as_deref(), authority, "{text}");
    }
}

#[test]
fn targets_that_are_refused() {
    for (method, text, status) in [
        ("GET", "*", 400),
        ("OPTIONS", "*?a", 400),
        ("OPTIONS", "**", 400),
        ("GET", "a", 400),
        ("GET", "a/b", 400),
        ("GET", "?a", 400),
        ("GET", "h:80", 400),
        ("GET", "ftp://h/", 400),
        ("GET", "http:/h/", 400),
        ("GET", "http://", 400),
        ("GET", "http:///a", 400),
        ("GET", "http://?a", 400),
        ("GET", "http://u@h/", 400),
        ("GET", "http://u:p@h/", 400),
        ("GET", "http://h:x/", 400),
        ("GET", "http://h\\a/", 400),
        // RFC 9112 section 3.2: no fragment.
        ("GET", "/a#b", 400),
        ("GET", "#", 400),
        ("GET", "/\"", 400),
        ("GET", "/<a>", 400),
        ("GET", "/\u{7f}", 400),
        ("GET", "/\u{0}", 400),
        ("GET", "/\u{1f}", 400),
        ("GET", "/caf\u{e9}", 400),
        // RFC 9112 section 3.2.3.
        ("CONNECT", "h:443", 501),
        ("CONNECT", "/", 501),
        ("CONNECT", "h#", 400),
    ] {
        assert_eq!(
            target(method, text).map(|_| ()),
            Err(status),
            "{method} {text:?}"
        );
    }
    assert_eq!(
        head(b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n").map(|_| ()),
        Err(400)
    );
}

/// RFC 9112 section 2.2.
#[test]
fn empty_lines_before_a_request() {
    const HEAD: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for (before, expected) in [
        ("", Ok(())),
        ("\r\n", Ok(())),
        ("\r\n\r\n", Ok(())),
        ("\r\n\r\n\r\n", Err(400)),
        ("\n", Err(400)),
        ("\r", Err(400)),
        ("\r\r\n", Err(400)),
        (" \r\n", Err(400)),
        ("\0", Err(400)),
    ] {
        assert_eq!(
            head(before.to_owned() + HEAD).map(|_| ()),
            expected,
            "{before:?}"
        );
    }
    // They are not a part of the head, and do not start one.
    assert_eq!(
        head("\r\n".to_owned() + HEAD).unwrap().wire,
        HEAD.as_bytes()
    );
    let mut reader = HeadReader::default();
    for (input, started) in [("\r", false), ("\r\n", false), ("\r\nG", true)] {
        let mut buf = BytesMut::from(input);
        assert!(
            reader
                .read(&mut buf, &HeadLimits::default())
                .unwrap()
                .is_none()
        );
        assert_eq!(reader.started(), started, "{input:?}");
        reader = HeadReader::default();
    }
}

/// RFC 9112 sections 2.2, 5.1 and 5.2; RFC 9110 sections 5.1 and 5.5.
#[test]
fn line_ends_and_field_syntax() {
    for (rest, expected) in [
        ("\r\nHost: h\r\n\r\n", Ok(())),
        ("\r\nHost:h\r\n\r\n", Ok(())),
        ("\r\nHost: \t h \t\r\n\r\n", Ok(())),
        ("\r\nHost: h\r\na: b\tc d\r\n\r\n", Ok(())),
        ("\r\nHost: h\r\na:\r\nb: \r\n\r\n", Ok(())),
        ("\r\nHost: h\r\n!#$%&'*+-.^_`|~1: b\r\n\r\n", Ok(())),
        // LF without CR, at each of the places.
        ("\nHost: h\r\n\r\n", Err(400)),
        ("\r\nHost: h\n\r\n", Err(400)),
        ("\r\nHost: h\r\n\n", Err(400)),
        ("\r\nHost: h\n\n", Err(400)),
        ("\r\nHost:\n\r\n", Err(400)),
        ("\r\nHost: h\r\na:\n\r\n", Err(400)),
        ("\n\n", Err(400)),
        // CR without LF.
        ("\rHost: h\r\n\r\n", Err(400)),
        ("\r\nHost: h\ra: b\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\n\r\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na\r: b\r\n\r\n", Err(400)),
        // Folded lines.
        ("\r\nHost: h\r\na: b\r\n c\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na: b\r\n\tc: d\r\n\r\n", Err(400)),
        ("\r\n Host: h\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na:\r\n \r\n\r\n", Err(400)),
        // Names.
        ("\r\nHost : h\r\n\r\n", Err(400)),
        ("\r\nHost\t: h\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\n: b\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na b: c\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\n\"a\": b\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na(b): c\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na\u{e9}: c\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na\u{0}: c\r\n\r\n", Err(400)),
        // Values.
        ("\r\nHost: h\r\na: b\u{0}c\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na: \u{1}\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na: b\u{b}\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na: \u{7f}\r\n\r\n", Err(400)),
        ("\r\nHost: h\r\na: \u{1b}[31m\r\n\r\n", Err(400)),
    ] {
        let input = format!("GET / HTTP/1.1{rest}");
        assert_eq!(head(&input).map(|_| ()), expected, "{input:?}");
    }
    // A head without fields has no field line whose end could be checked.
    for (input, expected) in [
        ("GET / HTTP/1.0\r\n\r\n", Ok(())),
        ("GET / HTTP/1.0\r\n\n", Err(400)),
        ("GET / HTTP/1.0\n\r\n", Err(400)),
        ("GET / HTTP/1.0\n\n", Err(400)),
        ("GET / HTTP/1.0\r\n\r\r\n\r\n", Err(400)),
    ] {
        assert_eq!(head(input).map(|_| ()), expected, "{input:?}");
    }
    // Every control character, and obs-text, which is opaque but allowed.
    for byte in 0..=u8::MAX {
        let mut input = b"GET / HTTP/1.1\r\nHost: h\r\na: b".to_vec();
        input.extend_from_slice(&[byte, b'c', b'\r', b'\n', b'\r', b'\n']);
        let allowed = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        assert_eq!(head(&input).is_ok(), allowed, "{byte:#x}");
    }
}

/// What the limits let through, and the status beyond; each by one byte or one
/// field, complete and incomplete.
#[test]
fn limits() {
    let limits = HeadLimits {
        line: 40,
        fields: 3,
        field_size: 30,
    };
    let status = |input: &str| match whole_with(input.as_bytes(), &limits).first() {
        None => None,
        Some(Event::Head(_)) => Some(200),
        Some(Event::Refused(reject)) => Some(reject.status.as_u16()),
        other => panic!("{other:?}"),
    };
    let line = |length: usize| {
        let path = "p".repeat(length - "GET / HTTP/1.1".len());
        format!("GET /{path} HTTP/1.1")
    };
    let field = |length: usize| format!("x: {}", "v".repeat(length - 3));
    for (input, expected) in [
        (line(40) + "\r\nHost: h\r\n\r\n", Some(200)),
        (line(41) + "\r\nHost: h\r\n\r\n", Some(414)),
        (line(40), None),
        (line(40) + "\r", None),
        (line(41), Some(414)),
        ("G".repeat(41), Some(414)),
        (
            format!("{}\r\nHost: h\r\n{}\r\n\r\n", line(20), field(30)),
            Some(200),
        ),
        (
            format!("{}\r\nHost: h\r\n{}\r\n\r\n", line(20), field(31)),
            Some(431),
        ),
        (format!("{}\r\nHost: h\r\n{}", line(20), field(30)), None),
        (format!("{}\r\nHost: h\r\n{}\r", line(20), field(30)), None),
        (
            format!("{}\r\nHost: h\r\n{}", line(20), field(31)),
            Some(431),
        ),
        (
            format!("{}\r\n{}\r\nHost: h\r\n\r\n", line(20), field(31)),
            Some(431),
        ),
        // White space that is not a part of the value counts too.
        (
            format!("{}\r\nHost: h\r\na:{}b\r\n\r\n", line(20), " ".repeat(28)),
            Some(431),
        ),
        (line(20) + "\r\nHost: h\r\na: b\r\na: b\r\n\r\n", Some(200)),
        (
            line(20) + "\r\nHost: h\r\na: b\r\na: b\r\na: b\r\n\r\n",
            Some(431),
        ),
        (line(20) + "\r\nHost: h\r\na: b\r\na: b\r\na: b", None),
        (
            line(20) + "\r\nHost: h\r\na: b\r\na: b\r\na: b\r\n",
            Some(431),
        ),
    ] {
        assert_eq!(status(&input), expected, "{input:?}");
    }
}

#[test]
fn the_limits_by_default() {
    let limits = HeadLimits::default();
    assert_eq!(
        (limits.line, limits.fields, limits.field_size),
        (8000, 100, 8190)
    );
    let status = |fields: usize| {
        head("GET / HTTP/1.1\r\nHost: h\r\n".to_owned() + &"a: b\r\n".repeat(fields - 1) + "\r\n")
            .map(|seen| seen.fields.len())
    };
    assert_eq!(status(100), Ok(100));
    assert_eq!(status(101), Err(431));
}

/// Limits that are raised mean what they say; the usual ones leave 64 KiB for the whole head.
#[test]
fn bounds_above_the_limits() {
    let limits = HeadLimits {
        line: 70_000,
        fields: 1000,
        field_size: 131_072,
    };
    let outcome = |input: &[u8]| match whole_with(input, &limits).swap_remove(0) {
        Event::Head(seen) => Ok(seen.wire.len()),
        Event::Refused(reject) => Err((reject.status.as_u16(), reject.reason)),
        other => panic!("{other:?}"),
    };
    let start = "GET / HTTP/1.1\r\nHost: h\r\n".to_owned();
    let many = |fields: usize| start.clone() + &"a: b\r\n".repeat(fields - 1) + "\r\n";
    for count in [20, 21, 128, 129, 1000] {
        let head = many(count);
        assert_eq!(outcome(head.as_bytes()), Ok(head.len()), "{count} fields");
    }
    assert_eq!(
        outcome(many(1001).as_bytes()),
        Err((431, "too many fields"))
    );

    let large = |length: usize| {
        let rest = length - "a: ".len();
        format!("{start}a: {}\r\n\r\n", "v".repeat(rest))
    };
    assert!(outcome(large(131_072).as_bytes()).is_ok());
    assert_eq!(
        outcome(large(131_073).as_bytes()),
        Err((431, "field too long"))
    );
    let line = |length: usize| {
        let rest = length - "GET / HTTP/1.1".len();
        format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "p".repeat(rest))
    };
    assert!(outcome(line(70_000).as_bytes()).is_ok());
    assert_eq!(
        outcome(line(70_001).as_bytes()),
        Err((414, "request line too long"))
    );
    let none = HeadLimits {
        line: usize::MAX,
        fields: usize::MAX,
        field_size: usize::MAX,
    };
    let head = many(3000);
    assert!(matches!(
        whole_with(head.as_bytes(), &none).swap_remove(0),
        Event::Head(_)
    ));
    // A head of many fields below every other limit.
    let limits = HeadLimits::default();
    let wide = start + &format!("a: {}\r\n", "v".repeat(8000)).repeat(9) + "\r\n";
    assert_eq!(
        whole_with(wide.as_bytes(), &limits)[0],
        Event::Refused(super::Reject::too_large("head too large"))
    );
}
