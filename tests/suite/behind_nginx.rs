//! nginx in front, as most servers are run: what a client sees through it is what was promised
//! without it.
//!
//! Everything is tried buffered, as nginx is by default, and unbuffered. The package `nginx-light`
//! is enough; no configuration of the system is read.

use greenway_tests::request::{get, get_close, post, post_chunked};
use greenway_tests::{Client, Engine, Folder, Program, Reply, on_green_and_threads, until};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

on_green_and_threads!(
    requests_and_bodies_pass,
    a_buffered_stream_arrives_as_a_whole,
    an_unbuffered_stream_arrives_as_it_is_made,
    a_long_poll_waits,
    a_client_that_leaves_ends_its_handler,
    the_client_is_known,
    websockets_pass,
    events_pass_one_by_one,
    members_that_leave_are_noticed,
);

/// What nginx does with bodies, in both directions.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bodies {
    Buffered,
    Unbuffered,
}

const BOTH: [Bodies; 2] = [Bodies::Buffered, Bodies::Unbuffered];

/// A server, and nginx in front of it.
struct Site {
    // Dropped first, so that it never asks a server that is gone.
    _nginx: Program,
    server: Program,
    front: SocketAddr,
    _folder: Folder,
}

impl Site {
    #[track_caller]
    fn start(test: &str, engine: Engine, bodies: Bodies) -> Self {
        let server = Program::start(
            env!("CARGO_BIN_EXE_longpoll"),
            &[
                "--bind",
                "127.0.0.1:0",
                "--engine",
                engine.name(),
                "--access-logfile",
                "-",
                "--access-logformat",
                "%(s)s %(U)s",
            ],
        );
        let name = format!("{test}-{}-{bodies:?}", engine.name());
        let folder = Folder::new(&name);
        let app = server.wait_for_addr();
        let (nginx, front) = nginx_for(&folder, &name, app, bodies);
        Self {
            _nginx: nginx,
            server,
            front,
            _folder: folder,
        }
    }

    #[track_caller]
    fn connect(&self) -> Client {
        Client::connect(self.front)
    }

    /// Asks through nginx.
    #[track_caller]
    fn ask(&self, request: &str) -> Reply {
        self.connect().send(request).reply()
    }

    /// Waits until so many handlers wait.
    #[track_caller]
    fn until_waiting(&self, count: usize) {
        let path = format!("/until/{count}");
        assert_eq!(self.server.connect().send(get(&path)).reply().status(), 200);
    }

    #[track_caller]
    fn publish(&self, message: &str) {
        assert_eq!(self.ask(&post("/publish", message)).text(), "1");
    }
}

/// Starts a proxy, whose file `command` writes. It cannot choose a port itself, so it gets one that
/// was free a moment ago; if somebody else has taken it since, another one. It is ready when it
/// answers `/ready` with its name.
#[track_caller]
pub(crate) fn start_proxy(
    name: &str,
    command: impl Fn(SocketAddr) -> Command,
) -> (Program, SocketAddr) {
    for _ in 0..5 {
        let front = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("the machine has free ports");
        let program = Program::start_command(&mut command(front));
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if is_ready(front, name) {
                return (program, front);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    panic!("the proxy does not start");
}

#[track_caller]
fn nginx(
    folder: &Folder,
    name: &str,
    configuration: impl Fn(SocketAddr) -> String,
) -> (Program, SocketAddr) {
    let file = folder.path("nginx.conf");
    start_proxy(name, |front| {
        std::fs::write(&file, configuration(front)).expect("the folder is ours");
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(folder.path(""))
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"]);
        command
    })
}

/// Whether it is the proxy, and ours, that answers.
fn is_ready(front: SocketAddr, name: &str) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(front)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(get_close("/ready").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.ends_with(&format!("ready {name}")))
}

/// Starts nginx in front of another server.
#[track_caller]
pub(crate) fn nginx_for(
    folder: &Folder,
    name: &str,
    app: SocketAddr,
    bodies: Bodies,
) -> (Program, SocketAddr) {
    nginx(folder, name, |front| {
        configuration(name, front, app, bodies)
    })
}

fn configuration(name: &str, front: SocketAddr, app: SocketAddr, bodies: Bodies) -> String {
    let buffering = match bodies {
        Bodies::Buffered => "on",
        Bodies::Unbuffered => "off",
    };
    let site = format!(
        r#"    upstream app {{
        server {app};
        keepalive 8;
        keepalive_timeout 20s;
    }}
    server {{
        listen {front};
        location = /ready {{ return 200 "ready {name}"; }}
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            client_max_body_size 0;
            proxy_buffering {buffering};
            proxy_request_buffering {buffering};
        }}
    }}"#
    );
    around(&site)
}

