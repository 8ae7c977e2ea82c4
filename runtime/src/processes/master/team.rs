//! The processes that serve: how many there are to be, which are to be replaced, and which are
//! started again.
//!
//! What must stay true: while processes are replaced there are never fewer that serve than before,
//! and at most one more is starting. A new program that does not start is noticed at the first of
//! them, and leaves the others as they are.

use super::child::{Process, State, describe};
use super::questions::Own;
use crate::processes::frames::{Order, Report};
use crate::server::StopKind;
use crate::service::config::FOR_EVER;
use crate::service::settings::Settings;
use rustix::process::Signal;
use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What a stop may take beyond the grace period: four seconds for handlers that do not wait, and
/// what the program has to do at its exit.
const BEYOND_GRACE: Duration = Duration::from_secs(15);
/// How long a process may take to end at once.
const AT_ONCE: Duration = Duration::from_secs(3);
/// The first pause before what fails is started again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A process that has served for so long has not failed at its start.
const PROVEN: Duration = Duration::from_secs(10);
/// After so many failures in a row without a process that serves, the master gives up.
const MOST_FAILURES: u32 = 10;
/// More than any machine has use for.
const MOST_PROCESSES: usize = 1000;

/// One of the processes.
#[derive(Debug)]
struct Member {
    /// The lowest number that no other one had when it began: what its metrics are shown by.
    number: usize,
    generation: u64,
    /// The grace period that it has been started with.
    grace: Duration,
    process: Process,
    /// It has no room for another client.
    full: bool,
    /// Its metrics when they were last seen.
    numbers: Option<String>,
    /// It has said goodbye, as after a signal that stops it in good order.
    said_goodbye: bool,
}

/// Who has reported something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reporter {
    pub(super) number: usize,
    pub(super) process: u32,
}

/// How the team stops.
#[derive(Debug)]
struct Stopping {
    /// Requests were cut, or processes killed.
    cut: bool,
}

#[derive(Debug)]
pub(super) struct Team {
    members: Vec<Member>,
    wanted: usize,
    generation: u64,
    /// How those are told to go that are replaced.
    replacing: StopKind,
    /// There is one of an older generation, or there was at the last look.
    is_replacing: bool,
    replacing_since: Option<Instant>,
    has_replaced: bool,
    boot: Option<Duration>,
    grace: Duration,
    /// Failures in a row, and when to try again.
    failures: u32,
    pause_until: Option<Instant>,
    /// One has served.
    proven: bool,
    /// There is room in none of them.
    all_full: bool,
    budget: String,
    /// What the operator is to know.
    failure: Option<String>,
    /// The exit status, once there is no use in going on.
    status: Option<i32>,
    stopping: Option<Stopping>,
    own: Own,
}

