//! PostgreSQL in handlers.

use super::databases::{Database, database_tests};
use greenway::green::{
    BlockingConnectionPool, ConnectionPool, ConnectionPoolBuilder, ConnectionPoolStats,
};
use greenway::{App, Engine, HttpError, OrStatus, Request, Server};
use greenway_tests::request::post;
use greenway_tests::services::Postgres;
use greenway_tests::{TestServer, on_green_and_threads, until};
use postgres::{Client, Config, NoTls};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

// ANCHOR: pool
fn postgres(config: Config) -> ConnectionPoolBuilder<Client> {
    ConnectionPool::builder(move || config.connect(NoTls))
        .max_size(8) // connections, and OS threads for them
        .wait_timeout(Duration::from_secs(2)) // for a connection; then 503
        .check(|db| db.is_valid(Duration::from_secs(1)).is_ok())
        .broken(|db| db.is_closed())
}
// ANCHOR_END: pool

// ANCHOR: app
fn bank(pool: BlockingConnectionPool<Client>) -> App {
    let mut app = App::new();
    let db = pool.clone();
    app.get("/balance/<account:int>", move |req: Request| {
        let account: i32 = req.param_as("account")?;
        let row = db.run(move |db| {
            db.query_opt("SELECT balance FROM accounts WHERE id = $1", &[&account])
        })??; // no connection: 503; an error of the database: 500
        let row = row.or_status(404, "no such account")?;
        Ok(row.get::<_, i64>("balance").to_string())
    });
    app.post("/transfer/<from>/<to>/<amount>", move |req: Request| {
        let (from, to) = (req.param_as("from")?, req.param_as("to")?);
        let amount = req.param_as("amount")?;
        pool.run(move |db| transfer(db, from, to, amount))?
    });
    app
}

fn transfer(db: &mut Client, from: i32, to: i32, amount: i64) -> Result<(), HttpError> {
    let take = "UPDATE accounts SET balance = balance - $1 WHERE id = $2 AND balance >= $1";
    let give = "UPDATE accounts SET balance = balance + $1 WHERE id = $2";
    let mut all = db.transaction()?; // rolled back when it is dropped
    let taken = all.execute(take, &[&amount, &from])?;
    if taken == 0 {
        return Err(HttpError::new(409, "not enough money"));
    }
    let given = all.execute(give, &[&amount, &to])?;
    assert_eq!(given, 1, "the form offers accounts that exist");
    Ok(all.commit()?)
}
// ANCHOR_END: app

fn config() -> Config {
    let config = Postgres::shared().url().parse();
    config.expect("it is in libpq's words")
}

fn guard(client: &Mutex<Client>) -> MutexGuard<'_, Client> {
    client.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Bank {
    pool: BlockingConnectionPool<Client>,
    /// For the test.
    own: Mutex<Client>,
    /// The lock that queries wait for, and what its connections are called.
    key: i64,
}

impl Bank {
    fn name(key: i64) -> String {
        format!("pool {key}")
    }
}

impl Database for Bank {
    const IS_GREEN: bool = false;
    type Keep = ();

    fn open(size: usize, wait: Duration) -> (Self, Self::Keep) {
        static NEXT: AtomicI64 = AtomicI64::new(1);
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut named = config();
        named.application_name(&Self::name(key));
        let pool = postgres(named)
            .max_size(size)
            .wait_timeout(wait)
            .check_after(Duration::ZERO)
            .build_blocking();
        let this = Self {
            pool,
            own: Mutex::new(config().connect(NoTls).unwrap()),
            key,
        };
        (this, ())
    }

    fn stats(&self) -> ConnectionPoolStats {
        self.pool.stats()
    }

    fn value(&self) -> Result<String, HttpError> {
        let row = self.pool.run(|db| db.query_one("SELECT 3 + 4", &[]))??;
        Ok(row.get::<_, i32>(0).to_string())
    }

    fn wait(&self) -> Result<(), HttpError> {
        let key = self.key;
        let wait = "SELECT pg_advisory_xact_lock($1)";
        self.pool.run(move |db| db.execute(wait, &[&key]))??;
        Ok(())
    }

    fn wrong(&self) -> Result<(), HttpError> {
        self.pool
            .run(|db| db.batch_execute("SELECT secret FROM nowhere"))??;
        Ok(())
    }

    fn hold(&self) {
        let hold = "SELECT pg_advisory_lock($1)";
        guard(&self.own).execute(hold, &[&self.key]).unwrap();
    }