/// What nginx needs besides the site itself.
pub(crate) fn around(site: &str) -> String {
    // One process, so that whoever kills it kills all of it.
    format!(
        r#"daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{site}
}}
"#
    )
}

/// nginx as the book recommends it.
#[track_caller]
pub(crate) fn recommended_nginx(
    folder: &Folder,
    name: &str,
    app: SocketAddr,
) -> (Program, SocketAddr) {
    let site = book("nginx").replace("server 127.0.0.1:8000;", &format!("server {app};"));
    nginx(folder, name, |front| {
        let ready = format!("listen {front}; location = /ready {{ return 200 \"ready {name}\"; }}");
        around(&site.replace("listen 80;", &ready))
    })
}

/// The configuration that the book has in this language.
pub(crate) fn book(language: &str) -> String {
    const BOOK: &str = include_str!("../../docs/src/proxies.md");
    let begin = format!("```{language}\n");
    let (_, rest) = BOOK.split_once(&begin).expect("the book shows one");
    let (site, _) = rest.split_once("```").expect("it has an end");
    site.to_owned()
}

/// A server of WebSockets and a room, behind nginx as the book recommends it.
fn sockets(test: &str, engine: Engine) -> Site {
    let args = ["--bind", "127.0.0.1:0", "--engine", engine.name()];
    let server = Program::start(env!("CARGO_BIN_EXE_sockets"), &args);
    let name = format!("{test}-{}", engine.name());
    let folder = Folder::new(&name);
    let app = server.wait_for_addr();
    let (nginx, front) = recommended_nginx(&folder, &name, app);
    Site {
        _nginx: nginx,
        server,
        front,
        _folder: folder,
    }
}

