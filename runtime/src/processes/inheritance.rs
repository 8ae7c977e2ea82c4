//! What a process has from the master that has started it: its role, its end of a socket pair, and
//! the listening sockets.
//!
//! Descriptors keep their numbers, and an environment variable tells them. It lives on in the
//! children of a process, which have the variable without the descriptors. So it tells also which
//! socket the pair's end is: whoever has another one under that number, or none, is not meant.

use crate::green::embed::{pass_on, take_over};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;

/// The environment variable.
pub(crate) const VARIABLE: &str = "GREENWAY_PROCESS";

/// What a master has started a process for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// To serve, under this number.
    Serve(usize),
    /// To be a master in its place.
    Succeed,
}

/// What a process has from its master.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) role: Role,
    pub(crate) control: UnixStream,
    /// Where to listen, as addresses for `--bind`.
    pub(crate) bind: Vec<String>,
    /// Where to show metrics, likewise.
    pub(crate) metrics: Option<String>,
    /// Where to lead from http to https, likewise.
    pub(crate) redirect: Option<String>,
}

/// What is passed on to a process that is about to be started.
#[derive(Debug)]
pub(super) struct Legacy<'a> {
    pub(super) role: Role,
    pub(super) sockets: Vec<BorrowedFd<'a>>,
    pub(super) metrics: Option<BorrowedFd<'a>>,
    pub(super) redirect: Option<BorrowedFd<'a>>,
}

impl Legacy<'_> {
    /// Prepares a command that starts the process, and gives the master's end of the pair.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub(super) fn hand_to(&self, command: &mut Command) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let socket = socket_of(theirs.as_raw_fd())?;
        let mut passed = Vec::new();
        let mut pass = |socket: OwnedFd| {
            let number = socket.as_raw_fd().to_string();
            passed.push(socket);
            number
        };
        let control = pass(theirs.into());
        let mut numbers = Vec::new();
        for socket in &self.sockets {
            numbers.push(pass(socket.try_clone_to_owned()?));
        }
        let mut pass_one = |socket: Option<BorrowedFd<'_>>| match socket {
            Some(socket) => Ok(pass(socket.try_clone_to_owned()?)),
            None => io::Result::Ok(String::new()),
        };
        let metrics = pass_one(self.metrics)?;
        let redirect = pass_one(self.redirect)?;
        let role = match self.role {
            Role::Serve(number) => number.to_string(),
            Role::Succeed => "next".to_owned(),
        };
        let sockets = numbers.join(",");
        let value = format!("{role} {control} {socket} {sockets} {metrics} {redirect}");
        command.env(VARIABLE, value);
        pass_on(command, passed);
        Ok(ours)
    }
}

/// What this process has from a master; `None` if it was started by somebody else. Takes it: a
/// second call gives nothing.
///
/// # Errors
/// When it was started by a master, and cannot find what it has from it.
pub(crate) fn inherited() -> io::Result<Option<Inherited>> {
    let Ok(value) = std::env::var(VARIABLE) else {
        return Ok(None);
    };
    let Some(told) = Told::read(&value) else {
        return Ok(None);
    };
    if fs::symlink_metadata("/proc/self/fd").is_err() {
        return Err(io::Error::other(
            "/proc is not there, which --workers needs",
        ));
    }
    match socket_of(told.control) {
        Ok(socket) if socket == told.socket => {}
        Ok(_) => return Ok(None),
        // No socket, or nothing at all, has this number.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
            ) =>
        {
            return Ok(None);
        }
        // Who goes on without knowing would be a master of its own, and start more of them.
        Err(error) => {
            let why = format!("cannot tell what the master has passed on: {error}");
            return Err(io::Error::new(error.kind(), why));
        }
    }
    let Some(control) = take_over(told.control) else {
        return Ok(None);
    };
    let address = |number: i32| format!("fd://{number}");
    Ok(Some(Inherited {
        role: told.role,
        control: control.into(),
        bind: told.sockets.into_iter().map(address).collect(),
        metrics: told.metrics.map(address),
        redirect: told.redirect.map(address),
    }))
}

/// The variable's value.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    role: Role,
    control: i32,
    socket: u64,
    sockets: Vec<i32>,
    metrics: Option<i32>,
    redirect: Option<i32>,
}

impl Told {
    fn read(value: &str) -> Option<Self> {
        let parts: Vec<_> = value.split(' ').collect();
        let &[role, control, socket, sockets, metrics, redirect] = &parts[..] else {
            return None;
        };
        let role = match role {
            "next" => Role::Succeed,
            number => Role::Serve(number.parse().ok()?),
        };
        let sockets = sockets.split(',').map(str::parse);
        Some(Self {
            role,
            control: control.parse().ok()?,
            socket: socket.parse().ok()?,
            sockets: sockets.collect::<Result<_, _>>().ok()?,
            metrics: metrics.parse().ok(),
            redirect: redirect.parse().ok(),
        })
    }
}

/// Which socket has this number, as the kernel counts them.
fn socket_of(number: i32) -> io::Result<u64> {
    let link = fs::read_link(format!("/proc/self/fd/{number}"))?;
    let link = link.to_string_lossy();
    let inode = link.strip_prefix("socket:[");
    let inode = inode.and_then(|rest| rest.strip_suffix(']')?.parse().ok());
    inode.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this is no socket"))
}

/// The descriptors of sockets.
pub(super) fn borrowed<'a>(
    sockets: impl IntoIterator<Item = &'a (impl AsFd + 'a)>,
) -> Vec<BorrowedFd<'a>> {
    sockets.into_iter().map(AsFd::as_fd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_read_as_it_is_written() {
        let told = Told::read("2 7 12345 8,9  10").unwrap();
        let expected = Told {
            role: Role::Serve(2),
            control: 7,
            socket: 12345,
            sockets: vec![8, 9],
            metrics: None,
            redirect: Some(10),
        };
        assert_eq!(told, expected);
        let next = Told::read("next 7 12345 8 11 ").unwrap();
        assert_eq!((next.role, next.metrics), (Role::Succeed, Some(11)));
        for wrong in ["", "1", "1 2 3 4", "x 7 1 8 ", "1 7 1 x ", "1 7 1 8  9 9"] {
            assert_eq!(Told::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_socket_is_known_by_its_inode() {
        let (one, other) = UnixStream::pair().unwrap();
        let [one, other] = [one, other].map(|end| socket_of(end.as_raw_fd()).unwrap());
        assert_ne!(one, other);
        let file = fs::File::open("/dev/null").unwrap();
        assert!(socket_of(file.as_raw_fd()).is_err());
    }
}
