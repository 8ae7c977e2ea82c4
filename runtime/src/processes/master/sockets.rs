//! The listening sockets, which stay open while processes come and go.

use crate::processes::identity::Identity;
use crate::processes::inheritance::Inherited;
use crate::server::{Listening, SocketFile, listen_for_metrics, listen_on_all, wanted_addresses};
use crate::service::settings::Settings;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an address may be taken by the processes of a master that has just been killed: they
/// notice that, and give it up.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(2);
const ASK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Sockets {
    listening: Vec<Listening>,
    metrics: Option<TcpListener>,
    redirect: Option<Listening>,
    names: String,
    identity: Identity,
    /// Where processes write to.
    logs: Vec<String>,
}

impl Sockets {
    /// Listens, or takes the sockets of a master in whose place we are to be.
    ///
    /// # Errors
    /// When an address cannot be had, or a user is not known.
    pub(super) fn open(settings: &Settings, inherited: Option<&Inherited>) -> io::Result<Self> {
        let processes = &settings.processes;
        let (user, group) = (processes.user.as_deref(), processes.group.as_deref());
        let identity = Identity::of(user, group)?;
        if let Some(why) = identity.is_out_of_reach() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let config = &settings.server;
        let (bind, metrics, redirect) = match inherited {
            Some(inherited) => (
                inherited.bind.clone(),
                inherited.metrics.clone(),
                inherited.redirect.clone(),
            ),
            None => (
                wanted_addresses(&config.bind),
                config.metrics_bind.clone(),
                config.tls.redirect_bind.clone(),
            ),
        };
        let listen = || listen_on_all(&bind, config.backlog, config.clocks.write);
        let listening = patiently(listen)?;
        let metrics = metrics.map(|address| patiently(|| listen_for_metrics(&address)));
        let metrics = metrics.transpose()?;
        let redirect = redirect.map(|address| {
            patiently(|| {
                listen_on_all(
                    std::slice::from_ref(&address),
                    config.backlog,
                    config.clocks.write,
                )
            })
        });
        let redirect = redirect.transpose()?.and_then(|mut one| one.pop());
        let names: Vec<_> = listening.iter().map(|one| one.name.as_str()).collect();
        let mut names = names.join(" and ");
        if !config.tls.certificates.is_empty() {
            names = names.replace("http://", "https://");
        }
        if let Some(addr) = redirect.as_ref().and_then(|one| one.addr) {
            names.push_str(&format!(" (http://{addr} leads there)"));
        }
        for one in &listening {
            if let Some(path) = one.name.strip_prefix("unix:")
                && inherited.is_none()
            {
                identity.give_socket(Path::new(path))?;
            }
        }
        let mut sockets = Self {
            listening,
            metrics,
            redirect,
            names,
            identity,
            logs: Vec::new(),
        };
        sockets.take_on(settings);
        sockets.give_logs()?;
        Ok(sockets)
    }

    /// Knows the logs of these settings from now on.
    pub(super) fn take_on(&mut self, settings: &Settings) {
        let access_log = settings.server.access_log.iter();
        self.logs = access_log.chain([&settings.error_log]).cloned().collect();
    }

    /// Gives the logs to whom processes serve as, and creates those that are missing: somebody may
    /// have moved them away, out of a folder where that user can create nothing.
    ///
    /// # Errors
    /// When one cannot be given away. The others were.
    pub(super) fn give_logs(&self) -> io::Result<()> {
        let mut given = Ok(());
        for path in &self.logs {
            if let Err(error) = self.identity.give_log(path) {
                let why = format!("cannot give {path} away: {error}");
                given = Err(io::Error::new(error.kind(), why));
            }
        }
        given
    }

    pub(super) fn listening(&self) -> impl Iterator<Item = &TcpListener> {
        self.listening.iter().map(|one| &one.socket)
    }

    pub(super) fn metrics(&self) -> Option<&TcpListener> {
        self.metrics.as_ref()
    }

    /// Where processes lead from http to https.
    pub(super) fn redirect(&self) -> Option<&TcpListener> {
        self.redirect.as_ref().map(|one| &one.socket)
    }

    /// What it listens on, for the operator.
    pub(super) fn names(&self) -> &str {
        &self.names
    }

    /// Whom processes serve as.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Closes them. If another master has them as well, the files of unix sockets are left to it.
    pub(super) fn close(&mut self, shared: bool) {
        for one in self.listening.drain(..).chain(self.redirect.take()) {
            if shared && let Some(file) = one.file {
                file.leave();
            }
        }
    }

    /// The files of unix sockets are ours from now on: the master that has made them is no more.
    pub(super) fn own_files(&mut self) {
        for one in &mut self.listening {
            if let Some(path) = one.name.strip_prefix("unix:") {
                one.file = SocketFile::at(Path::new(path)).ok();
            }
        }
    }
}

/// Tries again while an address is taken, for a moment.
fn patiently<T>(mut listen: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let until = Instant::now() + GIVEN_UP_WITHIN;
    loop {
        match listen() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                std::thread::sleep(ASK_AGAIN);
            }
            other => return other,
        }
    }
}
