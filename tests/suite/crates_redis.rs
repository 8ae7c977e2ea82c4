//! `redis` over green sockets: its commands and its parser over a connection of ours, against a real
//! server.

use super::crates::everywhere;
use greenway::green::net::UnixStream;
use greenway::green::{Timeout, sleep, spawn};
use greenway_tests::DEADLINE;
use redis::{Cmd, Commands, ConnectionLike, Parser, RedisResult, Value};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A redis server on a unix socket of its own.
struct Redis {
    process: Child,
    socket: PathBuf,
}

impl Redis {
    fn start() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("greenway-redis-{}-{number}", std::process::id());
        let socket = std::env::temp_dir().join(name);
        let process = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed by ./test");
        Self { process, socket }
    }

    fn connect(&self) -> Connection {
        let stream = Timeout::run(DEADLINE, || {
            loop {
                match UnixStream::connect(&self.socket) {
                    Ok(stream) => break stream,
                    Err(_starting) => sleep(Duration::from_millis(5)),
                }
            }
        });
        let stream = stream.expect("redis-server has not started");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Connection {
            stream,
            parser: Parser::new(),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself, which the tests have noticed.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// All that `redis` asks of a connection.
struct Connection {
    stream: UnixStream,
    parser: Parser,
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, cmd: &[u8]) -> RedisResult<Value> {
        self.stream.write_all(cmd)?;
        self.parser.parse_value(&self.stream)
    }

    fn req_packed_commands(
        &mut self,
        cmd: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.stream.write_all(cmd)?;
        for _ in 0..offset {
            self.parser.parse_value(&self.stream)?;
        }
        (0..count)
            .map(|_| self.parser.parse_value(&self.stream))
            .collect()
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        Cmd::new().arg("PING").query::<String>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        true
    }
}

#[test]
fn commands_and_pipelines() {
    everywhere(|| {
        let redis = Redis::start();
        let mut connection = redis.connect();
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
        let redis = Redis::start();
        let (mut waits, mut gives) = (redis.connect(), redis.connect());
        let giver = spawn(move || {
            sleep(Duration::from_millis(10));
            gives.rpush::<_, _, i64>("list", "item").unwrap()
        });
        let (list, item): (String, String) = waits.blpop("list", 20.0).unwrap();
        assert_eq!((list.as_str(), item.as_str()), ("list", "item"));
        assert_eq!(giver.join().unwrap(), 1);
    });
}
