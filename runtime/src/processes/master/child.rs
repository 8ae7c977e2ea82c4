//! One process that the master has started.

use crate::processes::frames::{Frames, Order, Report};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It does not serve yet, and has until then for that.
    Starting {
        until: Option<Instant>,
    },
    Serving,
    /// It was told to go, and is killed if it is still there then.
    Leaving {
        until: Option<Instant>,
    },
}

/// A process that was started. It is not killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// `None` once it has closed its end.
    pub(super) control: Option<UnixStream>,
    frames: Frames,
    pub(super) state: State,
    pub(super) started: Instant,
}

impl Process {
    /// Starts it. `control` is our end of its pair.
    ///
    /// # Errors
    /// When the program cannot be executed, or the process can have no more descriptors.
    pub(super) fn start(
        mut command: Command,
        control: UnixStream,
        boot: Option<Duration>,
    ) -> io::Result<Self> {
        control.set_nonblocking(true)?;
        let child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            io::Error::new(error.kind(), format!("{program}: {error}"))
        })?;
        let started = Instant::now();
        let until = boot.and_then(|boot| started.checked_add(boot));
        Ok(Self {
            child,
            control: Some(control),
            frames: Frames::default(),
            state: State::Starting { until },
            started,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.state, State::Starting { .. })
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. })
    }

    /// Tells it something. False if it cannot hear.
    pub(super) fn tell(&mut self, order: &Order) -> bool {
        let Some(control) = &mut self.control else {
            return false;
        };
        // The socket has room for thousands of them, so one that does not fit is for a process that
        // has been stopped. Half of an order would spoil the rest.
        let bytes = order.to_bytes();
        match control.write(&bytes) {
            Ok(n) if n == bytes.len() => true,
            Ok(_) => {
                self.control = None;
                false
            }
            Err(_) => false,
        }
    }

    /// What it has told. Does not wait.
    pub(super) fn reports(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some(control) = &mut self.control {
            let mut buffer = [0; 16 * 1024];
            match control.read(&mut buffer) {
                Ok(0) => self.control = None,
                Ok(n) => self.frames.push(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.control = None,
            }
            loop {
                match self.frames.report() {
                    Ok(Some(report)) => reports.push(report),
                    Ok(None) => break,
                    Err(error) => {
                        log::error!("process {} is not understood: {error}", self.id());
                        self.control = None;
                        break;
                    }
                }
            }
        }
        reports
    }

    pub(super) fn signal(&self, signal: Signal) {
        // It is not reaped before we have waited for it, so the number is still its own.
        let _it_has_ended = kill_process(Pid::from_child(&self.child), signal);
    }

    /// How it has ended; `None` if it has not. Somebody else may have waited for it, as only a
    /// program's own code could: then nobody knows.
    pub(super) fn try_wait(&mut self) -> Option<ExitStatus> {
        match self.child.try_wait() {
            Ok(status) => status,
            Err(_) => Some(ExitStatus::from_raw(0)),
        }
    }
}

/// How a process has ended, in words.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("of no name");
            format!("was ended by signal {signal} ({name})")
        }
        (None, None) => "ended".to_owned(),
    }
}
