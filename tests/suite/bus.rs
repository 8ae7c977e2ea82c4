//! Rooms of several nodes over one Redis: what is said on one reaches the members of all.
//!
//! A node here is a server with a room and a hub of its own; they share nothing but Redis.

use greenway::redis::Redis;
use greenway::room::{Hub, News, Room, Since};
use greenway::websocket::Upgrade;
use greenway::{App, Engine, HttpError, Request, abort, sse};
use greenway_tests::request::{self, post};
use greenway_tests::{Client, Reply, TestServer, linted, on_green_and_threads, services};
use std::time::Duration;

on_green_and_threads!(
    what_is_said_on_one_node_reaches_all,
    a_client_goes_on_at_another_node,
);

/// Below the server's `--timeout`.
const PATIENCE: Duration = Duration::from_secs(25);

pub(crate) struct Node {
    pub(crate) server: TestServer,
    pub(crate) room: Room,
    pub(crate) hub: Hub,
}

impl Node {
    pub(crate) fn start(engine: Engine, redis: &services::Redis) -> Self {
        let url = format!("unix://{}", redis.socket().display());
        let hub = Hub::from(Redis::connect(&url).unwrap());
        let room = Room::builder()
            .name("lobby")
            .history(10_000)
            .queue(10_000)
            .bus(hub.clone())
            .build();
        let [events, polls, says, sockets] = [(); 4].map(|()| room.clone());
        let mut app = App::new();
        app.get("/events", move |request: Request| {
            let since = Since::seen(sse::last_event_id(&request));
            Ok::<_, HttpError>(events.join("stream", since)?.into_events())
        });
        app.get("/poll", move |request: Request| {
            let since = Since::seen(request.query("after").as_deref());
            Ok::<_, HttpError>(listed(&polls.poll("poll", since, PATIENCE)?))
        });
        app.post("/say", move |request: Request| {
            let body = request.body(1000)?;
            let text = String::from_utf8_lossy(&body).into_owned();
            Ok::<_, HttpError>(says.try_publish(text)?.to_string())
        });
        app.get("/socket", move |request: Request| {
            let since = Since::seen(request.query("after").as_deref());
            let Some(ws) = request.websocket() else {
                abort(400, "Expected a WebSocket request.");
            };
            let _member = sockets.join_socket("socket", since, ws.sender())?;
            for message in &ws {
                sockets.publish(message);
            }
            Ok::<_, HttpError>(())
        });
        let server = TestServer::start(linted(app).engine(engine));
        Self { server, room, hub }
    }

    /// A stream of events, past its head and what there was to say first.
    pub(crate) fn events(&self, seen: Option<&str>) -> Client {
        let seen = seen.map_or(String::new(), |seen| format!("Last-Event-ID: {seen}\r\n"));
        let request = request::with("GET", "/events", &seen, "");
        let mut client = self.server.connect();
        assert_eq!(client.send(request).head().status, 200);
        assert!(client.chunk().starts_with("retry: "));
        client
    }

    pub(crate) fn poll(&self, after: &str) -> Reply {
        self.server.get(&format!("/poll?after={after}"))
    }

    /// Says something, and gives its place.
    pub(crate) fn say(&self, text: &str) -> String {
        let reply = self.server.ask(post("/say", text));
        assert_eq!(reply.status(), 200, "{}", reply.text());
        reply.text()
    }
}

/// The cursor, whether there is a gap, and the texts.
fn listed(news: &News) -> String {
    let texts: Vec<_> = news.messages.iter().filter_map(|m| m.text()).collect();
    format!("{} {} {}", news.cursor, news.gap, texts.join(","))
}

fn what_is_said_on_one_node_reaches_all(engine: Engine) {
    let redis = services::Redis::start();
    let [first, second] = [(); 2].map(|()| Node::start(engine, &redis));
    let start = first.room.cursor().to_string();
    let mut near = first.events(Some(&start));
    let mut far = second.events(Some(&start));
    let said = ["one", "two", "three"];
    let nodes = [&first, &second, &first];
    let cursors: Vec<_> = said
        .iter()
        .zip(nodes)
        .map(|(text, node)| node.say(text))
        .collect();
    for stream in [&mut near, &mut far] {
        for (text, cursor) in said.iter().zip(&cursors) {
            assert_eq!(stream.chunk(), format!("id: {cursor}\ndata: {text}\n\n"));
        }
    }
    for node in [&first, &second] {
        // The node of the poll may not have read the last one yet: then it waits for it.
        let news = node.poll(&cursors[1]).text();
        assert_eq!(news, format!("{} false three", cursors[2]));
        assert!(node.hub.stats().connected);
    }
}

fn a_client_goes_on_at_another_node(engine: Engine) {
    let redis = services::Redis::start();
    let first = Node::start(engine, &redis);
    let cursors: Vec<_> = (1..=5).map(|n| first.say(&n.to_string())).collect();
    first.server.stop();
    // A node that has just come reads what was before it.
    let second = Node::start(engine, &redis);
    assert_eq!(
        second.poll(&cursors[2]).text(),
        format!("{} false 4,5", cursors[4])
    );
    let mut stream = second.events(Some(&cursors[3]));
    assert_eq!(stream.chunk(), format!("id: {}\ndata: 5\n\n", cursors[4]));
    let foreign = second.poll("0000000000000001-1").text();
    assert_eq!(foreign, format!("{} true 1,2,3,4,5", cursors[4]));
}
