//! From what was set up to a server that runs.

use super::Server;
use super::tls::check_tls;
use crate::green::embed::Count;
use crate::server::budget::Budget;
#[cfg(feature = "tls")]
use crate::server::certificates;
use crate::server::listen::{listen_for_metrics, listen_on_all, wanted_addresses};
use crate::server::metrics::{MetricsServer, ServerPages};
use crate::server::running::Running;
use crate::server::{preflight, redirect, surroundings};
use crate::service::config::Config;
use crate::service::{AccessLog, Service, buses, panics};
use crate::{engine, green};
use std::io;
use std::sync::Arc;
use std::time::Duration;

impl Server {
    /// Listens and serves, on threads of its own.
    ///
    /// # Errors
    /// When a setting cannot be understood, an address cannot be had, the access log cannot be
    /// opened, or the process has no room for what the engine needs. The message is meant for
    /// whoever started it.
    pub fn start(self) -> io::Result<Running> {
        let Self {
            app,
            settings,
            invalid,
        } = self;
        if let Some(why) = invalid {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut config = settings.server;
        config.bind = wanted_addresses(&config.bind);
        check_tls(&config)?;
        choose_room_bus(&config)?;
        #[cfg(feature = "tls")]
        let tls = certificates::read(&config)?;
        panics::install_hook();
        surroundings::set_right()?;
        let budget = Budget::of_process(&config);
        let listeners = listen_on_all(&config.bind, config.backlog, config.clocks.write)?;
        let metrics_listener = config.metrics_bind.as_deref().map(listen_for_metrics);
        let metrics_listener = metrics_listener.transpose()?;
        let access_log = config
            .access_log
            .as_deref()
            .map(|path| AccessLog::open(path, config.access_log_format.clone()))
            .transpose()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("cannot open the access log: {error}"))
            })?;
        preflight::check(&config)?;
        let wanted = config.green;
        if !green::start(wanted) {
            warn_of_vain(wanted, green::config());
        }
        let mut sockets = Vec::new();
        let mut names = Vec::new();
        let mut addrs = Vec::new();
        let mut files = Vec::new();
        for listening in listeners {
            sockets.push(listening.socket);
            names.push(match config.tls.certificates.is_empty() {
                true => listening.name,
                false => listening.name.replacen("http://", "https://", 1),
            });
            addrs.extend(listening.addr);
            files.extend(listening.file);
        }
        let service = Service::new(app, config, budget.connections, access_log);
        #[cfg(feature = "tls")]
        let service = service.with_tls(tls);
        let service = Arc::new(service);
        let redirect = redirect::start(&service.config, addrs.first().copied())?;
        for file in files {
            service.keep_until_stop(Box::new(file));
        }
        let engine = engine::start(&service, sockets).inspect_err(|_| {
            if let Some(redirect) = &redirect {
                redirect.stop_within(Duration::ZERO);
            }
        })?;
        #[cfg(feature = "tls")]
        certificates::watch(&service);
        let is_asked = metrics_listener.is_some() || service.config.pages;
        let pages = is_asked.then(|| ServerPages::new(service.clone()));
        let metrics = match (metrics_listener, pages.clone()) {
            (Some(listener), Some(pages)) => Some(MetricsServer::start(Box::new(pages), listener)?),
            _ => None,
        };
        let budget = budget.to_string();
        let running = Running::new(service, engine, names, addrs, budget, metrics, pages);
        Ok(running.with_redirect(redirect))
    }
}

/// Tells the rooms of their bus, if there is a setting for it.
fn choose_room_bus(config: &Config) -> io::Result<()> {
    let wrong = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let Some(url) = config.room_bus.as_deref() else {
        return Ok(());
    };
    #[cfg(feature = "redis")]
    if let Err(error) = crate::redis::Redis::connect(url) {
        return wrong(format!("--room-bus: {error}"));
    }
    if cfg!(not(feature = "redis")) {
        return wrong("--room-bus takes a build with greenway's feature redis".to_owned());
    }
    match buses::choose(url) {
        Ok(()) => Ok(()),
        Err(_settled) => wrong(
            "--room-bus comes too late: a room with a name was used before, with another bus or none"
                .to_owned(),
        ),
    }
}

/// Says which settings come too late, since green threads run already with others.
fn warn_of_vain(wanted: green::Config, given: green::Config) {
    if given.workers != wanted.workers {
        log::warn!(
            "green threads run on {} already; --cores {} has no effect",
            Count(given.workers, "worker"),
            wanted.workers
        );
    }
    let default = green::Config::default();
    // What nobody has asked for is in vain for nobody.
    let vain = [
        (
            "--stack-size",
            wanted.stack_size != default.stack_size && wanted.stack_size != given.stack_size,
        ),
        (
            "--max-blocking-time",
            wanted.max_blocking_time != default.max_blocking_time
                && wanted.max_blocking_time != given.max_blocking_time,
        ),
        (
            "--stack-marks",
            wanted.stack_marks != default.stack_marks && wanted.stack_marks != given.stack_marks,
        ),
    ];
    for (flag, _) in vain.into_iter().filter(|(_, in_vain)| *in_vain) {
        log::warn!("{flag} has no effect: green threads were started before the server was");
    }
}
