//! Handshakes as they should be, and with one thing wrong.

mod clients;

use super::Origins;
use super::server::{Accepted, Policy, Rejection, Site, accept};
use crate::websocket::Deflate;
use greenway_app::Head;
use http::{HeaderValue, StatusCode, Version};

/// The key and the answer of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ANSWER: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const GOOD: &[(&str, &str)] = &[
    ("host", "example.com"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", KEY),
];

struct Asked {
    method: &'static str,
    version: Version,
    scheme: &'static str,
    fields: Vec<(&'static str, &'static str)>,
}

fn good() -> Asked {
    Asked {
        method: "GET",
        version: Version::HTTP_11,
        scheme: "http",
        fields: GOOD.to_vec(),
    }
}

impl Asked {
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.fields.push((name, value));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| *field != name);
        self
    }

    fn instead(self, name: &'static str, value: &'static str) -> Self {
        self.without(name).with(name, value)
    }

    fn head(&self) -> Head {
        let mut builder = http::Request::builder()
            .method(self.method)
            .uri("/chat")
            .version(self.version);
        for (name, value) in &self.fields {
            builder = builder.header(*name, *value);
        }
        let (parts, ()) = builder.body(()).expect("a request").into_parts();
        Head::from_http(&parts)
    }

    fn answer(&self) -> Result<Option<Accepted>, Rejection> {
        self.answer_with(&Origins::Same, &[], None)
    }

    fn answer_with(
        &self,
        origins: &Origins,
        protocols: &[&str],
        deflate: Option<&Deflate>,
    ) -> Result<Option<Accepted>, Rejection> {
        let protocols: Vec<_> = protocols.iter().copied().map(str::to_owned).collect();
        let policy = Policy {
            origins,
            protocols: &protocols,
            deflate,
        };
        let mut hosts = self.fields.iter().filter(|(name, _)| *name == "host");
        let site = Site {
            scheme: self.scheme,
            host: hosts.next().map(|(_, host)| *host),
        };
        accept(&self.head(), site, policy)
    }

    #[track_caller]
    fn accepted(&self) -> Accepted {
        self.answer().expect("in order").expect("for a WebSocket")
    }

    #[track_caller]
    fn refused(&self, status: u16) -> Rejection {
        let error = self.answer().expect_err("it is faulty");
        assert_eq!(error.status.as_u16(), status, "{error}");
        error
    }
}

#[test]
fn the_example_of_the_rfc() {
    let accepted = good().accepted();
    assert_eq!(accepted.key, ANSWER);
    let headers = accepted.headers();
    assert_eq!(headers.len(), 2, "{headers:?}");
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["sec-websocket-accept"], ANSWER);
    // As browsers and proxies write it.
    good()
        .instead("connection", "keep-alive, UPGRADE")
        .instead("upgrade", "h2c, WebSocket")
        .with("content-length", "0")
        .accepted();
}

#[test]
fn other_requests_are_not_touched() {
    for asked in [
        good().without("upgrade"),
        good().instead("upgrade", "h2c"),
        Asked {
            method: "POST",
            ..good().without("upgrade")
        },
    ] {
        assert!(asked.answer().expect("no error").is_none());
    }
}

#[test]
fn each_fault_has_its_status() {
    let post = Asked {
        method: "POST",
        ..good()
    };
    assert_eq!(post.refused(405).headers()["allow"], "GET");
    let old = Asked {
        version: Version::HTTP_10,
        ..good()
    };
    old.refused(400);
    good().without("connection").refused(400);
    good().instead("connection", "keep-alive").refused(400);
    good().with("content-length", "5").refused(400);
    good().with("transfer-encoding", "chunked").refused(400);

    good().without("sec-websocket-key").refused(400);
    good().with("sec-websocket-key", KEY).refused(400);
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZWVl",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        "not base64 at all, is it",
    ] {
        good().instead("sec-websocket-key", key).refused(400);
    }

    good().without("sec-websocket-version").refused(400);
    good().with("sec-websocket-version", "13").refused(400);
    for version in ["8", "0", "130", "13, 8", "thirteen", ""] {
        let error = good()
            .instead("sec-websocket-version", version)
            .refused(426);
        assert_eq!(error.headers()["sec-websocket-version"], "13");
        assert_eq!(error.headers()["upgrade"], "websocket");
    }

    good().with("sec-websocket-protocol", "a b").refused(400);
    good().with("sec-websocket-extensions", "a;").refused(400);
}

