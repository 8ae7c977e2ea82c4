//! Running a process to its end: all of its pipes at once, so that none fills up unread.

use super::pipe::ChildStdin;
use super::{Child, Output};
use crate::scheduler::thread::deadline_in;
use crate::{Builder, Greenlet, Waitable, iwait};
use bytes::Bytes;
use std::io::{self, Read, Write};
use std::mem;
use std::time::{Duration, Instant};

/// One green thread for each pipe. What has not ended is killed when this is dropped.
#[derive(Default)]
struct Pipes {
    threads: Vec<Greenlet<io::Result<Vec<u8>>>>,
}

impl Drop for Pipes {
    fn drop(&mut self) {
        for thread in &self.threads {
            thread.kill();
        }
    }
}

impl Pipes {
    /// Gives the place of the thread.
    fn add(
        &mut self,
        name: &str,
        body: impl FnOnce() -> io::Result<Vec<u8>> + Send + 'static,
    ) -> usize {
        self.threads.push(Builder::new().name(name).spawn(body));
        self.threads.len() - 1
    }

    /// Waits until all have ended, or one has failed.
    fn join(&mut self, deadline: Option<Instant>) -> io::Result<Vec<Vec<u8>>> {
        let mut outputs = vec![Vec::new(); self.threads.len()];
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let objects: Vec<_> = self.threads.iter().map(|t| t as &dyn Waitable).collect();
        let mut ended = 0;
        for place in iwait(&objects, left) {
            outputs[place] = self.threads[place]
                .join_timeout(Duration::ZERO)
                .expect("it has ended")
                .unwrap_or_else(|error| Err(io::Error::other(error.to_string())))?;
            ended += 1;
        }
        if ended < outputs.len() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(outputs)
    }
}

/// Whatever goes wrong, dropping the child kills it.
pub(super) fn run(mut child: Child) -> io::Result<Output> {
    let timeout = child.settings.timeout;
    let deadline = timeout.and_then(deadline_in);
    let explain = |error: io::Error| match timeout {
        Some(timeout) if error.kind() == io::ErrorKind::TimedOut => {
            let why = format!("the child took longer than {timeout:?} and was killed");
            io::Error::new(io::ErrorKind::TimedOut, why)
        }
        _ => error,
    };
    let most = child.settings.max_output;
    let mut pipes = Pipes::default();
    if let Some(stdin) = child.stdin.take() {
        let input = mem::take(&mut child.settings.input);
        if !input.is_empty() {
            pipes.add("child's stdin", move || feed(&stdin, &input));
        }
    }
    let stdout = child
        .stdout
        .take()
        .map(|pipe| pipes.add("child's stdout", move || drain(pipe, most, "stdout")));
    let stderr = child
        .stderr
        .take()
        .map(|pipe| pipes.add("child's stderr", move || drain(pipe, most, "stderr")));
    let mut outputs = pipes.join(deadline).map_err(explain)?;
    let status = child.process.running().wait_until(deadline);
    let mut take =
        |place: Option<usize>| place.map_or(Vec::new(), |at| mem::take(&mut outputs[at]));
    Ok(Output {
        status: status.map_err(explain)?,
        stdout: take(stdout),
        stderr: take(stderr),
    })
}

fn feed(mut stdin: &ChildStdin, input: &Bytes) -> io::Result<Vec<u8>> {
    match stdin.write_all(input) {
        // It need not read all, or anything.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(Vec::new()),
    }
}

fn drain(pipe: impl Read, most: usize, name: &str) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    pipe.take(most as u64 + 1).read_to_end(&mut output)?;
    if output.len() > most {
        let why = format!("the child wrote more than {most} bytes to its {name} and was killed");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(output)
}
