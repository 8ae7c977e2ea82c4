//! Tables: fields of a request, and who it is then taken to be from.

use super::*;
use greenway_app::{Input, Request};
use proptest::prelude::*;

fn head(fields: &[(&str, &str)]) -> Head {
    let mut request = http::Request::get("/").header("Host", "inner");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Head::from_http(&request.body(()).unwrap().into_parts().0)
}

fn info(peer: &str, trust: &Trust) -> Arc<ConnectionInfo> {
    let info = ConnectionInfo::new("10.0.0.9:80".parse().ok(), peer.parse().ok());
    let trusted = trust.trusts_peer_of(&info);
    Arc::new(info.with_trusted_proxy(trusted))
}

/// Peer, scheme and host as the application sees them.
fn seen(fields: &[(&str, &str)]) -> Result<String, &'static str> {
    let trust: Trust = "10.0.0.0/8".parse().unwrap();
    let info = info("10.0.0.1:99", &trust);
    let mut head = head(fields);
    let info = match apply(&mut head, &info, &trust) {
        Ok(told) => told.unwrap_or(info),
        Err(why) => return Err(why),
    };
    let request = Request::new(head, Input::empty(), info.clone()).unwrap();
    let peer = info.peer.unwrap();
    Ok(format!(
        "{}://{} {peer}",
        info.scheme,
        request.host().unwrap()
    ))
}

fn assert_seen(fields: &[(&str, &str)], expected: &str) {
    assert_eq!(seen(fields).as_deref(), Ok(expected), "{fields:?}");
}

const FOR: &str = "X-Forwarded-For";
const PROTO: &str = "X-Forwarded-Proto";
const HOST: &str = "X-Forwarded-Host";
const STANDARD: &str = "Forwarded";

