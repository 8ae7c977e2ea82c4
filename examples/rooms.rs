//! The chat once more, on a [`Room`]: over long polls, server-sent events and WebSockets side by
//! side, with its page at `/rooms`. A member cannot tell which transport the others use.
//!
//! ```text
//! curl -N 'http://127.0.0.1:8000/rooms/events?name=Grace'
//! curl 'http://127.0.0.1:8000/rooms/poll?name=Edsger'
//! curl --json '{"name":"Ada","text":"Hello"}' http://127.0.0.1:8000/rooms/say
//! ```
//!
//! Compare [`chat.rs`](chat.rs), where the room is made by hand.
//!
//! What must stay true: each message shows its own place in the room as its `id`, whatever carries
//! it, so a client goes on where it was, also over another transport.

#![forbid(unsafe_code)]

// The tour has it in the chat and in the rooms, which are programs of their own as well.
#[allow(clippy::duplicate_mod)]
mod names;

// ANCHOR: program
use greenway::room::{Change, Cursor, Post, Room, Since};
use greenway::sse::{self, Sse};
use greenway::websocket::Options;
use greenway::{App, Bytes, Html, HttpError, Request, Response, abort};
use names::Names;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a poll may wait. Below the server's `--timeout` of 30 s.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// In a room with more people than this, coming and going is not announced: that would be more
/// messages than what people say.
const CROWD: usize = 100;
/// Characters.
const LONGEST_NAME: usize = 32;
const LONGEST_TEXT: usize = 500;
const LONGEST_KEY: usize = 64;
/// Bytes of a posted message: enough for the longest text with every character escaped.
const LONGEST_POST: usize = 8 * 1024;

pub(crate) fn routes(app: &mut App) {
    let room = room();
    let [polls, streams, sockets, posts, people] = [(); 5].map(|()| room.clone());
    let names = Names::default();
    app.get("/rooms", |_: Request| {
        Html(include_str!("pages/rooms.html"))
    });
    app.get("/rooms/poll", move |req: Request| poll(&polls, &req));
    app.get("/rooms/events", move |req: Request| events(&streams, &req));
    app.get("/rooms/socket", move |req: Request| socket(&sockets, &req));
    app.post("/rooms/say", move |req: Request| post(&posts, req));
    app.post("/rooms/enter", move |req: Request| {
        enter(&room, &names, req)
    });
    app.get("/rooms/people", move |_: Request| {
        json_response(200, &who_is_there(&people))
    });
}

// ANCHOR: room
/// A room that remembers 200 messages, and announces who comes and goes. A name is a person: whoever
/// joins once more before it has left has only moved, to another transport, say.
fn room() -> Room {
    Room::builder()
        .name("tour") // with --room-bus, it is one room in all processes
        .history(200)
        .on_change(|room, change| {
            let (what, who) = match change {
                Change::Joined(who) => ("joined", who),
                Change::Left(who) => ("left", who),
            };
            if room.len() <= CROWD {
                let mut others = room
                    .members()
                    .into_iter()
                    .filter(|m| (m.node, m.number) != (who.node, who.number));
                let moved = others.any(|other| other.name == who.name);
                let what = if moved { "moved" } else { what };
                room.publish_with(|id| {
                    let news = json!({ "id": id.to_string(), what: *who.name });
                    Post::new(news.to_string()).name("people").passing()
                });
            }
        })
        .build()
}

fn say(room: &Room, name: &str, text: &str) -> Cursor {
    room.publish_with(|id| {
        json!({ "id": id.to_string(), "name": name, "text": text, "at": now() }).to_string()
    })
}
// ANCHOR_END: room

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
// ANCHOR_END: program

// ANCHOR: poll
/// `GET /rooms/poll?name=Ada&after=ID`: blocks until something is said after ID.
fn poll(room: &Room, req: &Request) -> Result<Response, HttpError> {
    let since = Since::seen(req.query("after").as_deref());
    let news = room.poll(&name(req)?, since, LONGEST_WAIT)?;
    let messages = news.messages.iter().filter_map(|message| message.text());
    let messages: Vec<Value> = messages.flat_map(serde_json::from_str).collect();
    let last = news.cursor.to_string();
    let news = json!({ "messages": messages, "last": last, "gap": news.gap });
    Ok(json_response(200, &news))
}
// ANCHOR_END: poll

// ANCHOR: events
/// `GET /rooms/events?name=Ada`, for an `EventSource`: when it comes back, it says itself what it
/// has seen.
fn events(room: &Room, req: &Request) -> Result<Sse, HttpError> {
    let after = req.query("after");
    let since = Since::seen(sse::last_event_id(req).or(after.as_deref()));
    Ok(room.join(&name(req)?, since)?.into_events())
}
// ANCHOR_END: events

