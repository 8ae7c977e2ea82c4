//! What `--metrics-bind` shows.

use super::Served;
use greenway::websocket::Upgrade;
use greenway::{App, Body, Engine, IntoResponse, Next, Request, Response, green};
use greenway_tests::request::{get, post, with};
use greenway_tests::{Client, Gate, Program, RawSocket, Signal, linted, on_green_and_threads};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

on_green_and_threads!(
    requests_are_counted_by_status,
    a_caught_panic_does_not_vanish,
    connections_are_counted_by_state,
    departed_clients_are_counted,
    bytes_are_counted,
    websockets_are_counted,
    it_is_never_on_the_applications_port,
    the_responder_is_a_careful_server,
    it_ends_with_the_server,
    nobody_waits_for_another_who_asks,
    health_tells_of_a_stop,
);

fn serve(engine: Engine, app: impl greenway::Application) -> Served {
    let server = linted(app).engine(engine).metrics_bind("127.0.0.1:0");
    Served::on_port(
        server
            .keep_alive(Duration::from_secs(60))
            .header_timeout(Duration::from_secs(60)),
    )
}

fn requests_are_counted_by_status(engine: Engine) {
    let mut app = App::new();
    app.get("/", |_: Request| "ok");
    app.get("/fail", |_: Request| -> &'static str {
        panic!("as it should")
    });
    let served = serve(engine, app);
    for path in ["/", "/", "/", "/nowhere", "/fail"] {
        served.get(path);
    }
    assert_eq!(served.ask("NONSENSE\r\n\r\n").status(), 400);
    served.until_metric("greenway_requests_total{code=\"200\",class=\"2xx\"}", 3.0);
    served.until_metric("greenway_requests_total{code=\"404\",class=\"4xx\"}", 1.0);
    served.until_metric("greenway_requests_total{code=\"500\",class=\"5xx\"}", 1.0);
    served.until_metric("greenway_requests_total{code=\"400\",class=\"4xx\"}", 1.0);
    served.until_metric("greenway_request_duration_seconds_count", 5.0);
    served.until_metric("greenway_request_duration_seconds_bucket{le=\"+Inf\"}", 5.0);
    let text = served.metrics();
    let info = format!(
        "greenway_info{{version=\"{}\",engine=\"{}\"}} 1",
        greenway::VERSION,
        engine.name()
    );
    assert!(text.contains(&info), "{text}");
    assert_prometheus_can_read(&text);
}

fn a_caught_panic_does_not_vanish(engine: Engine) {
    let mut app = App::new();
    app.install(|request: Request, next: Next<'_>| -> Response {
        catch_unwind(AssertUnwindSafe(|| next.run(request)))
            .unwrap_or_else(|_| "never mind".into_response())
    });
    app.get("/", |_: Request| -> () { panic!("boom") });
    let served = serve(engine, app);
    assert_eq!(served.get("/").text(), "never mind");
    served.until_metric("greenway_handler_panics_total", 1.0);
}

fn websockets_are_counted(engine: Engine) {
    let mut app = App::new();
    app.get("/", |request: Request| {
        let ws = request.websocket().expect("the test asks for one");
        while let Some(message) = ws.receive()? {
            ws.send(message)?;
        }
        Ok(())
    });
    let served = serve(engine, app);
    let mut socket = RawSocket::connect(served.addr(), "/");
    for text in ["one", "two"] {
        socket.text(text);
        assert_eq!(socket.next_text(), text);
    }
    served.until_metric("greenway_websockets", 1.0);
    served.until_metric("greenway_websocket_messages_total{direction=\"in\"}", 2.0);
    served.until_metric("greenway_websocket_messages_total{direction=\"out\"}", 2.0);
    socket.close(4000).next_close(4000);
    RawSocket::connect(served.addr(), "/")
        .close(1000)
        .next_close(1000);
    RawSocket::connect(served.addr(), "/")
        .send(0xff, b"")
        .next_close(1002);
    RawSocket::connect(served.addr(), "/").reset();
    for how in ["application", "normal", "failed", "abnormal"] {
        let sample = format!("greenway_websockets_closed_total{{how=\"{how}\"}}");
        served.until_metric(&sample, 1.0);
    }
    served.until_metric("greenway_websockets", 0.0);
    served.until_metric("greenway_requests_total{code=\"101\",class=\"1xx\"}", 4.0);
    assert_prometheus_can_read(&served.metrics());
}

