//! The notices, in SQLite. Its calls block, so they run on the threads of a pool, one for each
//! connection, and hold up no handler but their own.

use greenway::HttpError;
use greenway::green::{BlockingConnectionPool, ConnectionPool};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Clone, Serialize)]
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

pub(crate) struct Store(BlockingConnectionPool<Connection>);

impl Store {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let path = path.to_owned();
        let connect = move || {
            let db = Connection::open(&path)?;
            db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000")?;
            Ok::<_, rusqlite::Error>(db)
        };
        // What is wrong with the file is told at the start.
        connect()?.execute_batch(
            "CREATE TABLE IF NOT EXISTS notices (
                 id INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL,
                 title TEXT NOT NULL, text TEXT NOT NULL, picture TEXT,
                 posted TEXT NOT NULL DEFAULT (datetime()))",
        )?;
        let pool = ConnectionPool::builder(connect).max_size(4);
        Ok(Self(pool.build_blocking()))
    }

    /// Calls `work` on one of the threads.
    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, HttpError> {
        Ok(self.0.run(work)??)
    }

    pub(crate) fn add(&self, mut notice: Notice) -> Result<Notice, HttpError> {
        self.with(move |db| {
            let added = "INSERT INTO notices (author, title, text, picture)
                         VALUES (?, ?, ?, ?) RETURNING id, posted";
            let Notice {
                author,
                title,
                text,
                picture,
                ..
            } = &notice;
            let (id, posted) =
                db.query_row(added, params![author, title, text, picture], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            (notice.id, notice.posted) = (id, posted);
            Ok(notice)
        })
    }

    /// Notices older than the one numbered `before` that contain `words`, the youngest first.
    pub(crate) fn page(
        &self,
        words: &str,
        before: i64,
        most: u32,
    ) -> Result<Vec<Notice>, HttpError> {
        // What has a meaning in LIKE stands for itself.
        let words = words
            .replace('\\', "\\\\")
            .replace('%', "\\%")
            .replace('_', "\\_");
        self.with(move |db| {
            let mut select = db.prepare_cached(
                "SELECT id, author, title, text, picture, posted FROM notices
                 WHERE id < ?1 AND title || ' ' || text || ' ' || author LIKE ?2 ESCAPE '\\'
                 ORDER BY id DESC LIMIT ?3",
            )?;
            select
                .query_map(params![before, format!("%{words}%"), most], notice)?
                .collect()
        })
    }

    pub(crate) fn get(&self, id: i64) -> Result<Option<Notice>, HttpError> {
        let found = self.page("", id.saturating_add(1), 1)?.into_iter();
        Ok(found.into_iter().find(|notice| notice.id == id))
    }
}

fn notice(row: &Row<'_>) -> rusqlite::Result<Notice> {
    Ok(Notice {
        id: row.get(0)?,
        author: row.get(1)?,
        title: row.get(2)?,
        text: row.get(3)?,
        picture: row.get(4)?,
        posted: row.get(5)?,
    })
}
