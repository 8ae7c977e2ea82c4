//! Idle connections without a thread: they come back, they end, and they are counted.

use super::Served;
use greenway::{App, Engine, Request};
use greenway_tests::request::get;
use greenway_tests::{Client, linted, on_green_and_threads, until};
use std::time::Duration;

on_green_and_threads!(
    a_parked_connection_is_served_again,
    a_parked_connection_ends_with_its_clock,
    parked_connections_end_at_once_at_a_stop,
    a_client_may_leave_while_it_is_parked,
    one_that_has_never_asked_is_parked_too,
    one_that_is_parked_makes_room_for_another,
);

/// Does not run out in a test.
const LONG: Duration = Duration::from_secs(600);
const PARKED: &str = "greenway_connections_parked";

fn serve(engine: Engine, keep_alive: Duration) -> Served {
    let mut app = App::new();
    app.get("/<name>", |request: Request| {
        request.param("name").to_owned()
    });
    let server = linted(app).engine(engine).keep_alive(keep_alive);
    Served::on_port(server.metrics_bind("127.0.0.1:0"))
}

fn ask(client: &mut Client, name: usize) {
    let reply = client.send(get(&format!("/{name}"))).reply();
    assert_eq!(reply.text(), name.to_string());
}

fn a_parked_connection_is_served_again(engine: Engine) {
    let served = serve(engine, Duration::from_secs(60));
    let mut clients: Vec<_> = (0..40).map(|_| served.connect()).collect();
    for round in 0..2 {
        for (n, client) in clients.iter_mut().enumerate() {
            ask(client, 100 * round + n);
        }
        served.until_metric(PARKED, 40.0);
        assert_eq!(served.metric("greenway_connections{state=\"idle\"}"), 40.0);
    }
    // Half a head is enough to get a thread; its rest comes later.
    let request = get("/late");
    let (head, rest) = request.split_at(7);
    clients[0].send(head);
    served.until_metric(PARKED, 39.0);
    assert_eq!(clients[0].send(rest).reply().text(), "late");
}

fn a_parked_connection_ends_with_its_clock(engine: Engine) {
    let served = serve(engine, Duration::from_secs(2));
    let mut clients: Vec<_> = (0..10).map(|_| served.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        ask(client, n);
    }
    served.until_metric(PARKED, 10.0);
    for client in &mut clients {
        client.end();
    }
    served.until_metric(PARKED, 0.0);
}

fn parked_connections_end_at_once_at_a_stop(engine: Engine) {
    let served = serve(engine, Duration::from_secs(60));
    let mut clients: Vec<_> = (0..10).map(|_| served.connect()).collect();
    ask(&mut clients[3], 3);
    served.until_metric(PARKED, 10.0);
    let stopped = served.0.stop();
    assert_eq!(stopped.cut, 0);
    for client in &mut clients {
        client.end();
    }
}

fn a_client_may_leave_while_it_is_parked(engine: Engine) {
    let served = serve(engine, Duration::from_secs(60));
    let (stays, leaves, resets) = (served.connect(), served.connect(), served.connect());
    served.until_metric(PARKED, 3.0);
    drop(leaves);
    resets.reset();
    until("two connections are gone", || served.0.connections() == 1);
    served.until_metric(PARKED, 1.0);
    drop(stays);
    until("the last is gone", || served.0.connections() == 0);
}

fn one_that_has_never_asked_is_parked_too(engine: Engine) {
    let served = serve(engine, Duration::from_secs(60));
    let mut client = served.connect();
    served.until_metric(PARKED, 1.0);
    ask(&mut client, 1);
}

/// Each newcomer to a full house takes the place of one; never of one who is served.
fn one_that_is_parked_makes_room_for_another(engine: Engine) {
    let mut app = App::new();
    app.get("/<name>", |request: Request| {
        request.param("name").to_owned()
    });
    let server = linted(app).engine(engine).worker_connections(4);
    let served = Served::on_port(server.metrics_bind("127.0.0.1:0").header_timeout(LONG));
    let mut busy = served.connect();
    busy.send("GET /busy HT");
    let mut idle: Vec<_> = (0..3).map(|_| served.connect()).collect();
    for (n, client) in idle.iter_mut().enumerate() {
        ask(client, n);
    }
    served.until_metric(PARKED, 3.0);
    let mut newcomers: Vec<_> = (0..3).map(|_| served.connect()).collect();
    for (n, client) in newcomers.iter_mut().enumerate() {
        ask(client, n);
    }
    for client in &mut idle {
        client.end();
    }
    until("the places are free", || served.0.connections() == 4);
    let request = "TP/1.1\r\nHost: test\r\n\r\n";
    assert_eq!(busy.send(request).reply().text(), "busy");
}