/// Every sample follows its family's HELP and TYPE, and has a number.
#[track_caller]
fn assert_prometheus_can_read(text: &str) {
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest
                .split(' ')
                .next()
                .expect("a line has a word")
                .to_owned();
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
            assert!(sample.starts_with(&family) && !family.is_empty(), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(text.ends_with('\n'));
}

fn connections_are_counted_by_state(engine: Engine) {
    let gate = Gate::new();
    let pass = gate.clone();
    let app = move |_: Request| {
        pass.pass();
        "done"
    };
    let served = serve(engine, app);
    let mut serving = served.connect();
    serving.send(get("/"));
    let mut reading = served.connect();
    reading.send("GET / HT");
    let idle = served.connect();
    served.until_metric("greenway_connections{state=\"idle\"}", 1.0);
    served.until_metric("greenway_connections{state=\"reading\"}", 1.0);
    served.until_metric("greenway_connections{state=\"serving\"}", 1.0);
    served.until_metric("greenway_connections{state=\"queued\"}", 0.0);
    served.until_metric("greenway_handlers_running", 1.0);
    served.until_metric("greenway_connections_accepted_total", 3.0);
    gate.open();
    assert_eq!(serving.reply().text(), "done");
    served.until_metric("greenway_handlers_running", 0.0);
    served.until_metric("greenway_connections{state=\"idle\"}", 2.0);
    drop((serving, reading, idle));
    served.until_metric("greenway_connections{state=\"idle\"}", 0.0);
    served.until_metric("greenway_connections{state=\"reading\"}", 0.0);
}

/// With one thread, the second request waits for it, and is seen to.
#[test]
fn requests_that_wait_for_a_thread_are_queued() {
    let gate = Gate::new();
    let pass = gate.clone();
    let app = move |_: Request| {
        pass.pass();
        "done"
    };
    let server = linted(app)
        .engine(Engine::Threads)
        .threads(1)
        .metrics_bind("127.0.0.1:0");
    let served = Served::on_port(server);
    let mut clients = [served.connect(), served.connect()];
    for client in &mut clients {
        client.send(get("/"));
    }
    served.until_metric("greenway_connections{state=\"serving\"}", 1.0);
    served.until_metric("greenway_connections{state=\"queued\"}", 1.0);
    served.until_metric("greenway_handlers_limit", 1.0);
    gate.open_for(2);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "done");
    }
    served.until_metric("greenway_connections{state=\"queued\"}", 0.0);
}

fn departed_clients_are_counted(engine: Engine) {
    let begun = Gate::new();
    let begins = begun.clone();
    let app = move |_: Request| {
        begins.open();
        green::sleep(Duration::MAX);
        ""
    };
    let served = serve(engine, app);
    let mut client = served.connect();
    client.send(get("/"));
    begun.pass();
    client.reset();
    served.until_metric("greenway_departed_clients_total", 1.0);
    served.until_metric("greenway_requests_total{code=\"499\",class=\"4xx\"}", 1.0);
}

fn bytes_are_counted(engine: Engine) {
    let mut app = App::new();
    app.post("/", |request: Request| request.body(100));
    app.get("/stream", |_: Request| {
        Body::stream(|out| {
            out.send("12345")?;
            out.send("67")
        })
    });
    let served = serve(engine, app);
    let request = post("/", "abc");
    assert_eq!(served.ask(&request).text(), "abc");
    let stream = get("/stream");
    assert_eq!(served.ask(&stream).text(), "1234567");
    let total = request.len() + stream.len();
    #[allow(clippy::cast_precision_loss)] // a few hundred
    served.until_metric("greenway_request_bytes_total", total as f64);
    served.until_metric("greenway_response_body_bytes_total", 10.0);
}

fn it_is_never_on_the_applications_port(engine: Engine) {
    let served = serve(engine, |_: Request| "the application's");
    assert_eq!(served.get("/metrics").text(), "the application's");
}

