//! The crate `redis`, its own connections, against a real server.

use greenway::green::spawn;
use greenway_monkey_tests::{at_once, begin, crowd, services, until};
use redis::{Client, Commands, Connection, RedisResult, cmd};
use std::path::Path;
use std::time::Duration;

fn connect(socket: &Path) -> Connection {
    let client = Client::open(format!("redis+unix://{}", socket.display())).unwrap();
    client.get_connection().unwrap()
}

/// How many clients wait for an item of a list.
fn blocked(own: &mut Connection) -> usize {
    let info: String = cmd("INFO").arg("clients").query(own).unwrap();
    let count = info
        .lines()
        .find_map(|line| line.strip_prefix("blocked_clients:"));
    count.expect("Redis counts them").parse().unwrap()
}

#[test]
fn commands_of_a_thousand() {
    begin();
    let redis = services::Redis::start();
    let socket = redis.socket();
    crowd(1000, {
        let socket = socket.clone();
        move |n| {
            let mut redis = connect(&socket);
            for _ in 0..5 {
                let () = redis.incr("count", 1).unwrap();
            }
            let () = redis.set(n, format!("value {n}")).unwrap();
            let back: String = redis.get(n).unwrap();
            assert_eq!(back, format!("value {n}"));
        }
    });
    let count: u32 = connect(&socket).get("count").unwrap();
    assert_eq!(count, 5000);
}

#[test]
fn a_thousand_wait_for_an_item() {
    begin();
    let redis = services::Redis::start();
    let socket = redis.socket();
    let waiting: Vec<_> = (0..1000)
        .map(|_| {
            let socket = socket.clone();
            spawn(move || {
                let (list, item): (String, u32) = connect(&socket).blpop("jobs", 100.0).unwrap();
                assert_eq!(list, "jobs");
                item
            })
        })
        .collect();
    // All at once: none of them gets anything before the last one waits.
    let mut own = connect(&socket);
    until("all wait", || blocked(&mut own) == 1000);
    let items: Vec<u32> = (0..1000).collect();
    let () = own.rpush("jobs", &items).unwrap();
    let mut got: Vec<u32> = waiting.into_iter().map(|job| job.join().unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got, items);
}

#[test]
fn waits_have_an_end_by_the_server_and_by_the_socket() {
    begin();
    let redis = services::Redis::start();
    let socket = redis.socket();
    at_once(300, Duration::from_millis(500), move |n| {
        let mut redis = connect(&socket);
        if n % 2 == 0 {
            let item: Option<(String, u32)> = redis.blpop("nothing", 0.5).unwrap();
            assert_eq!(item, None);
        } else {
            redis
                .set_read_timeout(Some(Duration::from_millis(500)))
                .unwrap();
            let item: RedisResult<(String, u32)> = redis.blpop("nothing", 100.0);
            assert!(item.unwrap_err().is_timeout());
        }
    });
}

#[test]
fn what_is_published_reaches_all() {
    begin();
    let redis = services::Redis::start();
    let socket = redis.socket();
    let readers: Vec<_> = (0..200)
        .map(|_| {
            let socket = socket.clone();
            spawn(move || {
                let mut redis = connect(&socket);
                let mut news = redis.as_pubsub();
                news.subscribe("news").unwrap();
                (0..10)
                    .map(|_| news.get_message().unwrap().get_payload::<u32>().unwrap())
                    .sum::<u32>()
            })
        })
        .collect();
    let mut own = connect(&socket);
    until("all listen", || {
        let (_, count): (String, usize) = cmd("PUBSUB")
            .arg("NUMSUB")
            .arg("news")
            .query(&mut own)
            .unwrap();
        count == 200
    });
    for n in 0..10 {
        let reached: usize = own.publish("news", n).unwrap();
        assert_eq!(reached, 200);
    }
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 45);
    }
}
