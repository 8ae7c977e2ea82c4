//! What happens when there is too much of something.

use super::Served;
use greenway::{Engine, Request};
use greenway_tests::request::{get, get_close, post};
use greenway_tests::{DEADLINE, Gate, linted, on_green_and_threads};
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::io::Read;
use std::process::Command;

on_green_and_threads!(
    handlers_beyond_the_limit_are_told_503,
    a_connection_survives_its_503,
    connections_beyond_the_limit_are_counted,
    clients_are_told_when_descriptors_run_out,
);

fn handlers_beyond_the_limit_are_told_503(engine: Engine) {
    let (begun, go_on) = (Gate::new(), Gate::new());
    let (begins, goes_on) = (begun.clone(), go_on.clone());
    let app = move |_: Request| {
        begins.open();
        goes_on.pass();
        "served"
    };
    let server = linted(app)
        .engine(engine)
        .limit_handlers(2)
        .metrics_bind("127.0.0.1:0");
    let served = Served::on_port(server);
    let mut running = [served.connect(), served.connect()];
    for client in &mut running {
        client.send(get("/"));
    }
    begun.pass_times(2);
    let refused = served.get("/");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.head.field("retry-after"), Some("1"));
    served.until_metric("greenway_refused_total{reason=\"handlers\"}", 1.0);
    served.until_metric("greenway_handlers_running", 2.0);
    served.until_metric("greenway_handlers_limit", 2.0);
    go_on.open_for(3);
    for client in &mut running {
        assert_eq!(client.reply().text(), "served");
    }
    served.until_metric("greenway_handlers_running", 0.0);
    assert_eq!(served.get("/").text(), "served");
}

fn a_connection_survives_its_503(engine: Engine) {
    let (begun, go_on) = (Gate::new(), Gate::new());
    let (begins, goes_on) = (begun.clone(), go_on.clone());
    let app = move |_: Request| {
        begins.open();
        goes_on.pass();
        "served"
    };
    let served = Served::on_port(linted(app).engine(engine).limit_handlers(1));
    let mut first = served.connect();
    first.send(get("/"));
    begun.pass();
    let mut second = served.connect();
    // Its body was not asked for, and must not be taken for the next request.
    assert_eq!(second.send(post("/", "a body")).reply().status(), 503);
    go_on.open();
    assert_eq!(first.reply().text(), "served");
    first.send(get_close("/"));
    go_on.open();
    assert_eq!(first.reply().text(), "served");
    first.end();
    go_on.open();
    assert_eq!(second.send(get("/")).reply().text(), "served");
}

fn connections_beyond_the_limit_are_counted(engine: Engine) {
    let server = linted(|_: Request| "").engine(engine).worker_connections(1);
    let server = server.header_timeout(DEADLINE * 2);
    let served = Served::on_port(server.metrics_bind("127.0.0.1:0"));
    let mut first = served.connect();
    assert_eq!(first.send(get("/")).reply().status(), 200);
    first.send("GET / HT"); // one who is idle would make room
    assert_eq!(served.get("/").status(), 503);
    served.until_metric("greenway_refused_total{reason=\"connections\"}", 1.0);
    served.until_metric("greenway_connections_limit", 1.0);
}

/// In a process of its own, since all others would run out as well.
fn clients_are_told_when_descriptors_run_out(engine: Engine) {
    let itself = std::env::current_exe().expect("this process was started from a file");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 300; exec \"$0\" \"$@\""])
        .arg(itself)
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "around::admission::out_of_descriptors",
        ])
        .env("OUT_OF_DESCRIPTORS_ENGINE", engine.name())
        .output()
        .expect("there is a shell");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "it has run: {out}");
}

#[test]
#[ignore = "run by clients_are_told_when_descriptors_run_out, in a process of its own"]
fn out_of_descriptors() {
    let Ok(engine) = std::env::var("OUT_OF_DESCRIPTORS_ENGINE") else {
        return; // by somebody who runs all that is ignored
    };
    let engine = engine.parse().expect("it was given by its name");
    let server = linted(|_: Request| "served").engine(engine);
    let served = Served::on_port(server.metrics_bind("127.0.0.1:0"));
    assert_eq!(served.get("/").text(), "served"); // whatever is opened once, is open now
    served.metrics();
    greenway_tests::until("the connection is closed", || served.0.connections() == 0);
    let sockets: Vec<_> = (0..20)
        .map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).expect("there is room"))
        .collect();
    // What the server closes meanwhile is taken as well.
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    for socket in &sockets {
        socket
            .set_read_timeout(Some(DEADLINE))
            .expect("a timeout that is not zero");
        socket
            .connect(&served.addr().into())
            .expect("the kernel takes it");
        let mut told = String::new();
        let mut reading = socket;
        reading
            .read_to_string(&mut told)
            .expect("the server says why, and closes");
        assert!(
            told.starts_with("HTTP/1.1 503 ") && told.contains("\r\nretry-after: 1\r\n"),
            "{told:?}"
        );
        assert!(told.ends_with("out of descriptors\n"), "{told:?}");
    }
    files.clear();
    // The acceptors look again within a moment.
    let served_again = || served.get("/").text() == "served";
    greenway_tests::until("it serves again", served_again);
    assert!(served.metric("greenway_refused_total{reason=\"descriptors\"}") >= 20.0);
}
