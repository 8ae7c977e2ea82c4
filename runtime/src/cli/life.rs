//! The life of a process that serves: from its start to the stop that a signal asks for, or its
//! master.

use super::operator::Operator;
use crate::green;
use crate::green::embed::{Count, lock};
use crate::processes::{FromMaster, Inherited, Order, PidFile, Report, ToMaster};
use crate::server::{
    Notify, OnSignal, Pages, Running, Server, SignalAction, StopKind, catch_signals, reap_as_init,
};
use crate::service::{Neighbours, ServiceThread};
use crossbeam_channel::Sender;
use std::io;
use std::process::exit;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// When requests are to end at once, handlers that wait are unwound for so long. Then the process
/// ends.
const LAST_UNWINDS: Duration = Duration::from_millis(500);

/// What those share who may end the process.
#[derive(Clone)]
struct Life {
    first_stop: Sender<StopKind>,
    server: Arc<OnceLock<Arc<Running>>>,
    operator: Operator,
    notify: Arc<Notify>,
    pid_file: Arc<Mutex<Option<PidFile>>>,
    has_master: bool,
    neighbours: Arc<OnceLock<Arc<Neighbours>>>,
}

impl Life {
    /// Begins a stop, unless one is under way.
    fn stop(&self, kind: StopKind) {
        let _is_under_way = self.first_stop.try_send(kind);
    }

    /// Ends the process now.
    fn end(&self) {
        let Some(server) = self.server.get() else {
            exit(1)
        };
        server.end_now();
        // Meanwhile the stop that is under way may end the process itself.
        std::thread::sleep(LAST_UNWINDS);
        drop(lock(&self.pid_file).take());
        self.operator.stopped(server.unfinished().max(1));
    }

    fn act_on(&self, signal: SignalAction) {
        match signal {
            // Where there is a master, others go on in our place.
            SignalAction::Stop(1) if self.has_master => self.stop(StopKind::HandOver),
            SignalAction::Stop(1) => self.stop(StopKind::End),
            SignalAction::Stop(2) => self.end(),
            SignalAction::Stop(_) => exit(1),
            // A warning, since whoever asks wants to see it.
            SignalAction::Show => log::warn!("what everyone does: {}", green::run_info()),
            SignalAction::Reopen => self.reopen_logs(),
            SignalAction::Resize => log::warn!(
                "TTIN and TTOU change the number of processes where they are sent to a master, which \
                 --workers or --master start: nothing changes here"
            ),
            SignalAction::Reload => {
                self.notify.reloading();
                self.reopen_logs();
                if !self.has_master {
                    log::info!("the program is not replaced: that takes --master or --workers");
                }
                if let Some(server) = self.server.get() {
                    server.reload_certificates();
                }
                self.notify.ready("serving");
            }
        }
    }

    fn reopen_logs(&self) {
        if let Some(server) = self.server.get() {
            server.reopen_logs();
        }
        if let Some(log) = &self.operator.log {
            log.reopen();
        }
        if !self.has_master {
            log::info!("the logs are opened anew");
        }
    }

    fn obey(&self, order: FromMaster) {
        match order {
            FromMaster::Order(Order::Stop(kind)) => self.stop(kind),
            FromMaster::Order(Order::End) => {
                self.stop(StopKind::End);
                self.end();
            }
            FromMaster::Order(Order::Reopen) => self.reopen_logs(),
            FromMaster::Order(Order::AllFull(full)) => {
                if let Some(neighbours) = self.neighbours.get() {
                    neighbours.note_all_full(full);
                }
            }
            // These were obeyed.
            FromMaster::Order(Order::Page { .. } | Order::TicketKeys(_)) => {}
            FromMaster::Gone => {
                if self.server.get().is_none() {
                    exit(1);
                }
                log::warn!("the master has ended: this process stops");
                self.stop(StopKind::End);
            }
        }
    }

    /// Says that something is missing, and ends the process.
    fn fail(&self, what: &str, error: &io::Error) -> ! {
        self.operator.say(format_args!("{what}: {error}"));
        self.operator.exit(1)
    }

