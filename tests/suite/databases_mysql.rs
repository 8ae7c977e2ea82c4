//! MySQL and MariaDB in handlers.

use super::databases::{Database, database_tests};
use greenway::green::{
    BlockingConnectionPool, ConnectionPool, ConnectionPoolBuilder, ConnectionPoolStats,
};
use greenway::{App, Engine, HttpError, OrStatus, Request, Server};
use greenway_tests::request::post;
use greenway_tests::services::MariaDb;
use greenway_tests::{TestServer, on_green_and_threads, until};
use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder, TxOpts};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

// ANCHOR: pool
fn mysql(opts: OptsBuilder) -> ConnectionPoolBuilder<Conn> {
    // MariaDB's words; MySQL has `max_execution_time`, in milliseconds.
    let opts = Opts::from(opts.init(vec!["SET SESSION max_statement_time = 5"]));
    ConnectionPool::builder(move || Conn::new(opts.clone()))
        .max_size(8)
        .wait_timeout(Duration::from_secs(2))
        .check(|db| db.ping().is_ok())
}
// ANCHOR_END: pool

// ANCHOR: app
fn bank(pool: BlockingConnectionPool<Conn>) -> App {
    let mut app = App::new();
    let db = pool.clone();
    app.get("/balance/<account:int>", move |req: Request| {
        let account: i32 = req.param_as("account")?;
        let find = "SELECT balance FROM accounts WHERE id = ?";
        let balance: Option<i64> = db.run(move |db| db.exec_first(find, (account,)))??;
        Ok(balance.or_status(404, "no such account")?.to_string())
    });
    app.post("/transfer/<from>/<to>/<amount>", move |req: Request| {
        let (from, to) = (req.param_as("from")?, req.param_as("to")?);
        let amount = req.param_as("amount")?;
        pool.run(move |db| transfer(db, from, to, amount))?
    });
    app
}

fn transfer(db: &mut Conn, from: i32, to: i32, amount: i64) -> Result<(), HttpError> {
    let take = "UPDATE accounts SET balance = balance - ? WHERE id = ? AND balance >= ?";
    let give = "UPDATE accounts SET balance = balance + ? WHERE id = ?";
    let mut all = db.start_transaction(TxOpts::default())?; // rolled back when it is dropped
    all.exec_drop(take, (amount, from, amount))?;
    if all.affected_rows() == 0 {
        return Err(HttpError::new(409, "not enough money"));
    }
    all.exec_drop(give, (amount, to))?;
    assert_eq!(
        all.affected_rows(),
        1,
        "the form offers accounts that exist"
    );
    Ok(all.commit()?)
}
// ANCHOR_END: app

fn opts() -> OptsBuilder {
    let socket = MariaDb::shared().socket();
    OptsBuilder::new()
        .socket(Some(socket.to_str().expect("its name is plain")))
        .user(Some("root"))
}

/// A connection of the test, and a database of its own.
fn own() -> (Conn, String) {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let name = format!("bank_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut own = Conn::new(Opts::from(opts())).unwrap();
    own.query_drop(format!("CREATE DATABASE {name}")).unwrap();
    (own, name)
}

struct Bank {
    pool: BlockingConnectionPool<Conn>,
    /// For the test.
    own: Mutex<Conn>,
    /// The database, and a lock that queries wait for.
    name: String,
}

impl Bank {
    fn own(&self) -> MutexGuard<'_, Conn> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> Vec<u64> {
        let find = "SELECT id FROM information_schema.processlist WHERE db = ?";
        self.own().exec(find, (&self.name,)).unwrap()
    }
}

impl Database for Bank {
    const IS_GREEN: bool = false;
    type Keep = ();

    fn open(size: usize, wait: Duration) -> (Self, Self::Keep) {
        let (own, name) = own();
        let pool = mysql(opts().db_name(Some(&name)))
            .max_size(size)
            .wait_timeout(wait)
            .check_after(Duration::ZERO)
            .build_blocking();
        let this = Self {
            pool,
            own: Mutex::new(own),
            name,
        };
        (this, ())
    }

    fn stats(&self) -> ConnectionPoolStats {
        self.pool.stats()
    }

    fn value(&self) -> Result<String, HttpError> {
        let value: Option<i64> = self.pool.run(|db| db.query_first("SELECT 3 + 4"))??;
        Ok(value.or_500()?.to_string())
    }

    fn wait(&self) -> Result<(), HttpError> {
        let name = self.name.clone();
        self.pool.run(move |db| {
            db.query_drop("SET SESSION max_statement_time = 0")?;
            db.exec_drop("DO GET_LOCK(?, 60)", (&name,))?;
            db.exec_drop("DO RELEASE_LOCK(?)", (&name,))
        })??;
        Ok(())
    }

    fn wrong(&self) -> Result<(), HttpError> {
        self.pool
            .run(|db| db.query_drop("SELECT secret FROM nowhere"))??;
        Ok(())
    }

    fn hold(&self) {
        let hold = "DO GET_LOCK(?, 0)";
        self.own().exec_drop(hold, (&self.name,)).unwrap();
    }

    fn waiting(&self) -> usize {
        let count = "SELECT COUNT(*) FROM information_schema.processlist
                     WHERE db = ? AND state = 'User lock'";
        let count = self.own().exec_first(count, (&self.name,)).unwrap();
        count.expect("a count is a row")
    }

    fn let_go(&self, _: usize) {
        let let_go = "DO RELEASE_LOCK(?)";
        self.own().exec_drop(let_go, (&self.name,)).unwrap();
    }

    fn sever(&self) {
        for id in self.connections() {
            self.own().query_drop(format!("KILL {id}")).unwrap();
        }
        until("they have ended", || self.connections().is_empty());
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
);

fn transactions_are_whole_or_not_at_all(engine: Engine) {
    let (mut own, name) = own();
    for statement in [
        "CREATE TABLE accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL)",
        "INSERT INTO accounts VALUES (1, 100), (2, 100)",
    ] {
        own.select_db(&name).unwrap();
        own.query_drop(statement).unwrap();
    }
    let pool = mysql(opts().db_name(Some(name)))
        .max_size(1)
        .build_blocking();
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
    let pool = mysql(opts()).build_blocking();
    let mut app = App::new();
    let db = pool.clone();
    app.get("/", move |_: Request| {
        db.run(|db| {
            db.query_drop("SET SESSION max_statement_time = 0.02")?;
            // Not `query_drop`: it drops an error that comes in the place of rows.
            db.query_first::<i64, _>("SELECT SLEEP(600)")
        })??;
        Ok("it was")
    });
    let server = TestServer::start(Server::new(app).engine(engine));
    assert_eq!(server.get("/").status(), 500);
    assert_eq!(pool.stats().idle, 1, "the connection is as good as before");
}
