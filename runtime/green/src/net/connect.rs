//! Connecting: "happy eyeballs" over TCP (RFC 8305), and unix sockets.

use super::dns::{self, ToSocketAddrs};
use super::socket::until_space;
use crate::scheduler::thread::{Awaited, Io, wait_for};
use crate::scheduler::timed_out::TimedOut;
use crate::sys;
use crate::sys::Interest;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an attempt has for itself before the next one joins it (RFC 8305, section 5:
/// "Connection Attempt Delay", recommended value).
const DELAY: Duration = Duration::from_millis(250);

/// Attempts that are under way at once.
const MOST: usize = 8;

/// Connects to whatever address of the target answers first. The socket is non-blocking.
pub(super) fn tcp(target: &impl ToSocketAddrs, deadline: Option<Instant>) -> io::Result<TcpStream> {
    let addrs = dns::addresses(target, deadline)?;
    Race::new(addrs).run(deadline).map(TcpStream::from)
}

/// Connects to a unix socket. The socket is non-blocking.
pub(super) fn unix(path: &Path, deadline: Option<Instant>) -> io::Result<UnixStream> {
    let addr = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Unlike TCP, a connection is made at once, or not at all (`EAGAIN`).
    until_space(deadline, || socket.connect(&addr))?;
    Ok(socket.into())
}

/// Attempts to connect to several addresses.
struct Race {
    /// In the order in which they are to be tried.
    next: VecDeque<SocketAddr>,
    under_way: Vec<(SocketAddr, Socket)>,
    /// The first attempt that failed.
    failure: Option<io::Error>,
}

impl Race {
    fn new(addrs: Vec<SocketAddr>) -> Self {
        Self {
            next: interleave(addrs),
            under_way: Vec::new(),
            failure: None,
        }
    }

    /// Gives the first that is connected; the others are closed.
    fn run(mut self, deadline: Option<Instant>) -> io::Result<Socket> {
        let mut next_at = Instant::now();
        loop {
            let full = self.under_way.len() >= MOST;
            if !full
                && Instant::now() >= next_at
                && let Some(addr) = self.next.pop_front()
            {
                match begin(addr) {
                    Ok((socket, true)) => return Ok(socket),
                    Ok((socket, false)) => {
                        self.under_way.push((addr, socket));
                        next_at = Instant::now() + DELAY;
                    }
                    Err(error) => self.failed(addr, &error),
                }
                continue;
            }
            if self.under_way.is_empty() {
                return Err(self.failure.unwrap_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to")
                }));
            }
            let join_at = (!full && !self.next.is_empty()).then_some(next_at);
            match self.wait(deadline.into_iter().chain(join_at).min()) {
                Ok(index) => {
                    let (addr, socket) = self.under_way.swap_remove(index);
                    match outcome(&socket) {
                        Ok(()) => return Ok(socket),
                        Err(error) => self.failed(addr, &error),
                    }
                    next_at = Instant::now();
                }
                Err(TimedOut) if std::thread::panicking() => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(TimedOut) if deadline.is_some_and(|at| at <= Instant::now()) => {
                    let (addr, _) = &self.under_way[0];
                    let why = format!("{addr} has not answered in time");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
                Err(TimedOut) => {} // the next one joins
            }
        }
    }

    /// Waits until one is connected or has failed.
    fn wait(&self, deadline: Option<Instant>) -> Result<usize, TimedOut> {
        let fds: Vec<_> = self
            .under_way
            .iter()
            .map(|(_, socket)| (socket.as_fd(), Interest::Writable))
            .collect();
        wait_for(Awaited::Connect, deadline, Io::PollAny(&fds), |_, _| {
            fds.iter().position(|(fd, what)| sys::is_ready(*fd, *what))
        })
    }

    fn failed(&mut self, addr: SocketAddr, error: &io::Error) {
        self.failure
            .get_or_insert_with(|| io::Error::new(error.kind(), format!("{addr}: {error}")));
    }
}

/// RFC 8305, section 4: the families by turns, beginning with that of the first address, and the
/// order within each as it was.
fn interleave(addrs: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let Some(first) = addrs.first().map(SocketAddr::is_ipv6) else {
        return VecDeque::new();
    };
    let (leading, other): (Vec<_>, Vec<_>) =
        addrs.into_iter().partition(|addr| addr.is_ipv6() == first);
    let (mut leading, mut other) = (leading.into_iter(), other.into_iter());
    let mut order = VecDeque::new();
    loop {
        match (leading.next(), other.next()) {
            (None, None) => return order,
            (one, two) => order.extend(one.into_iter().chain(two)),
        }
    }
}

/// Begins to connect. True if that was all.
fn begin(addr: SocketAddr) -> io::Result<(Socket, bool)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&addr.into()) {
        Ok(()) => Ok((socket, true)),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok((socket, false)),
        Err(error) => Err(error),
    }
}

/// How an attempt has ended that has ended.
fn outcome(socket: &Socket) -> io::Result<()> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => socket.peer_addr().map(|_addr| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(addrs: &[&str]) -> Vec<String> {
        let addrs = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        let order = interleave(addrs);
        order
            .into_iter()
            .map(|addr| addr.ip().to_string())
            .collect()
    }

    #[test]
    fn families_take_turns_from_that_of_the_first() {
        let (v4, v6) = (
            ["10.0.0.1:1", "10.0.0.2:1"],
            ["[::1]:1", "[::2]:1", "[::3]:1"],
        );
        let six_first: Vec<_> = v6.into_iter().chain(v4).collect();
        assert_eq!(
            order(&six_first),
            ["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]
        );
        let four_first: Vec<_> = v4.into_iter().chain(v6).collect();
        assert_eq!(
            order(&four_first),
            ["10.0.0.1", "::1", "10.0.0.2", "::2", "::3"]
        );
        assert_eq!(order(&v4), ["10.0.0.1", "10.0.0.2"]);
        assert!(order(&[]).is_empty());
    }
}
