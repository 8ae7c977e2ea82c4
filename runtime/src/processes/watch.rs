//! Whether the program's file, or a source, has changed: `--reload` and `--reload-build`.
//!
//! A thread looks again and again: there is no limit on watches to run into, and every file system
//! will do. What it looks at is bounded. A file that is being written is not the program yet, so it
//! has to stay as it is for a moment.

use crate::service::ServiceThread;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often it looks. What has changed must be the same at two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Sources are looked at in each so many looks at the program: there may be thousands.
const LOOKS: u32 = 5;
/// So many sources are looked at.
const MOST_FILES: usize = 20_000;
/// Folders that hold no sources.
const NO_SOURCES: [&str; 2] = ["target", "node_modules"];

/// Looks at the program's file.
#[derive(Debug)]
pub(super) struct Watch {
    changed: Arc<AtomicBool>,
}

impl Watch {
    /// Begins to look. `bell` is rung when the program has changed; `build` is run in a shell when a
    /// source has.
    ///
    /// # Errors
    /// When the process can have no more threads.
    pub(super) fn start(
        program: &Path,
        build: Option<String>,
        bell: UnixStream,
    ) -> io::Result<Self> {
        let changed = Arc::new(AtomicBool::new(false));
        let (tells, program) = (changed.clone(), program.to_owned());
        let mut file = Steady::new(look_at(&program));
        let mut sources = build.map(|command| (command, Steady::new(look_at_sources())));
        let mut looks = 0;
        // It ends with the process.
        let _detached = ServiceThread::start("greenway-watch", move || {
            loop {
                std::thread::sleep(PAUSE);
                looks += 1;
                if let Some((command, sources)) = &mut sources
                    && looks % LOOKS == 0
                    && sources.has_changed(look_at_sources())
                {
                    run(command);
                }
                // None while it is missing or half written: some linkers remove it first.
                let now = look_at(&program);
                if now.is_some() && file.has_changed(now) {
                    tells.store(true, Ordering::SeqCst);
                    let _full_is_as_good = (&bell).write(&[1]);
                }
            }
        })?;
        Ok(Self { changed })
    }

    /// Whether the program has changed since the last call.
    pub(super) fn has_changed(&self) -> bool {
        self.changed.swap(false, Ordering::SeqCst)
    }
}

/// A state that counts as changed when it is another one at two looks in a row.
#[derive(Debug)]
struct Steady {
    known: Option<u64>,
    seen: Option<u64>,
}

impl Steady {
    fn new(state: Option<u64>) -> Self {
        Self {
            known: state,
            seen: state,
        }
    }

    fn has_changed(&mut self, now: Option<u64>) -> bool {
        let steady = now == self.seen;
        self.seen = now;
        let changed = steady && now != self.known;
        if changed {
            self.known = now;
        }
        changed
    }
}

/// A number for the state of the program's file. `None` if it cannot be executed.
fn look_at(program: &Path) -> Option<u64> {
    let file = fs::metadata(program).ok()?;
    let usable = file.is_file() && file.len() > 0 && file.permissions().mode() & 0o111 != 0;
    let mut hasher = DefaultHasher::new();
    (file.dev(), file.ino(), file.len()).hash(&mut hasher);
    (file.mtime(), file.mtime_nsec()).hash(&mut hasher);
    usable.then(|| hasher.finish())
}

/// A number for the state of all sources below the working directory.
fn look_at_sources() -> Option<u64> {
    let mut folders = vec![PathBuf::from(".")];
    let mut sum = 0_u64;
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Ok(file) = entry.metadata() else { continue };
            if name.starts_with('.') || NO_SOURCES.contains(&&*name) {
                continue;
            }
            count += 1;
            if count > MOST_FILES {
                return Some(sum);
            }
            if file.is_dir() {
                folders.push(entry.path());
            } else if is_source(Path::new(&*name)) {
                let mut hasher = DefaultHasher::new();
                (entry.path(), file.len()).hash(&mut hasher);
                (file.mtime(), file.mtime_nsec()).hash(&mut hasher);
                // In whatever order they come.
                sum = sum.wrapping_add(hasher.finish());
            }
        }
    }
    Some(sum)
}

/// What `cargo` makes a program of. Logs and databases change while nothing is to be built.
fn is_source(name: &Path) -> bool {
    let extension = name.extension().and_then(|extension| extension.to_str());
    let sources = [
        "rs", "toml", "html", "css", "js", "sql", "txt", "j2", "c", "h",
    ];
    extension.is_some_and(|extension| sources.contains(&extension))
}

/// Runs a command in a shell, and waits for it. What it says, it says to whoever started us.
fn run(command: &str) {
    log::info!("a source has changed: {command}");
    let mut shell = Command::new("/bin/sh");
    let status = shell.args(["-c", command]).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(_) => log::error!("{command} has failed: the program stays as it is"),
        Err(error) => log::error!("{command} cannot be run: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_has_to_stay_for_a_moment() {
        let mut steady = Steady::new(Some(1));
        let changes = [1, 2, 3, 3, 3, 1, 1].map(|state| steady.has_changed(Some(state)));
        assert_eq!(changes, [false, false, false, true, false, false, true]);
    }

    #[test]
    fn logs_are_no_sources() {
        for (name, expected) in [
            ("main.rs", true),
            ("Cargo.toml", true),
            ("page.html", true),
            ("access.log", false),
            ("app.db-wal", false),
            ("app", false),
        ] {
            assert_eq!(is_source(Path::new(name)), expected, "{name}");
        }
    }
}
