//! The crate `mysql` against a real MariaDB.

use greenway::green::{self, Timeout, spawn};
use greenway_monkey_tests::{at_once, begin, crowd, services, until};
use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use std::sync::OnceLock;
use std::time::Duration;

const SLOW: &str = "SELECT SLEEP(0.5)";
const SLOW_TIME: Duration = Duration::from_millis(500);

/// One server for all tests of this file.
fn server() -> Opts {
    static SERVER: OnceLock<services::MariaDb> = OnceLock::new();
    let socket = SERVER.get_or_init(services::MariaDb::start).socket();
    let socket = socket.to_str().expect("we have named it").to_owned();
    OptsBuilder::new()
        .socket(Some(socket))
        .user(Some("root"))
        .into()
}

#[test]
fn three_hundred_connections_sleep_at_once() {
    begin();
    let opts = server();
    at_once(300, SLOW_TIME, move |_| {
        let mut db = Conn::new(opts.clone()).unwrap();
        assert_eq!(db.query_first::<u8, _>(SLOW).unwrap(), Some(0));
    });
}

#[test]
fn its_own_pool_is_shared_by_many() {
    begin();
    let pool = PoolOpts::new().with_constraints(PoolConstraints::new(0, 20).unwrap());
    let pool = Pool::new(OptsBuilder::from_opts(server()).pool_opts(pool)).unwrap();
    let slow = pool.clone();
    at_once(200, Duration::from_millis(50), move |n| {
        // More than there are connections: they wait at a condition of std's.
        let mut db = slow.get_conn().unwrap();
        let () = db.query_drop("DO SLEEP(0.05)").unwrap();
        let sum: Option<usize> = db.exec_first("SELECT ? + 1", (n,)).unwrap();
        assert_eq!(sum, Some(n + 1));
    });
    let mut own = pool.get_conn().unwrap();
    own.query_drop("CREATE TABLE test.things (n INT)").unwrap();
    crowd(100, move |n| {
        let mut db = pool.get_conn().unwrap();
        db.exec_drop("INSERT INTO test.things VALUES (?)", (n,))
            .unwrap();
    });
    let sum: Option<usize> = own.query_first("SELECT SUM(n) FROM test.things").unwrap();
    assert_eq!(sum, Some(99 * 100 / 2));
}

#[test]
fn a_limit_ends_a_query_with_an_error() {
    begin();
    let opts = server();
    crowd(50, move |_| {
        let mut db = Conn::new(opts.clone()).unwrap();
        let limit = Duration::from_millis(50);
        let ended = Timeout::run(limit, || {
            let error = db.query_drop("DO SLEEP(100)").unwrap_err();
            assert!(error.to_string().contains("Operation canceled"), "{error}");
            green::sleep(Duration::MAX); // unwinds
        });
        assert!(ended.is_err());
    });
}

/// The answer to a query that was given up is not that to the next one.
#[test]
fn a_query_that_was_given_up_answers_nobody() {
    begin();
    let pool = PoolOpts::new().with_constraints(PoolConstraints::new(0, 1).unwrap());
    let pool = Pool::new(OptsBuilder::from_opts(server()).pool_opts(pool)).unwrap();
    let mut own = Conn::new(server()).unwrap();
    let running = "SELECT COUNT(*) FROM information_schema.processlist \
                   WHERE info LIKE 'SELECT SLEEP(0.2)%'";
    for killed in [false, true] {
        let theirs = pool.clone();
        let task = spawn(move || {
            let mut db = theirs.get_conn().unwrap();
            let ask = || {
                // An error of the driver's, then the end.
                let _given_up = db.query_first::<(u8, u8), _>("SELECT SLEEP(0.2), 111");
                green::sleep(Duration::MAX);
            };
            let limit = if killed { 60_000 } else { 50 };
            let _limited = Timeout::run(Duration::from_millis(limit), ask);
        });
        if killed {
            until("it asks", || own.query_first(running).unwrap() == Some(1));
            task.kill();
        }
        // It had the only connection there is.
        let _ended = task.join();
        let seven: Option<u8> = pool.get_conn().unwrap().query_first("SELECT 7").unwrap();
        assert_eq!(seven, Some(7), "killed: {killed}");
    }
}

/// The driver waits for a connection at a condition of std's, which no kill can end; the wait ends with a
/// connection, or with the driver's own limit.
#[test]
fn a_limit_of_the_drivers_ends_the_wait_for_a_connection() {
    begin();
    let pool = PoolOpts::new().with_constraints(PoolConstraints::new(0, 1).unwrap());
    let pool = Pool::new(OptsBuilder::from_opts(server()).pool_opts(pool)).unwrap();
    let held = pool.get_conn().unwrap();
    let waiting = pool.clone();
    crowd(20, move |_| {
        assert!(waiting.try_get_conn(Duration::from_millis(50)).is_err());
    });
    let killed = spawn(move || {
        let db = pool.get_conn();
        assert!(db.is_ok());
        green::sleep(Duration::MAX); // unwinds
    });
    until("it waits", || {
        let tasks = green::green_threads();
        let mut its = tasks.iter().filter(|task| task.number == killed.number());
        its.any(|task| task.to_string().contains("futex"))
    });
    killed.kill();
    green::sleep(Duration::from_millis(50));
    assert!(!killed.ready());
    drop(held);
    assert!(matches!(killed.join(), Err(green::JoinError::Killed)));
}
