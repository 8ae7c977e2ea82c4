//! What each listing answers, in-process and without its long pauses.

use crate::tour::{self, chat, fetch, hello, limits, rooms, stream};
use greenway::testing::{Client, Reply};
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

fn get(client: &Client, target: &str) -> Reply {
    client.get(target).send()
}

fn json_of(reply: &Reply) -> Value {
    assert_eq!(reply.status(), 200, "{}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn hello_greets_and_adds() {
    let client = Client::new(hello::app());
    assert_eq!(get(&client, "/").text(), "Hello, World!\n");
    assert_eq!(get(&client, "/hello/Zo%C3%AB").text(), "Hello Zoë!\n");
    assert_eq!(get(&client, "/sum/19/-23").text(), "-4\n");
    assert_eq!(get(&client, "/sum/19/x").status(), 404);
    assert_eq!(get(&client, "/sum/9223372036854775807/1").status(), 400);
}

#[test]
fn a_stream_is_three_chunks_however_it_is_written() {
    let client = Client::new(stream::app());
    for route in ["/stream", "/stream/iter", "/stream/queue"] {
        let start = Instant::now();
        let reply = get(&client, &format!("{route}?scale=0.01"));
        assert_eq!(reply.chunks(), ["START\n", "MIDDLE\n", "END\n"], "{route}");
        assert!(
            start.elapsed() >= Duration::from_millis(80),
            "{route} takes 8 seconds, scaled"
        );
    }
    for bad in ["0", "1.1", "-1", "nan", "x", ""] {
        assert_eq!(
            get(&client, &format!("/stream?scale={bad}")).status(),
            400,
            "{bad:?}"
        );
    }
}

#[test]
fn a_worker_feeds_a_body_by_callbacks() {
    let reply = get(&Client::new(fetch::app()), "/fetch");
    let pieces: Vec<_> = (1..=5).map(|n| format!("piece {n} of 5\n")).collect();
    assert_eq!(reply.chunks(), pieces);
    assert!(reply.error().is_none());
}

#[test]
fn a_worker_ends_when_the_client_has_left() {
    let client = Client::new(fetch::app());
    let reply = client.get("/fetch").leave_after(1).send();
    assert!(reply.error().is_some_and(greenway::BodyError::is_gone));
}

#[test]
fn the_gate_holds_all_until_it_is_opened() {
    let client = Arc::new(Client::new(limits::app()));
    let waiting = || json_of(&get(&client, "/limits/status"))["waiting"].clone();
    assert_eq!(waiting(), 0);
    let crowd: Vec<_> = (0..30)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || get(&client, "/limits/gate").text())
        })
        .collect();
    wait_until("30 wait", || waiting() == 30);
    assert_eq!(
        client.post("/limits/release").send().text(),
        "released 30\n"
    );
    for one in crowd {
        assert_eq!(one.join().unwrap(), "the gate is open\n");
    }
    assert_eq!(waiting(), 0);
    assert!(
        get(&client, "/limits")
            .text()
            .contains("data-engine=\"none\"")
    );
}

fn say(client: &Client, name: &str, text: &str) -> u64 {
    let message = json!({ "name": name, "text": text }).to_string();
    let reply = client
        .post("/chat/messages")
        .header("content-type", "application/json")
        .body(message)
        .send();
    assert_eq!(reply.status(), 201, "{}", reply.text());
    serde_json::from_str::<Value>(&reply.text()).unwrap()["id"]
        .as_u64()
        .unwrap()
}

fn last(client: &Client) -> u64 {
    json_of(&get(client, "/chat/messages"))["last"]
        .as_u64()
        .unwrap()
}

#[test]
fn a_poll_waits_for_the_next_message() {
    let client = Arc::new(Client::new(chat::app()));
    let before = last(&client);
    let listeners: Vec<_> = (0..25)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || json_of(&get(&client, &format!("/chat/messages?after={before}"))))
        })
        .collect();
    wait_until("25 listen", || {
        json_of(&get(&client, "/chat/messages"))["waiting"] == 25
    });
    let id = say(&client, " Ada\n", "Is anybody <i>here</i>?");
    assert_eq!(id, before + 1);
    for listener in listeners {
        let news = listener.join().unwrap();
        assert_eq!(news["messages"][0]["name"], "Ada");
        assert_eq!(news["messages"][0]["text"], "Is anybody <i>here</i>?");
        assert_eq!((&news["last"], &news["waiting"]), (&json!(id), &json!(25)));
    }
}

