//! A node of several, for `suite/bus_faults.rs`: one room, over the bus that the flag names.

#![forbid(unsafe_code)]

// ANCHOR: program
use greenway::room::{News, Room, Since};
use greenway::websocket::Upgrade;
use greenway::{App, HttpError, Request, abort, sse};
use std::time::Duration;

/// Below the server's `--timeout`.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let room = Room::builder()
        .name("lobby")
        .history(10_000)
        .queue(10_000)
        .build();
    let [events, polls, says, sockets, members] = [(); 5].map(|()| room.clone());
    let mut app = App::new();
    app.get("/events", move |request: Request| {
        let since = Since::seen(sse::last_event_id(&request));
        Ok::<_, HttpError>(events.join("stream", since)?.into_events())
    });
    app.get("/poll", move |request: Request| {
        let since = Since::seen(request.query("after").as_deref());
        Ok::<_, HttpError>(listed(&polls.poll("poll", since, PATIENCE)?))
    });
    // The text shows its place, for those who come back to a WebSocket.
    app.post("/say", move |request: Request| {
        let body = request.body(1000)?;
        let text = String::from_utf8_lossy(&body);
        Ok::<_, HttpError>(says.publish_with(|id| format!("{id} {text}")).to_string())
    });
    app.get("/socket", move |request: Request| {
        let since = Since::seen(request.query("after").as_deref());
        let Some(ws) = request.websocket() else {
            abort(400, "Expected a WebSocket request.");
        };
        let _member = sockets.join_socket("socket", since, ws.sender())?;
        while ws.receive()?.is_some() {}
        Ok::<_, HttpError>(())
    });
    app.get("/members", move |_: Request| members.len().to_string());
    greenway::serve(app)
}

/// The cursor, whether there is a gap, and the texts.
fn listed(news: &News) -> String {
    let texts: Vec<_> = news.messages.iter().filter_map(|m| m.text()).collect();
    format!("{}\n{}\n{}", news.cursor, news.gap, texts.join("\n"))
}
// ANCHOR_END: program
