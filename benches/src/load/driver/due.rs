//! What is due when, and what was due and never answered.

use std::io;

use super::super::Plan;
use super::super::connection::State;
use super::super::lane::now;
use super::super::timing::Schedule;
use super::{Driver, Part};

impl Driver<'_> {
    /// Sends what is due by now, and arms the timer for what comes next.
    pub(super) fn dispatch(&mut self, time: u64) -> io::Result<()> {
        match self.job.plan {
            Plan::Open { .. } => self.dispatch_schedule(time),
            Plan::Think { .. } => self.dispatch_thinkers(time),
            Plan::Closed { .. } | Plan::Idle | Plan::Park | Plan::Listen => Ok(()),
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

    pub(super) fn take_timer(&mut self) {
        if let Some(alarm) = self.alarm.as_mut() {
            alarm.take();
        }
    }

    pub(super) fn drained(&self) -> bool {
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

    pub(super) fn finish(mut self) -> Part {
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
