//! Whether files have changed.

use super::server::Wanted;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How files looked: which they are, how long, and when they were last changed. Links are followed,
/// so one that is set anew, as certbot does, counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen(Vec<Option<Look>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Seen {
    /// All files that are read.
    pub(super) fn of(wanted: &Wanted) -> Self {
        let pairs = wanted.pairs.iter();
        let files = pairs.flat_map(|pair| [&pair.certificate, &pair.key]);
        Self(files.chain(&wanted.roots).map(|path| look(path)).collect())
    }
}

fn look(path: &Path) -> Option<Look> {
    let found = fs::metadata(path).ok()?;
    Some(Look {
        device: found.dev(),
        inode: found.ino(),
        length: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
    })
}
