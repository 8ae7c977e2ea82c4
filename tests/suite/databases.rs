//! Databases in handlers, against the real servers: docs/src/databases.md is the guide. What holds
//! for each of them is here; what is said to each of them is in `databases_*.rs`, and shown in the
//! guide.
//!
//! A query that waits does so for a lock of the database which the test holds, so it takes exactly
//! as long as the test wants.

use greenway::green::{ConnectionPoolStats, config};
use greenway::{App, Engine, HttpError, Request, Server};
use greenway_tests::request::get;
use greenway_tests::{DEADLINE, Drops, TestServer, until};
use std::sync::Arc;
use std::time::Duration;

/// A database, and a pool of connections to it.
pub(super) trait Database: Send + Sync + Sized + 'static {
    /// A handler on a green thread ends at once when its client leaves, also while it waits for a
    /// connection's answer, which is of no use then.
    const IS_GREEN: bool;

    /// What is there for as long as the test, and no longer: handlers may outlive it for a moment.
    type Keep;

    /// With tables of its own, and at most `size` connections, for which handlers wait for `wait`.
    fn open(size: usize, wait: Duration) -> (Self, Self::Keep);
    fn stats(&self) -> ConnectionPoolStats;

    // What handlers do.

    fn value(&self) -> Result<String, HttpError>;
    /// A query that waits from `hold` to `let_go`.
    fn wait(&self) -> Result<(), HttpError>;
    /// Asks `nowhere` for a `secret`.
    fn wrong(&self) -> Result<(), HttpError>;

    // What the test does.

    fn hold(&self);
    /// Queries that wait.
    fn waiting(&self) -> usize;
    /// Lets as many as wait go on.
    fn let_go(&self, waiting: usize);
    /// Ends all connections of the pool, from the database's side.
    fn sever(&self);
}

/// The tests that hold for every database, on both engines.
macro_rules! database_tests {
    ($Database:ty: $($test:ident),+ $(,)?) => {
        $(fn $test(engine: greenway::Engine) {
            super::databases::$test::<$Database>(engine);
        })+
        greenway_tests::on_green_and_threads!($($test),+);
    };
}
pub(super) use database_tests;

/// The server is the first to go.
struct Subject<D: Database> {
    server: TestServer,
    database: Arc<D>,
    /// Of handlers that wait.
    drops: Drops,
    _keep: D::Keep,
}

impl<D: Database> Subject<D> {
    fn start(engine: Engine, size: usize, wait: Duration) -> Self {
        let (database, keep) = D::open(size, wait);
        let database = Arc::new(database);
        let drops = Drops::new();
        let mut app = App::new();
        app.get("/no-database", |_: Request| "here");
        let db = database.clone();
        app.get("/value", move |_: Request| db.value());
        let db = database.clone();
        app.get("/wrong", move |_: Request| db.wrong());
        let (db, witnesses) = (database.clone(), drops.clone());
        app.get("/wait", move |_: Request| {
            let _witness = witnesses.witness();
            db.wait()?;
            Ok("it is over")
        });
        let server = Server::new(app).engine(engine).threads(size + 8);
        let server = TestServer::start(server.timeout(DEADLINE * 2));
        Self {
            server,
            database,
            drops,
            _keep: keep,
        }
    }

    fn until_waiting(&self, count: usize) {
        until("the queries wait in the database", || {
            self.database.waiting() == count
        });
    }
}

/// More queries wait than there are workers. If one of them held up its worker, nobody would answer.
pub(super) fn a_slow_query_holds_up_nobody_else<D: Database>(engine: Engine) {
    let slow = config().workers + 2;
    let subject = Subject::<D>::start(engine, slow + 1, DEADLINE);
    subject.database.hold();
    let mut clients: Vec<_> = (0..slow).map(|_| subject.server.connect()).collect();
    for client in &mut clients {
        client.send(get("/wait"));
    }
    subject.until_waiting(slow);
    for _ in 0..2 * slow {
        assert_eq!(subject.server.get("/no-database").text(), "here");
        assert_eq!(subject.server.get("/value").text(), "7");
    }
    assert_eq!(subject.database.waiting(), slow);
    subject.database.let_go(slow);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "it is over");
    }
    let stats = subject.database.stats();
    assert!(stats.made <= slow as u64 + 1, "{stats:?}");
}

