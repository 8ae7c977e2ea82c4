//! One generator thread: an epoll loop over its share of the connections.
//!
//! A connection goes through three states, `Closed -> Connecting -> Open`, and back
//! to `Closed` when it breaks or, under churn, when its requests are used up; closed
//! ones wait in a queue to be opened again. At most [`CONNECTING`] handshakes are in
//! flight, so that no backlog overflows and the ramp measures the server, not SYN
//! retransmissions.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::Timespec;

use super::connect;
use super::connection::{Connection, State};
use super::lane::{Lane, Phase, Shared, now, thread_cpu};
use super::reply::{BadReply, HeadCache, ReplyReader};
use super::timing::{Alarm, Schedule, Thinkers};
use super::{Job, Plan, empty_histogram};

/// Handshakes in flight per thread.
const CONNECTING: usize = 256;
/// Broken connections after which a thread gives up.
const MAX_ERRORS: u64 = 100_000;
/// How long an open loop waits for the last answers.
const DRAIN: Duration = Duration::from_secs(2);
/// Longest sleep: how late a change of phase is noticed.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};
/// After a refused connection, before the next attempt.
const BACK_OFF: u64 = 10_000_000;
/// How old the published CPU time may be.
const CPU_EVERY: u64 = 4_000_000;
const TIMER: u64 = u64::MAX;

/// What one thread hands back.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) latency: Histogram<u64>,
    pub(super) unanswered: u64,
    pub(super) starved: u64,
    pub(super) open: usize,
    pub(super) last_error: Option<String>,
}

/// Drives the share `index` of the job until the phase says to stop.
///
/// # Errors
/// When epoll or a timer fails, or too many connections broke.
pub(super) fn drive(job: &Job, index: usize, lane: &Lane, shared: &Shared) -> io::Result<Part> {
    if let Some(&core) = job.cores.get(index % job.cores.len().max(1)) {
        let mut set = CpuSet::new();
        set.set(core);
        // A core that was taken away from us only costs precision.
        let _ = sched_setaffinity(None, &set);
    }
    let mut driver = Driver::new(job, index, lane, shared)?;
    let ran = driver.run();
    if ran.is_err() {
        lane.over.set(1);
    }
    // A thread that gave up still hands back what it saw; `errors` tells the rest.
    if let Err(error) = ran
        && driver.last_error.is_none()
    {
        driver.last_error = Some(error.to_string());
    }
    Ok(driver.finish())
}

struct Driver<'a> {
    job: &'a Job,
    lane: &'a Lane,
    shared: &'a Shared,
    poll: OwnedFd,
    alarm: Option<Alarm>,
    connections: Vec<Connection>,
    /// Slots to be opened.
    waiting: VecDeque<usize>,
    connecting: usize,
    not_before: u64,
    started: u64,
    /// What is written at once: each request as often as the plan pipelines it.
    batches: Vec<Vec<u8>>,
    depth: usize,
    interval: f64,
    offset: u64,
    schedule: Option<Schedule>,
    thinkers: Option<Thinkers>,
    idle: VecDeque<usize>,
    cache: HeadCache,
    buffer: Vec<u8>,
    window: std::ops::Range<u64>,
    latency: Histogram<u64>,
    last_error: Option<String>,
}

