//! The orphans of a container whose only process we are (PID 1).
//!
//! A process whose parent has ended becomes a child of PID 1, and stays as a zombie until that
//! waits for it. Where a program is started without an init, that is us.
//!
//! What must stay true: nobody else's child is waited for, or its parent could not have its
//! status. The kernel gives orphans to our main thread, which starts no processes of its own once
//! it serves; and one that somebody waits for is no zombie for as long as two looks.

use crate::service::ServiceThread;
use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::time::Duration;

/// How often orphans are looked for.
const PAUSE: Duration = Duration::from_millis(150);

/// Reaps orphans from now on, if we are PID 1.
///
/// # Errors
/// When the process can have no more threads.
pub(crate) fn reap_as_init() -> io::Result<()> {
    if getpid().as_raw_nonzero().get() != 1 {
        return Ok(());
    }
    let mut seen = HashSet::new();
    // It ends with the process.
    let _detached = ServiceThread::start("greenway-init", move || {
        loop {
            std::thread::sleep(PAUSE);
            seen = look(&seen);
        }
    })?;
    Ok(())
}

/// Reaps the orphans that have ended, for a master that is PID 1: `own` are its own children, which it
/// waits for itself. Nobody else in its process starts any from the main thread.
pub(crate) fn reap_orphans(own: &[u32]) {
    let is_own = |child: &i32| u32::try_from(*child).is_ok_and(|child| own.contains(&child));
    for child in zombies().filter(|child| !is_own(child)) {
        let _status = waitpid(Pid::from_raw(child), WaitOptions::NOHANG);
    }
}

/// Reaps the zombies that were seen before, and gives those that were not.
fn look(seen: &HashSet<i32>) -> HashSet<i32> {
    let (old, new): (Vec<i32>, Vec<i32>) = zombies().partition(|child| seen.contains(child));
    for child in old {
        // Fails if somebody else was quicker.
        let _status = waitpid(Pid::from_raw(child), WaitOptions::NOHANG);
    }
    new.into_iter().collect()
}

/// Children of the main thread that have ended, and were not waited for.
fn zombies() -> impl Iterator<Item = i32> {
    let children = fs::read_to_string("/proc/self/task/1/children").unwrap_or_default();
    let children = children.split_whitespace();
    let children: Vec<_> = children.filter_map(|number| number.parse().ok()).collect();
    children.into_iter().filter(|child| is_zombie(*child))
}

fn is_zombie(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // `1 (name) Z 0 ...`, where the name may hold anything.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('Z'))
}
