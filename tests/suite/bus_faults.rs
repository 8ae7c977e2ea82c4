//! Three nodes over one Redis, while everything fails that can: each subscriber sees each post once,
//! and all see them in one order, or are told that something was lost with Redis.

use greenway_tests::request::{self, get, post};
use greenway_tests::websocket::RawSocket;
use greenway_tests::{Client, DEADLINE, Program, neighbour, services, until};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The last post of all.
const END: &str = "end";

#[derive(Debug, Clone, Copy)]
enum Via {
    Events,
    Polls,
    Socket,
}

/// Where the nodes listen now, and what was said.
#[derive(Default)]
struct World {
    addrs: Mutex<Vec<SocketAddr>>,
    /// Posts that were answered with their place.
    said: Mutex<BTreeSet<String>>,
    /// Posts of which nobody knows.
    doubtful: Mutex<BTreeSet<String>>,
    is_quiet: AtomicBool,
    /// Publishers that keep quiet.
    quiet: AtomicUsize,
    is_over: AtomicBool,
}

impl World {
    fn addr(&self, index: usize) -> SocketAddr {
        let addrs = self.addrs.lock().unwrap_or_else(PoisonError::into_inner);
        addrs[index % addrs.len()]
    }

    fn said(&self) -> usize {
        self.said.lock().unwrap().len()
    }

    /// Waits until so many more posts were said.
    #[track_caller]
    fn until_more(&self, posts: usize) {
        let before = self.said();
        until("more is said", || self.said() >= before + posts);
    }

    /// Says things at one node after the other, as fast as they are taken.
    fn publish(&self, publisher: usize) {
        for number in 0.. {
            if self.is_quiet.load(SeqCst) {
                self.quiet.fetch_add(1, SeqCst);
                while self.is_quiet.load(SeqCst) {
                    thread::park_timeout(Duration::from_millis(5));
                }
                self.quiet.fetch_sub(1, SeqCst);
            }
            if self.is_over.load(SeqCst) {
                return;
            }
            let text = format!("{publisher}:{number}");
            let set = if self.say(publisher + number, &text) {
                &self.said
            } else {
                &self.doubtful
            };
            set.lock().unwrap().insert(text);
            thread::park_timeout(Duration::from_millis(3)); // a modest pace
        }
    }

    /// Whether it was said.
    fn say(&self, node: usize, text: &str) -> bool {
        let addr = self.addr(node);
        let Ok(stream) = std::net::TcpStream::connect(addr) else {
            return false;
        };
        drop(stream);
        let said = std::panic::catch_unwind(|| {
            let reply = Client::connect(addr).send(post("/say", text)).reply();
            reply.status() == 200
        });
        said.unwrap_or(false) // a node that was killed
    }
}

/// What a subscriber has seen.
#[derive(Default)]
struct Seen {
    texts: Mutex<Vec<String>>,
    gaps: AtomicUsize,
}

impl Seen {
    /// Takes `CURSOR TEXT`, and gives the cursor; `None` at the end.
    fn take(&self, text: &str) -> Option<String> {
        let (cursor, text) = text.split_once(' ').expect("posts show their places");
        self.texts.lock().unwrap().push(text.to_owned());
        (text != END).then(|| cursor.to_owned())
    }

    fn gap(&self) {
        self.gaps.fetch_add(1, SeqCst);
    }

    fn has(&self, texts: &BTreeSet<String>) -> bool {
        let seen: BTreeSet<_> = self.texts.lock().unwrap().iter().cloned().collect();
        texts.is_subset(&seen)
    }
}

/// Listens until the last post, and goes to the next node whenever its own has left it.
fn subscribe(world: &World, seen: &Seen, via: Via, first: usize, start: &str) {
    let mut cursor = start.to_owned();
    let deadline = Instant::now() + 4 * DEADLINE;
    for node in first.. {
        assert!(Instant::now() < deadline, "{via:?} is at an end");
        let addr = world.addr(node);
        // What has ended is an end of this connection, whatever it is called.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match via {
            Via::Events => events(addr, seen, &mut cursor),
            Via::Polls => polls(addr, seen, &mut cursor),
            Via::Socket => socket(addr, seen, &mut cursor),
        }));
        if ended.is_ok_and(|is_over| is_over) {
            return;
        }
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn events(addr: SocketAddr, seen: &Seen, cursor: &mut String) -> bool {
    let last = format!("Last-Event-ID: {cursor}\r\n");
    let mut client = Client::connect(addr);
    client.send(request::with("GET", "/events", &last, ""));
    if client.head().status != 200 {
        return false;
    }
    while let Some(chunk) = client.try_chunk() {
        let field = |name: &str| chunk.lines().find_map(|line| line.strip_prefix(name));
        if chunk.contains("event: gap") {
            seen.gap();
        } else if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
            match seen.take(data) {
                Some(place) => assert_eq!(place, id),
                None => return true,
            }
        }
        if let Some(id) = field("id: ") {
            id.clone_into(cursor);
        }
    }
    false
}

