//! A long-polling chat for many more than 20 people, with its page at `/chat`.
//!
//! A client asks for the messages after the last one that it has. If there are none, its handler
//! waits until there is one, 25 seconds at most, and then the client asks again:
//!
//! ```text
//! curl http://127.0.0.1:8000/chat/messages                # what there is
//! curl http://127.0.0.1:8000/chat/messages?after=LAST     # waits for more
//! curl --json '{"name":"Ada","text":"Hello"}' http://127.0.0.1:8000/chat/messages
//! ```
//!
//! What must stay true:
//! - No message is lost between two polls. A client names the last message that it has, and "is
//!   there more?" and "then wake me" are one step under the lock.
//! - The lock is never held over a wait.
//! - Everything has a bound: messages kept, people who wait, lengths of names and texts.
//! - Numbers of messages grow over restarts, so an old cursor cannot hide a new message.

#![forbid(unsafe_code)]

// The tour has it in the chat and in the rooms, which are programs of their own as well.
#[allow(clippy::duplicate_mod)]
mod names;

// ANCHOR: program
use greenway::green::Queue;
use greenway::{App, Html, HttpError, Request, Response};
use names::Names;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Messages that the room keeps. A client that was away for longer is told how many it has missed.
const HISTORY: usize = 200;
/// People who may wait at once; one more is answered with 503.
const MOST_WAITERS: usize = 20_000;
/// How long a poll may wait. Below the server's `--timeout` of 30 s.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
pub(crate) fn routes(app: &mut App) {
    let room = Arc::new(Room::new());
    let (for_posts, names) = (room.clone(), Names::default());
    app.get("/chat", |_: Request| Html(include_str!("pages/chat.html")));
    app.get("/chat/messages", move |req: Request| poll(&room, &req));
    app.post("/chat/messages", move |req: Request| {
        post(&for_posts, &names, req)
    });
}

// ANCHOR: poll
/// `GET /chat/messages?after=N`: blocks until there is a message after N.
fn poll(room: &Room, req: &Request) -> Result<Response, HttpError> {
    let Some(after) = number(req, "after")? else {
        return Ok(json_response(200, &room.lock().news(0))); // a newcomer does not wait
    };
    let wait = number(req, "wait")?.map_or(LONGEST_WAIT, Duration::from_secs);
    Ok(json_response(
        200,
        &room.news_after(after, wait.min(LONGEST_WAIT))?,
    ))
}
// ANCHOR_END: poll

fn number(req: &Request, name: &str) -> Result<Option<u64>, HttpError> {
    let Some(text) = req.query(name) else {
        return Ok(None);
    };
    let number = text
        .parse()
        .map_err(|_| HttpError::new(400, format!("{name} is no number")))?;
    Ok(Some(number))
}

fn json_response(status: u16, value: &Value) -> Response {
    Response::new(format!("{value}\n"))
        .with_status(status)
        .with_header("content-type", "application/json")
        .with_header("cache-control", "no-store")
}
// ANCHOR_END: program

