//! Programs in processes of their own: what a shell and an operator see.

use crate::{Client, DEADLINE, until};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, kill_process, prlimit};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a process can be sent.
pub use rustix::process::Signal;

/// A program that runs; killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit status; `None` when a signal has killed it.
    pub code: Option<i32>,
    /// The signal that has killed it.
    pub signal: Option<i32>,
    /// What it wrote to the standard output, line by line.
    pub stdout: Vec<String>,
    /// What it wrote to the standard error, line by line.
    pub stderr: Vec<String>,
}

impl Program {
    /// Starts the program at `path`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn start(path: impl AsRef<Path>, args: &[&str]) -> Self {
        let mut command = Command::new(path.as_ref());
        // What the person who runs the tests has set for servers is not what is tested.
        for name in [
            "PORT",
            "RUST_LOG",
            "GREENWAY_ENGINE",
            "GREENWAY_CORES",
            "GREENWAY_WORKERS",
            "WEB_CONCURRENCY",
        ] {
            command.env_remove(name);
        }
        Self::start_command(command.args(args))
    }

    /// Starts a program with an environment of the caller's choice.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[track_caller]
    pub fn start_command(command: &mut Command) -> Self {
        Self::start_with_stdin(command, Stdio::null())
    }

    #[track_caller]
    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Lines::of(child.stdout.take());
        let stderr = Lines::of(child.stderr.take());
        // What it holds of the standard streams is the child's now.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// Starts a program with a standard input of the caller's choice.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[track_caller]
    pub fn start_with_stdin(command: &mut Command, stdin: Stdio) -> Self {
        Self::spawn(
            command
                .stdin(stdin)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )
    }

    /// Starts a program whose standard error is not ours to read.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[track_caller]
    pub fn start_with_stderr(command: &mut Command, stderr: Stdio) -> Self {
        Self::spawn(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(stderr),
        )
    }

    /// Waits until it ends, and gives its exit status.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_code(mut self) -> Option<i32> {
        self.wait_status().code()
    }

    /// Waits for a line of the standard error that holds `text`.
    ///
    /// # Panics
    /// When none comes within [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> String {
        self.stderr.wait_for(text)
    }

    /// Waits for a line of the standard output that holds `text`.
    ///
    /// # Panics
    /// When none comes within [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_output(&self, text: &str) -> String {
        self.stdout.wait_for(text)
    }

    /// The lines of the standard error so far.
    #[must_use]
    pub fn lines_so_far(&self) -> Vec<String> {
        self.stderr.so_far()
    }

    /// Waits for the line with which a server says where it listens.
    ///
    /// # Panics
    /// When none comes within [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_addr(&self) -> SocketAddr {
        let line = self.wait_for_line("listening on http://");
        let (_, rest) = line
            .split_once("http://")
            .expect("the line was chosen by it");
        let addr = rest.split(' ').next().unwrap_or(rest);
        addr.parse()
            .unwrap_or_else(|_| panic!("no address in {line:?}"))
    }

    /// Waits for the line with which a server says where it shows metrics.
    ///
    /// # Panics
    /// When none comes within [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_metrics_addr(&self) -> SocketAddr {
        let line = self.wait_for_line("metrics on http://");
        let rest = line.split("metrics on http://").nth(1).unwrap_or_default();
        let addr = rest.split('/').next().unwrap_or(rest);
        addr.parse()
            .unwrap_or_else(|_| panic!("no address in {line:?}"))
    }

    /// A new connection to the server that it is.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.wait_for_addr())
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process has ended and was waited for.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process has a number");
        kill_process(pid, signal).expect("a child that was not waited for can be signalled");
    }

    /// Sets its limit on descriptors, and gives the one that it had.
    ///
    /// # Panics
    /// When it has ended, or the limit cannot be raised so far.
    #[track_caller]
    pub fn limit_descriptors(&self, current: u64) -> u64 {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let limit = Rlimit {
            current: Some(current),
            // It has ours.
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        let before = prlimit(pid, Resource::Nofile, limit).expect("it runs, and may have that");
        before.current.unwrap_or(u64::MAX)
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// When it does not within [`DEADLINE`].
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let status = self.wait_status();
        Ended {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
        }
    }

    #[track_caller]
    fn wait_status(&mut self) -> ExitStatus {
        let deadline = std::time::Instant::now() + DEADLINE;
        loop {
            // Fails only for a process that is not our child.
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "it has not ended; it said {:?}",
                self.stderr.so_far()
            );
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe, collected by a thread so that the program never waits for us.
#[derive(Debug)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    /// The lines of a pipe; none where it is not ours to read.
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let here = lines.clone();
        let read = |pipe| {
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines() {
                    let Ok(line) = line else { return };
                    here.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(line);
                }
            })
        };
        Self {
            lines,
            reader: pipe.map(read),
        }
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        let find = || self.so_far().into_iter().find(|line| line.contains(text));
        until(
            &format!("a line with {text:?}; last: {:?}", self.so_far().last()),
            || find().is_some(),
        );
        find().expect("it was there a moment ago, and lines stay")
    }

    fn so_far(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All lines of a program that has ended.
    fn all(&mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading lines does not panic");
        }
        self.so_far()
    }
}

/// A program of the workspace that another package builds, such as the tour.
///
/// # Panics
/// When it was not built. The script `test` at the root builds all of them.
#[must_use]
pub fn neighbour(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("this process was started from a file");
    // target/debug/deps/all-0123 -> target/debug/name
    let path = exe
        .ancestors()
        .nth(2)
        .expect("cargo puts tests two folders deep")
        .join(name);
    assert!(
        path.exists(),
        "{} is not there: start the tests by ./test, or `cargo build` it",
        path.display()
    );
    path
}
