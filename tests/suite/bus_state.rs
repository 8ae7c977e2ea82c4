//! What two servers share over one Redis beside what is said: who is there, places of posts, sessions
//! and rates; and what becomes of it without Redis.

use crate::bus::Node;
use greenway::green::net::{TcpListener, UnixStream};
use greenway::green::spawn;
use greenway::middleware::RateLimit;
use greenway::redis::Redis;
use greenway::room::{Hub, Post, Room, Since};
use greenway::sessions::Sessions;
use greenway::tls::{Acceptor, Connector};
use greenway::{App, Engine, HttpError, Request, Server};
use greenway_tests::request::{self, with};
use greenway_tests::tls::Certificates;
use greenway_tests::{Reply, TestServer, linted, on_green_and_threads, services, until};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

on_green_and_threads!(
    members_of_all_nodes_are_seen,
    a_post_shows_its_place_wherever_it_is_made,
    sessions_are_those_of_all_nodes,
    a_rate_is_that_of_all_nodes,
    without_redis_there_are_errors_and_no_waits,
    a_stop_ends_the_waits_for_redis,
    a_step_in_the_numbers_is_a_gap,
    a_stream_that_has_gone_back_is_a_gap,
);

/// The stream of the nodes' room.
const STREAM: &str = "greenway:room:{lobby}";

fn connect(redis: &services::Redis) -> Redis {
    Redis::connect(&format!("unix://{}", redis.socket().display())).unwrap()
}

fn members_of_all_nodes_are_seen(engine: Engine) {
    let redis = services::Redis::start();
    let [first, second] = [(); 2].map(|()| Node::start(engine, &redis));
    let stream = first.events(None);
    let member = second.room.join("Ada", Since::Now).unwrap();
    for node in [&first, &second] {
        until("both are seen", || node.room.len() == 2);
        let mut names: Vec<_> = node
            .room
            .members()
            .iter()
            .map(|it| it.name.to_string())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["Ada", "stream"]);
    }
    let ids = |node: &Node| {
        let mut ids: Vec<_> = node
            .room
            .members()
            .iter()
            .map(|it| (it.node, it.number))
            .collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&first), ids(&second), "and known by the same");
    drop(member);
    until("one is gone", || first.room.len() == 1);
    // Without Redis, nobody knows of the others for long.
    drop(redis);
    until("who cannot be seen is not there", || second.room.is_empty());
    drop(stream);
}

fn a_post_shows_its_place_wherever_it_is_made(engine: Engine) {
    let redis = services::Redis::start();
    let nodes = [(); 2].map(|()| Node::start(engine, &redis));
    let member = nodes[0].room.join("Ada", Since::Now).unwrap();
    let publishers: Vec<_> = (0..4)
        .map(|number: usize| {
            let room = nodes[number % 2].room.clone();
            thread::spawn(move || {
                for _ in 0..10 {
                    room.publish_with(|cursor| cursor.to_string());
                    room.publish("in between");
                }
            })
        })
        .collect();
    let mut shown = 0;
    for number in 1..=80 {
        let message = member
            .next_timeout(Duration::from_secs(30))
            .unwrap()
            .unwrap();
        assert_eq!(message.cursor().number(), number);
        if message.text() != Some("in between") {
            assert_eq!(message.text(), Some(&*message.cursor().to_string()));
            shown += 1;
        }
    }
    assert_eq!(shown, 40);
    for publisher in publishers {
        publisher.join().unwrap();
    }
    // One that is not made keeps nobody waiting.
    let room = nodes[0].room.clone();
    let panics = thread::spawn(move || room.publish_with(|_| -> Post { panic!("on purpose") }));
    assert!(panics.join().is_err());
    assert_eq!(nodes[1].room.publish("after it").number(), 81);
}

