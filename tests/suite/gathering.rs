//! Chunks gather until somebody waits, and for about a millisecond at most: who reads sees what was
//! sent, also while the body computes.

use greenway::green::{sleep, yield_now};
use greenway::{App, Body, Engine, Request};
use greenway_tests::http2::Http2;
use greenway_tests::request::{get, get_close};
use greenway_tests::tls::Certificates;
use greenway_tests::{
    Client, Drops, Folder, Program, TestServer, linted, on_green_and_threads, until,
};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

on_green_and_threads!(
    a_chunk_arrives_while_all_that_could_send_it_computes,
    a_chunk_arrives_while_the_only_one_that_could_send_it_computes,
    a_chunk_arrives_with_tls_while_its_body_computes,
    a_flush_is_on_the_wire,
    http2_sends_before_a_body_computes,
    a_burst_takes_few_writes,
    whatever_a_body_does_its_bytes_come_in_order,
    a_client_that_leaves_is_noticed_without_a_wait,
    a_client_that_does_not_read_holds_its_body_up,
    what_was_sent_before_a_failure_arrives,
);

/// Has `count` bodies compute at once, on as many workers, or threads of the pool.
#[track_caller]
fn compute(engine: Engine, count: usize) {
    let (name, number) = match engine {
        Engine::Threads => ("threads", "--threads"),
        _ => ("green", "--cores"),
    };
    let each = count.to_string();
    let args = ["--bind", "127.0.0.1:0", "--engine", name, number, &each];
    let server = Program::start(env!("CARGO_BIN_EXE_gathering"), &args);
    let addr = server.wait_for_addr();
    // One on each worker. They are spread evenly, so that takes a few only.
    let mut clients: Vec<(String, Client)> = Vec::new();
    while clients.len() < count {
        let mut client = Client::connect(addr);
        let worker = client.send(get("/worker")).reply().text();
        if engine == Engine::Threads || clients.iter().all(|(other, _)| *other != worker) {
            clients.push((worker, client));
        }
    }
    let folder = Folder::new("gathering");
    let path = folder.path("seen");
    let mut clients: Vec<Client> = clients.into_iter().map(|(_, client)| client).collect();
    for client in &mut clients {
        client.send(get_close(&format!("/computes?path={}", path.display())));
    }
    for client in &mut clients {
        client.head();
        assert_eq!([client.chunk(), client.chunk()], ["first", "second"]);
    }
    fs::write(&path, "").unwrap();
    for client in &mut clients {
        assert_eq!(client.chunk(), "in time");
    }
}

fn a_chunk_arrives_while_all_that_could_send_it_computes(engine: Engine) {
    compute(engine, 2);
}

fn a_chunk_arrives_while_the_only_one_that_could_send_it_computes(engine: Engine) {
    compute(engine, 1);
}

/// Computes until the flag is set; not for ever.
fn compute_until(flag: &AtomicBool) {
    let begun = Instant::now();
    while !flag.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(10) {
        std::hint::spin_loop();
    }
}

fn verdict(seen: &AtomicBool) -> &'static str {
    if seen.load(Ordering::SeqCst) {
        "seen"
    } else {
        "late"
    }
}

/// Sends chunks and computes until they have come.
fn chunks_and_computing(seen: &Arc<AtomicBool>) -> App {
    let mut app = App::new();
    let flag = seen.clone();
    app.get("/", move |_: Request| {
        let flag = flag.clone();
        Body::stream(move |out| {
            for chunk in ["one", "two", "three"] {
                out.send(chunk)?;
            }
            compute_until(&flag);
            out.send(verdict(&flag))
        })
    });
    let flag = seen.clone();
    app.get("/one", move |_: Request| {
        let flag = flag.clone();
        Body::stream(move |out| {
            out.send("one")?;
            compute_until(&flag);
            out.send(verdict(&flag))
        })
    });
    let flag = seen.clone();
    app.get("/flushed", move |_: Request| {
        let flag = flag.clone();
        Body::stream(move |out| {
            for chunk in ["one", "two", "three"] {
                out.send(chunk)?;
                out.flush()?;
            }
            compute_until(&flag);
            out.send(verdict(&flag))
        })
    });
    app
}

#[track_caller]
fn see(client: &mut Client, seen: &AtomicBool) {
    client.head();
    for chunk in ["one", "two", "three"] {
        assert_eq!(client.chunk(), chunk);
    }
    seen.store(true, Ordering::SeqCst);
    assert_eq!(client.chunk(), "seen");
    assert_eq!(client.chunk(), "");
}