#[test]
fn the_rightmost_hop_that_is_not_trusted_is_the_client() {
    for (list, expected) in [
        ("192.0.2.1", "192.0.2.1:0"),
        ("192.0.2.1:5", "192.0.2.1:5"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1:0"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1:0"),
        ("6.6.6.6,192.0.2.1 ,\t10.0.0.2,", "192.0.2.1:0"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3:0"),
        ("2001:db8::1", "[2001:db8::1]:0"),
        ("[2001:db8::1]", "[2001:db8::1]:0"),
        ("[2001:db8::1]:5", "[2001:db8::1]:5"),
        ("::ffff:192.0.2.1", "192.0.2.1:0"),
        ("6.6.6.6, unknown, 10.0.0.2", "10.0.0.2:0"),
        ("6.6.6.6, unknown", "10.0.0.1:99"),
        ("<script>", "10.0.0.1:99"),
        ("", "10.0.0.1:99"),
    ] {
        assert_seen(&[(FOR, list)], &format!("http://inner {expected}"));
    }
    let lines = [(FOR, "6.6.6.6"), (FOR, "192.0.2.1"), (FOR, "10.0.0.2")];
    assert_seen(&lines, "http://inner 192.0.2.1:0");
}

#[test]
fn a_prefix_is_believed_and_checked() {
    let trust: Trust = "10.0.0.0/8".parse().unwrap();
    let prefix = |peer: &str, fields: &[(&str, &str)]| {
        let told = apply(&mut head(fields), &info(peer, &trust), &trust)?;
        Ok(told.and_then(|info| info.prefix.as_deref().map(str::to_owned)))
    };
    for (value, expected) in [
        ("/app", Ok(Some("/app"))),
        ("/app/", Ok(Some("/app"))),
        ("/a/b%20c", Ok(Some("/a/b%20c"))),
        ("/", Ok(None)),
        ("", Ok(None)),
        ("app", Err(MALFORMED)),
        ("//evil.example", Err(MALFORMED)),
        ("/a//b", Err(MALFORMED)),
        ("/a/../b", Err(MALFORMED)),
        ("/a?b", Err(MALFORMED)),
        ("/a\"b", Err(MALFORMED)),
        ("/\\evil.example", Err(MALFORMED)),
        // Of the hop that the client came in by.
        ("/evil, /app", Ok(Some("/app"))),
    ] {
        let got = prefix("10.0.0.1:99", &[("X-Forwarded-Prefix", value)]);
        assert_eq!(
            got,
            expected.map(|text| text.map(str::to_owned)),
            "{value:?}"
        );
    }
    assert_eq!(
        prefix("192.0.2.1:9", &[("X-Forwarded-Prefix", "/app")]),
        Ok(None)
    );
}

#[test]
fn scheme_and_host_belong_to_the_clients_hop() {
    for (fields, expected) in [
        (&[(PROTO, "https")][..], "https://inner 10.0.0.1:99"),
        (&[(PROTO, "HTTPS")], "https://inner 10.0.0.1:99"),
        (&[(PROTO, "wss")], "https://inner 10.0.0.1:99"),
        (&[(PROTO, "gopher")], "http://inner 10.0.0.1:99"),
        (
            &[("X-Forwarded-Protocol", "ssl")],
            "https://inner 10.0.0.1:99",
        ),
        (&[("X-Forwarded-Ssl", "on")], "https://inner 10.0.0.1:99"),
        (
            &[(HOST, "example.org:81")],
            "http://example.org:81 10.0.0.1:99",
        ),
        (&[(HOST, "[::1]:81")], "http://[::1]:81 10.0.0.1:99"),
        // The second proxy appends, ...
        (
            &[
                (FOR, "192.0.2.1, 10.0.0.2"),
                (PROTO, "https, http"),
                (HOST, "outer, middle"),
            ],
            "https://outer 192.0.2.1:0",
        ),
        // ... or lets pass what the first one has set.
        (
            &[
                (FOR, "192.0.2.1, 10.0.0.2"),
                (PROTO, "https"),
                (HOST, "outer"),
            ],
            "https://outer 192.0.2.1:0",
        ),
        // A client that sends its own to a proxy that appends.
        (
            &[
                (FOR, "6.6.6.6, 192.0.2.1"),
                (PROTO, "https, http"),
                (HOST, "evil, outer"),
            ],
            "http://outer 192.0.2.1:0",
        ),
        // And to one that sets these anew, but appends the address.
        (
            &[
                (FOR, "6.6.6.6, 192.0.2.1"),
                (PROTO, "http"),
                (HOST, "outer"),
            ],
            "http://outer 192.0.2.1:0",
        ),
    ] {
        assert_seen(fields, expected);
    }
}

#[test]
fn the_standard_field() {
    for (value, expected) in [
        ("for=192.0.2.1", "http://inner 192.0.2.1:0"),
        (
            "For=\"192.0.2.1:5\";Proto=https;Host=outer",
            "https://outer 192.0.2.1:5",
        ),
        (
            "for=\"[2001:db8::1]:5\"; host=\"outer:81\"",
            "http://outer:81 [2001:db8::1]:5",
        ),
        ("for=\"[2001:db8::1]\"", "http://inner [2001:db8::1]:0"),
        ("for=192.0.2.1:_hidden", "http://inner 192.0.2.1:0"),
        (
            "for=6.6.6.6;proto=https, for=192.0.2.1;proto=http",
            "http://inner 192.0.2.1:0",
        ),
        (
            "for=192.0.2.1;proto=https;host=a, for=10.0.0.2;host=b",
            "https://a 192.0.2.1:0",
        ),
        (
            "for=6.6.6.6, for=_hidden, for=10.0.0.2",
            "http://inner 10.0.0.2:0",
        ),
        (
            "for=6.6.6.6, for=unknown;proto=https",
            "https://inner 10.0.0.1:99",
        ),
        ("for=6.6.6.6, proto=https", "https://inner 10.0.0.1:99"),
        (
            "by=\"a;b,c\";for=192.0.2.1;secret=x",
            "http://inner 192.0.2.1:0",
        ),
    ] {
        assert_seen(&[(STANDARD, value)], expected);
    }
}

#[test]
fn contradictions_and_malformed_fields_are_refused() {
    for fields in [
        &[(FOR, "192.0.2.1"), (STANDARD, "for=6.6.6.6")][..],
        &[(PROTO, "http"), (STANDARD, "proto=https")],
        &[(HOST, "outer"), (STANDARD, "host=evil")],
        &[(PROTO, "http"), ("X-Forwarded-Ssl", "on")],
        &[(PROTO, "http"), ("X-Forwarded-Protocol", "ssl")],
    ] {
        assert_eq!(seen(fields), Err(CONTRADICTION), "{fields:?}");
    }
    for fields in [
        &[(HOST, "user@outer")][..],
        &[(HOST, "a b")],
        &[(HOST, "a/b")],
        &[(HOST, ":80")],
        &[(STANDARD, "for=\"6.6.6.6, for=192.0.2.1")],
        &[(STANDARD, "for=\"6.6.6.6, for=\"[2001:db8::1]:5\"")],
        &[(STANDARD, "for=\"6.6.6.6\\, for=\"[2001:db8::1]:5\"")],
        &[(STANDARD, "for=192.0.2.1;for=6.6.6.6")],
        &[(STANDARD, "for=x\"y\"")],
        &[(STANDARD, "192.0.2.1")],
    ] {
        assert_eq!(seen(fields), Err(MALFORMED), "{fields:?}");
    }
    let both = [
        (FOR, "192.0.2.1:7"),
        (STANDARD, "for=192.0.2.1;proto=https"),
    ];
    assert_seen(&both, "https://inner 192.0.2.1:7");
}

#[test]
fn from_others_the_fields_have_no_effect() {
    let trust: Trust = "10.0.0.1".parse().unwrap();
    let stranger = info("192.0.2.1:5", &trust);
    let fields = [
        (FOR, "6.6.6.6"),
        (PROTO, "https"),
        (HOST, "evil"),
        (STANDARD, "for=\""),
    ];
    let mut head = head(&fields);
    assert_eq!(apply(&mut head, &stranger, &trust).unwrap(), None);
    assert_eq!(head.authority, None);
}

proptest! {
    /// Whatever a client puts into the fields, a proxy that appends to them is believed and the
    /// client is who it is, or the request is refused.
    #[test]
    fn a_client_cannot_choose_who_it_is(
        sent in "[ -~]{0,40}",
        standard in any::<bool>(),
        quoted in any::<bool>(),
    ) {
        let value = match (standard, quoted) {
            (false, _) => format!("{sent}, 192.0.2.1"),
            (true, false) => format!("{sent}, for=192.0.2.1"),
            (true, true) => format!("{sent}, for=\"192.0.2.1\""),
        };
        match seen(&[(if standard { STANDARD } else { FOR }, &value)]) {
            Ok(seen) => prop_assert_eq!(seen, "http://inner 192.0.2.1:0"),
            Err(why) => prop_assert!(standard && why == MALFORMED),
        }
    }
}
