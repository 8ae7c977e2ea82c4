//! What is asked of all processes at once: the pages of the metrics, and whether all is well.
//!
//! The thread of the metrics asks, the master's loop passes the question on and collects the
//! answers. A process that does not answer is not waited for longer than [`PATIENCE`].

use crossbeam_channel::{Receiver, Sender, bounded};
use http::StatusCode;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long answers are waited for.
pub(super) const PATIENCE: Duration = Duration::from_millis(700);

/// What one process has answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The number of the process among its like.
    pub(super) number: usize,
    pub(super) process: u32,
    pub(super) status: StatusCode,
    pub(super) body: String,
}

/// All answers that there are, and what the master itself knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) answers: Vec<Answer>,
    /// How many were asked.
    pub(super) asked: usize,
    pub(super) own: Own,
}

/// What the master knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    pub(super) starting: usize,
    pub(super) serving: usize,
    pub(super) leaving: usize,
    pub(super) wanted: usize,
    pub(super) lost: u64,
    pub(super) replaced: u64,
    /// What processes have counted that are no more.
    pub(super) counted: super::Sums,
    pub(super) stopping: bool,
}

/// A question, and where its answers go.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) path: String,
    answers: Sender<Answers>,
}

/// Where questions come from.
#[derive(Debug)]
pub(super) struct Asking {
    questions: Sender<Question>,
    /// Wakes the master.
    bell: UnixStream,
}

impl Asking {
    /// The two ends: who asks, and what the master looks at when its end of the bell is readable.
    pub(super) fn new(bell: UnixStream) -> (Self, Receiver<Question>) {
        // One thread asks, and waits for the answers.
        let (questions, asked) = bounded(1);
        (Self { questions, bell }, asked)
    }

    /// Asks all processes. `None` if the master does not answer.
    pub(super) fn ask(&self, path: String) -> Option<Answers> {
        let (answers, wait) = bounded(1);
        self.questions.try_send(Question { path, answers }).ok()?;
        let _full_is_as_good = (&self.bell).write(&[1]);
        wait.recv_timeout(PATIENCE * 2).ok()
    }
}

/// A question that was passed on.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) number: u32,
    pub(super) path: String,
    /// The processes that have yet to answer.
    waits_for: Vec<u32>,
    pub(super) until: Instant,
    got: Answers,
    /// `None`: it is the watchdog's.
    answers: Option<Sender<Answers>>,
}

impl Open {
    pub(super) fn new(
        number: u32,
        path: &str,
        asked: Vec<u32>,
        question: Option<Question>,
    ) -> Self {
        Self {
            number,
            path: path.to_owned(),
            until: Instant::now() + PATIENCE,
            got: Answers {
                asked: asked.len(),
                ..Answers::default()
            },
            waits_for: asked,
            answers: question.map(|question| question.answers),
        }
    }

    pub(super) fn add(&mut self, answer: Answer) {
        self.waits_for.retain(|process| *process != answer.process);
        self.got.answers.push(answer);
    }

    /// One that has ended will not answer.
    pub(super) fn gone(&mut self, process: u32) {
        self.waits_for.retain(|one| *one != process);
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.waits_for.is_empty() || now >= self.until
    }

    /// Gives the answers to whoever has asked; back, if that is the watchdog.
    pub(super) fn close(mut self, own: impl FnOnce() -> Own) -> Option<Answers> {
        let Some(answers) = self.answers else {
            return Some(self.got);
        };
        self.got.own = own();
        self.got.answers.sort_by_key(|answer| answer.number);
        let _has_given_up = answers.send(self.got);
        None
    }
}