// ANCHOR: socket
/// `GET /rooms/socket?name=Ada&after=ID`: a WebSocket that gets what is said, and says `{"text": …}`.
fn socket(room: &Room, req: &Request) -> Result<(), HttpError> {
    let name = name(req)?;
    let since = Since::seen(req.query("after").as_deref());
    let Some(ws) = Options::new().max_message(LONGEST_POST).accept(req)? else {
        abort(400, "Expected a WebSocket request.");
    };
    if room.since(since).gap {
        ws.send(json!({ "gap": true }).to_string())?;
    }
    let _member = room.join_socket(&name, since, ws.sender())?;
    while let Some(message) = ws.receive()? {
        match said(message.as_bytes()) {
            Ok(text) => {
                say(room, &name, &text);
            }
            Err(error) => ws.send(json!({ "error": error.message() }).to_string())?,
        }
    }
    Ok(())
}
// ANCHOR_END: socket

// ANCHOR: helpers
/// The name that a listener gives itself.
fn name(req: &Request) -> Result<String, HttpError> {
    tidy("name", &req.query("name").unwrap_or_default(), LONGEST_NAME)
}

/// A text without control characters and space around it.
fn tidy(field: &str, text: &str, longest: usize) -> Result<String, HttpError> {
    let text = text.replace(char::is_control, " ").trim().to_owned();
    match text.chars().count() {
        0 => Err(HttpError::new(400, format!("a {field} is missing"))),
        n if n > longest => Err(HttpError::new(
            400,
            format!("a {field} has {longest} characters at most"),
        )),
        _ => Ok(text),
    }
}

fn json_response(status: u16, value: &Value) -> Response {
    Response::new(format!("{value}\n"))
        .with_status(status)
        .with_header("content-type", "application/json")
        .with_header("cache-control", "no-store")
}

/// What somebody says with `{"text": …}`.
fn said(json: &[u8]) -> Result<String, HttpError> {
    tidy("text", &field(json, "text")?, LONGEST_TEXT)
}

fn field(json: &[u8], name: &str) -> Result<String, HttpError> {
    let value: Value = serde_json::from_slice(json)
        .map_err(|error| HttpError::new(400, format!("not JSON: {error}")))?;
    Ok(value[name].as_str().unwrap_or_default().to_owned())
}
// ANCHOR_END: helpers

/// The body of a POST of JSON.
fn posted(req: Request) -> Result<Bytes, HttpError> {
    // A page of another site can post forms and plain text without being asked, but not this.
    let json = req
        .content_type()
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if !json.trim().eq_ignore_ascii_case("application/json") {
        return Err(HttpError::new(415, "a message is application/json"));
    }
    req.body(LONGEST_POST)
}

/// `POST /rooms/enter` with `{"name": …, "key": …}`: the name for whoever has this key, which comes
/// before joining under it.
fn enter(room: &Room, names: &Names, req: Request) -> Result<Response, HttpError> {
    let body = posted(req)?;
    let name = tidy("name", &field(&body, "name")?, LONGEST_NAME)?;
    let key = tidy("key", &field(&body, "key")?, LONGEST_KEY)?;
    let here: HashSet<_> = room.members().into_iter().map(|who| who.name).collect();
    let name = names.take(&name, &key, LONGEST_NAME, |name| here.contains(name))?;
    Ok(json_response(200, &json!({ "name": name })))
}

/// `POST /rooms/say` with `{"name": …, "text": …}`.
fn post(room: &Room, req: Request) -> Result<Response, HttpError> {
    let body = posted(req)?;
    let name = tidy("name", &field(&body, "name")?, LONGEST_NAME)?;
    let text = said(&body)?;
    let id = say(room, &name, &text).to_string();
    Ok(json_response(201, &json!({ "id": id })))
}

/// Each once, by the way it has come last.
fn who_is_there(room: &Room) -> Value {
    let members = room.members();
    let people: BTreeMap<_, _> = members.iter().map(|who| (&*who.name, who.via)).collect();
    let some = people.iter().take(CROWD);
    let some: Value = some
        .map(|(name, via)| json!({ "name": name, "via": format!("{via:?}").to_lowercase() }))
        .collect();
    json!({ "count": people.len(), "people": some })
}

pub(crate) fn app() -> App {
    let mut app = App::new();
    app.get("/", |_: Request| Response::redirect("/rooms", 302));
    routes(&mut app);
    app
}

fn main() {
    greenway::serve(app())
}