fn the_responder_is_a_careful_server(engine: Engine) {
    let served = serve(engine, |_: Request| "");
    let addr = served.0.metrics_addr().expect("the server shows metrics");
    let ask = |request: &str| Client::connect(addr).send(request).reply();
    assert_eq!(ask(&get("/")).status(), 404);
    assert_eq!(ask(&with("POST", "/metrics", "", "")).status(), 405);
    assert_eq!(ask("nonsense\r\n\r\n").status(), 400);
    let reply = ask(&get("/metrics?x=y"));
    assert_eq!(
        reply.head.field("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(reply.head.says_close());
    let head = Client::connect(addr)
        .send(with("HEAD", "/metrics", "", ""))
        .reply_to_head();
    assert_eq!(head.status(), 200);
    // One who sends nothing is not waited for without end.
    let _silent = Client::connect(addr);
    assert!(served.metrics().contains("greenway_uptime_seconds"));
}

fn it_ends_with_the_server(engine: Engine) {
    let served = serve(engine, |_: Request| "");
    let addr = served.0.metrics_addr().expect("the server shows metrics");
    served.0.stop();
    assert!(std::net::TcpStream::connect(addr).is_err());
}

/// A handler that does not wait holds up its worker. That shows, and it can be asked for at the
/// very time.
#[test]
fn a_worker_that_is_held_up_lags() {
    let (begun, go_on) = (Gate::new(), Gate::new());
    let (begins, goes_on) = (begun.clone(), go_on.clone());
    let app = move |request: Request| {
        if request.path() == "/where" {
            return green::worker_index().map_or(String::new(), |index| index.to_string());
        }
        begins.open();
        // Not a wait: other green threads of this worker do not run meanwhile.
        while goes_on.waiting() == 0 {
            std::hint::spin_loop();
        }
        green::worker_index().map_or(String::new(), |index| index.to_string())
    };
    let served = serve(Engine::Green, app);
    let mut client = served.connect();
    let worker = client.send(get("/where")).reply().text();
    let sample = format!("greenway_worker_lag_seconds{{worker=\"{worker}\"}}");
    served.metric(&sample);
    client.send(get("/busy"));
    begun.pass();
    let started = Instant::now();
    greenway_tests::until("the worker is seen to lag", || {
        served.metric(&sample) >= 0.3
    });
    // It cannot be later than it is busy, give or take what it was late by at the beginning.
    assert!(started.elapsed() >= Duration::from_millis(200));
    go_on.open();
    assert_eq!(client.reply().text(), worker);
    assert!(served.metric("greenway_green_threads{worker=\"0\"}") >= 1.0);
}

fn nobody_waits_for_another_who_asks(engine: Engine) {
    let served = serve(engine, |_: Request| "ok");
    let addr = served.0.metrics_addr().expect("it shows metrics");
    // Silent ones, and one that is slow. Each may take two seconds, one after the other longer
    // than a test.
    let silent: Vec<_> = (0..60).map(|_| Client::connect(addr)).collect();
    let mut slow = Client::connect(addr);
    slow.send("GET /metrics HTTP/1.1\r\nHo");
    assert!(served.metrics().contains("greenway_uptime_seconds"));
    slow.send("st: a\r\n\r\n");
    assert_eq!(slow.reply().status(), 200);
    drop(silent);
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

fn health_tells_of_a_stop(engine: Engine) {
    let args = ["--bind", "127.0.0.1:0", "--metrics-bind", "127.0.0.1:0"];
    let more = ["--engine", engine.name(), "--graceful-timeout", "600"];
    let program = Program::start(PROGRAM, &[args, more].concat());
    let addr = program.wait_for_metrics_addr();
    let ask = |path: &str| {
        let reply = Client::connect(addr).send(get(path)).reply();
        (reply.status(), reply.text())
    };
    assert_eq!(ask("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(ask("/readyz"), (200, "ok\n".to_owned()));
    let mut waiting = program.connect();
    waiting.send(get("/wait"));
    let begun = program.connect().send(get("/until/1")).reply();
    assert_eq!(begun.status(), 200);
    program.signal(Signal::TERM);
    program.wait_for_line("stopping");
    greenway_tests::until("the stop to be told", || ask("/readyz").0 == 503);
    assert_eq!(ask("/readyz"), (503, "stopping\n".to_owned()));
    assert_eq!(ask("/healthz"), (200, "ok, stopping\n".to_owned()));
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code, Some(1));
}

#[test]
fn health_tells_of_a_worker_that_is_held_up() {
    let args = ["--bind", "127.0.0.1:0", "--metrics-bind", "127.0.0.1:0"];
    let more = ["--engine", "green", "--cores", "1"];
    let program = Program::start(PROGRAM, &[args, more].concat());
    let addr = program.wait_for_metrics_addr();
    let mut client = program.connect();
    client.send(get("/hold"));
    for path in ["/healthz", "/readyz"] {
        greenway_tests::until("the worker to be held up", || {
            let reply = Client::connect(addr).send(get(path)).reply();
            reply.status() == 503 && reply.text().contains("worker 0 is held up")
        });
    }
}
