//! [`Child`]: a process, and what becomes of it when its handle goes.

use super::pipe::{ChildStderr, ChildStdin, ChildStdout};
use super::{ExitStatus, Output, Settings, communicate, reaper};
use crate::os::descriptor::Descriptor;
use crate::scheduler::giving_way::sleep;
use crate::scheduler::thread::deadline_in;
use crate::sys::Interest;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How often a process is asked for which there is no pidfd: at first, and at last.
const ASK: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// A process that was started by [`Command::spawn`](super::Command::spawn).
///
/// Dropping it kills the process, unless it has ended; [`detach`](Self::detach) lets it go on.
/// (std and gevent let it go on. Here a handler may be unwound at any wait, because its client
/// has left, and what it has started should not be left behind.) Either way it is reaped.
#[derive(Debug)]
pub struct Child {
    /// Where to write what it reads, if that is a pipe.
    pub stdin: Option<ChildStdin>,
    /// Where to read what it writes, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// Where to read its complaints, if that is a pipe.
    pub stderr: Option<ChildStderr>,
    pub(crate) process: Process,
    pub(super) settings: Settings,
}

impl Child {
    pub(super) fn new(mut child: std::process::Child, settings: Settings) -> io::Result<Self> {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // First, so that an error below kills and reaps it.
        let process = Process::new(child, settings.leads_group);
        Ok(Self {
            stdin: stdin.map(ChildStdin::new).transpose()?,
            stdout: stdout.map(ChildStdout::new).transpose()?,
            stderr: stderr.map(ChildStderr::new).transpose()?,
            process,
            settings,
        })
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.id
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// When somebody else has reaped it: a program that ignores SIGCHLD, or that waits for all
    /// its children.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.running().try_wait()
    }

    /// Closes its stdin, and waits until it has ended.
    ///
    /// # Errors
    /// As [`try_wait`](Self::try_wait).
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.stdin = None;
        self.process.running().wait_until(None)
    }

    /// As [`wait`](Self::wait), at most `timeout`; `None` when it still runs.
    ///
    /// ```
    /// use greenway_green::subprocess::Command;
    /// use std::time::Duration;
    ///
    /// let mut child = Command::new("sleep").arg("60").spawn()?;
    /// if child.wait_timeout(Duration::from_millis(10))?.is_none() {
    ///     child.terminate()?;
    /// }
    /// assert!(!child.wait()?.success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`try_wait`](Self::try_wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        self.stdin = None;
        match self.process.running().wait_until(deadline_in(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
            done => done.map(Some),
        }
    }

    /// Writes [`Command::input`](super::Command::input) to its stdin and closes that, reads its
    /// stdout and stderr as far as they are pipes, and waits until it has ended: Python's
    /// `communicate`.
    ///
    /// # Errors
    /// As [`Command::output`](super::Command::output); the timeout counts from this call.
    pub fn wait_with_output(self) -> io::Result<Output> {
        communicate::run(self)
    }

    /// Kills it (SIGKILL), if it still runs. Does not wait; [`wait`](Self::wait) then is short.
    ///
    /// # Errors
    /// When it has taken another user's identity.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.signal(Signal::KILL)
    }

    /// Asks it to end (SIGTERM), if it still runs. Does not wait.
    ///
    /// # Errors
    /// As [`kill`](Self::kill).
    pub fn terminate(&mut self) -> io::Result<()> {
        self.process.signal(Signal::TERM)
    }

    /// Sends it a signal, if it still runs: Python's `send_signal`.
    ///
    /// # Errors
    /// As [`kill`](Self::kill); [`InvalidInput`](io::ErrorKind::InvalidInput) when there is no
    /// signal of this number with a name.
    pub fn signal(&mut self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal).ok_or_else(|| {
            let why = format!("{signal} is no signal that has a name");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        self.process.signal(signal)
    }

    /// Lets it go on without us, and gives its number. It is reaped when it has ended. Its pipes
    /// are closed, unless they were taken before.
    pub fn detach(mut self) -> u32 {
        self.process.kill_on_drop = false;
        self.id()
    }
}

/// A process that is killed, and handed to the reaper, when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    /// Given away when dropped.
    running: Option<Running>,
    id: u32,
    leads_group: bool,
    kill_on_drop: bool,
}

impl Process {
    fn new(child: std::process::Child, leads_group: bool) -> Self {
        // It is not reaped before it has been waited for, so the number is still its own.
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::NONBLOCK);
        let end = pidfd.map_err(io::Error::from).and_then(Descriptor::new);
        Self {
            id: child.id(),
            running: Some(Running {
                child,
                end: end.ok(),
                status: None,
            }),
            leads_group,
            kill_on_drop: true,
        }
    }

    pub(crate) fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("given away when dropped")
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.running().try_wait()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_child(&self.running().child);
        if self.leads_group {
            kill_process_group(pid, signal)?;
        } else {
            kill_process(pid, signal)?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kill_on_drop {
            // Nothing else can be done about one that has another user's identity.
            let _ = self.signal(Signal::KILL);
        }
        if let Some(mut running) = self.running.take()
            && matches!(running.try_wait(), Ok(None))
        {
            reaper::bury(running);
        }
    }
}

/// A process that has not been waited for, and what tells of its end.
#[derive(Debug)]
pub(crate) struct Running {
    child: std::process::Child,
    /// The pidfd, where there are such.
    pub(crate) end: Option<Descriptor<OwnedFd>>,
    status: Option<ExitStatus>,
}

impl Running {
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        ask(&mut self.child, &mut self.status)
    }

    pub(super) fn wait_until(&mut self, deadline: Option<Instant>) -> io::Result<ExitStatus> {
        let Self {
            child,
            status,
            end: Some(end),
        } = self
        else {
            return self.ask_until(deadline);
        };
        end.wait(Interest::Readable, deadline, |_| {
            ask(child, status)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
        })
    }

    /// As [`wait_until`](Self::wait_until), without a pidfd.
    fn ask_until(&mut self, deadline: Option<Instant>) -> io::Result<ExitStatus> {
        let [mut pause, longest] = ASK;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // A thread that unwinds does not sleep.
            if left.is_some_and(|left| left.is_zero()) || std::thread::panicking() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(left.map_or(pause, |left| left.min(pause)));
            pause = (2 * pause).min(longest);
        }
    }
}

/// Asks a process for its status, unless it has given it before.
fn ask(
    child: &mut std::process::Child,
    status: &mut Option<ExitStatus>,
) -> io::Result<Option<ExitStatus>> {
    if status.is_none() {
        *status = child.try_wait()?;
    }
    Ok(*status)
}