pub(super) fn an_error_tells_the_client_nothing<D: Database>(engine: Engine) {
    let subject = Subject::<D>::start(engine, 1, DEADLINE);
    for _ in 0..2 {
        let reply = subject.server.get("/wrong");
        assert_eq!(reply.status(), 500);
        let text = format!("{:?} {}", reply.head, reply.text()).to_lowercase();
        for secret in [
            "secret", "nowhere", "sql", "redis", "column", "table", "/tmp",
        ] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert_eq!(subject.server.get("/value").text(), "7");
    assert_eq!(
        subject.database.stats().made,
        1,
        "an error is no reason to reconnect"
    );
}

pub(super) fn a_client_that_leaves_takes_no_connection_along<D: Database>(engine: Engine) {
    let subject = Subject::<D>::start(engine, 1, DEADLINE);
    subject.database.hold();
    let mut client = subject.server.connect();
    client.send(get("/wait"));
    subject.until_waiting(1);
    client.reset();
    // On an OS thread of the pool a query runs to its end; a green handler does not wait for it. A
    // handler on an OS thread is the query.
    if D::IS_GREEN || engine == Engine::Green {
        subject.drops.wait();
    }
    subject.database.let_go(1);
    assert_eq!(subject.server.get("/value").text(), "7");
    let made = if D::IS_GREEN { 2 } else { 1 };
    let stats = subject.database.stats();
    assert_eq!((stats.made, stats.in_use, stats.idle), (made, 0, 1));
}

pub(super) fn who_comes_too_many_waits_for_a_bounded_time<D: Database>(engine: Engine) {
    for wait in [Duration::from_millis(10), DEADLINE] {
        let subject = Subject::<D>::start(engine, 1, wait);
        subject.database.hold();
        let mut first = subject.server.connect();
        first.send(get("/wait"));
        subject.until_waiting(1);
        let mut second = subject.server.connect();
        second.send(get("/value"));
        if wait < DEADLINE {
            let reply = second.reply();
            assert_eq!(reply.status(), 503);
            assert_eq!(reply.head.field("retry-after"), Some("1"));
            assert_eq!(subject.server.get("/no-database").text(), "here");
        } else {
            until("the second waits", || subject.database.stats().waiting == 1);
        }
        subject.database.let_go(1);
        assert_eq!(first.reply().text(), "it is over");
        if wait == DEADLINE {
            assert_eq!(second.reply().text(), "7");
        }
        assert_eq!(subject.server.get("/value").text(), "7");
    }
}

pub(super) fn a_connection_that_has_died_is_replaced<D: Database>(engine: Engine) {
    let subject = Subject::<D>::start(engine, 1, DEADLINE);
    for made in 1..=3 {
        assert_eq!(subject.server.get("/value").text(), "7");
        assert_eq!(subject.database.stats().made, made);
        subject.database.sever();
    }
}

/// The tests of a source file: those with an attribute, and those of the macros that make them for
/// each engine.
fn tests_of(source: &str) -> Vec<&str> {
    let attributes = source.split("#[test]\nfn ").skip(1);
    let attributes = attributes.filter_map(|rest| rest.split_once('(').map(|(name, _)| name));
    let lists = ["\non_green_and_threads!(", "\ndatabase_tests!("];
    let lists = lists.iter().flat_map(|begin| source.split(begin).skip(1));
    let lists = lists.filter_map(|rest| rest.split_once(");").map(|(names, _)| names));
    let names = lists.flat_map(|names| names.rsplit(": ").next().unwrap_or(names).split(','));
    let names = names.map(|name| name.rsplit(':').next().unwrap_or(name).trim());
    attributes
        .chain(names)
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn the_evidence_names_the_tests_that_there_are() {
    use std::collections::BTreeSet;

    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
    let page = read("docs/src/evidence/databases.md");
    let named: BTreeSet<_> = page
        .split('`')
        .filter_map(|text| text.strip_prefix("suite/"))
        .map(str::to_owned)
        .collect();
    let mut there = BTreeSet::new();
    for database in ["mysql", "postgres", "redis", "sqlite"] {
        let file = format!("databases_{database}");
        let source = read(&format!("tests/suite/{file}.rs"));
        let tests = tests_of(&source);
        assert!(tests.len() > 4, "{tests:?}");
        there.extend(tests.iter().map(|test| format!("{file}::{test}")));
    }
    assert_eq!(named, there);
}
