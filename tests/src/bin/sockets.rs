//! A server of WebSockets and a room: what clients of other people, proxies and thousands of
//! clients are tried with, in a process of its own.
//!
//! | Request | What happens |
//! |---|---|
//! | `GET /echo` | a WebSocket that sends back what comes; the subprotocol `echo` |
//! | `GET /deflate` | the same with compression |
//! | `GET /bye` | a WebSocket that is closed with 4000 `bye` at the first message |
//! | `GET /room` | a WebSocket that is a member of the room; `clog` fills its queue |
//! | `GET /events` | the room's messages as server-sent events |
//! | `POST /say` | says the body in the room |
//! | `GET /stats` | members, those that were put out, and those that have clogged |
//! | `GET /pid` | the number of its process |
//! | `GET /` | an empty page |

#![forbid(unsafe_code)]

use greenway::green::sleep;
use greenway::room::{Room, Since};
use greenway::websocket::{CloseCode, Deflate, Options, SocketError, WebSocket};
use greenway::{App, Html, HttpError, Request, abort, sse};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a socket of the room may queue: little, so that thousands of them are not much.
const QUEUE: (usize, usize) = (16, 64 * 1024);

fn main() {
    let mut app = App::new();
    app.get("/", |_: Request| {
        Html("<!doctype html><title>sockets</title><link rel=icon href=data:,>")
    });
    let plain = Options::new().protocols(["echo"]);
    let deflate = plain.clone().deflate(Some(Deflate::default()));
    for (path, options) in [("/echo", plain), ("/deflate", deflate)] {
        app.get(path, move |request: Request| {
            Ok(echo(&accept(&options, &request))?)
        });
    }
    app.get("/bye", |request: Request| {
        let ws = accept(&Options::new(), &request);
        ws.receive()?;
        ws.close(CloseCode::from(4000), "bye");
        while ws.receive()?.is_some() {}
        Ok(())
    });
    in_room(&mut app);
    app.get("/pid", |_: Request| std::process::id().to_string());
    greenway::serve(app)
}

fn accept(options: &Options, request: &Request) -> WebSocket {
    match options.accept(request) {
        Ok(Some(ws)) => ws,
        Ok(None) => abort(400, "Expected a WebSocket request."),
        Err(error) => abort(error.status().as_u16(), error.message().to_owned()),
    }
}

fn echo(ws: &WebSocket) -> Result<(), SocketError> {
    while let Some(message) = ws.receive()? {
        ws.send(message)?;
    }
    Ok(())
}

/// Sends until nothing more is taken, and goes on until the kernel, too, takes no more of it.
fn clog(ws: &WebSocket) {
    let full = || {
        while ws.try_send(vec![0; 16 * 1024]).is_ok() {}
        ws.sender().queued()
    };
    let mut before = full();
    loop {
        sleep(Duration::from_millis(200));
        let now = ws.sender().queued();
        if now == before {
            return;
        }
        before = full();
    }
}

fn in_room(app: &mut App) {
    let room = Room::builder().history(20).queue(10).build();
    let [sockets, streams, says, stats] = [(); 4].map(|()| room.clone());
    let clogged = Arc::new(AtomicUsize::new(0));
    let clogs = clogged.clone();
    app.get("/room", move |request: Request| {
        let ws = accept(&Options::new().queue(QUEUE.0, QUEUE.1), &request);
        let _member = sockets.join_socket("socket", Since::Now, ws.sender())?;
        while let Some(message) = ws.receive()? {
            if message.as_text() == Some("clog") {
                clog(&ws);
                clogs.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok::<_, HttpError>(())
    });
    app.get("/events", move |request: Request| {
        let since = Since::seen(sse::last_event_id(&request));
        Ok::<_, HttpError>(streams.join("stream", since)?.into_events())
    });
    app.post("/say", move |request: Request| {
        let text = request.body(64 * 1024)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok::<_, HttpError>(says.publish(text).to_string())
    });
    app.get("/stats", move |_: Request| {
        let stats = stats.stats();
        let clogged = clogged.load(Ordering::SeqCst);
        format!("{} {} {clogged}", stats.members, stats.evicted)
    });
}