/// Asks for a WebSocket as a page of this origin does.
pub(crate) fn upgrade(path: &str, host: SocketAddr, origin: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

fn websockets_pass(engine: Engine) {
    let site = sockets("websocket", engine);
    let here = format!("http://{}", site.front);
    let mut client = site.connect();
    let head = client.send(upgrade("/echo", site.front, &here)).head();
    assert_eq!(head.status, 101);
    assert_eq!(
        head.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    for text in ["Hello", "", "again"] {
        let length = u8::try_from(text.len()).expect("short");
        client.send([&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat());
        assert_eq!(client.take(2), [0x81, length]);
        assert_eq!(client.take(text.len()), text.as_bytes());
    }
    client.send([0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]);
    assert_eq!(client.take(4), [0x88, 2, 3, 0xe8]);
    client.end();
    let elsewhere = upgrade("/echo", site.front, "http://elsewhere.example");
    assert_eq!(site.ask(&elsewhere).status(), 403);
    // Plain requests are served as ever.
    assert_eq!(site.ask(&get("/stats")).text(), "0 0 0");
}

/// With the id of the last event, which nginx passes on. nginx buffers, unless it is told not to
/// by the response.
fn events_pass_one_by_one(engine: Engine) {
    let site = sockets("events", engine);
    let mut client = site.connect();
    assert_eq!(client.send(get("/events")).head().status, 200);
    assert!(client.chunk().starts_with("retry: "));
    let mut last = String::new();
    for n in 0..3 {
        last = site.ask(&post("/say", &n.to_string())).text();
        assert_eq!(client.chunk(), format!("id: {last}\ndata: {n}\n\n"));
    }
    drop(client);
    let next = site.ask(&post("/say", "next")).text();
    let mut client = site.connect();
    client.send(format!(
        "GET /events HTTP/1.1\r\nHost: test\r\nLast-Event-ID: {last}\r\n\r\n"
    ));
    client.head();
    // What has come together by then, nginx passes on together.
    let wanted = format!("\n\nid: {next}\ndata: next\n\n");
    let mut seen = String::new();
    while !seen.ends_with(&wanted) {
        seen += &client.chunk();
    }
    assert!(seen.starts_with("retry: "));
}

fn members_that_leave_are_noticed(engine: Engine) {
    let site = sockets("leave-room", engine);
    let here = format!("http://{}", site.front);
    let mut socket = site.connect();
    let head = socket.send(upgrade("/room", site.front, &here)).head();
    assert_eq!(head.status, 101);
    let mut stream = site.connect();
    assert_eq!(stream.send(get("/events")).head().status, 200);
    let members = |count: usize| {
        until("the room knows it", || {
            let stats = site.ask(&get("/stats")).text();
            stats.split(' ').next() == Some(&count.to_string())
        });
    };
    members(2);
    socket.reset();
    members(1);
    drop(stream);
    members(0);
}

fn requests_and_bodies_pass(engine: Engine) {
    for bodies in BOTH {
        let site = Site::start("plain", engine, bodies);
        let mut client = site.connect();
        for _ in 0..20 {
            let reply = client.send(get("/hello")).reply();
            assert_eq!(reply.summary(), (200, "Hello\n".to_owned()), "{bodies:?}");
        }
        assert_eq!(client.send(get("/nowhere")).reply().status(), 404);
        let large = "0123456789abcdef".repeat(12_000);
        for body in ["", "short", &large] {
            let reply = client.send(post("/echo", body)).reply();
            assert_eq!(reply.status(), 200, "{bodies:?}");
            assert!(reply.text() == body, "{bodies:?}: {} bytes", body.len());
        }
        let chunks = ["one", &large, "three"];
        let reply = client.send(post_chunked("/echo", &chunks)).reply();
        assert_eq!(reply.status(), 200, "{bodies:?}");
        assert!(reply.text() == chunks.concat(), "{bodies:?}: in chunks");
    }
}

fn a_buffered_stream_arrives_as_a_whole(engine: Engine) {
    let site = Site::start("whole", engine, Bodies::Buffered);
    let mut client = site.connect();
    client.send(get("/listing"));
    site.until_waiting(1);
    site.publish("MIDDLE");
    let reply = client.reply();
    assert_eq!(reply.summary(), (200, "START\nMIDDLE\nEND\n".to_owned()));
}

fn an_unbuffered_stream_arrives_as_it_is_made(engine: Engine) {
    let site = Site::start("stream", engine, Bodies::Unbuffered);
    let mut client = site.connect();
    assert!(client.send(get("/listing")).head().is_chunked());
    assert_eq!(client.chunk(), "START\n");
    // Only now can there be a second line.
    site.publish("MIDDLE");
    let mut rest = String::new();
    loop {
        match client.chunk() {
            chunk if chunk.is_empty() => break,
            chunk => rest += &chunk,
        }
    }
    assert_eq!(rest, "MIDDLE\nEND\n");
}

fn a_long_poll_waits(engine: Engine) {
    for bodies in BOTH {
        let site = Site::start("poll", engine, bodies);
        let mut client = site.connect();
        client.send(get("/wait"));
        site.until_waiting(1);
        site.publish("news");
        assert_eq!(client.reply().summary(), (200, "news".to_owned()));
    }
}

fn a_client_that_leaves_ends_its_handler(engine: Engine) {
    for bodies in BOTH {
        let site = Site::start("leave", engine, bodies);
        let mut client = site.connect();
        client.send(get("/wait"));
        site.until_waiting(1);
        drop(client);
        site.server.wait_for_line("unwound");
        site.server.wait_for_output("499 /wait");
        assert_eq!(site.ask(&get("/hello")).status(), 200, "{bodies:?}");
    }
}

/// nginx is on this machine, which is believed unless it is told otherwise.
fn the_client_is_known(engine: Engine) {
    for bodies in BOTH {
        let site = Site::start("who", engine, bodies);
        let from = IpAddr::V4(Ipv4Addr::new(127, 66, 5, 4));
        let mut client = Client::connect_from(from, site.front);
        assert_eq!(client.send(get("/who")).reply().text(), "127.66.5.4");
        // What the client claims itself stands further left and is not believed.
        let claim = "GET /who HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
        assert_eq!(client.send(claim).reply().text(), "127.66.5.4");
    }
}