#[test]
fn pages_of_others_are_refused() {
    let allowed = |asked: Asked, origins: &Origins| match asked.answer_with(origins, &[], None) {
        Ok(Some(_)) => true,
        Err(error) if error.status == StatusCode::FORBIDDEN => false,
        other => panic!("{other:?}"),
    };
    let same = |scheme, host, origin| {
        let asked = Asked { scheme, ..good() };
        let asked = asked.instead("host", host).with("origin", origin);
        allowed(asked, &Origins::Same)
    };
    assert!(allowed(good(), &Origins::Same));
    assert!(same("http", "example.com", "http://example.com"));
    assert!(same("http", "example.com", "http://EXAMPLE.com:80"));
    assert!(same("http", "example.com:80", "http://example.com"));
    assert!(same("https", "example.com:443", "https://example.com"));
    assert!(same("http", "[::1]:8000", "http://[::1]:8000"));
    assert!(same("http", "[::1]", "http://[::1]"));
    assert!(!same("http", "example.com", "https://example.com"));
    assert!(!same("https", "example.com", "http://example.com"));
    assert!(!same("http", "example.com", "http://example.com:8000"));
    assert!(!same("http", "example.com:8000", "http://example.com"));
    assert!(!same("http", "example.com", "http://evil.com"));
    assert!(!same("http", "example.com", "http://sub.example.com"));
    assert!(!same("http", "example.com", "http://example.com.evil.com"));
    assert!(!same("http", "example.com", "http://example.com@evil.com"));
    assert!(!same("http", "example.com", "http://example.com/"));
    assert!(!same("http", "example.com", "http://example.com:http"));
    assert!(!same("http", "example.com", "null"));
    assert!(!same("http", "example.com", ""));

    let list = Origins::list(["https://a.example", "http://b.example:8000"]);
    let listed = |origin| allowed(good().with("origin", origin), &list);
    assert!(listed("https://a.example:443") && listed("http://b.example:8000"));
    assert!(!listed("http://a.example") && !listed("http://b.example"));
    assert!(!listed("http://example.com") && !listed("null"));
    assert!(allowed(good(), &list));

    let any = |origin| allowed(good().with("origin", origin), &Origins::Any);
    assert!(any("http://evil.com") && any("null"));

    let two = good().with("origin", "http://example.com");
    two.with("origin", "http://evil.com").refused(400);
}

#[test]
#[should_panic(expected = "is no origin")]
fn a_list_of_something_else_is_refused() {
    let _ = Origins::list(["example.com"]);
}

#[test]
fn the_server_prefers() {
    let chosen = |offered: &[&'static str]| {
        let asked = offered.iter().fold(good(), |asked, offer| {
            asked.with("sec-websocket-protocol", offer)
        });
        let answer = asked.answer_with(&Origins::Same, &["v2.chat", "v1.chat"], None);
        answer.expect("in order").expect("for a WebSocket").protocol
    };
    assert_eq!(chosen(&[]), None);
    assert_eq!(chosen(&["v3.chat"]), None);
    assert_eq!(chosen(&["V1.chat"]), None);
    assert_eq!(chosen(&["v1.chat, v2.chat"]).as_deref(), Some("v2.chat"));
    assert_eq!(chosen(&["v3.chat", "v1.chat"]).as_deref(), Some("v1.chat"));
}