impl Team {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut team = Self {
            members: Vec::new(),
            wanted: settings.processes.workers,
            generation: 0,
            replacing: StopKind::HandOver,
            is_replacing: false,
            replacing_since: None,
            has_replaced: false,
            boot: None,
            grace: Duration::ZERO,
            failures: 0,
            pause_until: None,
            proven: false,
            all_full: false,
            budget: String::new(),
            failure: None,
            status: None,
            stopping: None,
            own: Own::default(),
        };
        team.take_on(settings);
        team
    }

    /// Has the clocks of these settings for whoever is started from now on, who reads them as well.
    pub(super) fn take_on(&mut self, settings: &Settings) {
        let boot = settings.processes.boot_timeout;
        self.boot = (boot < FOR_EVER).then_some(boot);
        self.grace = settings.server.graceful_timeout;
    }

    /// Does what is to be done now. `start` starts a process with a number.
    pub(super) fn steer(
        &mut self,
        now: Instant,
        mut start: impl FnMut(usize, Option<Duration>) -> io::Result<Process>,
    ) {
        self.end_late_ones(now);
        if self.stopping.is_some() || self.status.is_some() {
            return;
        }
        self.tell_all_full();
        // Each turn starts or ends one, so this comes to an end.
        while self.let_go() || self.start_one(now, &mut start) {}
        let replacing = self.stale().next().is_some();
        if self.is_replacing && !replacing && self.starting() == 0 {
            let time = self
                .replacing_since
                .map_or(0.0, |since| since.elapsed().as_secs_f64());
            match self.serving() {
                1 => log::info!("the process is replaced ({time:.1} s)"),
                count => log::info!("all {count} processes are replaced ({time:.1} s)"),
            }
            self.has_replaced = true;
        }
        self.is_replacing = replacing || (self.is_replacing && self.starting() > 0);
    }

    /// Tells all of them whether there is room in none, if that has changed.
    fn tell_all_full(&mut self) {
        let serves = |member: &&Member| member.process.state == State::Serving;
        let full = self.serving() > 0 && self.members.iter().filter(serves).all(|one| one.full);
        if full == self.all_full {
            return;
        }
        self.all_full = full;
        for member in &mut self.members {
            member.process.tell(&Order::AllFull(full));
        }
    }

    /// Tells one to go of whom there is one too many. False if there is none.
    fn let_go(&mut self) -> bool {
        let fresh_serve = self.fresh().filter(|member| !member.process.is_starting());
        let fresh_serve = fresh_serve.count();
        let stale = self.stale().count();
        let (kind, one) = if stale > 0 && (fresh_serve + stale > self.wanted || self.wanted == 0) {
            (self.replacing, least_missed(self.stale()))
        } else if self.present() > self.wanted && stale == 0 {
            (StopKind::HandOver, least_missed(self.fresh()))
        } else {
            return false;
        };
        let Some(index) = self
            .members
            .iter()
            .position(|member| Some(member.id()) == one)
        else {
            return false;
        };
        if stale > 0 && !self.members[index].process.is_starting() {
            self.own.replaced += 1;
        }
        self.dismiss(index, kind);
        true
    }

    /// Starts one that is missing. False if there is none, or it is not the time for it.
    fn start_one(
        &mut self,
        now: Instant,
        start: &mut impl FnMut(usize, Option<Duration>) -> io::Result<Process>,
    ) -> bool {
        let stale = self.stale().count();
        let fresh = self.fresh().count();
        let is_missing = match stale {
            0 => fresh < self.wanted,
            // One after the other, and one more than there are to be.
            _ => self.starting() == 0 && fresh + stale <= self.wanted,
        };
        if !is_missing || self.pause_until.is_some_and(|until| now < until) {
            return false;
        }
        let taken = |number: &usize| self.members.iter().any(|member| member.number == *number);
        let number = (1..).find(|number| !taken(number)).unwrap_or_default();
        match start(number, self.boot) {
            Ok(process) => {
                log::debug!("process {number} is started (pid {})", process.id());
                self.members.push(Member {
                    number,
                    generation: self.generation,
                    grace: self.grace,
                    process,
                    full: false,
                    numbers: None,
                    said_goodbye: false,
                });
                true
            }
            Err(error) => {
                self.has_failed(&format!("a process cannot be started: {error}"), 1);
                false
            }
        }
    }

    /// Tells one to go.
    fn dismiss(&mut self, index: usize, kind: StopKind) {
        let member = &mut self.members[index];
        let grace = member.grace;
        let starting = member.process.is_starting();
        // One that is starting has no clients, and need not hear what it is told.
        if !member.process.tell(&Order::Stop(kind)) || starting {
            member.process.signal(Signal::TERM);
        }
        let until = Instant::now().checked_add(grace);
        let until = until.and_then(|until| until.checked_add(BEYOND_GRACE));
        member.process.state = State::Leaving { until };
    }

    /// Kills those that should be gone, or serve, by now.
    fn end_late_ones(&mut self, now: Instant) {
        for member in &mut self.members {
            let (until, what) = match member.process.state {
                State::Starting { until } => (until, "does not serve"),
                State::Leaving { until } => (until, "does not end"),
                State::Serving => continue,
            };
            if until.is_none_or(|until| now < until) {
                continue;
            }
            let after = member.process.started.elapsed().as_secs();
            let Member { number, .. } = member;
            log::error!("process {number} {what} {after} s after its start, and is killed");
            member.process.signal(Signal::KILL);
            match &mut member.process.state {
                State::Starting { until } | State::Leaving { until } => *until = None,
                State::Serving => {}
            }
            if let Some(stopping) = &mut self.stopping {
                stopping.cut = true;
            }
        }
    }

    /// Takes what they have told. Pages are the caller's.
    pub(super) fn reports(&mut self) -> Vec<(Reporter, Report)> {
        let mut pages = Vec::new();
        for member in &mut self.members {
            for report in member.process.reports() {
                match report {
                    Report::Serving(budget) => {
                        if member.process.is_starting() {
                            member.process.state = State::Serving;
                        }
                        let (number, process) = (member.number, member.process.id());
                        log::info!("process {number} serves (pid {process})");
                        self.budget = budget;
                        self.proven = true;
                    }
                    Report::Full(full) => member.full = full,
                    Report::Last(numbers) => member.say_goodbye(numbers),
                    Report::Page { .. } => {
                        let reporter = Reporter {
                            number: member.number,
                            process: member.process.id(),
                        };
                        pages.push((reporter, report));
                    }
                }
            }
        }
        pages
    }

    /// Notes the numbers of a process, for when it ends without a word.
    pub(super) fn note_numbers(&mut self, process: u32, page: &str) {
        let member = self.members.iter_mut();
        if let Some(member) = { member }.find(|member| member.process.id() == process) {
            member.numbers = Some(page.to_owned());
        }
    }

    /// Looks who has ended.
    pub(super) fn reap(&mut self) -> Vec<u32> {
        let mut ended = Vec::new();
        let mut index = 0;
        while index < self.members.len() {
            let Some(status) = self.members[index].process.try_wait() else {
                index += 1;
                continue;
            };
            let mut member = self.members.remove(index);
            // What it has said last.
            for report in member.process.reports() {
                match report {
                    Report::Last(numbers) => member.say_goodbye(numbers),
                    Report::Serving(_) => member.process.state = State::Serving,
                    Report::Full(_) | Report::Page { .. } => {}
                }
            }
            ended.push(member.process.id());
            if let Some(numbers) = &member.numbers {
                self.own.counted.add_counters(numbers);
            }
            let (how, clean) = (describe(status), status.success());
            self.has_ended(&member, &how, status.code().unwrap_or(1), clean);
        }
        ended
    }

    fn has_ended(&mut self, member: &Member, how: &str, code: i32, clean: bool) {
        let Member {
            number, process, ..
        } = member;
        let what = format!("process {number} (pid {}) {how}", process.id());
        if let Some(stopping) = &mut self.stopping {
            log::debug!("{what}");
            stopping.cut |= !clean && !process.is_starting();
            return;
        }
        match process.state {
            State::Leaving { .. } => log::info!("{what}"),
            // Somebody has sent it TERM: nothing has failed.
            State::Serving if clean && member.said_goodbye => {
                log::info!("{what}: another one takes its place");
            }
            State::Serving => {
                log::error!("{what}: another one takes its place");
                self.own.lost += 1;
                if process.started.elapsed() >= PROVEN {
                    self.failures = 0;
                    self.pause_until = None;
                } else {
                    self.has_failed("", 1);
                }
            }
            State::Starting { .. } => {
                self.own.lost += 1;
                let what = format!("{what} before it served");
                self.has_failed(&what, code.max(1));
            }
        }
    }

    /// A process has failed at its start, or soon after.
    fn has_failed(&mut self, what: &str, code: i32) {
        self.failures += 1;
        if !what.is_empty() && self.stale().next().is_some() {
            // Those that serve are of a program that works.
            log::error!("{what}: the others stay as they are");
            let generation = self.generation;
            let unreplaced = match self.fresh().any(|member| !member.process.is_starting()) {
                true => "no further process is replaced",
                false => "nothing is replaced",
            };
            for member in &mut self.members {
                member.generation = generation;
            }
            self.is_replacing = false;
            self.has_replaced = true;
            self.failure = Some(format!("the program on disk does not serve: {unreplaced}"));
            // What is left of a start that has failed in other ways.
            return;
        }
        let serves = self.serving() > 0;
        if !self.proven || (!serves && self.failures >= MOST_FAILURES) {
            let times = match self.proven {
                true => format!(" {MOST_FAILURES} times in a row"),
                false => String::new(),
            };
            let what = match what.is_empty() {
                true => "no process goes on serving",
                false => what,
            };
            self.failure = Some(format!("{what}{times}"));
            self.status = Some(code);
            for member in &self.members {
                member.process.signal(Signal::TERM);
            }
            return;
        }
        let doublings = (self.failures - 1).min(16);
        let pause = (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE);
        self.pause_until = Instant::now().checked_add(pause);
        if !what.is_empty() {
            log::error!("{what}");
        }
        log::warn!(
            "{} in a row: the next process is started in {pause:?} (at most {LONGEST_PAUSE:?})",
            crate::green::embed::Count(u64::from(self.failures), "failure")
        );
    }

    /// Sets how many there are to be, and gives that.
    pub(super) fn want(&mut self, wanted: usize) -> usize {
        self.wanted = wanted.min(MOST_PROCESSES);
        self.wanted
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// From now on, all that are there are to be replaced.
    pub(super) fn replace(&mut self, kind: StopKind) {
        self.generation += 1;
        self.replacing = kind;
        self.is_replacing = true;
        self.replacing_since = Some(Instant::now());
        self.has_replaced = false;
        self.failures = 0;
        self.pause_until = None;
    }

    /// Ends all of them. `times` is how often that was asked for.
    pub(super) fn stop(&mut self, kind: StopKind, at_once: bool, times: u32) {
        let first = self.stopping.is_none();
        self.stopping.get_or_insert(Stopping { cut: false });
        for index in 0..self.members.len() {
            if first && !self.members[index].process.is_leaving() {
                self.dismiss(index, kind);
            }
            let member = &mut self.members[index];
            if at_once || times > 1 {
                member.process.tell(&Order::End);
                let until = Instant::now() + AT_ONCE;
                member.process.state = State::Leaving { until: Some(until) };
            }
            if times > 2 {
                member.process.signal(Signal::KILL);
            }
        }
    }

    /// The exit status, once all have ended.
    pub(super) fn is_over(&mut self) -> Option<i32> {
        if let Some(status) = self.status {
            // They hear of our end, and stop.
            return Some(status);
        }
        let stopping = self.stopping.as_ref()?;
        let cut = i32::from(stopping.cut);
        self.members.is_empty().then_some(cut)
    }

    /// Whether all have been replaced, or are not going to be, since the last call.
    pub(super) fn has_finished_replacing(&mut self) -> bool {
        std::mem::take(&mut self.has_replaced)
    }

    /// What has failed since the last call.
    pub(super) fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// Whether the first ones serve.
    pub(super) fn has_begun(&self) -> bool {
        self.starting() == 0 && self.serving() > 0
    }

    /// What limits the connections of one of them.
    pub(super) fn budget(&self) -> &str {
        &self.budget
    }

    /// Tells all of them something.
    pub(super) fn tell_all(&mut self, order: &Order) {
        for member in &mut self.members {
            member.process.tell(order);
        }
    }

    /// Asks those that serve for a page, and if it is for `all`, those that leave; gives who they are.
    pub(super) fn ask(&mut self, question: u32, path: &str, all: bool) -> Vec<u32> {
        let order = Order::Page {
            question,
            path: path.to_owned(),
        };
        let mut asked = Vec::new();
        for member in &mut self.members {
            let process = &member.process;
            if process.state == State::Serving || (all && process.is_leaving()) {
                member.process.tell(&order);
                asked.push(member.process.id());
            }
        }
        asked
    }

    /// What the master knows of them.
    pub(super) fn own(&self) -> Own {
        Own {
            starting: self.starting(),
            serving: self.serving(),
            leaving: self.members.len() - self.present(),
            wanted: self.wanted,
            ..self.own.clone()
        }
    }

    /// When there is something to do next.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let until = self
            .members
            .iter()
            .filter_map(|member| match member.process.state {
                State::Starting { until } | State::Leaving { until } => until,
                State::Serving => None,
            });
        let pause = self.pause_until.filter(|until| *until > now);
        until.chain(pause).min()
    }

    /// The ends of socket pairs on which they may say something.
    pub(super) fn controls(&self) -> impl Iterator<Item = &UnixStream> {
        let members = self.members.iter();
        members.filter_map(|member| member.process.control.as_ref())
    }

    /// The numbers that the kernel knows them by.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.members.iter().map(Member::id)
    }

    /// Those that were not told to go.
    pub(super) fn present(&self) -> usize {
        self.stale().count() + self.fresh().count()
    }

    pub(super) fn serving(&self) -> usize {
        let serves = |member: &&Member| member.process.state == State::Serving;
        self.members.iter().filter(serves).count()
    }

    fn starting(&self) -> usize {
        let starts = |member: &&Member| member.process.is_starting();
        self.members.iter().filter(starts).count()
    }

    fn stale(&self) -> impl Iterator<Item = &Member> {
        let (all, generation) = (self.members.iter(), self.generation);
        all.filter(move |member| !member.process.is_leaving() && member.generation < generation)
    }

    fn fresh(&self) -> impl Iterator<Item = &Member> {
        let (all, generation) = (self.members.iter(), self.generation);
        all.filter(move |member| !member.process.is_leaving() && member.generation == generation)
    }
}

/// Who of them goes first: one that does not serve yet. Where HUP comes again during a replacement,
/// what it has started so far is out of date, and the others may be all that serves.
fn least_missed<'a>(mut members: impl Iterator<Item = &'a Member>) -> Option<u32> {
    let first = members.next()?;
    let starts = |member: &&Member| member.process.is_starting();
    let one = match starts(&first) {
        true => first,
        false => members.find(starts).unwrap_or(first),
    };
    Some(one.id())
}

impl Member {
    fn say_goodbye(&mut self, numbers: String) {
        self.numbers = Some(numbers);
        self.said_goodbye = true;
    }

    fn id(&self) -> u32 {
        self.process.id()
    }
}

/// A number of processes.
pub(super) fn in_words(count: usize) -> String {
    match count {
        1 => "1 process".to_owned(),
        _ => format!("{count} processes"),
    }
}
