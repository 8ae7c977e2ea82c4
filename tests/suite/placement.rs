//! Connections are spread evenly over the workers, whatever numbers their descriptors have.
//!
//! In processes of their own: all servers of a process share its workers.

use greenway_tests::request::{get, get_close};
use greenway_tests::{Client, Program};

const CONNECTIONS: usize = 200;

/// Opens connections that stay; gives how many of them live on each of two workers.
fn spread(path: &str, between: impl Fn(&Program)) -> [usize; 2] {
    let args = [
        "--bind",
        "127.0.0.1:0",
        "--cores",
        "2",
        "--keep-alive",
        "600",
    ];
    let server = Program::start(env!("CARGO_BIN_EXE_placement"), &args);
    let addr = server.wait_for_addr();
    let mut clients = Vec::new();
    let mut count = [0; 2];
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(addr);
        let worker: usize = client.send(get(path)).reply().text().parse().unwrap();
        count[worker] += 1;
        clients.push(client);
        between(&server);
    }
    count
}

/// Not more apart than what `engine/green.rs` takes for cheaper than copying a descriptor.
#[track_caller]
fn assert_even(count: [usize; 2]) {
    assert_eq!(count.iter().sum::<usize>(), CONNECTIONS);
    assert!(count[0].abs_diff(count[1]) <= 20, "{count:?}");
}

#[test]
fn it_is_even() {
    assert_even(spread("/worker", |_| {}));
}

#[test]
fn it_is_even_when_handlers_have_descriptors_of_their_own() {
    assert_even(spread("/hold", |_| {}));
}

#[test]
fn it_is_even_while_others_come_and_go() {
    assert_even(spread("/worker", |server| {
        for _ in 0..3 {
            let mut passing = Client::connect(server.wait_for_addr());
            passing.send(get_close("/worker")).reply();
        }
    }));
}
