//! What a service manager is told of our life: systemd's `sd_notify(3)`.
//!
//! With `Type=notify` (or `notify-reload`) systemd waits until a service says that it is ready,
//! follows it when another process takes its place, and ends it if it stops to say that it is well.

use rustix::process::getpid;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a service manager may leave no room for a message. Who waits for it longer does not serve,
/// or take signals, meanwhile; what is lost is said again later, or can be done without.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whom to tell; nobody if there is no service manager.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// The service manager that has started the process.
    pub(crate) fn of_process() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let socket = socket.and_then(|name| {
            let connected = address(&name).and_then(|to| {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok((socket, to))
            });
            connected
                .inspect_err(|error| log::warn!("NOTIFY_SOCKET cannot be used: {error}"))
                .ok()
        });
        let text = |name| env::var(name).ok();
        let own = getpid().as_raw_nonzero().to_string();
        let is_ours = text("WATCHDOG_PID").is_none_or(|pid| pid == own);
        let watchdog = text("WATCHDOG_USEC").and_then(|time| time.parse().ok());
        let watchdog = watchdog.filter(|time| *time > 0 && is_ours && socket.is_some());
        Self {
            socket,
            watchdog: watchdog.map(Duration::from_micros),
        }
    }

    /// How often it wants to hear that all is well, at least.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Clients are served.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// The program is read anew.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let us = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    /// A stop has begun.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Another process is the one to look at from now on.
    pub(crate) fn main_process(&self, number: u32) {
        self.tell(&format!("MAINPID={number}"));
    }

    /// All is well.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, what: &str) {
        if let Some((socket, to)) = &self.socket
            && let Err(error) = socket.send_to_addr(what.as_bytes(), to)
        {
            log::warn!("the service manager cannot be told {what:?}: {error}");
        }
    }
}

/// A path, or the name of an abstract socket, which begins with `@`.
fn address(name: &OsString) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        _ => SocketAddr::from_pathname(name),
    }
}
