//! The crate `rusqlite`, with the SQLite that is compiled into the program.

use greenway::green::{self, spawn};
use greenway_monkey_tests::{begin, crowd, until};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A file with an empty table, which is removed with its neighbours.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let name = format!("greenway-monkey-{name}-{}", std::process::id());
        let this = Self(std::env::temp_dir().join(name));
        let own = this.open();
        own.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE things (n INT)")
            .unwrap();
        this
    }

    fn open(&self) -> Connection {
        open(&self.0)
    }
}

fn open(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            // Only what there is.
            let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

#[test]
fn whoever_finds_a_lock_held_lets_others_run() {
    begin();
    let file = File::new("busy");
    let holder = file.open();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let path = file.0.clone();
    // More than there are workers; the lock is let go of by a green thread that needs one to run on.
    let writers: Vec<_> = (0..50)
        .map(|n| {
            let path = path.clone();
            spawn(move || {
                let db = open(&path);
                db.busy_timeout(Duration::from_secs(60)).unwrap();
                db.execute("INSERT INTO things VALUES (?)", [n]).unwrap();
            })
        })
        .collect();
    until("all wait", || {
        let tasks = green::green_threads();
        let sleeps = |number| {
            let mut its = tasks.iter().filter(|task| task.number == number);
            its.any(|task| matches!(task.state, green::TaskState::Waiting(_)))
        };
        writers.iter().all(|writer| sleeps(writer.number()))
    });
    spawn(move || holder.execute_batch("COMMIT").unwrap())
        .join()
        .unwrap();
    for writer in writers {
        writer.join().unwrap();
    }
    let sum: u32 = file
        .open()
        .query_row("SELECT sum(n) FROM things", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sum, 49 * 50 / 2);
}

#[test]
fn a_handler_of_the_programs_own_may_sleep() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    begin();
    let file = File::new("handler");
    let holder = file.open();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let path = file.0.clone();
    crowd(50, move |_| {
        let mut db = open(&path);
        db.busy_handler(Some(|calls| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            calls < 5
        }))
        .unwrap();
        let error = db.execute("INSERT INTO things VALUES (1)", []).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    });
    assert_eq!(CALLS.load(Ordering::SeqCst), 50 * 6);
    holder.execute_batch("ROLLBACK").unwrap();
}

/// One connection for all, under a mutex of std's: held over waits, as programs do.
#[test]
fn a_connection_is_shared_under_a_lock() {
    begin();
    let file = File::new("shared");
    let db = Arc::new(std::sync::Mutex::new(file.open()));
    let own = db.clone();
    crowd(50, move |n| {
        let mut db = db.lock().unwrap();
        let change = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        change
            .execute("INSERT INTO things VALUES (?)", [n as i64])
            .unwrap();
        std::thread::sleep(Duration::from_millis(1));
        change.commit().unwrap();
    });
    let count: i64 = own
        .lock()
        .unwrap()
        .query_row("SELECT count(*) FROM things", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 50);
}
