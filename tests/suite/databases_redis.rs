//! Redis in handlers.

use super::databases::{Database, database_tests};
use greenway::green::net::UnixStream;
use greenway::green::{
    ConnectionPool, ConnectionPoolBuilder, ConnectionPoolStats, PooledConnection, Timeout,
};
use greenway::{App, Engine, HttpError, Request, Server};
use greenway_tests::services;
use greenway_tests::{TestServer, on_green_and_threads};
use redis::{Commands, ConnectionLike, Parser, RedisResult, Value};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

// ANCHOR: connection
/// A connection to Redis that waits as green threads do. One over TCP is the same with `TcpStream`.
pub(crate) struct Redis {
    stream: UnixStream,
    parser: Parser,
    /// The reply to a command is missing, so what comes next is no answer to the next command.
    awaits_reply: bool,
}

impl Redis {
    pub(crate) fn connect(socket: &Path) -> RedisResult<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let parser = Parser::new();
        Ok(Self {
            stream,
            parser,
            awaits_reply: false,
        })
    }
}

impl ConnectionLike for Redis {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let replies = self.req_packed_commands(command, 0, 1)?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.awaits_reply = true; // until all have come
        self.stream.write_all(commands)?;
        let mut reply = || self.parser.parse_value(&self.stream);
        for _ in 0..offset {
            reply()?;
        }
        let replies = (0..count).map(|_| reply()).collect::<RedisResult<_>>()?;
        self.awaits_reply = false;
        Ok(replies)
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        self.ping::<String>().is_ok()
    }

    fn is_open(&self) -> bool {
        !self.awaits_reply
    }
}

fn redis(socket: PathBuf) -> ConnectionPoolBuilder<Redis> {
    ConnectionPool::builder(move || Redis::connect(&socket))
        .max_size(32) // no threads, so there may be more
        .wait_timeout(Duration::from_secs(2))
        .check(|redis| redis.check_connection())
        .broken(|redis| !redis.is_open())
}
// ANCHOR_END: connection

// ANCHOR: app
fn visits(pool: ConnectionPool<Redis>) -> App {
    let mut app = App::new();
    let db = pool.clone();
    app.post("/visit/<page>", move |req: Request| {
        let mut redis = db.get()?; // given back at the end of the handler
        let count: u64 = redis.incr(format!("visits:{}", req.param("page")), 1)?;
        Ok(format!("visit {count}"))
    });
    app.get("/next", move |_: Request| {
        let mut redis = pool.get()?;
        // Waits for a job; the handler ends, and its connection with it, when the client leaves.
        let job: Option<(String, String)> = redis.blpop("jobs", 20.0)?;
        Ok(job.map_or("nothing to do".to_owned(), |(_, job)| job))
    });
    app
}
// ANCHOR_END: app

struct Subject {
    pool: ConnectionPool<Redis>,
    own: Mutex<Redis>,
}

impl Subject {
    fn own(&self) -> MutexGuard<'_, Redis> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for Subject {
    const IS_GREEN: bool = true;
    type Keep = services::Redis;

    fn open(size: usize, wait: Duration) -> (Self, Self::Keep) {
        let server = services::Redis::start();
        let pool = redis(server.socket())
            .max_size(size)
            .wait_timeout(wait)
            .check_after(Duration::ZERO)
            .build();
        let mut own = Redis::connect(&server.socket()).unwrap();
        let () = own.set("value", 7).unwrap();
        let () = own.rpush("list", 1).unwrap();
        let this = Self {
            pool,
            own: Mutex::new(own),
        };
        (this, server)
    }

    fn stats(&self) -> ConnectionPoolStats {
        self.pool.stats()
    }

    fn value(&self) -> Result<String, HttpError> {
        Ok(self.pool.get()?.get("value")?)
    }

    fn wait(&self) -> Result<(), HttpError> {
        let _item: (String, String) = self.pool.get()?.blpop("held", 25.0)?;
        Ok(())
    }

    fn wrong(&self) -> Result<(), HttpError> {
        // A list is no number: WRONGTYPE.
        let _number: i64 = self.pool.get()?.incr("list", 1)?;
        Ok(())
    }

    fn hold(&self) {}

    fn waiting(&self) -> usize {
        let info: String = redis::cmd("INFO")
            .arg("clients")
            .query(&mut *self.own())
            .unwrap();
        let mut lines = info.lines();
        let count = lines.find_map(|line| line.strip_prefix("blocked_clients:"));
        count.expect("Redis counts them").parse().unwrap()
    }

    fn let_go(&self, waiting: usize) {
        // One that nobody waits for any more would answer somebody else's question.
        for _ in 0..waiting.min(self.waiting()) {
            let () = self.own().rpush("held", "go on").unwrap();
        }
    }

    fn sever(&self) {
        let mut kill = redis::cmd("CLIENT");
        let kill = kill
            .arg("KILL")
            .arg("TYPE")
            .arg("normal")
            .arg("SKIPME")
            .arg("yes");
        let killed: usize = kill.query(&mut *self.own()).unwrap();
        assert_eq!(killed, 1);
    }
}

database_tests!(Subject:
    a_slow_query_holds_up_nobody_else,
    an_error_tells_the_client_nothing,
    a_client_that_leaves_takes_no_connection_along,
    who_comes_too_many_waits_for_a_bounded_time,
    a_connection_that_has_died_is_replaced,
);
on_green_and_threads!(visits_and_jobs);

fn visits_and_jobs(engine: Engine) {
    let redis = services::Redis::start();
    let pool = self::redis(redis.socket()).build();
    let server = TestServer::start(Server::new(visits(pool)).engine(engine));
    let visit = || {
        let visit = greenway_tests::request::post("/visit/home", "");
        server.ask(visit).text()
    };
    assert_eq!([visit(), visit()], ["visit 1", "visit 2"]);
    let mut own = Redis::connect(&redis.socket()).unwrap();
    let () = own.rpush("jobs", "sweep").unwrap();
    assert_eq!(server.get("/next").text(), "sweep");
}

/// A reply that somebody did not wait for is not the answer to the next question.
#[test]
fn a_reply_that_was_given_up_answers_nobody() {
    let server = services::Redis::start();
    let pool = redis(server.socket()).max_size(1).build();
    let mut own = Redis::connect(&server.socket()).unwrap();
    let () = own.set("value", 7).unwrap();
    let blpop = |redis: &mut PooledConnection<Redis>| {
        let item: RedisResult<Option<(String, String)>> = redis.blpop("held", 20.0);
        item
    };
    for made in 1..=2 {
        let mut redis = pool.get().unwrap();
        if made == 1 {
            // By a limit around it.
            let limit = Duration::from_millis(5);
            assert!(Timeout::run(limit, || blpop(&mut redis)).is_err());
        } else {
            // By a limit of the socket.
            let limit = Some(Duration::from_millis(5));
            redis.stream.set_read_timeout(limit).unwrap();
            assert!(blpop(&mut redis).is_err());
        }
        drop(redis);
        let () = own.rpush("held", "too late").unwrap();
        assert_eq!(pool.get().unwrap().get::<_, i64>("value").unwrap(), 7);
        assert_eq!(pool.stats().made, made + 1);
        let () = own.del("held").unwrap();
    }
}
