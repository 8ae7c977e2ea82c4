//! The master: opens sockets, starts processes, and sees to it that there are as many as there are
//! to be.

mod child;
mod fixed;
mod pages;
mod questions;
mod sockets;
mod team;
mod tickets;

use super::frames::{Order, Report};
use super::inheritance::{Inherited, Legacy, Role, borrowed};
use super::pid_file::PidFile;
use super::program::Program;
use super::serving::HELD_UP;
use super::sums::Sums;
use super::watch::Watch;
use crate::Engine;
use crate::green::embed::{Count, unblock_signals};
use crate::server::{MetricsServer, Notify, StopKind, reap_orphans, set_surroundings_right};
use crate::service::settings::Settings;
use child::Process;
use crossbeam_channel::Receiver;
use pages::MasterPages;
use questions::{Answer, Asking, Open, Own, Question};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpid;
use signal_hook::consts::{
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use sockets::Sockets;
use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use team::Team;
use tickets::Tickets;

/// What is acted on.
const SIGNALS: [i32; 10] = [
    SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH, SIGCHLD,
];

/// What a master is started with.
pub(crate) struct Start<'a> {
    pub(crate) settings: &'a Settings,
    /// What it has from a master in whose place it is to be.
    pub(crate) inherited: Option<Inherited>,
    /// Says something to whoever has started the program.
    pub(crate) say: &'a dyn Fn(fmt::Arguments<'_>),
    /// What the settings are by now; `None` if they are wrong.
    pub(crate) settings_now: &'a dyn Fn() -> Option<Settings>,
    /// Opens the master's own log anew.
    pub(crate) reopen_log: &'a dyn Fn(),
}

/// The master that is to take our place, or in whose place we are to be.
#[derive(Debug)]
struct Successor {
    process: Process,
    serves: bool,
}

/// A master at work.
struct Master<'a> {
    start: Start<'a>,
    program: Program,
    sockets: Sockets,
    tickets: Tickets,
    pid_file: Option<PidFile>,
    notify: Notify,
    team: Team,
    metrics: Option<MetricsServer>,
    metrics_addr: Option<SocketAddr>,
    signals: SignalDelivery<UnixStream, SignalOnly>,
    bell: UnixStream,
    /// The other end. Ours as well, so that it is open where nobody else rings.
    _rings: UnixStream,
    questions: Receiver<Question>,
    open: Vec<Open>,
    last_question: u32,
    /// The master before us, until it has ended.
    predecessor: Option<UnixStream>,
    successor: Option<Successor>,
    watch: Option<Watch>,
    next_alive: Option<Instant>,
    /// The line about the start was said.
    announced: bool,
    /// How many processes there are to be, apart from WINCH.
    workers: usize,
    /// Stops that were asked for.
    stops: u32,
}

/// Starts processes and looks after them, until a signal ends that. Gives the exit status.
///
/// # Errors
/// When it cannot begin: an address is taken, a name is not known.
pub(crate) fn run(start: Start<'_>) -> io::Result<i32> {
    let mut master = Master::begin(start)?;
    let status = master.work();
    master.end();
    Ok(status)
}

impl<'a> Master<'a> {
    fn begin(mut start: Start<'a>) -> io::Result<Self> {
        set_surroundings_right()?;
        let (read, write) = UnixStream::pair()?;
        let signals = SignalDelivery::with_pipe(read, write, SignalOnly, SIGNALS)?;
        unblock_signals(&SIGNALS);
        let settings = start.settings;
        let processes = &settings.processes;
        let program = Program::of_process()?;
        let inherited = start.inherited.take();
        let sockets = Sockets::open(settings, inherited.as_ref())?;
        let pid_file = match (&processes.pid, &inherited) {
            (None, _) => None,
            (Some(path), None) => Some(PidFile::write(path)),
            (Some(path), Some(_)) => Some(PidFile::write_beside(path)),
        };
        let pid_file = pid_file.transpose().map_err(|error| {
            let path = processes.pid.as_deref().unwrap_or_default();
            io::Error::new(error.kind(), format!("cannot write {path}: {error}"))
        })?;
        let (bell, rings) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rings.set_nonblocking(true)?;
        let watch = match processes.reloads() {
            true => Some(Watch::start(
                program.path(),
                processes.reload_build.clone(),
                rings.try_clone()?,
            )?),
            false => None,
        };
        let (asking, questions) = Asking::new(rings.try_clone()?);
        let metrics = match sockets.metrics() {
            Some(socket) => Some(MetricsServer::start(
                Box::new(MasterPages(asking)),
                socket.try_clone()?,
            )?),
            None => None,
        };
        let (metrics_addr, metrics) = metrics.unzip();
        let notify = Notify::of_process();
        let predecessor = inherited.map(|inherited| inherited.control);
        if let Some(predecessor) = &predecessor {
            predecessor.set_nonblocking(true)?;
        }
        let tickets = Tickets::begin(predecessor.as_ref())?;
        Ok(Self {
            program,
            sockets,
            tickets,
            pid_file,
            team: Team::new(settings),
            metrics,
            metrics_addr,
            signals,
            bell,
            _rings: rings,
            questions,
            open: Vec::new(),
            last_question: 0,
            predecessor,
            successor: None,
            watch,
            next_alive: notify.watchdog().map(|_| Instant::now()),
            notify,
            announced: false,
            workers: processes.workers,
            stops: 0,
            start,
        })
    }

