//! Accounts and notices, in SQLite. Its calls block, so they run on an OS thread of their own, and
//! hold up no handler but the one that waits for them. Passwords are hashed on other threads, as
//! that is made to be slow.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use greenway::HttpError;
use greenway::green::{ThreadPool, unblock_scoped};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Notices that are read at a time.
pub(crate) const PAGE: u8 = 24;
/// Calls that may wait for the database.
const QUEUE: usize = 1000;

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS accounts (
        name TEXT PRIMARY KEY COLLATE NOCASE, password TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS notices (
        id INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL, title TEXT NOT NULL,
        text TEXT NOT NULL, picture TEXT, posted TEXT NOT NULL DEFAULT (datetime()))";

#[derive(Serialize)]
pub(crate) struct Notice {
    pub(crate) id: i64,
    pub(crate) author: String,
    pub(crate) title: String,
    pub(crate) text: String,
    /// The name of a file below `/pictures`.
    pub(crate) picture: Option<String>,
    /// As SQLite writes it: `2026-01-31 12:00:00`, in UTC.
    pub(crate) posted: String,
}

pub(crate) struct Store {
    /// One connection, and one thread that uses it.
    db: Mutex<Connection>,
    thread: ThreadPool,
    /// The hash that a password is compared with where there is no account: so the time does not
    /// tell which names there are.
    nobody: String,
}

impl Store {
    pub(crate) fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let db = Connection::open(path)?;
        db.execute_batch(TABLES)?;
        Ok(Self {
            db: Mutex::new(db),
            thread: ThreadPool::new(1, QUEUE),
            nobody: hash("nobody")?,
        })
    }

    /// Calls `work` on the thread of the database.
    fn with<T: Send>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    ) -> Result<T, HttpError> {
        let lock = || self.db.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.thread.apply_scoped(|| work(&lock()))?)
    }

    /// Makes an account. False if somebody has the name, in large or small letters.
    pub(crate) fn join(&self, name: &str, password: &str) -> Result<bool, HttpError> {
        let hash = unblock_scoped(|| hash(password))?;
        let added = "INSERT OR IGNORE INTO accounts VALUES (?, ?)";
        self.with(|db| Ok(db.execute(added, [name, &hash])? == 1))
    }

    /// Whether there is an account of this name with this password.
    pub(crate) fn knows(&self, name: &str, password: &str) -> Result<bool, HttpError> {
        let select = "SELECT password FROM accounts WHERE name = ? COLLATE BINARY";
        let found = self.with(|db| db.query_row(select, [name], |row| row.get(0)).optional())?;
        let hash = found.as_ref().unwrap_or(&self.nobody);
        Ok(unblock_scoped(|| is_password(password, hash)) && found.is_some())
    }

    /// Adds a notice, which gets its id and its time.
    pub(crate) fn add(
        &self,
        author: &str,
        title: &str,
        text: &str,
        picture: Option<String>,
    ) -> Result<Notice, HttpError> {
        let added = "INSERT INTO notices (author, title, text, picture) VALUES (?, ?, ?, ?)
                     RETURNING *";
        let values = (author, title.trim(), text.trim(), picture);
        self.with(|db| db.query_row(added, values, notice))
    }

    /// Notices that contain `words`, the youngest first; of those older than `before`, if it is the id
    /// of one.
    pub(crate) fn page(&self, words: &str, before: Option<i64>) -> Result<Vec<Notice>, HttpError> {
        // INSTR has no wildcards, which a visitor could type.
        let select = "SELECT * FROM notices WHERE id < IFNULL(?1, id + 1)
                      AND INSTR(LOWER(title || ' ' || text || ' ' || author), LOWER(?2))
                      ORDER BY id DESC LIMIT ?3";
        self.with(|db| {
            let mut select = db.prepare_cached(select)?;
            let found = select.query_map(params![before, words, PAGE], notice)?;
            found.collect()
        })
    }

    pub(crate) fn get(&self, id: i64) -> Result<Option<Notice>, HttpError> {
        let select = "SELECT * FROM notices WHERE id = ?";
        self.with(|db| db.query_row(select, [id], notice).optional())
    }
}

fn notice(row: &Row<'_>) -> rusqlite::Result<Notice> {
    Ok(Notice {
        id: row.get("id")?,
        author: row.get("author")?,
        title: row.get("title")?,
        text: row.get("text")?,
        picture: row.get("picture")?,
        posted: row.get("posted")?,
    })
}

fn hash(password: &str) -> Result<String, password_hash::Error> {
    let hash = Argon2::default().hash_password(password.as_bytes())?;
    Ok(hash.to_string())
}

/// Compares in a time that does not depend on where the difference is.
fn is_password(password: &str, hash: &str) -> bool {
    let verify = |hash| Argon2::default().verify_password(password.as_bytes(), &hash);
    PasswordHash::new(hash).is_ok_and(|hash| verify(hash).is_ok())
}