// ANCHOR: desk
/// An application with sessions and a limit in Redis.
fn desk(redis: Redis) -> App {
    let mut app = App::new();
    app.install(Sessions::new(redis.clone()));
    app.get("/visit", |request: Request| {
        let session = request.session()?;
        let visits = session.get("visits").unwrap_or(0) + 1;
        session.set("visits", visits);
        Ok::<_, HttpError>(visits.to_string())
    });
    app.get("/leave", |request: Request| {
        request.session()?.clear();
        Ok::<_, HttpError>("bye")
    });
    let limit = RateLimit::new(3, Duration::from_secs(60)).store(redis);
    app.get("/rare", |_: Request| "served").apply(limit);
    app
}
// ANCHOR_END: desk

fn start(engine: Engine, redis: &services::Redis) -> TestServer {
    TestServer::start(linted(desk(connect(redis))).engine(engine))
}

fn ask(server: &TestServer, path: &str, cookie: &str) -> Reply {
    let fields = format!("Cookie: {cookie}\r\nConnection: close\r\n");
    server.ask(with("GET", path, &fields, ""))
}

fn cookie_of(reply: &Reply) -> String {
    let cookie = reply.head.field("set-cookie").expect("there is a session");
    cookie.split(';').next().unwrap_or(cookie).to_owned()
}

fn sessions_are_those_of_all_nodes(engine: Engine) {
    let redis = services::Redis::start();
    let servers = [(); 2].map(|()| start(engine, &redis));
    let first = ask(&servers[0], "/visit", "a=b");
    let cookie = cookie_of(&first);
    for visit in 2..6 {
        let reply = ask(&servers[visit % 2], "/visit", &cookie);
        assert_eq!(reply.text(), visit.to_string());
    }
    assert_eq!(ask(&servers[0], "/leave", &cookie).text(), "bye");
    let (name, _) = cookie.split_once('=').expect("it has a name");
    for cookie in [cookie.clone(), format!("{name}={}", "x".repeat(3000))] {
        assert_eq!(
            ask(&servers[1], "/visit", &cookie).text(),
            "1",
            "it is no session"
        );
    }
    drop(redis);
    let reply = ask(&servers[0], "/visit", &cookie);
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.head.field("retry-after"), Some("2"));
}

fn a_rate_is_that_of_all_nodes(engine: Engine) {
    let redis = services::Redis::start();
    let servers = [(); 2].map(|()| start(engine, &redis));
    let codes: Vec<_> = (0..5)
        .map(|n| servers[n % 2].get("/rare").status())
        .collect();
    assert_eq!(codes, [200, 200, 200, 429, 429]);
    let after = servers[1].get("/rare");
    let wait: u64 = after.head.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "a third of the period: {wait}");
    drop(redis);
    assert_eq!(
        servers[0].get("/rare").status(),
        200,
        "nothing is counted, so it is served"
    );
}

fn without_redis_there_are_errors_and_no_waits(engine: Engine) {
    let redis = services::Redis::start();
    let hub = Hub::from(connect(&redis)).patience(Duration::ZERO);
    let room = Room::builder().bus(hub.clone()).build();
    let [says, tells] = [(); 2].map(|()| room.clone());
    let mut app = App::new();
    app.get("/say", move |_: Request| {
        says.publish("hello").number().to_string()
    });
    app.get("/tell", move |_: Request| {
        let told = tells.publish_with(|cursor| cursor.to_string());
        told.number().to_string()
    });
    let server = TestServer::start(linted(app).engine(engine).metrics_bind("127.0.0.1:0"));
    let member = room.join("Ada", Since::Now).unwrap();
    assert_eq!(server.get("/say").text(), "1");
    assert_eq!(server.get("/tell").text(), "2");
    for _ in 0..2 {
        assert!(
            member
                .next_timeout(Duration::from_secs(30))
                .unwrap()
                .is_some()
        );
    }
    drop(redis);
    until("it is seen", || !hub.stats().connected);
    for path in ["/say", "/tell"] {
        let reply = server.get(path);
        assert_eq!(reply.status(), 503);
        assert_eq!(reply.head.field("retry-after"), Some("2"));
    }
    let error = room.try_publish("hello").unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert!(!member.is_evicted(), "members stay");
    assert!(hub.stats().failed >= 2);
    assert!(server.metric("greenway_bus_failed_posts_total") >= 2.0);
    assert!(server.metric("greenway_buses{state=\"failing\"}") >= 1.0);
}

