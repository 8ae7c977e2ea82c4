//! Who a request is from, when there is a proxy in front.

use super::{Served, ask_unix};
use greenway::{Engine, Request, Server};
use greenway_tests::request::get;
use greenway_tests::{DEADLINE, Folder, TestServer, linted, on_green_and_threads, until};
use std::time::Duration;

on_green_and_threads!(
    a_trusted_proxy_is_believed,
    each_request_of_a_connection_has_its_own_client,
    others_are_not_believed,
    a_peer_on_a_unix_socket_is_believed,
    contradicting_proxies_are_refused,
    the_log_names_the_client,
    the_proxy_protocol_tells_the_client,
    it_may_come_in_pieces_and_with_the_request,
    behind_it_may_be_an_http_proxy,
    a_missing_or_malformed_header_closes_the_connection,
    a_header_that_does_not_come_is_not_waited_for,
    a_stop_does_not_wait_for_a_header,
    from_others_it_is_no_request,
    without_the_flag_it_is_no_request,
);

/// Shows who the application takes the client for.
fn show(request: Request) -> String {
    let environ = request.environ();
    let get = |name| environ.get(name).unwrap_or("-");
    let peer = request
        .peer_addr()
        .map_or("-".to_owned(), |peer| peer.to_string());
    let (scheme, name, port) = (
        get("wsgi.url_scheme"),
        get("SERVER_NAME"),
        get("SERVER_PORT"),
    );
    format!("{peer} {} {scheme}://{name}:{port}", get("REMOTE_ADDR"))
}

fn server(engine: Engine) -> Server {
    linted(show).engine(engine)
}

fn request(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: inner:8000\r\n{fields}\r\n")
}

const PROXIED: &str = "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: outer.example\r\n";

fn a_trusted_proxy_is_believed(engine: Engine) {
    let server = TestServer::start(server(engine));
    let seen = server.ask(request(PROXIED)).text();
    assert_eq!(seen, "192.0.2.1:0 192.0.2.1 https://outer.example:443");
    let seen = server.ask(request(
        "Forwarded: for=\"[2001:db8::1]:5\";proto=https;host=\"outer:81\"\r\n",
    ));
    assert_eq!(seen.text(), "[2001:db8::1]:5 2001:db8::1 https://outer:81");
}

fn each_request_of_a_connection_has_its_own_client(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = server.connect();
    let local = client.stream().local_addr().expect("it is connected");
    for _ in 0..2 {
        let seen = client
            .send(request("X-Forwarded-For: 192.0.2.1\r\n"))
            .reply()
            .text();
        assert_eq!(seen, "192.0.2.1:0 192.0.2.1 http://inner:8000");
        let seen = client
            .send(request("X-Forwarded-For: 192.0.2.2\r\n"))
            .reply()
            .text();
        assert_eq!(seen, "192.0.2.2:0 192.0.2.2 http://inner:8000");
        let seen = client.send(request("")).reply().text();
        assert_eq!(seen, format!("{local} 127.0.0.1 http://inner:8000"));
    }
}

fn others_are_not_believed(engine: Engine) {
    let server = TestServer::start(server(engine).forwarded_allow_ips("192.0.2.0/24"));
    let mut client = server.connect();
    let local = client.stream().local_addr().expect("it is connected");
    let seen = client
        .send(request(&format!("{PROXIED}Forwarded: for=\"\r\n")))
        .reply()
        .text();
    assert_eq!(seen, format!("{local} 127.0.0.1 http://inner:8000"));
}

fn a_peer_on_a_unix_socket_is_believed(engine: Engine) {
    let folder = Folder::new(&format!("trust-{}", engine.name()));
    let path = folder.path("app.sock");
    let _served = Served::start(server(engine).bind(format!("unix:{}", path.display())));
    let seen = ask_unix(&path, &request(&format!("{PROXIED}Connection: close\r\n")));
    assert!(
        seen.ends_with("192.0.2.1:0 192.0.2.1 https://outer.example:443"),
        "{seen}"
    );
}

fn contradicting_proxies_are_refused(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = server.connect();
    client.send(request(
        "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=6.6.6.6\r\n",
    ));
    assert_eq!(client.reply().status(), 400);
    // The proxy's connection is as good as before.
    assert_eq!(client.send(request("")).reply().status(), 200);
}

fn the_log_names_the_client(engine: Engine) {
    let folder = Folder::new(&format!("client-{}", engine.name()));
    let log = folder.path("access.log");
    let path = log.to_str().expect("the name is ours");
    let server = server(engine)
        .access_log(path)
        .access_log_format("%(h)s %({wsgi.url_scheme}e)s");
    let served = Served::on_port(server);
    served.ask(request(PROXIED));
    until("the line is written", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log == "192.0.2.1 https\n")
    });
}

