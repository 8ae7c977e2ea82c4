//! The crate `diesel` over libpq, with the pool of `greenway::green`. Its own pool is `r2d2`: see `reported.rs`.

use diesel::pg::PgConnection;
use diesel::{Connection, QueryableByName, RunQueryDsl, sql_query};
use greenway::green::{self, ConnectionPool, spawn};
use greenway_monkey_tests::{at_once, begin, services, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    number: i32,
}

fn pool() -> ConnectionPool<PgConnection> {
    let url = services::Postgres::shared().url();
    ConnectionPool::builder(move || PgConnection::establish(&url))
        .max_size(300)
        .build()
}

#[test]
fn three_hundred_sleep_at_once() {
    begin();
    let pool = pool();
    at_once(300, Duration::from_millis(500), move |n| {
        let mut db = pool.get().unwrap();
        sql_query("SELECT pg_sleep(0.5)").execute(&mut *db).unwrap();
        let sum = sql_query(format!("SELECT {n} + 1 AS number"));
        let sum = sum.get_result::<Number>(&mut *db).unwrap();
        assert_eq!(sum.number, n as i32 + 1);
    });
}

#[test]
fn one_who_is_killed_gives_no_connection_back() {
    begin();
    let pool = pool();
    let user = pool.clone();
    let connected = Arc::new(AtomicBool::new(false));
    let told = connected.clone();
    let task = spawn(move || {
        let mut db = user.get().unwrap();
        told.store(true, Ordering::SeqCst);
        assert!(sql_query("SELECT pg_sleep(100)").execute(&mut *db).is_err());
    });
    until("it waits", || {
        let tasks = green::green_threads();
        let mut its = tasks.iter().filter(|other| other.number == task.number());
        its.any(|task| task.to_string().contains("poll of")) && connected.load(Ordering::SeqCst)
    });
    task.kill();
    task.join_timeout(Duration::from_secs(60)).unwrap().unwrap();
    assert_eq!((pool.stats().in_use, pool.stats().idle), (0, 0));
}
