//! Listening sockets that the process was started with.
//!
//! A supervisor that opens the sockets itself can start the server when the first client comes,
//! restart it without refusing anybody, and listen on ports that the server may not have. Two
//! ways to say so: systemd's `LISTEN_FDS` and `LISTEN_PID` (see `sd_listen_fds(3)`), and gunicorn's
//! `--bind fd://N`.
//!
//! What must stay true: a descriptor is taken once, and only if it is a listening stream socket;
//! anything else that happens to have the number is left alone.
//!
//! # Implementation
//!
//! Making an owner out of a number is `unsafe` in Rust, for good reason: somebody else may own
//! it. What systemd has announced is ours by its protocol, which the crate `listenfd` vouches
//! for. Of all other numbers, one that was passed on to this program when it was started is taken
//! over ([`take_over`](crate::green::embed::take_over)), so that our children do not
//! hold the port, and clients are refused once we have stopped to listen. What somebody in this
//! process has opened is duplicated through `pidfd_getfd`, so that whoever owns it keeps it.

use crate::green::embed::{Locked, lock, take_over};
use listenfd::ListenFd;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{SockRef, Type};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, OnceLock};

/// Announced sockets by number; `None` once somebody has taken one.
type Announced = Vec<(i32, Option<TcpListener>)>;

/// What was announced. Read once: the variables are not for our children.
fn announced() -> Locked<'static, Announced> {
    static ANNOUNCED: OnceLock<Mutex<Announced>> = OnceLock::new();
    lock(ANNOUNCED.get_or_init(|| Mutex::new(read_announced())))
}

fn read_announced() -> Announced {
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        // The type of socket is checked by `listenfd`. A unix socket fits the same owner: only
        // the descriptor counts.
        let socket = match given.take_tcp_listener(index) {
            Ok(socket) => socket,
            Err(_not_tcp) => given
                .take_unix_listener(index)
                .inspect_err(|error| log::warn!("a socket of LISTEN_FDS is not used: {error}"))
                .unwrap_or_default()
                .map(|socket| OwnedFd::from(socket).into()),
        };
        if let Some(socket) = socket {
            sockets.push((socket.as_raw_fd(), Some(socket)));
        }
    }
    sockets
}

/// The numbers of the announced sockets that nobody has taken yet.
pub(crate) fn waiting() -> Vec<i32> {
    announced()
        .iter()
        .filter(|(_, socket)| socket.is_some())
        .map(|(number, _)| *number)
        .collect()
}

/// The socket with this number.
///
/// # Errors
/// When there is none, it was taken before, or it is not a listening stream socket.
pub(super) fn take(number: i32) -> io::Result<TcpListener> {
    let socket = match announced().iter_mut().find(|(known, _)| *known == number) {
        Some((_, socket)) => socket.take().ok_or_else(|| {
            io::Error::new(io::ErrorKind::AddrInUse, "the descriptor is in use already")
        })?,
        None => match take_over(number) {
            Some(taken) => taken.into(),
            None => duplicate(number)?.into(),
        },
    };
    let asked = SockRef::from(&socket);
    if asked.r#type().ok() != Some(Type::STREAM) || !asked.is_listener().unwrap_or(false) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the descriptor is not a listening stream socket",
        ));
    }
    asked.set_cloexec(true)?; // our children are not to hold the port
    Ok(socket)
}

fn duplicate(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).map_err(|error| {
        let error = io::Error::from(error);
        let why = match error.raw_os_error() {
            Some(libc::EBADF) => "there is no such descriptor".to_owned(),
            Some(libc::EPERM | libc::ENOSYS) => {
                format!("the descriptor cannot be duplicated ({error}): announce it by LISTEN_FDS")
            }
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_stream_sockets_are_taken() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = take(listening.as_raw_fd()).unwrap();
        assert_eq!(
            taken.local_addr().unwrap(),
            listening.local_addr().unwrap(),
            "a duplicate; the owner keeps its own"
        );
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for (fd, why) in [
            (udp.as_raw_fd(), "not a listening stream socket"),
            (file.as_raw_fd(), "not a listening stream socket"),
            (i32::MAX, "no such descriptor"),
        ] {
            let error = take(fd).unwrap_err();
            assert!(error.to_string().contains(why), "{fd}: {error}");
        }
    }
}