impl<'a> Driver<'a> {
    fn new(job: &'a Job, index: usize, lane: &'a Lane, shared: &'a Shared) -> io::Result<Self> {
        let share =
            job.connections / job.threads + usize::from(index < job.connections % job.threads);
        let depth = match job.plan {
            Plan::Closed { pipeline, .. } => pipeline,
            Plan::Think { .. } | Plan::Open { .. } | Plan::Idle | Plan::Park => 1,
        };
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let (mut alarm, mut thinkers, mut interval) = (None, None, 0.0);
        match job.plan {
            Plan::Open { rate } => {
                alarm = Some(Alarm::new(&poll, TIMER)?);
                interval = 1e9 / rate * job.threads as f64;
            }
            Plan::Think { least, most } => {
                alarm = Some(Alarm::new(&poll, TIMER)?);
                thinkers = Some(Thinkers::new(least, most, index as u64));
            }
            Plan::Closed { .. } | Plan::Idle | Plan::Park => {}
        }
        let connections = (0..share).map(Connection::closed).collect();
        Ok(Self {
            job,
            lane,
            shared,
            poll,
            alarm,
            connections,
            waiting: (0..share).collect(),
            connecting: 0,
            not_before: 0,
            started: now(),
            batches: job.requests.iter().map(|each| each.repeat(depth)).collect(),
            depth,
            interval,
            // The threads take turns, so that together they keep the rate evenly.
            offset: (interval * index as f64 / job.threads as f64) as u64,
            schedule: None,
            thinkers,
            idle: VecDeque::new(),
            cache: HeadCache::default(),
            buffer: vec![0; 256 * 1024],
            window: u64::MAX..u64::MAX,
            latency: empty_histogram(),
            last_error: None,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut space = [MaybeUninit::<Event>::uninit(); 512];
        let mut published = 0;
        let mut give_up = u64::MAX;
        loop {
            self.window = self.shared.window();
            let time = now();
            if time - published > CPU_EVERY {
                self.lane.cpu.set(thread_cpu());
                published = time;
            }
            match self.shared.phase() {
                Phase::Run => {}
                Phase::Quit => return Ok(()),
                Phase::Drain => {
                    give_up = give_up.min(time + DRAIN.as_nanos() as u64);
                    if time >= give_up || self.drained() {
                        return Ok(());
                    }
                }
            }
            if time >= self.not_before {
                self.open_some(time)?;
            }
            self.dispatch(time)?;
            let (events, _) = match epoll::wait(&self.poll, &mut space[..], Some(&TICK)) {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for event in events.iter() {
                let (flags, data) = (event.flags, event.data.u64());
                if data == TIMER {
                    self.take_timer();
                } else {
                    self.on_event(data, flags)?;
                }
            }
        }
    }

    /// Opens closed connections as far as the number of handshakes and the ramp allow.
    fn open_some(&mut self, time: u64) -> io::Result<()> {
        while self.connecting < CONNECTING
            && let Some(&slot) = self.waiting.front()
        {
            let turn = slot as f64 / self.connections.len() as f64;
            let due = self.started + (turn * self.job.ramp.as_nanos() as f64) as u64;
            if self.connections[slot].generation == 0 && time < due {
                return Ok(());
            }
            self.waiting.pop_front();
            let stream = match connect::open(self.job.target) {
                Ok(stream) => stream,
                Err(error) => {
                    self.broken(slot, &error)?;
                    return Ok(());
                }
            };
            let connection = &mut self.connections[slot];
            connection.generation = connection.generation.wrapping_add(1);
            connection.state = State::Connecting;
            connection.reader = ReplyReader::new();
            connection.asked = 0;
            connection.unsent = 0;
            connection.left = match self.job.plan {
                Plan::Closed {
                    per_connection: Some(n),
                    ..
                } => n.get(),
                _ => u32::MAX,
            };
            connection.wants_out = true;
            let data = EventData::new_u64(name(slot, connection.generation));
            epoll::add(&self.poll, &stream, data, EventFlags::IN | EventFlags::OUT)?;
            connection.stream = Some(stream);
            self.connecting += 1;
        }
        Ok(())
    }

    fn on_event(&mut self, data: u64, flags: EventFlags) -> io::Result<()> {
        let slot = (data & u64::from(u32::MAX)) as usize;
        let connection = &mut self.connections[slot];
        if data != name(slot, connection.generation) || connection.state == State::Closed {
            return Ok(());
        }
        if flags.contains(EventFlags::OUT) && !flags.contains(EventFlags::ERR) {
            if connection.state == State::Connecting {
                connection.state = State::Open;
                self.connecting -= 1;
                self.opened(slot)?;
            } else {
                self.flush(slot)?;
            }
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read(slot)?;
        }
        Ok(())
    }

    fn opened(&mut self, slot: usize) -> io::Result<()> {
        match self.job.plan {
            Plan::Open { .. } => {
                self.idle.push_back(slot);
                self.mark_ready(slot);
                self.flush(slot)
            }
            Plan::Closed { .. } | Plan::Park => {
                self.mark_ready(slot);
                self.ask(slot, now())
            }
            Plan::Think { .. } => {
                self.mark_ready(slot);
                self.think(slot, now());
                self.flush(slot)
            }
            Plan::Idle => self.ask(slot, now()),
        }
    }

    fn mark_ready(&mut self, slot: usize) {
        if !std::mem::replace(&mut self.connections[slot].ready, true) {
            self.lane.ready.add(1);
        }
    }

    fn ask(&mut self, slot: usize, since: u64) -> io::Result<()> {
        let connection = &mut self.connections[slot];
        connection.asked = self.depth;
        connection.since = since;
        connection.turn = connection.turn.wrapping_add(1);
        connection.unsent = self.batches[connection.turn % self.batches.len()].len();
        self.flush(slot)
    }

    /// Writes what is owed and keeps epoll's interest in step with the rest.
    fn flush(&mut self, slot: usize) -> io::Result<()> {
        let connection = &mut self.connections[slot];
        let Some(stream) = connection.stream.as_mut() else {
            return Ok(());
        };
        if connection.unsent > 0 {
            let batch = &self.batches[connection.turn % self.batches.len()];
            match stream.write(&batch[batch.len() - connection.unsent..]) {
                Ok(n) => connection.unsent -= n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return self.broken(slot, &error),
            }
        }
        let wants_out = connection.unsent > 0;
        if wants_out != connection.wants_out {
            connection.wants_out = wants_out;
            let data = EventData::new_u64(name(slot, connection.generation));
            let out = if wants_out {
                EventFlags::OUT
            } else {
                EventFlags::empty()
            };
            epoll::modify(&self.poll, &*stream, data, EventFlags::IN | out)?;
        }
        Ok(())
    }

    fn read(&mut self, slot: usize) -> io::Result<()> {
        let connection = &mut self.connections[slot];
        let Some(stream) = connection.stream.as_mut() else {
            return Ok(());
        };
        let n = match stream.read(&mut self.buffer) {
            Ok(0) => {
                let error = io::Error::new(ErrorKind::UnexpectedEof, "closed by the server");
                return self.broken(slot, &error);
            }
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return self.broken(slot, &error),
        };
        let (mut answers, mut refused) = (0, 0);
        let fed = connection
            .reader
            .feed(&self.buffer[..n], &mut self.cache, |status| {
                answers += 1;
                refused += u64::from(!(200..300).contains(&status));
            });
        let fed = match fed {
            Ok(()) if answers > connection.asked => Err(BadReply("more answers than requests")),
            fed => fed,
        };
        if let Err(BadReply(why)) = fed {
            return self.broken(slot, &io::Error::new(ErrorKind::InvalidData, why));
        }
        if answers == 0 {
            return Ok(());
        }
        let time = now();
        self.lane.completed.add(answers as u64);
        self.lane.last.set(time);
        self.lane.refused.add(refused);
        // An open loop asks what became of the requests *due* in the window.
        let moment = if matches!(self.job.plan, Plan::Open { .. }) {
            connection.since
        } else {
            time
        };
        if self.window.contains(&moment) {
            let waited = time.saturating_sub(connection.since).max(1);
            self.latency.saturating_record_n(waited, answers as u64);
        }
        connection.asked -= answers;
        if connection.asked == 0 {
            connection.left = connection.left.saturating_sub(self.depth as u32);
            return self.next(slot, time);
        }
        Ok(())
    }

    /// All that was asked has been answered: what now?
    fn next(&mut self, slot: usize, time: u64) -> io::Result<()> {
        match self.job.plan {
            Plan::Closed { .. } | Plan::Think { .. } if self.shared.phase() != Phase::Run => Ok(()),
            Plan::Closed { .. } if self.connections[slot].left == 0 => {
                self.close(slot);
                self.waiting.push_back(slot);
                self.open_some(time)
            }
            Plan::Closed { .. } => self.ask(slot, time),
            Plan::Think { .. } => {
                self.think(slot, time);
                Ok(())
            }
            Plan::Open { .. } => {
                self.idle.push_back(slot);
                self.dispatch(time)
            }
            Plan::Idle => {
                self.mark_ready(slot);
                Ok(())
            }
            Plan::Park => Ok(()),
        }
    }

    fn think(&mut self, slot: usize, time: u64) {
        let generation = self.connections[slot].generation;
        if let Some(thinkers) = self.thinkers.as_mut() {
            thinkers.think(time, slot, generation);
        }
    }

    /// Sends what is due by now, and arms the timer for what comes next.
    fn dispatch(&mut self, time: u64) -> io::Result<()> {
        match self.job.plan {
            Plan::Open { .. } => self.dispatch_schedule(time),
            Plan::Think { .. } => self.dispatch_thinkers(time),
            Plan::Closed { .. } | Plan::Idle | Plan::Park => Ok(()),
        }
    }

    fn dispatch_thinkers(&mut self, time: u64) -> io::Result<()> {
        while let Some(thinkers) = self.thinkers.as_mut() {
            match thinkers.next(time) {
                Ok((due, slot, generation)) => {
                    let connection = &self.connections[slot];
                    // It may have broken while it thought.
                    if connection.state == State::Open && connection.generation == generation {
                        self.ask(slot, due)?;
                    }
                }
                Err(None) => break,
                Err(Some(due)) => return self.arm(due),
            }
        }
        Ok(())
    }

    fn dispatch_schedule(&mut self, time: u64) -> io::Result<()> {
        if self.schedule.is_none() {
            if self.lane.ready.get() < self.connections.len() as u64 {
                return Ok(());
            }
            let (start, interval) = (time + self.offset, self.interval);
            self.schedule = Some(Schedule {
                start,
                interval,
                next: 0,
            });
        }
        while let Some(schedule) = self.schedule.as_mut() {
            let due = schedule.due();
            if due >= self.window.end {
                return Ok(());
            }
            let Some(&slot) = self.idle.front() else {
                return Ok(());
            };
            if due > time {
                return self.arm(due);
            }
            self.idle.pop_front();
            let connection = &self.connections[slot];
            // It may have broken since it was put here, and be in the queue twice then.
            if connection.state == State::Open && connection.asked == 0 {
                schedule.next += 1;
                self.ask(slot, due)?;
            }
        }
        Ok(())
    }

    fn arm(&mut self, due: u64) -> io::Result<()> {
        self.alarm.as_mut().map_or(Ok(()), |alarm| alarm.arm(due))
    }

    fn take_timer(&mut self) {
        if let Some(alarm) = self.alarm.as_mut() {
            alarm.take();
        }
    }

    /// A connection failed: count it, and open it again unless it is being held.
    ///
    /// # Errors
    /// When so many broke that going on would only burn CPU.
    fn broken(&mut self, slot: usize, error: &io::Error) -> io::Result<()> {
        self.close(slot);
        self.lane.errors.add(1);
        self.last_error = Some(error.to_string());
        if self.lane.errors.get() > MAX_ERRORS {
            return Err(io::Error::other(format!(
                "{MAX_ERRORS} connections broke: {error}"
            )));
        }
        self.not_before = now() + BACK_OFF;
        let holds = matches!(self.job.plan, Plan::Idle | Plan::Park);
        if holds && std::mem::take(&mut self.connections[slot].ready) {
            self.lane.ready.set(self.lane.ready.get() - 1);
        }
        // Once all are held, one that was lost stays lost: `Outcome::open` tells.
        if !(holds && self.window.start != u64::MAX) {
            self.waiting.push_back(slot);
        }
        Ok(())
    }

    fn close(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if connection.state == State::Connecting {
            self.connecting -= 1;
        }
        connection.state = State::Closed;
        connection.asked = 0;
        connection.unsent = 0;
        // Closing the descriptor takes it out of epoll.
        connection.stream = None;
    }

    fn drained(&self) -> bool {
        match &self.schedule {
            None => true,
            Some(schedule) => {
                schedule.due() >= self.window.end
                    && !self
                        .connections
                        .iter()
                        .any(|connection| connection.asked > 0)
            }
        }
    }

    fn finish(mut self) -> Part {
        let time = now();
        let (mut unanswered, mut starved) = (0, 0);
        let open_loop = matches!(self.job.plan, Plan::Open { .. });
        for connection in &self.connections {
            if connection.asked == 0 {
                continue;
            }
            if open_loop && self.window.contains(&connection.since) {
                unanswered += 1;
                self.latency
                    .saturating_record(time.saturating_sub(connection.since).max(1));
            }
            if connection.since < self.window.start {
                starved += 1;
            }
        }
        // Due in the window and never sent, because every connection was busy.
        while let Some(schedule) = self.schedule.as_mut() {
            let due = schedule.due();
            if due >= self.window.end || self.window.end == u64::MAX {
                break;
            }
            if self.window.contains(&due) {
                unanswered += 1;
                self.latency
                    .saturating_record(time.saturating_sub(due).max(1));
            }
            schedule.next += 1;
        }
        let open = self
            .connections
            .iter()
            .filter(|each| each.state == State::Open)
            .count();
        Part {
            latency: self.latency,
            unanswered,
            starved: if open_loop { 0 } else { starved },
            open,
            last_error: self.last_error,
        }
    }
}

/// Slot and generation as epoll carries them. Slots are below
/// [`super::MAX_CONNECTIONS`], so this never is [`TIMER`].
fn name(slot: usize, generation: u32) -> u64 {
    slot as u64 | u64::from(generation) << 32
}