/// Tells when a handler has begun, and when it has ended, however that was.
struct Handler(Arc<AtomicUsize>);

impl Handler {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count.clone())
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn patient(engine: Engine, redis: &services::Redis) -> (TestServer, Room, Arc<AtomicUsize>) {
    let hub = Hub::from(connect(redis)).patience(Duration::from_secs(600));
    let room = Room::builder().bus(hub).build();
    room.publish("there is a room");
    let (says, running) = (room.clone(), Arc::new(AtomicUsize::new(0)));
    let count = running.clone();
    let mut app = App::new();
    app.get("/say", move |_: Request| {
        let _handler = Handler::begin(&count);
        says.publish("hello").to_string()
    });
    let server = TestServer::start(linted(app).engine(engine));
    (server, room, running)
}

fn a_stop_ends_the_waits_for_redis(engine: Engine) {
    let redis = services::Redis::start_durable();
    let (server, room, running) = patient(engine, &redis);
    redis.pause();
    let mut client = server.connect();
    client.send(request::get("/say"));
    until("the handler waits", || running.load(SeqCst) == 1);
    server.stop();
    if engine == Engine::Green {
        assert_eq!(running.load(SeqCst), 0);
    }
    redis.resume();
    assert!(room.publish("it goes on").number() > 1);
}

/// On the threads engine a handler learns it from its next wait for the client.
#[test]
fn who_leaves_waits_for_redis_no_more() {
    let redis = services::Redis::start_durable();
    let (server, _room, running) = patient(Engine::Green, &redis);
    redis.pause();
    let mut client = server.connect();
    client.send(request::get("/say"));
    until("the handler waits", || running.load(SeqCst) == 1);
    drop(client);
    until("the handler has ended", || running.load(SeqCst) == 0);
    redis.resume();
}

#[test]
fn a_server_does_not_start_with_a_bus_that_is_no_address() {
    for url in ["", "redis:", "http://127.0.0.1/", "redis://127.0.0.1/x"] {
        let started = Server::new(|_: Request| "hello")
            .bind("127.0.0.1:0")
            .room_bus(url)
            .start();
        let error = started.expect_err(url);
        assert!(error.to_string().contains("--room-bus"), "{error}");
    }
}

/// The id of a stream for a cursor's text.
fn id_of(cursor: &str) -> String {
    let (epoch, number) = cursor.split_once('-').unwrap();
    format!("{}-{number}", u64::from_str_radix(epoch, 16).unwrap())
}

fn a_step_in_the_numbers_is_a_gap(engine: Engine) {
    let server = services::Redis::start();
    let node = Node::start(engine, &server);
    let first = node.say("one");
    let mut stream = node.events(Some(&first));
    let (epoch, _) = first.split_once('-').unwrap();
    let id = id_of(&format!("{epoch}-7"));
    let _id: String = redis::cmd("XADD")
        .arg(STREAM)
        .arg(id)
        .arg(&["t", "1", "d", "\x10\0\0\0\0seven"])
        .query(&mut *connect(&server).get().unwrap())
        .unwrap();
    let gap = stream.chunk();
    assert_eq!(gap, format!("id: {epoch}-6\nevent: gap\ndata: \n\n"));
    assert_eq!(stream.chunk(), format!("id: {epoch}-7\ndata: seven\n\n"));
    assert_eq!(node.poll(&first).text(), format!("{epoch}-7 true seven"));
    assert_eq!(
        node.say("eight"),
        format!("{epoch}-8"),
        "and it goes on behind it"
    );
    assert_eq!(stream.chunk(), format!("id: {epoch}-8\ndata: eight\n\n"));
}

