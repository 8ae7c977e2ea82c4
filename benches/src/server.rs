//! One server: a process with the workers that it starts, on cores of its own, ready when
//! it answers, gone when the value is dropped.
//!
//! Three things see to it that none is left behind: `Drop` kills the server's process
//! group and waits; INT and TERM only raise a flag (see [`crate::stop`]), so that `Drop`
//! runs; and where util-linux is there, the kernel itself tells the server to end when we
//! die in any other way (`setpriv --pdeathsig`): TERM, which a master passes on to its
//! workers. The last works per *thread*, so servers are started from the main thread,
//! which lives as long as the run.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::contender::Contender;
use crate::probe;

/// How long a server may take to give its first answer.
const START_LIMIT: Duration = Duration::from_secs(10);
/// The answer that every contender gives to `GET /`.
const HELLO: &[u8] = b"Hello, World!";
/// Ports below the range of ephemeral ones, so that no client socket takes them.
const FIRST_PORT: u32 = 18_000;
const PORTS: u32 = 14_000;

/// What a scenario needs of a server beside what all have.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    /// That of [`Contender::arguments`].
    pub clock: Option<Duration>,
    /// A thousand more routes, for which the environment variable `BENCH_MANY_ROUTES` asks.
    pub many_routes: bool,
}

/// A running server; killed on drop.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pids: Vec<u32>,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to its first correct answer.
    pub started_in: Duration,
}

