//! WebSockets over real sockets (issue 5): the handshake, both directions at once, and every end.

use greenway::websocket::Upgrade;
use greenway::{App, Engine, Request, Server, abort};
use greenway_tests::{Client, TestServer, on_green_and_threads};

on_green_and_threads!(echo,);

/// A handshake for `path`, with further fields.
fn handshake(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

/// A frame of a client, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        n @ ..126 => bytes.push(0x80 | u8::try_from(n).unwrap()),
        n @ ..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(n).unwrap().to_be_bytes());
        }
        n => {
            bytes.push(0x80 | 127);
            bytes.extend((n as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// The next frame: its first byte and its payload.
#[track_caller]
fn next_frame(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.take(2);
    assert_eq!(head[1] & 0x80, 0, "servers do not mask");
    let length = match head[1] {
        126 => usize::from(u16::from_be_bytes(client.take(2).try_into().unwrap())),
        127 => u64::from_be_bytes(client.take(8).try_into().unwrap()) as usize,
        n => usize::from(n),
    };
    (head[0], client.take(length))
}

fn echo_app() -> App {
    let mut app = App::new();
    app.get("/echo", |request: Request| {
        let Some(ws) = request.websocket() else {
            abort(400, "Expected a WebSocket request.");
        };
        while let Some(message) = ws.receive()? {
            ws.send(message)?;
        }
        Ok::<_, greenway::websocket::WebSocketError>(())
    });
    app
}

fn echo(engine: Engine) {
    let server = TestServer::start(Server::new(echo_app()).engine(engine));
    let mut client = server.connect();
    client.send(handshake("/echo", ""));
    let head = client.head();
    assert_eq!(head.status, 101);
    client.send(frame(TEXT, b"Hello"));
    assert_eq!(next_frame(&mut client), (TEXT, b"Hello".to_vec()));
    client.send(frame(CLOSE, &1000u16.to_be_bytes()));
    assert_eq!(next_frame(&mut client), (CLOSE, vec![3, 232]));
    client.end();
    assert_eq!(server.get("/echo").head.status, 400);
}
