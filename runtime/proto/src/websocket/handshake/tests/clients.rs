//! What our own client makes of answers.

use super::super::client::{Established, Handshake, Refused};
use super::*;
use bytes::BytesMut;
use http::HeaderMap;

/// The client and the server of this module, and what lies between them.
fn connect(
    client: (&[&str], Option<Deflate>),
    server: (&[&str], Option<&Deflate>),
) -> (Accepted, Established) {
    let protocols = client.0.iter().copied().map(str::to_owned).collect();
    let handshake = Handshake::new(protocols, client.1);
    let mut extra = HeaderMap::new();
    extra.insert("cookie", HeaderValue::from_static("a=1"));
    extra.insert("upgrade", HeaderValue::from_static("h2c"));
    let sent = handshake.request("example.com:8000", "/chat?room=1", &extra);
    let request = parse(&sent);
    let field = |name| request.fields().find(|(field, _)| *field == name);
    assert_eq!(request.text(request.target), "/chat?room=1");
    assert_eq!(field("cookie"), Some(("cookie", &b"a=1"[..])));
    assert_eq!(field("host"), Some(("host", &b"example.com:8000"[..])));
    let protocols: Vec<_> = server.0.iter().copied().map(str::to_owned).collect();
    let policy = Policy {
        origins: &Origins::Same,
        protocols: &protocols,
        deflate: server.1,
    };
    let site = Site {
        scheme: "http",
        host: Some("example.com:8000"),
    };
    let accepted = accept(&request, site, policy)
        .expect("in order")
        .expect("asked");
    let mut wire = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n".to_vec();
    for (name, value) in &accepted.headers() {
        wire.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    wire.extend(b"\r\n\x81\x00");
    let mut buf = BytesMut::new();
    for (at, byte) in wire.iter().enumerate() {
        buf.extend([*byte]);
        if let Some(established) = handshake.response(&mut buf).expect("in order") {
            assert_eq!(at, wire.len() - 3, "with the last byte of the head");
            return (accepted, established);
        }
    }
    panic!("the response does not end");
}

fn parse(head: &[u8]) -> Head {
    let mut fields = [httparse::EMPTY_HEADER; 20];
    let mut parsed = httparse::Request::new(&mut fields);
    assert!(parsed.parse(head).expect("a request").is_complete());
    let mut builder = http::Request::builder()
        .method(parsed.method.expect("complete"))
        .uri(parsed.path.expect("complete"));
    for field in &*parsed.headers {
        builder = builder.header(field.name, field.value);
    }
    let (parts, ()) = builder.body(()).expect("a request").into_parts();
    Head::from_http(&parts)
}

#[test]
fn client_and_server_agree() {
    let (accepted, established) = connect((&[], None), (&["a"], Some(&Deflate::new())));
    assert_eq!((accepted.protocol, established.protocol), (None, None));
    assert_eq!((accepted.deflate, established.deflate), (None, None));
    let (_, established) = connect((&["b", "a"], None), (&["a"], None));
    assert_eq!(established.protocol.as_deref(), Some("a"));
    let takeover = Deflate::new()
        .server_context_takeover(true)
        .client_context_takeover(true);
    let narrow = takeover
        .clone()
        .server_window_bits(9)
        .client_window_bits(12);
    let all = [Deflate::new(), takeover, narrow];
    for client in &all {
        for server in &all {
            let (accepted, established) = connect((&[], Some(client.clone())), (&[], Some(server)));
            let (theirs, ours) = (accepted.deflate, established.deflate);
            assert!(theirs.is_some());
            assert_eq!(theirs, ours, "{client:?} {server:?}");
        }
    }
}

#[test]
fn clients_refuse_what_they_did_not_offer() {
    let refused = |deflate: Option<Deflate>, change: &dyn Fn(String) -> String| {
        let handshake = Handshake::new(vec!["a".into()], deflate);
        let sent = handshake.request("h", "/", &HeaderMap::new());
        let request = parse(&sent);
        let (_, key) = request
            .fields()
            .find(|(name, _)| *name == "sec-websocket-key")
            .expect("it is there");
        let answer = tungstenite::handshake::derive_accept_key(key);
        let head = format!(
            "HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-accept: {answer}\r\n\r\n"
        );
        let mut buf = BytesMut::from(change(head).as_bytes());
        match handshake.response(&mut buf) {
            Ok(Some(_)) => None,
            Ok(None) => Some("incomplete".to_owned()),
            Err(refused) => Some(refused.to_string()),
        }
    };
    let add = |field: &'static str| {
        move |head: String| head.replace("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"))
    };
    let replace = |from: &'static str, to: &'static str| {
        move |head: String| {
            assert!(head.contains(from));
            head.replace(from, to)
        }
    };
    assert_eq!(refused(None, &|head| head), None);
    assert_eq!(refused(None, &add("sec-websocket-protocol: a")), None);
    let interim = |head: String| format!("HTTP/1.1 103 Early Hints\r\n\r\n{head}");
    assert_eq!(refused(None, &interim), None);
    for (change, problem) in [
        (
            Box::new(replace("101", "404")) as Box<dyn Fn(String) -> String>,
            "404 instead of 101",
        ),
        (Box::new(replace("HTTP/1.1", "HTTP/1.0")), "not HTTP/1.1"),
        (Box::new(replace("HTTP/1.1", "SSH-2.0")), "malformed HTTP"),
        (Box::new(replace("websocket\r\n", "h2c\r\n")), "no upgrade"),
        (
            Box::new(replace("connection: upgrade", "connection: close")),
            "Connection lacks",
        ),
        (
            Box::new(replace("sec-websocket-accept: ", "sec-websocket-accept: x")),
            "does not fit",
        ),
        (
            Box::new(replace("sec-websocket-accept", "x")),
            "does not fit",
        ),
        (Box::new(add("sec-websocket-accept: x")), "appears twice"),
        (Box::new(add("sec-websocket-protocol: b")), "not offered"),
        (Box::new(add("sec-websocket-protocol: A")), "not offered"),
        (
            Box::new(add("sec-websocket-extensions: permessage-deflate")),
            "not offered",
        ),
    ] {
        let found = refused(None, &*change).expect("it is faulty");
        assert!(found.contains(problem), "{found}, not {problem}");
    }
    let long = |head: String| {
        head.replace("101 X", &format!("101 {}", "X".repeat(20_000)))[..18_000].to_owned()
    };
    assert!(refused(None, &long).expect("too long").contains("too big"));

    let deflate = Deflate::new()
        .server_context_takeover(true)
        .server_window_bits(12)
        .client_window_bits(12);
    for (answer, problem) in [
        ("permessage-deflate; server_max_window_bits=12", None),
        (
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=8",
            None,
        ),
        (
            "permessage-deflate",
            Some("server_max_window_bits was ignored"),
        ),
        (
            "permessage-deflate; server_max_window_bits=13",
            Some("was ignored"),
        ),
        (
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=13",
            Some("beyond the offer"),
        ),
        (
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits",
            Some("malformed"),
        ),
        (
            "permessage-deflate; server_max_window_bits=9; x",
            Some("malformed"),
        ),
        (
            "permessage-deflate; server_max_window_bits=9, permessage-deflate",
            Some("not offered"),
        ),
        ("x", Some("not offered")),
        ("permessage-deflate;", Some("malformed")),
    ] {
        let field = format!("\r\nsec-websocket-extensions: {answer}\r\n\r\n");
        let add = move |head: String| head.replace("\r\n\r\n", &field);
        match (refused(Some(deflate.clone()), &add), problem) {
            (None, None) => {}
            (Some(found), Some(problem)) => assert!(found.contains(problem), "{answer}: {found}"),
            (found, problem) => panic!("{answer}: {found:?}, not {problem:?}"),
        }
    }
    let ignored = add("sec-websocket-extensions: permessage-deflate");
    let found = refused(Some(Deflate::new()), &ignored).expect("against the offer");
    assert!(
        found.contains("server_no_context_takeover was ignored"),
        "{found}"
    );
    assert_eq!(
        Refused::Status(503).to_string(),
        "the server answered 503 instead of 101"
    );
}