fn a_chunk_arrives_with_tls_while_its_body_computes(engine: Engine) {
    let seen = Arc::new(AtomicBool::new(false));
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = linted(chunks_and_computing(&seen)).engine(engine);
    let server = TestServer::start(server.certfile(&files.cert).keyfile(&files.key));
    let mut client = server
        .connect()
        .secure(&made.client(), "localhost")
        .unwrap();
    client.send(get("/"));
    see(&mut client, &seen);
}

fn a_flush_is_on_the_wire(engine: Engine) {
    let seen = Arc::new(AtomicBool::new(false));
    let server = TestServer::start(linted(chunks_and_computing(&seen)).engine(engine));
    let mut client = server.connect();
    client.send(get("/flushed"));
    see(&mut client, &seen);
}

/// Its connection has a thread of the same worker, which is let run.
fn http2_sends_before_a_body_computes(engine: Engine) {
    for (path, wanted) in [("/one", "one"), ("/flushed", "onetwothree")] {
        let seen = Arc::new(AtomicBool::new(false));
        let server = TestServer::start(linted(chunks_and_computing(&seen)).engine(engine));
        let mut client = Http2::connect(server.addr());
        let mut sent = client.send_get(path);
        let mut body = client.head(&mut sent).unwrap().into_body();
        let mut come = Vec::new();
        while come.len() < wanted.len() {
            come.extend_from_slice(&client.data(&mut body).unwrap().unwrap());
        }
        assert_eq!(come, wanted.as_bytes());
        seen.store(true, Ordering::SeqCst);
        assert_eq!(&*client.data(&mut body).unwrap().unwrap(), b"seen");
    }
}

/// Hands bytes to and fro between a client and a server, and counts the records of TLS that come
/// from the server: each write of its makes one at least.
fn counting_records(server: SocketAddr, records: &Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let records = records.clone();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let far = TcpStream::connect(server).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), far.try_clone().unwrap());
        thread::spawn(move || {
            let _ended = std::io::copy(&mut from, &mut to);
            let _ended_before = to.shutdown(Shutdown::Write);
        });
        let (mut far, mut client) = (far, client);
        let mut header = [0; 5];
        while far.read_exact(&mut header).is_ok() {
            let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
            if far.read_exact(&mut record).is_err() {
                break;
            }
            records.fetch_add(1, Ordering::SeqCst);
            if client.write_all(&[&header[..], &record].concat()).is_err() {
                break;
            }
        }
        let _ended_before = client.shutdown(Shutdown::Write);
    });
    addr
}

fn a_burst_takes_few_writes(engine: Engine) {
    const CHUNKS: usize = 1000;
    let mut app = App::new();
    app.get("/", |_: Request| {
        Body::stream(|out| {
            for _ in 0..CHUNKS {
                out.send("0123456789abcdef0123456789abcdef")?;
            }
            Ok(())
        })
    });
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = linted(app).engine(engine);
    let server = TestServer::start(server.certfile(&files.cert).keyfile(&files.key));
    let records = Arc::new(AtomicU64::new(0));
    let addr = counting_records(server.addr(), &records);
    let mut client = Client::connect(addr)
        .secure(&made.client(), "localhost")
        .unwrap();
    client.send(get("/"));
    assert_eq!(client.reply().body.len(), CHUNKS * 32);
    // Those of the handshake are among them; and a body that is held up sends what it has each
    // millisecond.
    let records = records.load(Ordering::SeqCst);
    assert!(records < CHUNKS as u64 / 4, "{records} records");
}

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

fn pieces(seed: u64) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(seed);
    let mut next = 0_u8;
    let mut piece = |length: u64| {
        let bytes = (0..length).map(|_| {
            next = next.wrapping_mul(5).wrapping_add(17);
            next
        });
        bytes.collect::<Vec<u8>>()
    };
    let lengths = (0..400).map(|_| match numbers.below(20) {
        0 => 1 + numbers.below(40_000),
        1..4 => 1 + numbers.below(5000),
        _ => 1 + numbers.below(60),
    });
    let lengths: Vec<u64> = lengths.collect();
    lengths.into_iter().map(&mut piece).collect()
}

