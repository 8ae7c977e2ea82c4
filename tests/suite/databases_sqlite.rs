//! SQLite in handlers.

use super::databases::{Database, database_tests};
use greenway::green::{
    BlockingConnectionPool, ConnectionPool, ConnectionPoolBuilder, ConnectionPoolStats,
};
use greenway::{App, Engine, HttpError, OrStatus, Request, Server};
use greenway_tests::request::post;
use greenway_tests::{TestServer, on_green_and_threads};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

// ANCHOR: pool
fn sqlite(path: PathBuf) -> ConnectionPoolBuilder<Connection> {
    ConnectionPool::builder(move || {
        let db = Connection::open(&path)?;
        // Readers and one writer at a time; another writer waits for 5 seconds at most.
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.busy_timeout(Duration::from_secs(5))?;
        Ok::<_, rusqlite::Error>(db)
    })
    .max_size(4)
    .wait_timeout(Duration::from_secs(2))
    .broken(|db| !db.is_autocommit()) // a transaction that somebody has forgotten
}
// ANCHOR_END: pool

// ANCHOR: app
fn bank(pool: BlockingConnectionPool<Connection>) -> App {
    let mut app = App::new();
    let db = pool.clone();
    app.get("/balance/<account:int>", move |req: Request| {
        let account: i64 = req.param_as("account")?;
        let find = "SELECT balance FROM accounts WHERE id = ?";
        let balance: Option<i64> = db.run(move |db| {
            let mut find = db.prepare_cached(find)?;
            find.query_one([account], |row| row.get(0)).optional()
        })??;
        Ok(balance.or_status(404, "no such account")?.to_string())
    });
    app.post("/transfer/<from>/<to>/<amount>", move |req: Request| {
        let (from, to) = (req.param_as("from")?, req.param_as("to")?);
        let amount = req.param_as("amount")?;
        pool.run(move |db| transfer(db, from, to, amount))?
    });
    app
}

fn transfer(db: &mut Connection, from: i64, to: i64, amount: i64) -> Result<(), HttpError> {
    let take = "UPDATE accounts SET balance = balance - ?1 WHERE id = ?2 AND balance >= ?1";
    let give = "UPDATE accounts SET balance = balance + ?1 WHERE id = ?2";
    // The lock for writing at once: two that read first and write then cannot both go on.
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let taken = all.execute(take, [amount, from])?;
    if taken == 0 {
        return Err(HttpError::new(409, "not enough money"));
    }
    let given = all.execute(give, [amount, to])?;
    assert_eq!(given, 1, "the form offers accounts that exist");
    Ok(all.commit()?)
}
// ANCHOR_END: app

/// A file that is removed with its neighbours.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("greenway-sqlite-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            // Only what there is.
            let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

struct Bank {
    pool: BlockingConnectionPool<Connection>,
    /// For the test, which holds the lock for writing.
    own: Mutex<Connection>,
    waiting: Arc<AtomicUsize>,
}

impl Bank {
    fn own(&self) -> MutexGuard<'_, Connection> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for Bank {
    const IS_GREEN: bool = false;
    type Keep = File;

    fn open(size: usize, wait: Duration) -> (Self, Self::Keep) {
        let file = File::new();
        let own = Connection::open(&file.0).unwrap();
        own.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE things (n INT)")
            .unwrap();
        let pool = sqlite(file.0.clone())
            .max_size(size)
            .wait_timeout(wait)
            .build_blocking();
        let this = Self {
            pool,
            own: Mutex::new(own),
            waiting: Arc::default(),
        };
        (this, file)
    }

    fn stats(&self) -> ConnectionPoolStats {
        self.pool.stats()
    }

    fn value(&self) -> Result<String, HttpError> {
        let value: i64 = self.pool.run(|db| {
            db.query_one(
                "SELECT 3 + 4 FROM (SELECT count(*) FROM things)",
                [],
                |row| row.get(0),
            )
        })??;
        Ok(value.to_string())
    }

    fn wait(&self) -> Result<(), HttpError> {
        let waiting = self.waiting.clone();
        self.pool.run(move |db| {
            db.busy_timeout(Duration::from_secs(60))?;
            // The lock is held, so what begins here waits.
            waiting.fetch_add(1, Ordering::SeqCst);
            db.execute("INSERT INTO things VALUES (1)", [])
        })??;
        Ok(())
    }

    fn wrong(&self) -> Result<(), HttpError> {
        self.pool
            .run(|db| db.execute_batch("SELECT secret FROM nowhere"))??;
        Ok(())
    }

    fn hold(&self) {
        self.own().execute_batch("BEGIN IMMEDIATE").unwrap();
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    fn let_go(&self, _: usize) {
        self.own().execute_batch("COMMIT").unwrap();
    }

    fn sever(&self) {
        unreachable!("there is no other side");
    }
}

database_tests!(Bank:
    a_slow_query_holds_up_nobody_else,
    an_error_tells_the_client_nothing,
    a_client_that_leaves_takes_no_connection_along,
    who_comes_too_many_waits_for_a_bounded_time,
);
on_green_and_threads!(
    transactions_are_whole_or_not_at_all,
    a_transaction_that_was_forgotten_goes_no_further,
);

/// Two accounts with 100 each.
fn accounts() -> File {
    let file = File::new();
    let create = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INT NOT NULL);
                  INSERT INTO accounts VALUES (1, 100), (2, 100)";
    let own = Connection::open(&file.0).unwrap();
    own.execute_batch(create).unwrap();
    file
}

fn transactions_are_whole_or_not_at_all(engine: Engine) {
    let file = accounts();
    let pool = sqlite(file.0.clone()).max_size(1).build_blocking();
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

fn a_transaction_that_was_forgotten_goes_no_further(engine: Engine) {
    let file = accounts();
    let pool = sqlite(file.0.clone()).max_size(1).build_blocking();
    let mut app = App::new();
    let db = pool.clone();
    app.get("/forget", move |_: Request| {
        db.run(|db| db.execute_batch("BEGIN; DELETE FROM accounts"))??;
        Ok("it will be all right")
    });
    let server = TestServer::start(Server::new(app).engine(engine));
    assert_eq!(server.get("/forget").status(), 200);
    let count = "SELECT count(*) FROM accounts";
    let count = pool.run(|db| db.query_one(count, [], |row| row.get::<_, i64>(0)));
    assert_eq!(count.unwrap().unwrap(), 2);
    assert_eq!(pool.stats().made, 2);
}
