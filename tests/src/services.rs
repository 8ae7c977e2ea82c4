//! Databases of the system, for tests that need the real one.
//!
//! Each runs in a folder of its own and listens on a Unix socket in it. A shell keeps an eye on it,
//! which reads from a pipe of ours until that is closed: by the drop of the handle, or by the end of
//! this process, whatever it dies of. Then it stops the server and removes the folder. So nothing is
//! left behind, neither by a test that is killed nor by one server for all tests, in a `static`.

use crate::until;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process};

/// Debian's user `nobody`: PostgreSQL and MariaDB refuse to run as root.
const NOBODY: u32 = 65534;

/// Starts `$2` and waits for the end of the standard input, then sends the signal `$1`.
const KEEPER: &str = r#"
    (eval "$2") > log 2>&1 &
    server=$!
    read -r _
    kill -s "$1" $server
    for _ in $(seq 100); do kill -0 $server || break; sleep 0.1; done
    kill -s KILL $server
    wait $server
    cd / && rm -rf "$3"
"#;

/// A server that runs until this is dropped.
#[derive(Debug)]
struct Service {
    keeper: Child,
    folder: PathBuf,
}

impl Service {
    /// Runs commands of a shell in a folder of its own; the last is to `exec` the server, which
    /// `signal` stops at once.
    fn start(name: &str, signal: &str, commands: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short: the path of a socket has at most 107 bytes.
        let name = format!("greenway-{name}-{}-{number}", process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).expect("the folder for temporary files can be written");
        let mut keeper = Command::new("sh");
        if rustix::process::geteuid().is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root may give things away");
            keeper.uid(NOBODY).gid(NOBODY);
        }
        // Debian keeps the programs of PostgreSQL out of the way, and those of MariaDB for root.
        let path = env::var("PATH").unwrap_or_default();
        let mut path = format!("{path}:/usr/sbin");
        for version in fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
        {
            path = format!("{path}:{}/bin", version.path().display());
        }
        let keeper = keeper
            .args(["-c", KEEPER, "sh", signal, commands])
            .arg(&folder)
            .env("PATH", path)
            // Temporary tables of two servers that start at once must not meet.
            .env("TMPDIR", &folder)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("every system has a shell");
        Self { keeper, folder }
    }

    #[track_caller]
    fn wait_for_socket(&self, name: &str) {
        let socket = self.folder.join(name);
        self.wait_until(|| UnixStream::connect(&socket).is_ok());
    }

    #[track_caller]
    fn wait_until(&self, ready: impl Fn() -> bool) {
        let wait = || until("a database has started", ready);
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(wait)) {
            // Its own words, which say what ./test has not installed.
            let _ = writeln!(std::io::stderr(), "{}", self.log());
            std::panic::resume_unwind(panic);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It ends by itself now; what happens to a test goes first.
        let _ = self.keeper.wait();
    }
}

/// A PostgreSQL server for 400 connections, with an empty database `postgres` and a superuser
/// `greenway`.
#[derive(Debug)]
pub struct Postgres(Service);

impl Postgres {
    /// Starts one: takes about two seconds.
    ///
    /// # Panics
    /// When it does not start in time.
    #[track_caller]
    pub fn start() -> Self {
        let service = Service::start(
            "postgres",
            "QUIT",
            "initdb -D data -U greenway -A trust -E UTF8 --locale=C --no-sync --no-instructions &&
             exec postgres -D data -k \"$PWD\" -c listen_addresses= -c fsync=off \
                 -c shared_buffers=16MB -c autovacuum=off -c max_connections=400",
        );
        service.wait_until(|| service.log().contains("ready to accept connections"));
        Self(service)
    }

    /// One for all tests of this process.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where to connect to, in libpq's words.
    #[must_use]
    pub fn url(&self) -> String {
        let folder = self.0.folder.display();
        format!("host={folder} user=greenway dbname=postgres")
    }
}

/// A MariaDB server for 400 connections, with an empty database `test` and a user `root` without a
/// password.
#[derive(Debug)]
pub struct MariaDb(Service);