#[test]
fn compression_is_agreed_on() {
    let answer = |deflate: &Deflate, offers: &'static str| {
        let asked = good().with("sec-websocket-extensions", offers);
        let answer = asked.answer_with(&Origins::Same, &[], Some(deflate));
        let accepted = answer.expect("in order").expect("for a WebSocket");
        assert_eq!(accepted.deflate.is_some(), accepted.extensions.is_some());
        let extensions = accepted.extensions?;
        let (name, parameters) = extensions.split_once("; ").unwrap_or((&extensions, ""));
        assert_eq!(name, "permessage-deflate");
        Some(parameters.to_owned())
    };
    let plain = Deflate::new();
    let takeover = Deflate::new()
        .server_context_takeover(true)
        .client_context_takeover(true);
    let small = takeover
        .clone()
        .server_window_bits(10)
        .client_window_bits(11);
    let both = "server_no_context_takeover; client_no_context_takeover";
    for (deflate, offers, expected) in [
        (&plain, "permessage-deflate", Some(both)),
        (&plain, "Permessage-Deflate", Some(both)),
        (&takeover, "permessage-deflate", Some("")),
        (&takeover, "x-webkit-deflate-frame", None),
        (
            &takeover,
            "permessage-deflate; server_no_context_takeover",
            Some("server_no_context_takeover"),
        ),
        (
            &takeover,
            "permessage-deflate; client_no_context_takeover",
            Some("client_no_context_takeover"),
        ),
        (
            &takeover,
            "permessage-deflate; server_max_window_bits=12",
            Some("server_max_window_bits=12"),
        ),
        (
            &takeover,
            "permessage-deflate; server_max_window_bits=\"15\"",
            Some("server_max_window_bits=15"),
        ),
        (
            &takeover,
            "permessage-deflate; client_max_window_bits",
            Some(""),
        ),
        (
            &takeover,
            "permessage-deflate; client_max_window_bits=8",
            Some("client_max_window_bits=8"),
        ),
        // Smaller windows of our own: for the server always, for the client if it can be told.
        (
            &small,
            "permessage-deflate",
            Some("server_max_window_bits=10"),
        ),
        (
            &small,
            "permessage-deflate; client_max_window_bits",
            Some("server_max_window_bits=10; client_max_window_bits=11"),
        ),
        (
            &small,
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
            Some("server_max_window_bits=9; client_max_window_bits=9"),
        ),
        // What cannot be satisfied or is faulty is declined, and the next one is looked at.
        (
            &takeover,
            "permessage-deflate; server_max_window_bits=8",
            None,
        ),
        (
            &takeover,
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            Some(""),
        ),
        (&takeover, "permessage-deflate; unknown", None),
        (
            &takeover,
            "permessage-deflate; unknown=1, permessage-deflate",
            Some(""),
        ),
        (
            &takeover,
            "permessage-deflate; server_max_window_bits",
            None,
        ),
        (
            &takeover,
            "permessage-deflate; server_max_window_bits=7",
            None,
        ),
        (
            &takeover,
            "permessage-deflate; server_max_window_bits=16",
            None,
        ),
        (
            &takeover,
            "permessage-deflate; server_max_window_bits=09",
            None,
        ),
        (
            &takeover,
            "permessage-deflate; client_max_window_bits=7",
            None,
        ),
        (
            &takeover,
            "permessage-deflate; client_max_window_bits=x",
            None,
        ),
        (
            &takeover,
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            None,
        ),
        (
            &takeover,
            "permessage-deflate; server_no_context_takeover=1",
            None,
        ),
        (
            &takeover,
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            None,
        ),
    ] {
        assert_eq!(answer(deflate, offers).as_deref(), expected, "{offers}");
    }
    let asked = good().with("sec-websocket-extensions", "permessage-deflate");
    assert_eq!(asked.accepted().extensions, None, "off unless asked for");
}
