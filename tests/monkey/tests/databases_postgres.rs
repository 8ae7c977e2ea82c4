//! PostgreSQL: through libpq, which waits in `poll`; and through the crate `postgres`, which has an asynchronous
//! runtime inside and waits in `epoll_wait`.

use greenway::green::{self, ConnectionPool, on_blocked, spawn, unblock};
use greenway_monkey_tests::{at_once, begin, crowd, services, until};
use postgres::{Client, NoTls};
use pq_sys::{
    ConnStatusType, ExecStatusType, PGconn, PQclear, PQconnectdb, PQerrorMessage, PQexec, PQfinish,
    PQgetvalue, PQresultStatus, PQstatus,
};
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SLOW: &str = "SELECT pg_sleep(0.5)";
const SLOW_TIME: Duration = Duration::from_millis(500);

fn server() -> String {
    services::Postgres::shared().url()
}

/// A connection of libpq's, as `diesel` and others have it.
struct Pq(*mut PGconn);

impl Pq {
    fn connect(to: &str) -> Self {
        let to = CString::new(to).unwrap();
        // SAFETY: a string of C's, which lives over the call.
        let this = Self(unsafe { PQconnectdb(to.as_ptr()) });
        // SAFETY: a connection, in whatever state.
        let status = unsafe { PQstatus(this.0) };
        assert_eq!(
            status,
            ConnStatusType::CONNECTION_OK,
            "{:?}",
            this.last_error()
        );
        this
    }

    fn last_error(&self) -> String {
        // SAFETY: a connection has a text at all times, which lives until the next call.
        let text = unsafe { CStr::from_ptr(PQerrorMessage(self.0)) };
        text.to_string_lossy().into_owned()
    }

    /// The first value of an answer, or the error.
    fn ask(&self, query: &str) -> Result<String, String> {
        let query = CString::new(query).unwrap();
        // SAFETY: a connection and a string; the result is ours, and freed when the value is copied.
        unsafe {
            let result = PQexec(self.0, query.as_ptr());
            let value = match PQresultStatus(result) {
                ExecStatusType::PGRES_TUPLES_OK => Ok(PQgetvalue(result, 0, 0)),
                _ => Err(self.last_error()),
            };
            let value = value.map(|text| CStr::from_ptr(text).to_string_lossy().into_owned());
            PQclear(result);
            value
        }
    }
}

impl Drop for Pq {
    fn drop(&mut self) {
        // SAFETY: ours, and not used any more.
        unsafe { PQfinish(self.0) }
    }
}

#[test]
fn libpq_three_hundred_sleep_at_once() {
    begin();
    let server = server();
    at_once(300, SLOW_TIME, move |n| {
        let db = Pq::connect(&server);
        assert_eq!(db.ask(SLOW).unwrap(), "");
        assert_eq!(
            db.ask(&format!("SELECT {n} + 1")).unwrap(),
            (n + 1).to_string()
        );
    });
}

#[test]
fn libpq_is_told_when_its_green_thread_is_killed() {
    begin();
    let server = server();
    let ended = Arc::new(Mutex::new(None));
    let task = {
        let ended = ended.clone();
        spawn(move || {
            let db = Pq::connect(&server);
            *ended.lock().unwrap() = Some(Err("it waits".to_owned()));
            let answer = db.ask("SELECT pg_sleep(100)");
            *ended.lock().unwrap() = Some(answer);
            drop(db);
            green::sleep(Duration::MAX); // unwinds
        })
    };
    let waits = || {
        let tasks = green::green_threads();
        let mut its = tasks.iter().filter(|other| other.number == task.number());
        its.any(|task| task.to_string().contains("poll of"))
    };
    until("it waits", || ended.lock().unwrap().is_some() && waits());
    task.kill();
    assert!(matches!(task.join(), Err(green::JoinError::Killed)));
    let error = ended.lock().unwrap().take().unwrap().unwrap_err();
    assert_ne!(error, "it waits");
}

/// It works, but one at a time on each worker, and the log says who and where.
#[test]
fn the_crate_postgres_is_reported() {
    begin();
    let server = server();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let hook = reports.clone();
    on_blocked(move |blocked| {
        if blocked.name() == "direct" {
            hook.lock().unwrap().push(blocked.to_string());
        }
        true
    });
    let direct: Vec<_> = (0..4)
        .map(|_| {
            let server = server.clone();
            let ask = move || {
                let mut db = Client::connect(&server, NoTls).unwrap();
                db.execute(SLOW, &[]).unwrap()
            };
            green::Builder::new().name("direct").spawn(ask)
        })
        .collect();
    for task in direct {
        assert_eq!(task.join().unwrap(), 1);
    }
    let reports = reports.lock().unwrap();
    assert!(
        reports.iter().any(|text| text.contains("postgres")),
        "{reports:#?}"
    );
}

#[test]
fn the_crate_postgres_works_through_the_pool() {
    begin();
    let server = server();
    let ticks = Arc::new(AtomicUsize::new(0));
    let counter = {
        let ticks = ticks.clone();
        spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(1));
                ticks.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    // A closure for each query, on the ten threads of `unblock`.
    let url = server.clone();
    crowd(20, move |n| {
        let url = url.clone();
        let sum: i32 = unblock(move || {
            let mut db = Client::connect(&url, NoTls).unwrap();
            db.execute("SELECT pg_sleep(0.1)", &[]).unwrap();
            db.query_one("SELECT $1 + 1", &[&(n as i32)])
                .unwrap()
                .get(0)
        });
        assert_eq!(sum, n as i32 + 1);
    });
    // Connections that stay, each on a thread of its own.
    let pool = ConnectionPool::builder(move || Client::connect(&server, NoTls))
        .max_size(50)
        .build_blocking();
    at_once(100, SLOW_TIME, move |_| {
        let slept = pool.run(|db| db.execute(SLOW, &[]));
        assert_eq!(slept.unwrap().unwrap(), 1);
    });
    counter.kill();
    assert!(
        ticks.load(Ordering::SeqCst) > 100,
        "others went on meanwhile"
    );
}