impl Server {
    /// Starts a contender on `cores` and waits until `GET /` is answered as agreed.
    /// What the server writes goes to `log`; `files` is the folder of what it serves from disk ([`crate::files::Files`]).
    ///
    /// # Errors
    /// A sentence that says what went wrong, with the last line that the server wrote.
    pub fn start(
        contender: Contender,
        program: &Path,
        cores: &[usize],
        needs: Needs,
        files: &Path,
        log: &Path,
    ) -> Result<Self, String> {
        let address = free_address().map_err(|error| format!("no free port: {error}"))?;
        let started = Instant::now();
        let arguments = contender.arguments(address, cores.len().max(1), needs.clock);
        let child = spawn(program, &arguments, cores, needs, files, log)
            .map_err(|error| format!("could not be started: {error}"))?;
        // From here on, every way out drops `server` and with it the process.
        let mut server = Self {
            pids: vec![child.id()],
            child,
            address,
            started_in: Duration::ZERO,
        };
        loop {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("ended at start ({status}){}", last_line(log)));
            }
            match probe::get(address, "/", Duration::from_secs(1)) {
                Ok(answer) if answer.status == 200 && answer.body == HELLO => break,
                Ok(answer) => {
                    let body = String::from_utf8_lossy(&answer.body).into_owned();
                    return Err(format!("GET / gave {} with {body:?}", answer.status));
                }
                Err(error) if started.elapsed() > START_LIMIT => {
                    return Err(format!("gave no answer for {START_LIMIT:?}: {error}"));
                }
                Err(_) if crate::stop::stopped() => return Err("stopped by a signal".to_owned()),
                Err(_) => std::thread::sleep(Duration::from_micros(500)),
            }
        }
        server.started_in = started.elapsed();
        server.gather(contender.processes(cores.len().max(1)))?;
        Ok(server)
    }

    /// Waits until so many processes are there: the first worker answers before the last
    /// one is started.
    fn gather(&mut self, processes: usize) -> Result<(), String> {
        if processes == 1 {
            return Ok(());
        }
        let started = Instant::now();
        loop {
            self.pids = probe::group(self.child.id())
                .map_err(|error| format!("no list of processes: {error}"))?;
            if self.pids.len() >= processes {
                return Ok(());
            }
            if started.elapsed() > START_LIMIT || crate::stop::stopped() {
                let there = self.pids.len();
                return Err(format!("{there} of {processes} processes were started"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The processes, workers included.
    #[must_use]
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when all have ended and been waited for already. The kernel does not
        // give the number away while a worker is left in the group, nor before we have waited.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn spawn(
    program: &Path,
    arguments: &[String],
    cores: &[usize],
    needs: Needs,
    files: &Path,
    log: &Path,
) -> io::Result<Child> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let log = File::create(log)?;
    let mut command = match setpriv() {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .args(arguments)
        .env_remove("PORT")
        .env_remove("BENCH_MANY_ROUTES")
        .envs(needs.many_routes.then_some(("BENCH_MANY_ROUTES", "1")))
        .env("BENCH_FILES", files)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    // A child inherits the affinity of the thread that starts it; setting it later
    // would miss the threads that the server has started by then.
    let before = sched_getaffinity(None)?;
    if !cores.is_empty() {
        let mut set = CpuSet::new();
        for &core in cores {
            set.set(core);
        }
        sched_setaffinity(None, &set)?;
    }
    let child = command.spawn();
    sched_setaffinity(None, &before)?;
    child
}

fn setpriv() -> Option<PathBuf> {
    ["/usr/bin/setpriv", "/bin/setpriv"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}

/// A port that nobody listens on now. Another process could take it before the server
/// does; the server then ends at start and says so.
fn free_address() -> io::Result<SocketAddr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut last = io::Error::other("none tried");
    for _ in 0..200 {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST_PORT + (std::process::id().wrapping_mul(37).wrapping_add(turn)) % PORTS;
        // 32,000 at most, by the two constants.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port as u16));
        match TcpListener::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The last line that a server wrote, to be put behind a sentence.
fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!(": {}", line.trim().chars().take(200).collect::<String>()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::{Engine, Peer};

    fn log(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("greenway-bench-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_program_that_ends_or_is_not_there_is_told() {
        let log = log("false");
        let contender = Contender::Peer(Peer::Floor);
        let needs = Needs::default();
        let start = |program| Server::start(contender, program, &[], needs, Path::new("/"), &log);
        let error = start(Path::new("/bin/false")).unwrap_err();
        assert!(error.contains("ended at start"), "{error}");
        let error = start(Path::new("/nonexistent/server")).unwrap_err();
        assert!(error.contains("start"), "{error}");
        let _ = fs::remove_file(log);
    }

    #[test]
    fn dropping_kills() {
        let log = log("sleep");
        let script = ["-c".to_owned(), "sleep 600 & wait".to_owned()];
        let needs = Needs::default();
        let child = spawn(
            Path::new("/bin/sh"),
            &script,
            &[],
            needs,
            Path::new("/"),
            &log,
        )
        .unwrap();
        let mut server = Server {
            pids: vec![child.id()],
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            started_in: Duration::ZERO,
        };
        server.gather(2).unwrap();
        let leader = server.child.id();
        assert_eq!(server.pids().len(), 2);
        drop(server);
        // The shell was waited for; its child belongs to init, which waits when it likes, and
        // does not count as running.
        let started = Instant::now();
        while !probe::group(leader).unwrap().is_empty() {
            assert!(started.elapsed() < Duration::from_secs(5), "still running");
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = fs::remove_file(log);
    }

    #[test]
    fn engines_are_started_by_flag() {
        let address = SocketAddr::from(([127, 0, 0, 1], 7));
        let line = Contender::Engine(Engine::Threads)
            .arguments(address, 2, None)
            .join(" ");
        let wanted = "--bind 127.0.0.1:7 --cores 2 --threads 20 --engine threads --keep-alive 600";
        assert_eq!(line, wanted);
        let clock = Some(Duration::from_millis(1_500));
        let line = Contender::Engine(Engine::Green)
            .arguments(address, 1, clock)
            .join(" ");
        assert!(
            line.contains("--header-timeout 1.5") && line.contains("--timeout 3"),
            "{line}"
        );
        let line = Contender::Peer(Peer::Hyper)
            .arguments(address, 1, clock)
            .join(" ");
        assert!(line.ends_with("--head-timeout 1500"), "{line}");
    }
}