#[test]
fn nothing_is_lost_between_polls_and_what_is_gone_is_counted() {
    let client = Client::new(chat::app());
    let start = last(&client);
    for n in 1..=203 {
        assert_eq!(say(&client, "Ada", &format!("message {n}")), start + n);
    }
    let after = |cursor: u64| json_of(&get(&client, &format!("/chat/messages?after={cursor}")));
    let texts = |news: &Value| news["messages"].as_array().unwrap().len();

    let news = after(start + 200);
    assert_eq!((texts(&news), &news["missed"]), (3, &json!(0)));
    assert_eq!(news["messages"][0]["text"], "message 201");
    let news = after(start + 1);
    assert_eq!((texts(&news), &news["missed"]), (200, &json!(2)));
    assert_eq!(news["messages"][0]["text"], "message 4");
    let news = after(start - 5);
    assert_eq!(
        (texts(&news), &news["missed"]),
        (200, &json!(0)),
        "a cursor of an earlier run"
    );
    let news = after(start + 1000);
    assert_eq!(texts(&news), 200, "a cursor of a clock that was set back");
    let news = json_of(&get(
        &client,
        &format!("/chat/messages?after={}&wait=0", start + 203),
    ));
    assert_eq!((texts(&news), &news["last"]), (0, &json!(start + 203)));
}

#[test]
fn the_chat_refuses_what_it_cannot_show() {
    let client = Client::new(chat::app());
    let post = |kind: &str, body: String| {
        client
            .post("/chat/messages")
            .header("content-type", kind)
            .body(body)
            .send()
            .status()
    };
    let message = |name: &str, text: &str| json!({ "name": name, "text": text }).to_string();
    let json = "application/json; charset=utf-8";
    assert_eq!(post("text/plain", message("Ada", "hi")), 415);
    assert_eq!(post(json, "{".into()), 400);
    assert_eq!(post(json, "[]".into()), 400);
    assert_eq!(post(json, message("Ada", " \n ")), 400);
    assert_eq!(post(json, message("", "hi")), 400);
    assert_eq!(post(json, message(&"a".repeat(33), "hi")), 400);
    assert_eq!(post(json, message("Ada", &"a".repeat(501))), 400);
    assert_eq!(post(json, message("Ada", &"a".repeat(9000))), 413);
    assert_eq!(post(json, message(&"ä".repeat(32), &"😀".repeat(500))), 201);
    assert_eq!(get(&client, "/chat/messages?after=x").status(), 400);
    assert!(get(&client, "/chat").text().contains("aria-live"));
}

fn say_in_room(client: &Client, name: &str, text: &str) -> Value {
    let reply = client
        .post("/rooms/say")
        .header("content-type", "application/json")
        .body(json!({ "name": name, "text": text }).to_string())
        .send();
    assert_eq!(reply.status(), 201, "{}", reply.text());
    serde_json::from_str::<Value>(&reply.text()).unwrap()["id"].take()
}