// ANCHOR: room
struct Message {
    name: String,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

/// What all handlers of the chat share.
struct Room(Mutex<State>);

struct State {
    history: VecDeque<Message>,
    /// The number of the last message that the room had when it was made: there was none, so the
    /// first message gets the next number.
    base: u64,
    /// The number of the last message.
    last: u64,
    waiters: HashMap<u64, Queue<()>>,
    next_waiter: u64,
    /// How many the last message has woken.
    woken: usize,
}

impl Room {
    fn new() -> Self {
        // A thousand messages for each millisecond: later starts have greater numbers.
        let base = now() * 1000;
        Self(Mutex::new(State {
            history: VecDeque::new(),
            base,
            last: base,
            waiters: HashMap::new(),
            next_waiter: 0,
            woken: 0,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No change can panic half-way, so a poisoned lock still guards a sound state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message and wakes all who wait for one.
    fn say(&self, name: String, text: String) -> u64 {
        let mut room = self.lock();
        if room.history.len() == HISTORY {
            room.history.pop_front();
        }
        room.history.push_back(Message {
            name,
            text,
            at: now(),
        });
        room.last += 1;
        let id = room.last;
        let waiters = std::mem::take(&mut room.waiters);
        room.woken = waiters.len();
        drop(room);
        for bell in waiters.into_values() {
            let _one_who_has_left = bell.try_put(());
        }
        id
    }

    /// The messages after `cursor`; waits at most `patience` for the first of them.
    fn news_after(&self, cursor: u64, patience: Duration) -> Result<Value, HttpError> {
        let waiter = {
            let mut room = self.lock();
            if room.last != cursor {
                return Ok(room.news(cursor));
            }
            room.enter(self)?
        };
        let rung = waiter.bell.get_timeout(patience).is_ok();
        let room = self.lock();
        let waiting = if rung { room.woken } else { room.waiters.len() };
        let mut news = room.news(cursor);
        news["waiting"] = waiting.into();
        drop(room); // the waiter, which is dropped next, takes the lock to remove its entry
        Ok(news)
    }
}

impl State {
    /// Enters somebody who waits into the list.
    fn enter<'a>(&mut self, room: &'a Room) -> Result<Waiter<'a>, HttpError> {
        if self.waiters.len() >= MOST_WAITERS {
            return Err(HttpError::new(503, "the room is full").with_header("retry-after", "5"));
        }
        let (number, bell) = (self.next_waiter, Queue::new(1));
        self.next_waiter += 1;
        self.waiters.insert(number, bell.clone());
        Ok(Waiter { room, number, bell })
    }

    /// The messages after `cursor`, as JSON.
    fn news(&self, cursor: u64) -> Value {
        // A cursor beyond the last message is not from this room: the clock was set back.
        let cursor = if cursor > self.last { 0 } else { cursor };
        let before_first = self.last - self.history.len() as u64;
        let messages = self.history.iter().zip(before_first + 1..);
        let new = messages
            .filter(|(_, id)| *id > cursor)
            .map(|(message, id)| {
                let Message { name, text, at } = message;
                json!({ "id": id, "name": name, "text": text, "at": at })
            });
        let missed = if cursor < self.base {
            0
        } else {
            before_first.saturating_sub(cursor)
        };
        json!({
            "messages": new.collect::<Value>(),
            "last": self.last,
            "missed": missed,
            "waiting": self.waiters.len(),
        })
    }
}

/// An entry in the list of those who wait. Dropping it removes the entry, however the wait ends.
struct Waiter<'a> {
    room: &'a Room,
    number: u64,
    bell: Queue<()>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.room.lock().waiters.remove(&self.number);
    }
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX / 1000)
}
// ANCHOR_END: room

/// Characters.
const LONGEST_NAME: usize = 32;
const LONGEST_TEXT: usize = 500;
/// Bytes.
const LONGEST_KEY: usize = 64;
/// Bytes of a posted message: enough for the longest text with every character escaped.
const LONGEST_POST: usize = 8 * 1024;

/// `POST /chat/messages` with `{"name": …, "text": …}`. A page adds a `key` of its own, by which it
/// is told apart from others of its name, and is answered which name it has.
fn post(room: &Room, names: &Names, req: Request) -> Result<Response, HttpError> {
    // A page of another site can post forms and plain text without being asked, but not this.
    let json = req
        .content_type()
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if !json.trim().eq_ignore_ascii_case("application/json") {
        return Err(HttpError::new(415, "a message is application/json"));
    }
    let body = req.body(LONGEST_POST)?;
    let message: Value = serde_json::from_slice(&body)
        .map_err(|error| HttpError::new(400, format!("not JSON: {error}")))?;
    let name = text(&message, "name", LONGEST_NAME)?;
    let text = text(&message, "text", LONGEST_TEXT)?;
    let key = message["key"].as_str().unwrap_or_default();
    if key.len() > LONGEST_KEY {
        return Err(HttpError::new(400, "the key is too long"));
    }
    let said: HashSet<String> = room.lock().history.iter().map(|m| m.name.clone()).collect();
    let name = names.take(&name, key, LONGEST_NAME, |name| said.contains(name))?;
    let id = room.say(name.clone(), text);
    Ok(json_response(201, &json!({ "id": id, "name": name })))
}

/// A text of a posted message, without control characters and space around it.
fn text(message: &Value, field: &str, longest: usize) -> Result<String, HttpError> {
    let text = message[field].as_str().unwrap_or_default();
    let text = text.replace(char::is_control, " ").trim().to_owned();
    match text.chars().count() {
        0 => Err(HttpError::new(400, format!("a message needs a {field}"))),
        n if n > longest => Err(HttpError::new(
            400,
            format!("a {field} has {longest} characters at most"),
        )),
        _ => Ok(text),
    }
}

pub(crate) fn app() -> App {
    let mut app = App::new();
    app.get("/", |_: Request| Response::redirect("/chat", 302));
    routes(&mut app);
    app
}

fn main() {
    greenway::serve(app())
}