    /// The loop. Gives the exit status.
    fn work(&mut self) -> i32 {
        loop {
            let now = Instant::now();
            self.steer(now);
            if let Some(status) = self.team.is_over() {
                return status;
            }
            self.announce();
            self.look_after_questions(now);
            self.wait(now);
            let signals: Vec<_> = self.signals.pending().collect();
            for signal in signals {
                self.act_on(signal);
            }
            self.take_reports();
            self.reap();
            self.take_questions();
            self.look_at_relatives();
        }
    }

    fn steer(&mut self, now: Instant) {
        if let Some(keys) = self.tickets.renew(now) {
            self.team.tell_all(&keys);
        }
        let (program, sockets, tickets) = (&self.program, &self.sockets, &self.tickets);
        let start = |number: usize, boot: Option<Duration>| {
            let mut command = program.to_serve(sockets.identity());
            let legacy = Legacy {
                role: Role::Serve(number),
                sockets: borrowed(sockets.listening()),
                metrics: None,
                redirect: sockets.redirect().map(AsFd::as_fd),
            };
            let control = legacy.hand_to(&mut command)?;
            tickets.hand_to(&control)?;
            Process::start(command, control, boot)
        };
        self.team.steer(now, start);
        if self.team.has_finished_replacing() {
            self.notify.ready("serving");
        }
        if let Some(why) = self.team.take_failure() {
            (self.start.say)(format_args!("{why}"));
        }
    }

    /// Says that there is a server, once.
    fn announce(&mut self) {
        if self.announced || !self.team.has_begun() {
            return;
        }
        self.announced = true;
        let config = &self.start.settings.server;
        let processes = team::in_words(self.team.serving());
        let threads = if config.engine == Engine::Threads {
            Count(config.threads, "thread")
        } else {
            Count(config.green.workers, "worker")
        };
        let metrics = self.metrics_addr.map_or(String::new(), |addr| {
            format!(", metrics on http://{addr}/metrics")
        });
        let line = format!(
            "listening on {} (engine {}, {processes} with {threads}), each {}{metrics}",
            self.sockets.names(),
            config.engine.name(),
            self.team.budget(),
        );
        (self.start.say)(format_args!("{line}"));
        self.notify.ready(&line);
        if let Some(mut predecessor) = self.predecessor.as_ref() {
            let serving = Report::Serving(String::new()).to_bytes();
            let _it_has_ended = io::Write::write_all(&mut predecessor, &serving);
        }
    }

    /// Waits for news, or until there is something to do.
    fn wait(&mut self, now: Instant) {
        let deadlines = self.team.deadline(now).into_iter();
        let questions = self.open.iter().map(|open| open.until);
        let own = self.next_alive.into_iter().chain([self.tickets.deadline()]);
        let next = deadlines.chain(questions).chain(own).min();
        let left = next.map(|at| at.saturating_duration_since(Instant::now()));
        // What is beyond any clock's end is looked at again in a while.
        let left = left.map(|left| left.min(Duration::from_secs(3600)));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = vec![
            PollFd::new(self.signals.get_read(), PollFlags::IN),
            PollFd::new(&self.bell, PollFlags::IN),
        ];
        let relatives = self.successor.as_ref();
        let relatives = relatives.and_then(|successor| successor.process.control.as_ref());
        let controls = self.team.controls().chain(relatives);
        let all = controls.chain(&self.predecessor);
        fds.extend(all.map(|control| PollFd::new(control, PollFlags::IN)));
        // An error is a signal that comes, or a lack of memory that passes.
        let _early = poll(&mut fds, timeout.as_ref());
    }

