//! Handlers with databases, unmodified drivers in them: docs/src/monkey.md shows the listing.

use greenway::green::{ConnectionPool, Timeout, spawn};
use greenway::{App, HttpError, Request, Running, Server};
use greenway_monkey_tests::{at_once, begin, services, until};
use mysql::prelude::Queryable;
use redis::{Client, Commands, Connection, RedisError, cmd};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

// ANCHOR: pools
/// Connections that the crate `redis` makes itself.
fn redis_pool(url: String) -> ConnectionPool<Connection> {
    ConnectionPool::builder(move || Client::open(url.as_str())?.get_connection())
        .max_size(300) // no threads, so there may be many
        .wait_timeout(Duration::from_secs(2))
        .check(|redis: &mut Connection| redis.ping::<String>().is_ok())
        .build()
}

/// The pool that the crate `mysql` brings along.
fn mysql_pool(options: mysql::OptsBuilder) -> mysql::Result<mysql::Pool> {
    mysql::Pool::new(options)
}
// ANCHOR_END: pools

// ANCHOR: app
fn shop(redis: ConnectionPool<Connection>, mysql: mysql::Pool) -> App {
    let mut app = App::new();
    app.get("/next", move |_: Request| {
        let mut redis = redis.get()?; // no connection: 503
        // Waits for a job, and ends when the client leaves.
        let job: Option<(String, String)> = redis.blpop("jobs", 20.0)?;
        Ok(job.map_or("nothing to do".to_owned(), |(_, job)| job))
    });
    app.get("/total", move |_: Request| {
        let mut mysql = mysql.try_get_conn(Duration::from_secs(2))?;
        let total: Option<u64> = mysql.query_first("SELECT SLEEP(0.5) + 40 + 2")?;
        Ok(total.unwrap_or(0).to_string())
    });
    app
}
// ANCHOR_END: app

struct Shop {
    redis: services::Redis,
    pool: ConnectionPool<Connection>,
    server: Running,
}

impl Shop {
    fn open() -> Self {
        let (redis, mysql) = (services::Redis::start(), services::MariaDb::shared());
        let pool = redis_pool(url(redis.socket()));
        let socket = mysql
            .socket()
            .to_str()
            .expect("we have named it")
            .to_owned();
        let constraints = mysql::PoolConstraints::new(0, 200).expect("0 is less than 200");
        let options = mysql::OptsBuilder::new()
            .socket(Some(socket))
            .user(Some("root"))
            .pool_opts(mysql::PoolOpts::new().with_constraints(constraints));
        let app = shop(pool.clone(), mysql_pool(options).unwrap());
        let server = Server::new(app).bind("127.0.0.1:0").start().unwrap();
        Self {
            redis,
            pool,
            server,
        }
    }

    /// A client that has asked for a path.
    fn ask(&self, path: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.server.addrs()[0]).unwrap();
        write!(
            client,
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        client
    }

    /// How many clients wait for a job, as Redis sees it.
    fn waiting(&self, own: &mut Connection) -> usize {
        let info: String = cmd("INFO").arg("clients").query(own).unwrap();
        let mut lines = info.lines();
        let count = lines.find_map(|line| line.strip_prefix("blocked_clients:"));
        count.expect("Redis counts them").parse().unwrap()
    }

    fn own(&self) -> Connection {
        let client = Client::open(url(self.redis.socket())).unwrap();
        client.get_connection().unwrap()
    }
}

fn url(socket: PathBuf) -> String {
    format!("redis+unix://{}", socket.display())
}

fn body(mut client: TcpStream) -> String {
    let mut all = String::new();
    client.read_to_string(&mut all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").expect("a whole response");
    assert!(head.starts_with("HTTP/1.1 200"), "{all}");
    body.to_owned()
}

#[test]
fn many_handlers_wait_for_databases_at_once() {
    begin();
    let shop = Shop::open();
    let mut own = shop.own();
    let waiting: Vec<_> = (0..200).map(|_| shop.ask("/next")).collect();
    until("all wait for a job", || shop.waiting(&mut own) == 200);
    let addr = shop.server.addrs()[0];
    at_once(200, Duration::from_millis(500), move |_| {
        let mut client = TcpStream::connect(addr).unwrap();
        client
            .write_all(b"GET /total HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        assert_eq!(body(client), "42");
    });
    let jobs: Vec<String> = (0..200).map(|n| format!("job {n}")).collect();
    let () = own.rpush("jobs", &jobs).unwrap();
    let mut done: Vec<_> = waiting.into_iter().map(body).collect();
    done.sort_by_key(|job| job[4..].parse::<u32>().unwrap());
    assert_eq!(done, jobs);
}

#[test]
fn a_client_that_leaves_takes_no_job_along() {
    begin();
    let shop = Shop::open();
    let mut own = shop.own();
    let leaves = shop.ask("/next");
    until("it waits for a job", || shop.waiting(&mut own) == 1);
    drop(leaves);
    until("its handler has ended, and its connection", || {
        shop.waiting(&mut own) == 0 && shop.pool.stats().idle == 0
    });
    let () = own.rpush("jobs", "sweep").unwrap();
    assert_eq!(body(shop.ask("/next")), "sweep");
}

/// The drivers tell their callers of the end as an error, so that nothing unwinds; the pool knows all the same.
#[test]
fn a_reply_that_was_given_up_answers_nobody() {
    begin();
    let redis = services::Redis::start();
    let pool = redis_pool(url(redis.socket()));
    let user = pool.clone();
    let given_up = spawn(move || {
        let mut redis = user.get()?;
        let limit = Duration::from_millis(20);
        // An error of the driver's is the value of the block, which has ended by itself.
        let item: Result<(String, u8), RedisError> =
            Timeout::run(limit, || redis.blpop("nothing", 100.0)).unwrap();
        assert!(item.is_err());
        Ok::<_, HttpError>(())
    });
    given_up.join().unwrap().unwrap();
    assert_eq!(pool.stats().idle, 0);
}

/// What its call is ended with (`ECANCELED`, or a sleep that is too short) is nothing that a handler
/// could answer for.
#[test]
fn a_client_that_leaves_in_a_patched_call_is_logged_as_that() {
    begin();
    let log = std::env::temp_dir().join(format!("gw-monkey-{}-left", std::process::id()));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap();
    let mut app = App::new();
    app.get("/error", move |_: Request| {
        let mut silent = TcpStream::connect(addr)?;
        silent.read_exact(&mut [0])?;
        Ok("read")
    });
    app.get("/answer", move |_: Request| {
        let _connected = TcpStream::connect(addr)?;
        std::thread::sleep(Duration::from_secs(600));
        Ok("slept")
    });
    let server = Server::new(app)
        .bind("127.0.0.1:0")
        .timeout(Duration::from_secs(600))
        .access_log(log.to_str().unwrap())
        .access_log_format("%(U)s %(s)s");
    let server = server.start().unwrap();
    for (at, path) in ["/error", "/answer"].into_iter().enumerate() {
        let mut client = TcpStream::connect(server.addrs()[0]).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let _held = silent.accept().unwrap(); // so the handler is about to wait
        drop(client);
        let line = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.lines().nth(at).map(str::to_owned)
        };
        until("the request is in the log", || line().is_some());
        assert_eq!(line().as_deref(), Some(&*format!("{path} 499")));
    }
    std::fs::remove_file(&log).unwrap();
}
