//! nginx, HAProxy and Caddy in front, as the book recommends them and otherwise with their own
//! defaults; and a server with its own, whose idle connections never end in the way of a request.

use crate::behind_nginx::{book, recommended_nginx, start_proxy, upgrade};
use greenway_tests::request::{get, post};
use greenway_tests::{Client, Engine, Folder, Program, Reply, on_green_and_threads, until};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

on_green_and_threads!(
    requests_and_uploads_pass,
    a_client_that_leaves_ends_its_handler,
    the_client_is_known,
    websockets_pass,
    events_pass_one_by_one,
    haproxy_tells_of_clients_by_the_proxy_protocol,
    uploads_at_the_pace_of_a_usual_keep_alive_are_all_served,
);

type Start = fn(&Folder, &str, SocketAddr) -> (Program, SocketAddr);

const PROXIES: [(&str, Start); 3] = [
    ("nginx", recommended_nginx),
    ("haproxy", haproxy),
    ("caddy", caddy),
];

/// A server, and a proxy in front of it.
struct Site {
    name: &'static str,
    // Dropped first, so that it never asks a server that is gone.
    _proxy: Program,
    server: Program,
    front: SocketAddr,
    _folder: Folder,
}

impl Site {
    #[track_caller]
    fn connect(&self) -> Client {
        Client::connect(self.front)
    }

    #[track_caller]
    fn ask(&self, request: &str) -> Reply {
        self.connect().send(request).reply()
    }
}

/// The same program behind each of the proxies, with the defaults of all of them.
#[track_caller]
fn sites(test: &str, engine: Engine, program: &str) -> Vec<Site> {
    let sites = PROXIES.iter().map(|(proxy, start)| {
        let args = ["--bind", "127.0.0.1:0", "--engine", engine.name()];
        let server = Program::start(program, &args);
        let name = format!("{proxy}-{test}-{}", engine.name());
        let folder = Folder::new(&name);
        let (running, front) = start(&folder, &name, server.wait_for_addr());
        Site {
            name: proxy,
            _proxy: running,
            server,
            front,
            _folder: folder,
        }
    });
    sites.collect()
}

fn long_polls(test: &str, engine: Engine) -> Vec<Site> {
    sites(test, engine, env!("CARGO_BIN_EXE_longpoll"))
}

/// HAProxy as the book recommends it.
fn haproxy(folder: &Folder, name: &str, app: SocketAddr) -> (Program, SocketAddr) {
    haproxy_with(folder, name, app, "")
}

/// The same, with more words behind the address of the server.
fn haproxy_with(
    folder: &Folder,
    name: &str,
    server: SocketAddr,
    words: &str,
) -> (Program, SocketAddr) {
    let site = book("haproxy");
    let (bind, app) = ("bind :80\n", "server app 127.0.0.1:8000\n");
    assert!(site.contains(bind) && site.contains(app), "{site}");
    let file = folder.path("haproxy.cfg");
    start_proxy(name, |front| {
        let ready = format!(
            "bind {front}\n    http-request return status 200 content-type text/plain \
             string \"ready {name}\" if {{ path /ready }}\n"
        );
        let server = format!("server app {server} {words}\n");
        let text = site.replace(bind, &ready).replace(app, &server);
        std::fs::write(&file, text).expect("the folder is ours");
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f"]).arg(&file);
        command
    })
}

/// Caddy as the book recommends it.
fn caddy(folder: &Folder, name: &str, app: SocketAddr) -> (Program, SocketAddr) {
    let site = book("caddy");
    let (host, upstream) = ("example.com {\n", "127.0.0.1:8000");
    assert!(site.contains(host) && site.contains(upstream), "{site}");
    let file = folder.path("Caddyfile");
    start_proxy(name, |front| {
        let own = "{\n\tadmin off\n}\n";
        let here = format!(
            "http://:{} {{\n\tbind {}\n\trespond /ready \"ready {name}\"\n",
            front.port(),
            front.ip()
        );
        let text = site
            .replace(host, &here)
            .replace(upstream, &app.to_string());
        std::fs::write(&file, format!("{own}{text}")).expect("the folder is ours");
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", folder.path(""))
            .env("XDG_DATA_HOME", folder.path("data"))
            .env("XDG_CONFIG_HOME", folder.path("config"));
        command
    })
}

fn requests_and_uploads_pass(engine: Engine) {
    for site in long_polls("plain", engine) {
        let mut client = site.connect();
        for _ in 0..20 {
            let reply = client.send(get("/hello")).reply();
            assert_eq!(
                reply.summary(),
                (200, "Hello\n".to_owned()),
                "{}",
                site.name
            );
        }
        let large = "0123456789abcdef".repeat(12_000);
        // Go's server, which is Caddy's, reads no more of a request once its response has begun.
        let both_ways = site.name != "caddy";
        let echo = both_ways.then_some("/echo");
        for path in echo.into_iter().chain(["/whole"]) {
            for body in ["", "short", &large] {
                let reply = client.send(post(path, body)).reply();
                assert_eq!(reply.status(), 200, "{}", site.name);
                assert!(reply.text() == body, "{}: {} bytes", site.name, body.len());
            }
        }
    }
}

fn a_client_that_leaves_ends_its_handler(engine: Engine) {
    for site in long_polls("leave", engine) {
        let mut client = site.connect();
        client.send(get("/wait"));
        let waits = site.server.connect().send(get("/until/1")).reply();
        assert_eq!(waits.status(), 200, "{}", site.name);
        drop(client);
        site.server.wait_for_line("unwound");
    }
}

