//! Folders for a test's files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A folder in the temporary one that goes away with the test, whether it passes or fails.
#[derive(Debug)]
pub struct Folder(PathBuf);

/// How often it is tried to remove a folder in which a program that was killed may still write.
const TRIES: u32 = 20;

impl Folder {
    /// A folder that nobody else has. `name` is for those who look at it while the test runs.
    ///
    /// # Panics
    /// When the temporary folder cannot be written to.
    #[track_caller]
    #[must_use]
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("greenway-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What a process of the same number has left behind.
        let _was_there = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// A file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            if std::fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_away_with_all_that_is_in_it() {
        let (one, other) = (Folder::new("x"), Folder::new("x"));
        assert_ne!(one.as_ref(), other.as_ref());
        std::fs::create_dir(one.path("a")).unwrap();
        std::fs::write(one.path("a/b"), "c").unwrap();
        let path = one.as_ref().to_owned();
        drop(one);
        assert!(!path.exists() && other.as_ref().exists());
    }
}