#[test]
fn a_room_tells_pollers_and_streams_the_same() {
    let client = Client::new(rooms::app());
    let poll = |rest: &str| json_of(&get(&client, &format!("/rooms/poll?name=Ada{rest}")));
    let start = poll("")["last"].clone();
    let first = say_in_room(&client, " Ada\n", "Is anybody <i>here</i>?");
    let second = say_in_room(&client, "Grace", "I am");

    let news = poll(&format!("&after={}", start.as_str().unwrap()));
    let messages = news["messages"].as_array().unwrap();
    let texts: Vec<_> = messages.iter().map(|m| (&m["name"], &m["text"])).collect();
    assert_eq!(texts[0], (&json!("Ada"), &json!("Is anybody <i>here</i>?")));
    assert_eq!(texts[1], (&json!("Grace"), &json!("I am")));
    assert_eq!((&messages[0]["id"], &news["last"]), (&first, &second));

    // The same as events; the page goes on where it was over another transport.
    let first = first.as_str().unwrap();
    for reply in [
        client
            .get("/rooms/events?name=Edsger")
            .header("last-event-id", first),
        client.get(&format!("/rooms/events?name=Edsger&after={first}")),
    ] {
        let reply = reply.leave_after(2).send();
        let event = String::from_utf8_lossy(&reply.chunks()[1]).into_owned();
        let data = event.lines().find_map(|line| line.strip_prefix("data: "));
        let data: Value = serde_json::from_str(data.unwrap()).unwrap();
        assert_eq!((&data["text"], &data["id"]), (&json!("I am"), &second));
        assert!(event.starts_with(&format!("id: {}\n", second.as_str().unwrap())));
    }
    assert_eq!(poll("&after=junk")["gap"], true);
    let people = json_of(&get(&client, "/rooms/people"));
    assert_eq!(people["people"][0], json!({ "name": "Ada", "via": "poll" }));
}

#[test]
fn a_room_announces_who_comes_and_goes() {
    let client = Client::new(rooms::app());
    let news = json_of(&get(&client, "/rooms/poll?name=Ada"));
    let after = news["last"].as_str().unwrap();
    client.get("/rooms/events?name=Grace").leave_after(1).send();
    let news = json_of(&get(
        &client,
        &format!("/rooms/poll?name=Ada&after={after}"),
    ));
    assert_eq!(news["messages"][0]["joined"], "Grace");
    assert_eq!(news["messages"][1]["left"], "Grace");
    assert_eq!(json_of(&get(&client, "/rooms/people"))["count"], 1);
}

#[test]
fn a_room_refuses_what_it_cannot_show() {
    let client = Client::new(rooms::app());
    let post = |kind: &str, body: String| {
        let post = client.post("/rooms/say").header("content-type", kind);
        post.body(body).send().status()
    };
    let message = |name: &str, text: &str| json!({ "name": name, "text": text }).to_string();
    let json = "application/json";
    assert_eq!(post("text/plain", message("Ada", "hi")), 415);
    assert_eq!(post(json, "{".into()), 400);
    assert_eq!(post(json, message("Ada", " \n ")), 400);
    assert_eq!(post(json, message("", "hi")), 400);
    assert_eq!(post(json, message("Ada", &"a".repeat(501))), 400);
    assert_eq!(post(json, message("Ada", &"a".repeat(9000))), 413);
    for path in ["/rooms/poll", "/rooms/events", "/rooms/socket"] {
        assert_eq!(get(&client, path).status(), 400, "who are you?");
        let long = format!("{path}?name={}", "a".repeat(33));
        assert_eq!(get(&client, &long).status(), 400);
    }
    let plain = get(&client, "/rooms/socket?name=Ada");
    assert_eq!(
        plain.text(),
        "400 Bad Request: Expected a WebSocket request.\n"
    );
    assert!(get(&client, "/rooms").text().contains("aria-live"));
}

#[test]
fn the_tour_shows_all_listings() {
    let client = Client::new(tour::app());
    let page = get(&client, "/");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let page = page.text();
    assert!(!page.contains("{{"), "every place in the page is filled");
    for line in [
        "stream</span>(second: ",
        "fetch</span>()",
        "poll</span>(",
        "room</span>() -&gt; ",
        "Gate</span> {",
    ] {
        assert!(page.contains(line), "{line}");
    }
    for target in [
        "/hello",
        "/hello/Ada",
        "/stream?scale=0.01",
        "/fetch",
        "/chat",
        "/rooms",
        "/limits",
    ] {
        assert_eq!(get(&client, target).status(), 200, "{target}");
    }
    assert_eq!(get(&client, "/sleep?ms=1").text(), "slept 1 ms\n");
    for bad in [
        "/sleep",
        "/sleep?ms=",
        "/sleep?ms=x",
        "/sleep?ms=-1",
        "/sleep?ms=60001",
    ] {
        assert_eq!(get(&client, bad).status(), 400, "{bad}");
    }
}