    fn act_on(&mut self, signal: i32) {
        match signal {
            SIGTERM => self.stop(false),
            SIGINT | SIGQUIT => self.stop(true),
            _ if self.stops > 0 => {}
            SIGHUP => self.replace(StopKind::HandOver),
            SIGUSR1 => {
                self.open_logs_anew();
                self.team.tell_all(&Order::Reopen);
                log::info!("the logs are opened anew");
            }
            SIGUSR2 => self.upgrade(),
            SIGTTIN | SIGTTOU => {
                let wanted = match signal {
                    SIGTTIN => self.team.wanted() + 1,
                    _ => self.team.wanted().saturating_sub(1).max(1),
                };
                self.workers = self.team.want(wanted);
                let processes = team::in_words(self.workers);
                log::info!("to serve from now on: {processes}");
            }
            // A terminal sends it to all of its programs whenever its window changes.
            SIGWINCH if io::stdin().is_terminal() || io::stderr().is_terminal() => {}
            SIGWINCH => {
                log::info!("no process is to serve until HUP or TTIN comes");
                self.team.want(0);
            }
            _ => {} // children are looked after anyway
        }
    }

    /// Opens the master's own log anew, and sees to it that processes can open theirs.
    fn open_logs_anew(&self) {
        if let Err(error) = self.sockets.give_logs() {
            log::error!("processes may not be able to write their logs: {error}");
        }
        (self.start.reopen_log)();
    }

    /// Replaces all processes by new ones from the file on disk.
    fn replace(&mut self, kind: StopKind) {
        self.notify.reloading();
        if let Some(settings) = (self.start.settings_now)() {
            fixed::warn("HUP", &fixed::OF_MASTER, self.start.settings, &settings);
            self.sockets.take_on(&settings);
            let workers = settings.processes.workers;
            self.team.take_on(&settings);
            // What TTIN has changed is kept where the settings have not changed.
            if workers != self.start.settings.processes.workers || self.team.wanted() == 0 {
                self.workers = workers;
            }
        }
        self.open_logs_anew();
        self.team.want(self.workers);
        self.team.replace(kind);
        log::info!(
            "all processes are to be replaced by {}",
            self.program.path().display()
        );
    }

    fn stop(&mut self, at_once: bool) {
        self.stops += 1;
        if self.stops == 1 {
            let open = team::in_words(self.team.present());
            (self.start.say)(format_args!("stopping ({open})"));
            // A service whose next master serves does not stop.
            if !self.successor.as_ref().is_some_and(|next| next.serves) {
                self.notify.stopping();
            }
        }
        // Where another master has the sockets, the queue is left to it.
        let shared = self.successor.is_some() || self.predecessor.is_some();
        let kind = match shared {
            true => StopKind::HandOver,
            false => StopKind::End,
        };
        // First, so that nobody finds them when the last process has closed its own.
        self.sockets.close(shared);
        self.team.stop(kind, at_once, self.stops);
    }

    /// Starts a master in our place, beside us.
    fn upgrade(&mut self) {
        if getpid().is_init() {
            log::error!(
                "USR2 has no effect: the container ends with process 1. HUP replaces its program"
            );
            return;
        }
        if self.successor.is_some() || self.predecessor.is_some() {
            log::warn!("USR2 has no effect: there are two masters already");
            return;
        }
        if let Some(settings) = (self.start.settings_now)() {
            fixed::warn("USR2", &fixed::OF_SOCKETS, self.start.settings, &settings);
        }
        let mut command = self.program.to_succeed();
        let legacy = Legacy {
            role: Role::Succeed,
            sockets: borrowed(self.sockets.listening()),
            metrics: self.sockets.metrics().map(AsFd::as_fd),
            redirect: self.sockets.redirect().map(AsFd::as_fd),
        };
        let started = legacy.hand_to(&mut command).and_then(|control| {
            self.tickets.hand_to(&control)?;
            Process::start(command, control, None)
        });
        match started {
            Ok(process) => {
                log::info!("a new master is started: process {}", process.id());
                self.successor = Some(Successor {
                    process,
                    serves: false,
                });
            }
            Err(error) => log::error!("a new master cannot be started: {error}"),
        }
    }

