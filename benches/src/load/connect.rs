//! Opening connections: many of them, without waiting, from several addresses.
//!
//! A TCP connection is named by two addresses and two ports. Towards one server port
//! one source address allows as many connections as there are ephemeral ports (28,232
//! by default), and one that was closed by us stays taken for a minute (`TIME_WAIT`),
//! so that even a few thousand per run use them up: the kernel then searches for a
//! free port for longer than the server takes to answer. All of 127.0.0.0/8 is ours,
//! so the connections take turns over [`SOURCES`] addresses, and each job goes on
//! where the one before has stopped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Source addresses 127.0.0.2 to 127.0.0.251.
const SOURCES: u32 = 250;

/// The next source address. A counter of the process, since ports stay taken for longer
/// than a job lives.
fn source() -> Ipv4Addr {
    static OPENED: AtomicU32 = AtomicU32::new(0);
    let turn = OPENED.fetch_add(1, Ordering::Relaxed) % SOURCES;
    // Below 250 by the remainder above.
    Ipv4Addr::new(127, 0, 0, 2 + turn as u8)
}

/// Starts a connection; whether it stands is known when the first write succeeds.
///
/// # Errors
/// When the kernel refuses at once: no descriptors, no ports, nobody listening.
pub(super) fn open(target: SocketAddr) -> io::Result<TcpStream> {
    open_as(target, Receiver::Eager)
}

/// How much the kernel takes in for a client that does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiver {
    /// As much as it likes.
    Eager,
    /// As little as it can, in segments of an Ethernet: with those of the loopback
    /// device (64 KiB) the server's kernel would take megabytes off its hands, and no
    /// server would notice that nobody reads.
    Small,
}

/// As [`open`], with a choice of the receiving side.
///
/// # Errors
/// As [`open`].
pub(super) fn open_as(target: SocketAddr, receiver: Receiver) -> io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    // Lets the kernel give a port that is taken only towards other servers.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if receiver == Receiver::Small {
        sockopt::set_socket_recv_buffer_size(&socket, 2048)?;
        socket2::SockRef::from(&socket).set_tcp_mss(1460)?;
    }
    rustix::net::bind(&socket, &SocketAddrV4::new(source(), 0))?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Raises the soft limit of open files to the hard one and returns it. Child
/// processes inherit it, so the servers get the same.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, wanted).is_err() {
        return limit.current.unwrap_or(u64::MAX);
    }
    limit.maximum.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn sources_take_turns_and_stay_in_loopback() {
        // Other tests open connections meanwhile, so an address may be missing in one
        // turn; in ten of them it is not.
        let taken: HashSet<_> = (0..SOURCES * 10).map(|_| source()).collect();
        assert_eq!(taken.len(), SOURCES as usize);
        assert!(taken.iter().all(Ipv4Addr::is_loopback));
    }
}