const LINE: &str = "PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn proxied(engine: Engine) -> Server {
    server(engine)
        .proxy_protocol(true)
        .keep_alive(DEADLINE * 2)
        .header_timeout(DEADLINE * 2)
}

fn the_proxy_protocol_tells_the_client(engine: Engine) {
    let server = TestServer::start(proxied(engine));
    let mut client = server.connect();
    client.send(LINE);
    for _ in 0..2 {
        let seen = client.send(request("")).reply().text();
        assert_eq!(seen, "192.0.2.1:5000 192.0.2.1 http://inner:8000");
    }
    let mut client = server.connect();
    let addresses = [192, 0, 2, 9, 192, 0, 2, 2, 0x13, 0x88, 1, 0xbb];
    client.send([SIGNATURE, &[0x21, 0x11, 0, 12], &addresses].concat());
    let seen = client.send(request("")).reply().text();
    assert_eq!(seen, "192.0.2.9:5000 192.0.2.9 http://inner:8000");
    // A health check of the load balancer itself.
    let mut client = server.connect();
    client.send([SIGNATURE, &[0x20, 0, 0, 0]].concat());
    let local = client.stream().local_addr().expect("it is connected");
    let seen = client.send(request(PROXIED)).reply().text();
    assert_eq!(seen, format!("{local} 127.0.0.1 http://inner:8000"));
}

fn it_may_come_in_pieces_and_with_the_request(engine: Engine) {
    let server = TestServer::start(proxied(engine));
    let all = format!("{LINE}{}", request(""));
    assert_eq!(
        server.ask(&all).text(),
        "192.0.2.1:5000 192.0.2.1 http://inner:8000"
    );
    let mut client = server.connect();
    for byte in all.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(
        client.reply().text(),
        "192.0.2.1:5000 192.0.2.1 http://inner:8000"
    );
}

fn behind_it_may_be_an_http_proxy(engine: Engine) {
    let server = TestServer::start(proxied(engine).forwarded_allow_ips("192.0.2.1"));
    let fields = "X-Forwarded-For: 198.51.100.7\r\n";
    let seen = server.ask(format!("{LINE}{}", request(fields))).text();
    assert_eq!(seen, "198.51.100.7:0 198.51.100.7 http://inner:8000");
    // The load balancer is trusted to say who has connected, not who that speaks for.
    let server = TestServer::start(proxied(engine).forwarded_allow_ips("127.0.0.1"));
    let seen = server.ask(format!("{LINE}{}", request(fields))).text();
    assert_eq!(seen, "192.0.2.1:5000 192.0.2.1 http://inner:8000");
}

fn a_missing_or_malformed_header_closes_the_connection(engine: Engine) {
    let server = TestServer::start(proxied(engine));
    for bytes in [
        get("/"),
        "PROXY TCP4 nonsense\r\n".to_owned(),
        "x".to_owned(),
    ] {
        let mut client = server.connect();
        client.send(bytes);
        // What was not read makes the close a reset.
        assert_eq!(client.rest_or_reset().0, b"");
    }
    assert_eq!(server.ask(format!("{LINE}{}", request(""))).status(), 200);
}

fn a_header_that_does_not_come_is_not_waited_for(engine: Engine) {
    let server = TestServer::start(proxied(engine).header_timeout(Duration::from_millis(50)));
    let mut silent = server.connect();
    let mut slow = server.connect();
    slow.send("PROXY TCP4 192.0.2.1");
    silent.end();
    assert_eq!(slow.rest_or_reset().0, b"");
    until("both are gone", || server.connections() == 0);
}

fn a_stop_does_not_wait_for_a_header(engine: Engine) {
    let server = TestServer::start(proxied(engine));
    let mut client = server.connect();
    until("it is admitted", || server.connections() == 1);
    let stopped = server.stop_within(DEADLINE * 2);
    client.end();
    assert_eq!(stopped.cut, 0);
}

fn from_others_it_is_no_request(engine: Engine) {
    let server = TestServer::start(proxied(engine).proxy_allow_from("192.0.2.0/24"));
    assert_eq!(server.ask(format!("{LINE}{}", request(""))).status(), 400);
    assert_eq!(server.ask(request("")).status(), 200);
}

fn without_the_flag_it_is_no_request(engine: Engine) {
    let server = TestServer::start(server(engine));
    assert_eq!(server.ask(format!("{LINE}{}", request(""))).status(), 400);
}

#[test]
fn a_bad_list_is_told() {
    for server in [
        linted(show).forwarded_allow_ips("localhost"),
        linted(show).proxy_allow_from("10.0.0.0/33"),
    ] {
        let error = server
            .bind("127.0.0.1:0")
            .start()
            .expect_err("it is no list");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}