fn polls(addr: SocketAddr, seen: &Seen, cursor: &mut String) -> bool {
    let mut client = Client::connect(addr);
    loop {
        let reply = client.send(get(&format!("/poll?after={cursor}"))).reply();
        if reply.status() != 200 {
            return false;
        }
        let text = reply.text();
        let mut lines = text.lines();
        let place = lines.next().expect("the cursor");
        if lines.next() == Some("true") {
            seen.gap();
        }
        for line in lines {
            if seen.take(line).is_none() {
                return true;
            }
        }
        place.clone_into(cursor);
    }
}

fn socket(addr: SocketAddr, seen: &Seen, cursor: &mut String) -> bool {
    let mut socket = RawSocket::connect(addr, &format!("/socket?after={cursor}"));
    loop {
        let text = socket.next_text();
        if text.is_empty() {
            seen.gap();
            continue;
        }
        match seen.take(&text) {
            Some(place) => *cursor = place,
            None => return true,
        }
    }
}

fn node(url: &str, engine: &str) -> Program {
    let args = [
        "--bind",
        "127.0.0.1:0",
        "--engine",
        engine,
        "--threads",
        "40",
    ];
    Program::start(
        neighbour("node"),
        &[&args[..], &["--room-bus", url]].concat(),
    )
}

#[test]
fn each_post_is_seen_once_and_in_one_order_whatever_fails() {
    let redis = services::Redis::start_durable();
    let url = format!("unix://{}", redis.socket().display());
    let engines = ["green", "threads", "green"];
    let mut nodes: Vec<_> = engines.iter().map(|engine| node(&url, engine)).collect();
    let world = Arc::new(World::default());
    *world.addrs.lock().unwrap() = nodes.iter().map(Program::wait_for_addr).collect();
    let start = Client::connect(world.addr(0))
        .send(get("/poll?after=x"))
        .reply()
        .text();
    let start = start.lines().next().expect("the cursor").to_owned();
    let vias = [Via::Events, Via::Polls, Via::Socket];
    let subscribers: Vec<_> = (0..9)
        .map(|number| {
            let (world, seen, start) = (world.clone(), Arc::new(Seen::default()), start.clone());
            let (via, its) = (vias[number % 3], seen.clone());
            let run = move || subscribe(&world, &its, via, number / 3, &start);
            (seen, thread::spawn(run))
        })
        .collect();
    let publishers: Vec<_> = (0..3)
        .map(|number| {
            let world = world.clone();
            thread::spawn(move || world.publish(number))
        })
        .collect();
    world.until_more(60);

    redis.cut_connections();
    world.until_more(60);

    // Longer than a call may take.
    redis.pause();
    thread::sleep(Duration::from_secs(4));
    redis.resume();
    world.until_more(60);

    redis.kill(services::Data::Kept);
    redis.revive();
    world.until_more(60);

    drop(nodes.remove(1)); // by -9
    // Its stream, its socket and its poll are gone; of those that have gone to the next node, the
    // stream and the socket are there once more, and the poll is the poll of that node.
    until("the dead are seen no more", || {
        let members = Client::connect(world.addr(0)).send(get("/members")).reply();
        members.text() == "8"
    });
    world.until_more(30);
    nodes.push(node(&url, "green"));
    world.addrs.lock().unwrap()[1] = nodes[2].wait_for_addr();
    world.until_more(60);

    let all_have_seen = |what: &str| {
        until(what, || {
            let said = world.said.lock().unwrap().clone();
            subscribers.iter().all(|(seen, _)| seen.has(&said))
        });
    };
    // What is lost with Redis and has reached nobody is lost to all; so nothing is under way.
    world.is_quiet.store(true, SeqCst);
    until("all keep quiet", || world.quiet.load(SeqCst) == 3);
    all_have_seen("what was said has come");
    for (seen, _) in &subscribers {
        assert_eq!(seen.gaps.load(SeqCst), 0, "nothing was lost so far");
    }
    redis.kill(services::Data::Lost);
    redis.revive();
    world.is_quiet.store(false, SeqCst);
    world.until_more(60);

    world.is_over.store(true, SeqCst);
    for publisher in publishers {
        publisher.join().unwrap();
    }
    until("the end is said", || world.say(0, END));
    let mut orders = Vec::new();
    for (seen, subscriber) in subscribers {
        subscriber.join().unwrap();
        assert!(
            seen.gaps.load(SeqCst) > 0,
            "it is told that Redis has lost its data"
        );
        orders.push(seen.texts.lock().unwrap().clone());
    }
    let (said, doubtful) = (world.said.lock().unwrap(), world.doubtful.lock().unwrap());
    for order in &orders {
        assert_eq!(order, &orders[0], "one order");
        let once: BTreeSet<_> = order.iter().filter(|text| *text != END).cloned().collect();
        assert_eq!(once.len() + 1, order.len(), "each once");
        assert!(said.is_subset(&once), "none is missing");
        assert!(
            once.iter()
                .all(|text| said.contains(text) || doubtful.contains(text))
        );
    }
}