    /// The masters before and after us.
    fn look_at_relatives(&mut self) {
        if let Some(successor) = &mut self.successor {
            let reports = successor.process.reports();
            if !successor.serves && !reports.is_empty() {
                successor.serves = true;
                let number = successor.process.id();
                log::info!("the new master serves; TERM ends this one (process {number} goes on)");
                self.notify.main_process(number);
            }
            if let Some(status) = successor.process.try_wait() {
                let how = child::describe(status);
                // That is what an operator does whom the new program does not please.
                match successor.serves && status.success() {
                    true => log::info!("the new master {how}: this one goes on"),
                    false => log::error!("the new master {how}"),
                }
                if successor.serves {
                    self.notify.main_process(std::process::id());
                }
                self.successor = None;
            }
        }
        if let Some(mut control) = self.predecessor.as_ref() {
            let mut buffer = [0; 16];
            let has_ended = match control.read(&mut buffer) {
                Ok(n) => n == 0,
                Err(error) => !matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ),
            };
            if has_ended {
                log::info!("the master before this one has ended");
                self.predecessor = None;
                self.sockets.own_files();
                if let Some(Err(error)) = self.pid_file.as_mut().map(PidFile::promote) {
                    log::error!("the pid file cannot be renamed: {error}");
                }
            }
        }
    }

    fn take_reports(&mut self) {
        for (member, report) in self.team.reports() {
            let Report::Page {
                question,
                status,
                body,
            } = report
            else {
                continue;
            };
            if let Some(open) = self.open.iter_mut().find(|open| open.number == question) {
                if open.path == "/metrics" {
                    self.team.note_numbers(member.process, &body);
                }
                open.add(Answer {
                    number: member.number,
                    process: member.process,
                    status,
                    body,
                });
            }
        }
    }

    fn reap(&mut self) {
        for process in self.team.reap() {
            for open in &mut self.open {
                open.gone(process);
            }
        }
        if getpid().is_init() {
            let successor = self
                .successor
                .iter()
                .map(|successor| successor.process.id());
            let own: Vec<_> = self.team.numbers().chain(successor).collect();
            reap_orphans(&own);
        }
    }

    /// Passes on what was asked meanwhile, and looks for other reasons to be woken.
    fn take_questions(&mut self) {
        let mut buffer = [0; 64];
        while matches!((&self.bell).read(&mut buffer), Ok(1..)) {}
        if self.stops == 0 && self.watch.as_ref().is_some_and(Watch::has_changed) {
            log::info!("the program has changed");
            self.replace(StopKind::Reload);
        }
        while let Ok(question) = self.questions.try_recv() {
            let path = question.path.clone();
            self.pass_on(&path, Some(question));
        }
    }

    fn pass_on(&mut self, path: &str, question: Option<Question>) {
        self.last_question = self.last_question.wrapping_add(1);
        // One that goes may be held up by what it has yet to finish.
        let all = path != HELD_UP;
        let asked = self.team.ask(self.last_question, path, all);
        self.open
            .push(Open::new(self.last_question, path, asked, question));
    }

    fn look_after_questions(&mut self, now: Instant) {
        if let (Some(at), Some(watchdog)) = (self.next_alive, self.notify.watchdog())
            && now >= at
        {
            self.next_alive = Some(now + watchdog / 3);
            self.pass_on(HELD_UP, None);
        }
        let mut index = 0;
        while index < self.open.len() {
            if !self.open[index].is_over(now) {
                index += 1;
                continue;
            }
            let over = self.open.swap_remove(index);
            let answers = over.close(|| Own {
                stopping: self.stops > 0,
                ..self.team.own()
            });
            let (Some(answers), Some(watchdog)) = (answers, self.notify.watchdog()) else {
                continue;
            };
            // Withheld while a worker is held up for half of the time that the watchdog allows.
            let most = (watchdog / 2).as_micros();
            let is_well =
                |answer: &Answer| answer.body.parse::<u128>().is_ok_and(|held| held < most);
            if answers.answers.len() == answers.asked && answers.answers.iter().all(is_well) {
                self.notify.alive();
            }
        }
    }

    fn end(self) {
        if let Some(metrics) = self.metrics {
            metrics.end();
        }
    }
}
