//! The files that servers are asked for: made anew for each run, gone with it. Servers find
//! the folder in the environment variable `BENCH_FILES`, and may keep there what they need
//! while they run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file of so many bytes, by the name that clients ask for.
const FILES: [(&str, usize); 4] = [
    ("1k", 1 << 10),
    ("100k", 100 << 10),
    ("256k", 256 << 10),
    ("1m", 1 << 20),
];

/// The folder; removed on drop.
#[derive(Debug)]
pub struct Files(PathBuf);

impl Files {
    /// Makes the folder and what is in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("greenway-bench-{}", std::process::id()));
        // Left by a process of the same number that was killed.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        let files = Self(folder);
        for (name, length) in FILES {
            fs::write(files.0.join(name), vec![b'x'; length])?;
        }
        Ok(files)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Of a folder for temporary files, whoever cleans it up does the rest.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_there_and_go() {
        let files = Files::create().unwrap();
        let folder = files.folder().to_owned();
        assert_eq!(fs::read(folder.join("1k")).unwrap(), [b'x'; 1024]);
        drop(files);
        assert!(!folder.exists());
    }
}
