//! Rooms over real connections: what is said once reaches all who listen, however they do.

use crate::churn::Held;
use greenway::room::{Change, News, Post, Room, Since, Slow};
use greenway::websocket::Upgrade;
use greenway::{App, Engine, HttpError, Request, abort, sse};
use greenway_tests::request::{get, post};
use greenway_tests::{
    Client, Program, Reply, TestServer, linted, on_green_and_threads, raise_descriptor_limit, until,
};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

on_green_and_threads!(
    all_transports_get_what_is_said,
    a_stream_goes_on_where_it_was,
    a_poll_goes_on_where_it_was,
    members_leave_with_their_clients,
    a_full_room_is_a_503,
    a_socket_goes_on_where_it_was,
    what_a_socket_says_is_for_all,
    a_slow_socket_is_evicted_and_nobody_waits_for_it,
    a_slow_socket_may_miss_messages_instead,
    one_who_leaves_the_room_may_keep_the_socket
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
        let [events, polls, says, sockets] = [(); 4].map(|()| room.clone());
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
        app.post("/say", move |request: Request| {
            let body = request.body(1000)?;
            let text = String::from_utf8_lossy(&body).into_owned();
            Ok::<_, HttpError>(says.publish(text).to_string())
        });
        app.get("/socket/<name>", move |request: Request| {
            let since = Since::seen(request.query("after").as_deref());
            let Some(ws) = request.websocket() else {
                abort(400, "Expected a WebSocket request.");
            };
            if sockets.since(since).gap {
                ws.send("gap")?;
            }
            let mut member =
                Some(sockets.join_socket(request.param("name"), since, ws.sender())?);
            while let Some(message) = ws.receive()? {
                if message.as_text() == Some("leave") {
                    member = None;
                    ws.send("you have left")?;
                } else {
                    sockets.publish(message);
                }
            }
            drop(member);
            Ok::<_, HttpError>(())
        });
        let server = TestServer::start(linted(app).engine(engine));
        Self { server, room }
    }

    /// A client with a WebSocket that is a member by the time that this returns.
    #[track_caller]
    fn socket(&self, name: &str, after: Option<&str>) -> Client {
        let before = self.room.len();
        let after = after.map_or(String::new(), |id| format!("?after={id}"));
        let mut client = self.server.connect();
        client.send(upgrade(&format!("/socket/{name}{after}")));
        assert_eq!(client.head().status, 101);
        self.until_members(before + 1);
        client
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

/// Asks for a WebSocket.
fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// The next frame of a server: its first byte and its payload.
#[track_caller]
fn frame(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.take(2);
    let length = match head[1] {
        126 => usize::from(u16::from_be_bytes(client.take(2).try_into().unwrap())),
        127 => usize::try_from(u64::from_be_bytes(client.take(8).try_into().unwrap())).unwrap(),
        n => usize::from(n),
    };
    (head[0], client.take(length))
}

/// The next text, which comes in one frame.
#[track_caller]
fn text(client: &mut Client) -> String {
    let (first, payload) = frame(client);
    assert_eq!(first, 0x81, "{:?}", String::from_utf8_lossy(&payload));
    String::from_utf8(payload).unwrap()
}

/// Sends a short text, with a mask of zeros.
fn send_text(client: &mut Client, text: &str) {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    client.send(frame);
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
    let mut sockets: Vec<_> = (0..5).map(|_| site.socket("socket", None)).collect();
    let now = site.room.cursor();
    let mut polls: Vec<_> = (0..5).map(|_| site.server.connect()).collect();
    for (n, poll) in polls.iter_mut().enumerate() {
        poll.send(get(&format!("/poll/{n}?after={now}")));
    }
    site.until_members(15);
    let cursor = site.say("hello\nall");
    for stream in &mut streams {
        assert_eq!(
            stream.chunk(),
            format!("id: {cursor}\ndata: hello\ndata: all\n\n")
        );
    }
    for socket in &mut sockets {
        assert_eq!(text(socket), "hello\nall");
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

fn a_socket_goes_on_where_it_was(engine: Engine) {
    let site = Site::start(engine, Room::builder().history(3).build());
    let mut client = site.socket("Ada", None);
    let first = site.say("1");
    assert_eq!(text(&mut client), "1");
    client.reset();
    site.until_members(0);
    site.say("2");
    site.say("3");
    let mut client = site.socket("Ada", Some(&first));
    site.say("4");
    for n in ["2", "3", "4"] {
        assert_eq!(text(&mut client), n);
    }
    site.say("5");
    let mut client = site.socket("Grace", Some(&first));
    for n in ["gap", "3", "4", "5"] {
        assert_eq!(text(&mut client), n);
    }
}

fn what_a_socket_says_is_for_all(engine: Engine) {
    let site = Site::start(engine, Room::new());
    let (mut ada, mut grace) = (site.socket("Ada", None), site.socket("Grace", None));
    let mut stream = site.listen("Edsger", None);
    send_text(&mut ada, "hello");
    for client in [&mut ada, &mut grace] {
        assert_eq!(text(client), "hello");
    }
    assert!(stream.chunk().ends_with("data: hello\n\n"));
    // Binary is for sockets; a stream of events gets what comes after it.
    ada.send([0x82, 0x82, 0, 0, 0, 0, 0xfe, 0xff]);
    assert_eq!(frame(&mut grace), (0x82, vec![0xfe, 0xff]));
    site.say("text");
    assert!(stream.chunk().ends_with("data: text\n\n"));
}

/// A room in which messages fill any buffer between here and a client that does not read, with
/// one such client and one that reads.
fn clogged(engine: Engine, slow: Slow) -> (Site, Client, Client) {
    let room = Room::builder()
        .history(1000)
        .queue(20)
        .queue_bytes(usize::MAX);
    let site = Site::start(engine, room.slow(slow).build());
    let (idle, mut busy) = (site.socket("idle", None), site.socket("busy", None));
    for n in 0..300 {
        let message = large(n);
        site.room.publish(&*message);
        assert!(text(&mut busy) == message, "message {n}");
    }
    (site, idle, busy)
}

/// A message of 64 KiB that begins with its number.
fn large(n: usize) -> String {
    format!("{n} {}", "x".repeat(64 * 1024))
}

fn number(text: &str) -> usize {
    text.split(' ').next().and_then(|n| n.parse().ok()).unwrap()
}

fn a_slow_socket_is_evicted_and_nobody_waits_for_it(engine: Engine) {
    let (site, mut idle, _busy) = clogged(engine, Slow::Disconnect);
    until("it is evicted", || site.room.stats().evicted == 1);
    // It finds what was queued for it, without a hole, and is told to come again.
    let mut expected = 0;
    let reason = loop {
        match frame(&mut idle) {
            (0x81, text) => {
                assert_eq!(number(&String::from_utf8(text).unwrap()), expected);
                expected += 1;
            }
            (first, payload) => {
                assert_eq!(first, 0x88);
                break payload;
            }
        }
    };
    assert_eq!(reason[..2], 1013_u16.to_be_bytes());
    assert!(expected < 300);
    idle.send([0x88, 0x82, 0, 0, 0, 0, 3, 0xf5]);
    idle.end();
    site.until_members(1);
}

fn a_slow_socket_may_miss_messages_instead(engine: Engine) {
    let (site, mut idle, mut busy) = clogged(engine, Slow::DropOldest);
    let stats = site.room.stats();
    assert_eq!((stats.evicted, stats.members), (0, 2));
    site.room.publish("the last");
    assert_eq!(text(&mut busy), "the last");
    // In order, with a hole, and the newest are there.
    let mut seen = Vec::new();
    loop {
        match text(&mut idle) {
            text if text == "the last" => break,
            text => seen.push(number(&text)),
        }
    }
    assert!(seen.is_sorted() && seen.len() < 300, "{seen:?}");
    assert_eq!((seen[0], seen.last()), (0, Some(&299)));
    assert_eq!(seen.len() as u64 + site.room.stats().dropped, 300);
    // Who reads again is treated as all others.
    site.room.publish("more");
    assert_eq!(text(&mut idle), "more");
}

fn one_who_leaves_the_room_may_keep_the_socket(engine: Engine) {
    let site = Site::start(engine, Room::new());
    let (mut ada, mut grace) = (site.socket("Ada", None), site.socket("Grace", None));
    send_text(&mut ada, "leave");
    assert_eq!(text(&mut ada), "you have left");
    site.until_members(1);
    site.say("for Grace");
    assert_eq!(text(&mut grace), "for Grace");
    send_text(&mut ada, "from outside");
    assert_eq!(text(&mut grace), "from outside");
    assert!(ada.is_silent_for(Duration::from_millis(50)));
}

/// The room's promise at its full size: one in a hundred reads nothing at all, and the others do
/// not notice. The slow ones are put out, and what they cost is bounded.
#[test]
fn five_thousand_sockets_do_not_wait_for_those_that_do_not_read() {
    const COUNT: usize = 5_000;
    const EVERY: usize = 100;
    const MESSAGES: usize = 30;
    assert!(raise_descriptor_limit() >= COUNT as u64 + 2_000);
    // Without the monitor: on a busy machine it may want to name somebody who is held up, and then
    // its 38 MB would be taken for the room's.
    let flags = "--bind 127.0.0.1:0 --backlog 4096 --write-timeout 600 --keep-alive 600 \
                 --max-blocking-time 0";
    let flags: Vec<_> = flags.split(' ').collect();
    let server = Program::start(env!("CARGO_BIN_EXE_sockets"), &flags);
    let addr = server.wait_for_addr();
    let mut other = server.connect();
    let mut ask = |request: String| other.send(request).reply().text();
    let pid = ask(get("/pid")).parse().expect("a number");
    // All of 127/8 is this machine.
    let from = |n: usize| Ipv4Addr::new(127, 0, 2, u8::try_from(n / 1000 + 1).unwrap()).into();
    let mut clients: Vec<_> = (0..COUNT)
        .map(|n| Client::connect_from(from(n), addr))
        .collect();
    for client in &mut clients {
        client.send(upgrade("/room"));
    }
    for client in &mut clients {
        assert_eq!(client.head().status, 101);
    }
    let (mut slow, mut others): (Vec<_>, Vec<_>) = clients
        .into_iter()
        .enumerate()
        .partition(|(n, _)| n % EVERY == 0);
    let mut until_stats = |wanted: &dyn Fn(&[usize]) -> bool| {
        let deadline = Instant::now() + greenway_tests::DEADLINE;
        loop {
            let stats = ask(get("/stats"));
            let figures: Vec<_> = stats.split(' ').flat_map(str::parse).collect();
            if wanted(&figures) {
                return;
            }
            assert!(Instant::now() < deadline, "{stats}");
        }
    };
    until_stats(&|figures| figures == [COUNT, 0, 0]);
    // What fills the kernel's buffers and the queue of each slow one is sent beforehand.
    for (_, client) in &mut slow {
        send_text(client, "clog");
    }
    until_stats(&|figures| figures[2] == COUNT / EVERY);
    let before = Held::by(pid).resident;
    let mut say = server.connect();
    for n in 0..MESSAGES {
        let message = format!("{n:01000}");
        say.send(post("/say", &message)).reply();
        for (number, client) in &mut others {
            assert!(text(client) == message, "message {n}, client {number}");
        }
    }
    let grown = Held::by(pid).resident.saturating_sub(before);
    println!("{before} KiB before, {grown} more after {MESSAGES} messages");
    // Whoever was told to come again and does not answer is cut, so they may have left by now.
    until_stats(&|figures| figures[1] == COUNT / EVERY);
    // A copy of each message for each of them would be 150 MB, one more page of each stack 20.
    assert!(grown < 8 * 1024, "{grown} KiB more than before");
    drop((slow, others));
    until_stats(&|figures| figures[0] == 0);
}
