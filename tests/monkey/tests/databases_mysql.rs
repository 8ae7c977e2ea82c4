//! The crate `mysql` against a real MariaDB.

use greenway::green::{self, Timeout};
use greenway_monkey_tests::{at_once, begin, crowd, services};
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