fn a_stream_that_has_gone_back_is_a_gap(engine: Engine) {
    let server = services::Redis::start();
    let nodes = [(); 2].map(|()| Node::start(engine, &server));
    let redis = connect(&server);
    let one = nodes[0].say("one");
    let old: Vec<u8> = redis::cmd("DUMP")
        .arg(STREAM)
        .query(&mut *redis.get().unwrap())
        .unwrap();
    let two = nodes[0].say("two");
    let mut streams = nodes.each_ref().map(|node| node.events(Some(&one)));
    for stream in &mut streams {
        assert_eq!(stream.chunk(), format!("id: {two}\ndata: two\n\n"));
    }
    // As a replica does that had not got the last one when it became the primary.
    let _ok: String = redis::cmd("RESTORE")
        .arg(STREAM)
        .arg(0)
        .arg(old)
        .arg("REPLACE")
        .query(&mut *redis.get().unwrap())
        .unwrap();
    server.cut_connections();
    for (stream, node) in streams.iter_mut().zip(&nodes) {
        let gap = stream.chunk();
        assert!(gap.ends_with("-0\nevent: gap\ndata: \n\n"), "{gap}");
        let text = node.poll(&two).text();
        assert!(text.contains(" true "), "{text}");
    }
    let other = nodes[1].say("another two");
    assert_ne!(
        other.split_once('-').unwrap().0,
        two.split_once('-').unwrap().0
    );
    for stream in &mut streams {
        assert_eq!(
            stream.chunk(),
            format!("id: {other}\ndata: another two\n\n")
        );
    }
}

/// Listens with TLS in front of a Redis, one question and its answer after the other.
fn encrypt(server: &services::Redis, certificates: &Certificates) -> SocketAddr {
    let files = certificates.make("redis", &["localhost"]);
    let acceptor = Acceptor::new(files.cert, files.key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, socket) = (listener.local_addr().unwrap(), server.socket());
    spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let Ok(mut outside) = acceptor.accept(stream) else {
                continue;
            };
            let mut inside = UnixStream::connect(&socket).unwrap();
            spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    let length = outside.read(&mut buffer)?;
                    if length == 0 {
                        return Ok::<_, std::io::Error>(());
                    }
                    inside.write_all(&buffer[..length])?;
                    let length = inside.read(&mut buffer)?;
                    outside.write_all(&buffer[..length])?;
                }
            });
        }
    });
    addr
}

#[test]
fn a_room_goes_over_tls_with_a_password() {
    let server = services::Redis::start();
    let _ok: String = redis::cmd("CONFIG")
        .arg(&["SET", "requirepass", "secret"])
        .query(&mut *connect(&server).get().unwrap())
        .unwrap();
    let certificates = Certificates::new();
    let port = encrypt(&server, &certificates).port();
    let room = |password: &str, trusted: bool| {
        let url = format!("rediss://:{password}@localhost:{port}/3");
        let redis = if trusted {
            let root = certificates.path("root.pem");
            Redis::connect_tls(&url, Connector::trusting(root).unwrap())
        } else {
            Redis::connect(&url)
        };
        let redis = redis.unwrap();
        assert!(!format!("{redis:?}").contains(password), "it is secret");
        let hub = Hub::from(redis).patience(Duration::from_secs(1));
        Room::builder().bus(hub).build()
    };
    let [first, second] = [(); 2].map(|()| room("secret", true));
    let member = second.join("Ada", Since::Now).unwrap();
    let cursor = first.publish("hello");
    let message = member
        .next_timeout(Duration::from_secs(30))
        .unwrap()
        .unwrap();
    assert_eq!((message.text(), message.cursor()), (Some("hello"), cursor));
    let wrong = room("wrong", true).try_publish("hello").unwrap_err();
    assert!(!wrong.is_temporary(), "{wrong}");
    let stranger = room("secret", false).try_publish("hello").unwrap_err();
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
}
