//! `redis` over green sockets: its commands and its parser over a connection of ours, against a real
//! server. What docs/src/databases.md shows is in `databases_redis.rs`.

use super::crates::everywhere;
use super::databases_redis::Redis;
use greenway::green::{sleep, spawn};
use greenway_tests::services;
use redis::{Commands, ConnectionLike};
use std::time::Duration;

#[test]
fn commands_and_pipelines() {
    everywhere(|| {
        let server = services::Redis::start();
        let mut connection = Redis::connect(&server.socket()).unwrap();
        assert!(connection.check_connection());
        let () = connection.set("key", "value").unwrap();
        assert_eq!(connection.get::<_, String>("key").unwrap(), "value");
        let (one, two): (i64, i64) = ::redis::pipe()
            .atomic()
            .incr("count", 1)
            .incr("count", 41)
            .query(&mut connection)
            .unwrap();
        assert_eq!((one, two), (1, 42));
    });
}

/// The one who waits and the one who is waited for are on the same worker.
#[test]
fn a_blocking_command_blocks_nobody_else() {
    everywhere(|| {
        let server = services::Redis::start();
        let connect = || Redis::connect(&server.socket()).unwrap();
        let (mut waits, mut gives) = (connect(), connect());
        let giver = spawn(move || {
            sleep(Duration::from_millis(10));
            gives.rpush::<_, _, i64>("list", "item").unwrap()
        });
        let (list, item): (String, String) = waits.blpop("list", 20.0).unwrap();
        assert_eq!((list.as_str(), item.as_str()), ("list", "item"));
        assert_eq!(giver.join().unwrap(), 1);
    });
}
