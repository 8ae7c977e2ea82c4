//! What two servers share over one Redis beside what is said: who is there, places of posts, sessions
//! and rates; and what becomes of it without Redis.

use crate::bus::Node;
use greenway::middleware::RateLimit;
use greenway::redis::Redis;
use greenway::room::{Hub, Post, Room, Since};
use greenway::sessions::Sessions;
use greenway::{App, Engine, HttpError, Request};
use greenway_tests::request::with;
use greenway_tests::{Reply, TestServer, linted, on_green_and_threads, services, until};
use std::thread;
use std::time::Duration;

on_green_and_threads!(
    members_of_all_nodes_are_seen,
    a_post_shows_its_place_wherever_it_is_made,
    sessions_are_those_of_all_nodes,
    a_rate_is_that_of_all_nodes,
    without_redis_there_are_errors_and_no_waits,
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