    /// Tells the service manager that all is well, as often as it wants, while that is so.
    fn begin_watchdog(&self, server: &Running) -> io::Result<()> {
        let (Some(watchdog), Some(pages)) = (self.notify.watchdog(), server.pages().cloned())
        else {
            return Ok(());
        };
        let notify = self.notify.clone();
        // It ends with the process.
        let _detached = ServiceThread::start("greenway-watchdog", move || {
            loop {
                // Withheld while a worker is held up for half of the time that is allowed.
                if pages.held_up() < watchdog / 2 {
                    notify.alive();
                }
                std::thread::sleep(watchdog / 3);
            }
        })?;
        Ok(())
    }
}

/// Serves until a signal comes, or an order. `inherited` is what the process has from its master.
pub(super) fn serve(mut server: Server, operator: Operator, inherited: Option<Inherited>) -> ! {
    let (first_stop, stop) = crossbeam_channel::bounded(1);
    let life = Life {
        first_stop,
        server: Arc::default(),
        notify: Arc::new(Notify::of_process()),
        pid_file: Arc::default(),
        has_master: inherited.is_some(),
        neighbours: Arc::default(),
        operator,
    };
    let operator = &life.operator;
    let caught = catch_signals().unwrap_or_else(|error| life.fail("cannot handle signals", &error));
    // Before the start, which may take its time: the operator's last resort works then, too.
    let on_signal = {
        let life = life.clone();
        OnSignal::new(caught, move |action| life.act_on(action))
    };
    if let Err(error) = &on_signal {
        life.fail("no room for the thread that handles signals", error);
    }
    let to_master = inherited.map(|inherited| {
        let config = &mut server.settings.server;
        config.bind = inherited.bind;
        config.pages |= config.metrics_bind.take().is_some();
        config.tls.redirect_bind = inherited.redirect;
        let here = life.clone();
        let orders = ToMaster::start(inherited.control, life.server.clone(), move |order| {
            here.obey(order);
        });
        let orders = orders.unwrap_or_else(|error| {
            life.fail("no room for the thread that takes orders", &error);
        });
        #[cfg(feature = "tls")]
        {
            config.tickets = orders.tickets();
        }
        let master = orders.clone();
        let neighbours = Neighbours::new(move |full| master.try_tell(&Report::Full(full)));
        let neighbours = life.neighbours.get_or_init(|| Arc::new(neighbours));
        config.neighbours = Some(neighbours.clone());
        orders
    });
    server.settings.server.pages |= std::env::var_os("WATCHDOG_USEC").is_some();
    if let (Some(path), false) = (&server.settings.processes.pid, life.has_master) {
        match PidFile::write(path) {
            Ok(file) => *lock(&life.pid_file) = Some(file),
            Err(error) => life.fail(&format!("cannot write {path}"), &error),
        }
    }
    let grace = server.settings.server.graceful_timeout;
    let running = match server.start() {
        Ok(running) => life.server.get_or_init(|| Arc::new(running)),
        Err(error) => {
            drop(lock(&life.pid_file).take());
            operator.say(format_args!("{error}"));
            let misused = error.kind() == io::ErrorKind::InvalidInput;
            operator.exit(if misused { 2 } else { 1 });
        }
    };
    match &to_master {
        Some(master) => master.tell(&Report::Serving(running.budget().to_owned())),
        None => {
            if let Err(error) = reap_as_init() {
                log::error!("orphans stay unreaped: {error}");
            }
            if let Err(error) = life.begin_watchdog(running) {
                log::error!("the watchdog is told nothing: {error}");
            }
            let line = running.describe();
            operator.say(format_args!("{line}"));
            life.notify.ready(&line);
        }
    }
    // Ends by the signal alone: the sender lives in `life`.
    let kind = stop.recv().unwrap_or(StopKind::End);
    if to_master.is_none() {
        let open = Count(running.connections(), "connection");
        operator.say(format_args!("stopping ({open})"));
        life.notify.stopping();
    }
    let stopped = running.stop_as(kind, grace);
    green::run_at_exit();
    if let Some(master) = &to_master {
        // Also without numbers: the master knows then that we have not failed.
        let pages = running.pages();
        let page = pages.and_then(|pages| pages.page("/metrics", None));
        let numbers = page.map_or_else(String::new, |page| page.body);
        master.tell(&Report::Last(numbers));
    }
    drop(lock(&life.pid_file).take());
    operator.stopped(stopped.cut)
}
