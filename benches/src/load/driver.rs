//! One generator thread: an epoll loop over its share of the connections.
//!
//! A connection goes through three states, `Closed -> Connecting -> Open`, and back
//! to `Closed` when it breaks or, under churn, when its requests are used up; closed
//! ones wait in a queue to be opened again. One that is to be a WebSocket is open while
//! it shakes hands, and its reader says how far it is. At most [`CONNECTING`] handshakes are in
//! flight, so that no backlog overflows and the ramp measures the server, not SYN
//! retransmissions.

mod due;

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
use super::frames::{Reader, stamp};
use super::lane::{Lane, Phase, Shared, now, thread_cpu, wall};
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
            _ => 1,
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
            _ => {}
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
            connection.reader = match self.job.upgrade {
                None => Reader::Http(ReplyReader::new()),
                Some(_) => Reader::Upgrading(Vec::new()),
            };
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
                if let Some(upgrade) = &self.job.upgrade {
                    self.connections[slot].unsent = upgrade.len();
                    self.flush(slot)?;
                } else {
                    self.opened(slot)?;
                }
            } else {
                self.flush(slot)?;
            }
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read(slot)?;
        }
        Ok(())
    }

    /// The connection, or the WebSocket on it, stands.
    fn opened(&mut self, slot: usize) -> io::Result<()> {
        match self.job.plan {
            Plan::Listen => {
                self.mark_ready(slot);
                Ok(())
            }
            Plan::Idle if self.job.upgrade.is_some() => {
                self.mark_ready(slot);
                Ok(())
            }
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
            let batch = match (&connection.reader, &self.job.upgrade) {
                (Reader::Upgrading(_), Some(upgrade)) => upgrade,
                _ => &self.batches[connection.turn % self.batches.len()],
            };
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
        let read = &self.buffer[..n];
        let (mut answers, mut refused) = (0, 0);
        let (mut upgraded, mut time) = (false, 0);
        let listens = matches!(self.job.plan, Plan::Listen);
        let fed = match &mut connection.reader {
            Reader::Http(reader) => reader.feed(read, &mut self.cache, |status| {
                answers += 1;
                refused += u64::from(!(200..300).contains(&status));
            }),
            reader => {
                let (latency, window) = (&mut self.latency, &self.window);
                let fed = reader.feed(read, |message| {
                    answers += 1;
                    if !listens {
                        return;
                    }
                    time = now();
                    if let Some(stamp) = stamp(message)
                        && window.contains(&time)
                    {
                        latency.saturating_record(wall().saturating_sub(stamp).max(1));
                    }
                });
                fed.map(|now_open| upgraded = now_open)
            }
        };
        let fed = match fed {
            Ok(()) if answers > connection.asked && !listens => {
                Err(BadReply("more answers than requests"))
            }
            fed => fed,
        };
        if let Err(BadReply(why)) = fed {
            return self.broken(slot, &io::Error::new(ErrorKind::InvalidData, why));
        }
        if upgraded {
            self.opened(slot)?;
        }
        if answers == 0 {
            return Ok(());
        }
        if listens {
            self.lane.completed.add(answers as u64);
            self.lane.last.set(time);
            return Ok(());
        }
        let connection = &mut self.connections[slot];
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
            Plan::Park | Plan::Listen => Ok(()),
        }
    }

    fn think(&mut self, slot: usize, time: u64) {
        let generation = self.connections[slot].generation;
        if let Some(thinkers) = self.thinkers.as_mut() {
            thinkers.think(time, slot, generation);
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
        let holds = matches!(self.job.plan, Plan::Idle | Plan::Park | Plan::Listen);
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
}

/// Slot and generation as epoll carries them. Slots are below
/// [`super::MAX_CONNECTIONS`], so this never is [`TIMER`].
fn name(slot: usize, generation: u32) -> u64 {
    slot as u64 | u64::from(generation) << 32
}
