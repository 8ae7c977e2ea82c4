//! WebSockets over HTTP/2 (RFC 8441).

use super::http2::start;
use bytes::Bytes;
use greenway::green::sleep;
use greenway::websocket::Upgrade;
use greenway::{Engine, HeaderValue, HttpError, Request};
use greenway_tests::http2::{Http2, request};
use greenway_tests::{Drops, on_green_and_threads};
use h2::Reason;
use std::time::Duration;

on_green_and_threads!(
    websockets_work_over_it,
    a_websocket_that_is_over_holds_no_window,
);

/// RFC 8441; frames are masked as any client's.
fn websockets_work_over_it(engine: Engine) {
    let server = start(engine, |app| {
        app.get("/echo", |request: Request| {
            let Some(ws) = request.websocket() else {
                greenway::abort(400, "Expected a WebSocket request.");
            };
            while let Some(message) = ws.receive()? {
                ws.send(message)?;
            }
            Ok::<_, HttpError>(())
        });
    });
    let mut client = Http2::connect(server.addr());
    let mut asked = request("CONNECT", "/echo");
    asked
        .extensions_mut()
        .insert(h2::ext::Protocol::from_static("websocket"));
    let version = HeaderValue::from_static("13");
    asked.headers_mut().insert("sec-websocket-version", version);
    client.get("/nowhere"); // the server's settings have come
    let mut sent = client.send(asked, false);
    let (head, mut body) = client.head(&mut sent).unwrap().into_parts();
    assert_eq!(head.status, 200);
    assert!(!head.headers.contains_key("sec-websocket-accept"));
    client
        .upload_some(&mut sent, &Bytes::from_static(b"\x81\x85\0\0\0\0Hello"))
        .unwrap();
    assert_eq!(
        client.data(&mut body).unwrap().unwrap(),
        &b"\x81\x05Hello"[..]
    );
    client
        .upload_some(&mut sent, &Bytes::from_static(b"\x88\x82\0\0\0\0\x03\xe8"))
        .unwrap();
    assert_eq!(
        client.data(&mut body).unwrap().unwrap(),
        &b"\x88\x02\x03\xe8"[..]
    );
    assert!(client.data(&mut body).is_none(), "a good end");
}

/// What a client has sent to a WebSocket whose handler has ended counts no more, also while
/// somebody keeps a way to send to it.
fn a_websocket_that_is_over_holds_no_window(engine: Engine) {
    let kept = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (keep, left) = (kept.clone(), Drops::new());
    let drops = left.clone();
    let server = start(engine, move |app| {
        app.get("/leaves", move |request: Request| {
            let _witness = drops.witness();
            let Some(ws) = request.websocket() else {
                greenway::abort(400, "Expected a WebSocket request.");
            };
            keep.lock().unwrap().push(ws.sender());
            sleep(Duration::MAX); // reads nothing
            Ok::<_, HttpError>(())
        });
        app.post("/", |request: Request| {
            let body = request.body(8 << 20)?;
            Ok::<_, HttpError>(body.len().to_string())
        });
    });
    let mut client = Http2::connect(server.addr());
    client.get("/nowhere"); // the server's settings have come
    for _ in 0..16 {
        let mut asked = request("CONNECT", "/leaves");
        let protocol = h2::ext::Protocol::from_static("websocket");
        asked.extensions_mut().insert(protocol);
        let version = HeaderValue::from_static("13");
        asked.headers_mut().insert("sec-websocket-version", version);
        let mut sent = client.send(asked, false);
        assert_eq!(client.head(&mut sent).unwrap().status(), 200);
        // The whole window of the stream, a sixteenth of the connection's: a frame that is not whole.
        let mut rest = vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0];
        rest.resize(65_535, 0);
        let mut rest = Bytes::from(rest);
        while !rest.is_empty() {
            let n = client.upload_some(&mut sent, &rest).unwrap();
            rest = rest.slice(n..);
        }
        sent.body.send_reset(Reason::CANCEL);
        client.turn();
        left.wait();
    }
    let mut sent = client.send(request("POST", "/"), false);
    client
        .upload(&mut sent, Bytes::from(vec![b'x'; 200_000]))
        .unwrap();
    assert_eq!(client.whole(sent).unwrap().text(), "200000");
    assert_eq!(kept.lock().unwrap().len(), 16);
}