fn mixed(seed: u64) -> Body {
    Body::stream(move |out| {
        let mut numbers = Numbers(seed + 1000);
        for piece in pieces(seed) {
            out.send(piece)?;
            match numbers.below(40) {
                0 => sleep(Duration::from_micros(numbers.below(2000))),
                1 => yield_now(),
                2 => out.flush()?,
                3 => out.send("")?,
                4 => {
                    let begun = Instant::now();
                    let long = Duration::from_micros(numbers.below(4000));
                    while begun.elapsed() < long {
                        std::hint::spin_loop();
                    }
                }
                _ => {}
            }
        }
        Ok(())
    })
}

fn mixed_bodies() -> App {
    let mut app = App::new();
    app.get("/chunked/<seed:int>", |request: Request| {
        mixed(seed_of(&request))
    });
    app.get("/length/<seed:int>", |request: Request| {
        let seed = seed_of(&request);
        let length = pieces(seed).iter().map(Vec::len).sum::<usize>();
        mixed(seed).with_length(length as u64)
    });
    app
}

fn whatever_a_body_does_its_bytes_come_in_order(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let plain = TestServer::start(linted(mixed_bodies()).engine(engine));
    let server = linted(mixed_bodies()).engine(engine);
    let secure = TestServer::start(server.certfile(&files.cert).keyfile(&files.key));
    for seed in 1..=6 {
        let wanted = pieces(seed).concat();
        let mut clients = [
            plain.connect(),
            Client::connect_with_buffer(2048, plain.addr()),
            secure
                .connect()
                .secure(&made.client(), "localhost")
                .unwrap(),
        ];
        for client in &mut clients {
            for path in ["chunked", "length"] {
                let reply = client.send(get(&format!("/{path}/{seed}"))).reply();
                assert!(reply.body == wanted, "{path} {seed}");
            }
        }
        let asked = format!("GET /chunked/{seed} HTTP/1.0\r\n\r\n");
        let mut old = plain.connect();
        old.send(asked).head();
        assert!(old.rest() == wanted, "until the end, {seed}");
    }
}

fn seed_of(request: &Request) -> u64 {
    request.param("seed").parse().unwrap_or(1)
}

fn a_client_that_leaves_is_noticed_without_a_wait(engine: Engine) {
    let drops = Drops::new();
    let mut app = App::new();
    let witnesses = drops.clone();
    app.get("/", move |_: Request| {
        let witness = witnesses.witness();
        Body::stream(move |out| {
            let _witness = witness;
            loop {
                out.send("a line\n")?;
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_micros(300) {
                    std::hint::spin_loop();
                }
            }
        })
    });
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/")).head();
    client.chunk();
    client.reset();
    drops.wait();
    until("the connection is closed", || server.connections() == 0);
}

fn a_client_that_does_not_read_holds_its_body_up(engine: Engine) {
    /// More than the kernel keeps for both sides.
    const MOST: u64 = 64 << 20;
    let (given, drops) = (Arc::new(AtomicU64::new(0)), Drops::new());
    let mut app = App::new();
    let (count, witnesses) = (given.clone(), drops.clone());
    app.get("/", move |_: Request| {
        let (count, witness) = (count.clone(), witnesses.witness());
        Body::stream(move |out| {
            let _witness = witness;
            while count.fetch_add(100, Ordering::SeqCst) < MOST {
                out.send([b'.'; 100].to_vec())?;
            }
            Ok(())
        })
    });
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = Client::connect_with_buffer(4096, server.addr());
    client.send(get("/")).head();
    // It is held up when nothing more has come of it for a while.
    let (mut last, mut same) = (0, 0);
    while same < 100 {
        thread::sleep(Duration::from_millis(1));
        let now = given.load(Ordering::SeqCst);
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    assert!(last < MOST, "{last} bytes were taken of it");
    client.reset();
    drops.wait();
}

fn what_was_sent_before_a_failure_arrives(engine: Engine) {
    let mut app = App::new();
    app.get("/", |_: Request| {
        Body::stream(|out| {
            for chunk in ["one", "two", "three"] {
                out.send(chunk)?;
            }
            Err(std::io::Error::from(ErrorKind::Other).into())
        })
    });
    app.get("/panics", |_: Request| {
        Body::stream(|out| {
            for chunk in ["one", "two", "three"] {
                out.send(chunk)?;
            }
            panic!("on purpose, in the middle of a body")
        })
    });
    let server = TestServer::start(linted(app).engine(engine));
    for path in ["/", "/panics"] {
        let mut client = server.connect();
        client.send(get(path)).head();
        for chunk in ["one", "two", "three"] {
            assert_eq!(client.chunk(), chunk);
        }
        client.is_cut_short();
    }
}