/// Whatever the client claims: the proxy says it, and is believed since it is on this machine.
fn the_client_is_known(engine: Engine) {
    for site in long_polls("who", engine) {
        let from = IpAddr::V4(Ipv4Addr::new(127, 66, 5, 4));
        for claim in [
            "",
            "X-Forwarded-For: 6.6.6.6\r\n",
            "Forwarded: for=6.6.6.6;proto=https\r\n",
            "X-Forwarded-Host: elsewhere\r\nX-Forwarded-Prefix: /x\r\n",
        ] {
            let request = format!("GET /who HTTP/1.1\r\nHost: test\r\n{claim}\r\n");
            let mut client = Client::connect_from(from, site.front);
            let reply = client.send(request).reply();
            let expected = (200, "127.66.5.4".to_owned());
            assert_eq!(reply.summary(), expected, "{}, {claim}", site.name);
        }
    }
}

fn websockets_pass(engine: Engine) {
    for site in sites("socket", engine, env!("CARGO_BIN_EXE_sockets")) {
        let here = format!("http://{}", site.front);
        let mut client = site.connect();
        let head = client.send(upgrade("/echo", site.front, &here)).head();
        assert_eq!(head.status, 101, "{}", site.name);
        client.send([&[0x81, 0x85, 0, 0, 0, 0], &b"Hello"[..]].concat());
        assert_eq!(client.take(7), [&[0x81, 5], &b"Hello"[..]].concat());
        client.send([0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]);
        assert_eq!(client.take(4), [0x88, 2, 3, 0xe8]);
        client.end();
        let elsewhere = upgrade("/echo", site.front, "http://elsewhere.example");
        assert_eq!(site.ask(&elsewhere).status(), 403, "{}", site.name);
    }
}

fn events_pass_one_by_one(engine: Engine) {
    for site in sites("events", engine, env!("CARGO_BIN_EXE_sockets")) {
        let mut client = site.connect();
        assert_eq!(client.send(get("/events")).head().status, 200);
        assert!(client.chunk().starts_with("retry: "), "{}", site.name);
        for n in 0..3 {
            let id = site.ask(&post("/say", &n.to_string())).text();
            assert_eq!(client.chunk(), format!("id: {id}\ndata: {n}\n\n"));
        }
        drop(client);
        let what = format!("the room knows that it has left {}", site.name);
        until(&what, || site.ask(&get("/stats")).text().starts_with("0 "));
    }
}

fn haproxy_tells_of_clients_by_the_proxy_protocol(engine: Engine) {
    for (words, version, status) in [
        ("send-proxy", "v1", 200),
        ("send-proxy-v2", "v2", 200),
        ("send-proxy", "auto", 200),
        ("send-proxy-v2", "auto", 200),
        ("send-proxy", "v2", 502),
    ] {
        let name = format!("{words}-{version}-{}", engine.name());
        let args = ["--bind", "127.0.0.1:0", "--engine", engine.name()];
        let expected = ["--proxy-protocol", version];
        let program = env!("CARGO_BIN_EXE_longpoll");
        let server = Program::start(program, &[&args[..], &expected].concat());
        let folder = Folder::new(&name);
        let app = server.wait_for_addr();
        let (_haproxy, front) = haproxy_with(&folder, &name, app, words);
        let from = IpAddr::V4(Ipv4Addr::new(127, 66, 5, 4));
        let reply = Client::connect_from(from, front).send(get("/who")).reply();
        assert_eq!(reply.status(), status, "{name}");
        match status {
            200 => assert_eq!(reply.text(), "127.66.5.4", "{name}"),
            _ => {
                server.wait_for_line("no PROXY header of version 2");
            }
        }
    }
}

/// Many servers, gunicorn among them, end a connection that was idle for two seconds. A proxy that
/// keeps it for longer sends the next request into that end, and does not repeat a POST.
fn uploads_at_the_pace_of_a_usual_keep_alive_are_all_served(engine: Engine) {
    const PACE: Duration = Duration::from_secs(2);
    const CLIENTS: usize = 16;
    let sites = long_polls("pace", engine);
    let connect = |site: &Site| -> Vec<Client> { (0..CLIENTS).map(|_| site.connect()).collect() };
    let mut clients: Vec<_> = sites
        .iter()
        .map(|site| (site.name, connect(site)))
        .collect();
    for round in 0..4 {
        if round > 0 {
            std::thread::sleep(PACE);
        }
        for (_, clients) in &mut clients {
            for (n, client) in clients.iter_mut().enumerate() {
                client.send(post("/echo", &format!("{round} {n}")));
            }
        }
        for (name, clients) in &mut clients {
            for (n, client) in clients.iter_mut().enumerate() {
                let reply = client.reply().summary();
                assert_eq!(reply, (200, format!("{round} {n}")), "{name}");
            }
        }
    }
}

/// The book's table of what proxies do by default: none of them is as patient as we are.
#[test]
fn the_server_is_more_patient_than_any_proxy() {
    const BOOK: &str = include_str!("../../docs/src/proxies.md");
    let (_, table) = BOOK
        .split_once("| Proxy | Keeps an idle connection by default |")
        .unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let mut times: Vec<f64> = Vec::new();
    for row in table.lines().skip(2) {
        let time = row.split('|').nth(2).unwrap().trim();
        let seconds = time.split_once(" s").unwrap().0.replace(',', "");
        times.push(seconds.parse().unwrap());
    }
    let ours = times.pop().unwrap();
    assert!(
        times.len() >= 7 && times.iter().all(|time| *time < ours),
        "{times:?}, {ours}"
    );
    let printed = Program::start(env!("CARGO_BIN_EXE_longpoll"), &["--print-config"]).wait();
    let line = format!("# keep-alive = {ours} # the default");
    assert!(printed.stdout.contains(&line), "{printed:?}");
}