    fn waiting(&self) -> usize {
        let wait = "SELECT count(*) FROM pg_locks
                    WHERE locktype = 'advisory' AND NOT granted AND objid::bigint = $1";
        let row = guard(&self.own).query_one(wait, &[&self.key]).unwrap();
        row.get::<_, i64>(0) as usize
    }

    fn let_go(&self, _: usize) {
        let let_go = "SELECT pg_advisory_unlock($1)";
        guard(&self.own).execute(let_go, &[&self.key]).unwrap();
    }

    fn sever(&self) {
        // Waits until they have ended.
        let sever = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
                     WHERE application_name = $1";
        let ended = guard(&self.own).execute(sever, &[&Self::name(self.key)]);
        assert_eq!(ended.unwrap(), 1);
    }
}

database_tests!(Bank:
    a_slow_query_holds_up_nobody_else,
    an_error_tells_the_client_nothing,
    a_client_that_leaves_takes_no_connection_along,
    who_comes_too_many_waits_for_a_bounded_time,
    a_connection_that_has_died_is_replaced,
);
on_green_and_threads!(
    transactions_are_whole_or_not_at_all,
    a_query_that_takes_too_long_ends,
    a_database_that_is_down_comes_back,
);

/// Two accounts with 100 each, in a schema of its own.
fn accounts(schema: &str) -> Config {
    let mut client = config().connect(NoTls).unwrap();
    let create = format!(
        "CREATE SCHEMA {schema};
         CREATE TABLE {schema}.accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL);
         INSERT INTO {schema}.accounts VALUES (1, 100), (2, 100)"
    );
    client.batch_execute(&create).unwrap();
    let mut config = config();
    config.options(&format!("-c search_path={schema}"));
    config
}

fn transactions_are_whole_or_not_at_all(engine: Engine) {
    let schema = format!("bank_{engine:?}").to_lowercase();
    let pool = postgres(accounts(&schema)).max_size(1).build_blocking();
    let server = TestServer::start(Server::new(bank(pool.clone())).engine(engine));
    let balances = || [1, 2].map(|id| server.get(&format!("/balance/{id}")).text());
    let transfer = |path: &str| server.ask(post(&format!("/transfer/{path}"), "")).status();
    assert_eq!(transfer("1/2/30"), 200);
    assert_eq!(balances(), ["70", "130"]);
    assert_eq!(transfer("1/2/71"), 409, "by an early return");
    assert_eq!(balances(), ["70", "130"]);
    assert_eq!(pool.stats().made, 1);
    assert_eq!(transfer("1/3/30"), 500, "by a panic");
    assert_eq!(balances(), ["70", "130"]);
    assert_eq!(pool.stats().made, 2, "who knows what state it is in");
    assert_eq!(transfer("2/1/30"), 200, "no lock was left behind");
    assert_eq!(balances(), ["100", "100"]);
    assert_eq!(server.get("/balance/3").status(), 404);
}

fn a_query_that_takes_too_long_ends(engine: Engine) {
    let mut config = config();
    config.options("-c statement_timeout=20ms");
    let pool = postgres(config).build_blocking();
    let mut app = App::new();
    let db = pool.clone();
    app.get("/", move |_: Request| {
        db.run(|db| db.batch_execute("SELECT pg_sleep(600)"))??;
        Ok("it was")
    });
    let server = TestServer::start(Server::new(app).engine(engine));
    assert_eq!(server.get("/").status(), 500);
    assert_eq!(pool.stats().idle, 1, "the connection is as good as before");
}

/// Each handler is told at once; and when the database is there again, so is the pool.
fn a_database_that_is_down_comes_back(engine: Engine) {
    let mut wrong = config();
    wrong.dbname(&format!("later_{engine:?}").to_lowercase());
    let pool = postgres(wrong).build_blocking();
    let mut app = App::new();
    let db = pool.clone();
    app.get("/", move |_: Request| {
        let row = db.run(|db| db.query_one("SELECT current_database()", &[]))??;
        Ok(row.get::<_, String>(0))
    });
    let server = TestServer::start(Server::new(app).engine(engine));
    let reply = server.get("/");
    assert_eq!(reply.status(), 500);
    assert!(!reply.text().contains("later"), "{}", reply.text());
    let create = format!("CREATE DATABASE later_{engine:?}");
    let own = Mutex::new(config().connect(NoTls).unwrap());
    // Another test may have the template in use, for a moment.
    until("it is made", || guard(&own).batch_execute(&create).is_ok());
    assert!(server.get("/").text().starts_with("later_"));
    let stats = pool.stats();
    assert_eq!((stats.made, stats.in_use), (1, 0));
}