impl MariaDb {
    /// Starts one: takes about two seconds.
    ///
    /// # Panics
    /// When it does not start in time.
    #[track_caller]
    pub fn start() -> Self {
        let service = Service::start(
            "mariadb",
            "KILL",
            "mariadb-install-db --no-defaults --datadir=\"$PWD/data\" --skip-name-resolve \
                 --auth-root-authentication-method=normal &&
             exec mariadbd --no-defaults --datadir=\"$PWD/data\" --socket=\"$PWD/socket\" \
                 --skip-networking --pid-file=\"$PWD/pid\" --innodb-buffer-pool-size=16M \
                 --innodb-flush-log-at-trx-commit=0 --max-connections=400",
        );
        service.wait_for_socket("socket");
        Self(service)
    }

    /// One for all tests of this process.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MariaDb> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.folder.join("socket")
    }
}

/// A Redis server.
#[derive(Debug)]
pub struct Redis(Service);

/// What becomes of a server's data when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// All that was acknowledged is there again.
    Kept,
    /// Nothing is.
    Lost,
}

/// Starts Redis again whenever it has ended, and there is no file `down`.
const REDIS_AGAIN: &str = r#"
    trap 'kill -s KILL $server; exit' TERM
    while true; do
        mkdir -p data
        redis-server --port 0 --dir "$PWD/data" --save '' --appendonly yes --appendfsync always \
            --unixsocket "$PWD/socket" &
        server=$!
        echo $server > pid
        wait $server
        while [ -e down ]; do sleep 0.02; done
    done
"#;

impl Redis {
    /// Starts one that keeps each command on the disk, and comes back when it was killed.
    ///
    /// # Panics
    /// When it does not start in time.
    #[track_caller]
    pub fn start_durable() -> Self {
        let service = Service::start("redis", "TERM", REDIS_AGAIN);
        service.wait_for_socket("socket");
        Self(service)
    }

    /// Kills one that was [started so](Self::start_durable). It stays away until it is revived.
    ///
    /// # Panics
    /// When that cannot be done.
    #[track_caller]
    pub fn kill(&self, data: Data) {
        let folder = &self.0.folder;
        fs::write(folder.join("down"), "").expect("the folder is ours");
        self.signal(Signal::KILL);
        until("Redis has ended", || {
            UnixStream::connect(self.socket()).is_err()
        });
        if data == Data::Lost {
            fs::remove_dir_all(folder.join("data")).expect("it was made by the server");
        }
    }

    /// Has one that was killed start again.
    ///
    /// # Panics
    /// When it does not start in time.
    #[track_caller]
    pub fn revive(&self) {
        let down = self.0.folder.join("down");
        fs::remove_file(down).expect("it is there since the server was killed");
        self.0.wait_for_socket("socket");
    }

    /// Stops one that was [started so](Self::start_durable) where it is, until it is resumed.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Has one that was paused go on.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let pid = fs::read_to_string(self.0.folder.join("pid")).expect("the shell has written it");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a number"), signal).expect("it is there");
    }

    /// Cuts the connections of all clients.
    ///
    /// # Panics
    /// When Redis does not do it.
    #[track_caller]
    pub fn cut_connections(&self) {
        let mut stream = UnixStream::connect(self.socket()).expect("it listens");
        stream
            .write_all(b"CLIENT KILL TYPE normal SKIPME yes\r\n")
            .expect("it reads");
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).expect("it answers");
        assert_eq!(answer[0], b':', "it says how many there were");
    }

    /// Starts one that keeps nothing on the disk.
    ///
    /// # Panics
    /// When it does not start in time.
    #[track_caller]
    pub fn start() -> Self {
        let service = Service::start(
            "redis",
            "KILL",
            "exec redis-server --port 0 --save '' --appendonly no --unixsocket \"$PWD/socket\"",
        );
        service.wait_for_socket("socket");
        Self(service)
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.folder.join("socket")
    }
}
