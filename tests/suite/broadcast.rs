//! Rooms over real connections: what is said once reaches all who listen, however they do.

use greenway::room::{Change, News, Post, Room, Since};
use greenway::{App, Engine, HttpError, Request, Server, sse};
use greenway_tests::request::{get, post};
use greenway_tests::{Client, Reply, TestServer, on_green_and_threads, until};
use std::time::Duration;

on_green_and_threads!(
    all_transports_get_what_is_said,
    a_stream_goes_on_where_it_was,
    a_poll_goes_on_where_it_was,
    members_leave_with_their_clients,
    a_full_room_is_a_503
);

/// Below the server's `--timeout`.
const PATIENCE: Duration = Duration::from_secs(25);

/// A server with one room.
struct Site {
    server: TestServer,
    room: Room,
}

impl Site {
    fn start(engine: Engine, room: Room) -> Self {
        let (events, polls, says) = (room.clone(), room.clone(), room.clone());
        let mut app = App::new();
        app.get("/events/<name>", move |request: Request| {
            let since = Since::seen(sse::last_event_id(&request));
            let member = events.join(request.param("name"), since)?;
            Ok::<_, HttpError>(member.into_events())
        });
        app.get("/poll/<name>", move |request: Request| {
            let since = Since::seen(request.query("after").as_deref());
            let news = polls.poll(request.param("name"), since, PATIENCE)?;
            Ok::<_, HttpError>(listed(&news))
        });
        app.post("/say", move |mut request: Request| {
            let body = request.body(1000)?;
            let text = String::from_utf8_lossy(&body).into_owned();
            Ok::<_, HttpError>(says.publish(text).to_string())
        });
        let server = TestServer::start(Server::new(app).engine(engine));
        Self { server, room }
    }

    /// Says something by a request; gives its cursor.
    #[track_caller]
    fn say(&self, text: &str) -> String {
        self.server
            .connect()
            .send(post("/say", text))
            .reply()
            .text()
    }

    #[track_caller]
    fn poll(&self, name: &str, after: &str) -> Reply {
        self.server.get(&format!("/poll/{name}?after={after}"))
    }

    /// A client that listens to events, and is a member by the time that this returns.
    #[track_caller]
    fn listen(&self, name: &str, last: Option<&str>) -> Client {
        let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let mut client = self.server.connect();
        client.send(format!(
            "GET /events/{name} HTTP/1.1\r\nHost: test\r\n{last}\r\n"
        ));
        assert_eq!(client.head().status, 200);
        assert!(client.chunk().starts_with("retry: "));
        client
    }

    fn until_members(&self, count: usize) {
        until("the members are there", || self.room.len() == count);
    }
}

/// News line by line: a gap, the messages, the cursor.
fn listed(news: &News) -> String {
    let gap = news.gap.then(|| "gap".to_owned());
    let texts = news.messages.iter();
    let texts = texts.map(|message| message.text().unwrap_or("?").to_owned());
    let lines: Vec<_> = gap.into_iter().chain(texts).collect();
    format!("{}\n{}", lines.join(","), news.cursor)
}

fn all_transports_get_what_is_said(engine: Engine) {
    let site = Site::start(engine, Room::new());
    let mut streams: Vec<_> = (0..5).map(|_| site.listen("stream", None)).collect();
    let now = site.room.cursor();
    let mut polls: Vec<_> = (0..5).map(|_| site.server.connect()).collect();
    for (n, poll) in polls.iter_mut().enumerate() {
        poll.send(get(&format!("/poll/{n}?after={now}")));
    }
    site.until_members(10);
    let cursor = site.say("hello\nall");
    for stream in &mut streams {
        assert_eq!(
            stream.chunk(),
            format!("id: {cursor}\ndata: hello\ndata: all\n\n")
        );
    }
    for poll in &mut polls {
        assert_eq!(poll.reply().text(), format!("hello\nall\n{cursor}"));
    }
}

fn a_stream_goes_on_where_it_was(engine: Engine) {
    let site = Site::start(engine, Room::builder().history(3).build());
    let mut client = site.listen("Ada", None);
    let first = site.say("1");
    assert_eq!(client.chunk(), format!("id: {first}\ndata: 1\n\n"));
    drop(client);
    let missed = [site.say("2"), site.say("3")];
    let mut client = site.listen("Ada", Some(&first));
    for (n, cursor) in missed.iter().enumerate() {
        assert_eq!(client.chunk(), format!("id: {cursor}\ndata: {}\n\n", n + 2));
    }
    let next = site.say("4");
    assert_eq!(client.chunk(), format!("id: {next}\ndata: 4\n\n"));
    drop(client);
    site.say("5");
    // The room remembers 3, 4 and 5.
    let mut client = site.listen("Ada", Some(&first));
    assert_eq!(client.chunk(), "event: gap\ndata: \n\n");
    assert!(client.chunk().ends_with("data: 3\n\n"));
}

fn a_poll_goes_on_where_it_was(engine: Engine) {
    let site = Site::start(engine, Room::builder().history(2).build());
    let newcomer = site.server.get("/poll/Ada").text();
    let start = newcomer.trim_start().to_owned();
    let first = site.say("1");
    assert_eq!(site.poll("Ada", &start).text(), format!("1\n{first}"));
    site.say("2");
    let third = site.say("3");
    assert_eq!(site.poll("Ada", &first).text(), format!("2,3\n{third}"));
    assert_eq!(site.poll("Ada", &start).text(), format!("gap,2,3\n{third}"));
    // Of another run of the program, or of somebody who tries.
    for after in ["0123456789abcdef-1", "x", "-1", "%00"] {
        assert_eq!(site.poll("Ada", after).text(), format!("gap,2,3\n{third}"));
    }
}

/// However they leave. The hook, which tells the others, is called on the handler's own thread,
/// while that is unwinding.
fn members_leave_with_their_clients(engine: Engine) {
    let room = Room::builder()
        .linger(Duration::ZERO)
        .on_change(|room, change| {
            let (sign, who) = match change {
                Change::Joined(who) => ('+', who),
                Change::Left(who) => ('-', who),
            };
            room.publish(Post::new(format!("{sign}{}", who.name)).name("who"));
        })
        .build();
    let site = Site::start(engine, room);
    let mut witness = site.listen("Ada", None);
    let mut saw = |expected: &str| {
        let event = witness.chunk();
        assert!(
            event.ends_with(&format!("event: who\ndata: {expected}\n\n")),
            "{event:?}"
        );
    };
    saw("+Ada");
    let stream = site.listen("Grace", None);
    saw("+Grace");
    stream.reset();
    saw("-Grace");
    let mut poll = site.server.connect();
    let now = site.room.cursor();
    poll.send(get(&format!("/poll/Edsger?after={now}")));
    saw("+Edsger");
    drop(poll); // answered by its own arrival, or gone
    saw("-Edsger");
    site.until_members(1);
}

fn a_full_room_is_a_503(engine: Engine) {
    let site = Site::start(engine, Room::builder().capacity(1).build());
    let _inside = site.listen("Ada", None);
    for path in ["/events/Grace", "/poll/Grace"] {
        let reply = site.server.get(path);
        assert_eq!(reply.status(), 503);
        assert!(reply.head.field("retry-after").is_some());
    }
}
