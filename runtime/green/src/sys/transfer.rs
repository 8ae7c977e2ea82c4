//! Reading and writing sockets without a wait, whatever the mode of the socket is.
//!
//! Whether a socket blocks is kept with the open file description, which all its copies share. One
//! that was converted to std's, or was handed to another process, may have made it blocking for all. So
//! each call says for itself that it does not wait.

use rustix::net::{RecvFlags, SocketAddrAny};
use socket2::{SockAddr, SockRef};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

/// Neither a wait nor a SIGPIPE.
const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

pub(crate) fn send(socket: &impl AsFd, buf: &[u8]) -> io::Result<usize> {
    SockRef::from(socket).send_with_flags(buf, FLAGS)
}

/// Sends what the kernel takes at once of `buf`, to leave with what follows it: the start of a
/// packet, that waits for a moment if nothing does.
///
/// # Errors
/// `WouldBlock` when the socket takes nothing now; whatever else the kernel reports.
pub fn send_with_more(socket: impl AsFd, buf: &[u8]) -> io::Result<usize> {
    SockRef::from(&socket).send_with_flags(buf, FLAGS | libc::MSG_MORE)
}

pub(crate) fn send_vectored(socket: &impl AsFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    // More than the kernel takes at once would be an error.
    let most = bufs.len().min(1024);
    SockRef::from(socket).send_vectored_with_flags(&bufs[..most], FLAGS)
}

pub(crate) fn send_to(socket: &impl AsFd, buf: &[u8], to: &SockAddr) -> io::Result<usize> {
    SockRef::from(socket).send_to_with_flags(buf, to, FLAGS)
}

/// Receives a datagram, and tells where it came from; with `peek`, it stays.
pub(crate) fn receive_from(
    socket: &impl AsFd,
    buf: &mut [u8],
    peek: bool,
) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let mut flags = RecvFlags::DONTWAIT;
    flags.set(RecvFlags::PEEK, peek);
    let (length, _whole, from) = rustix::net::recvfrom(socket, buf, flags)?;
    Ok((length, from))
}

/// Shows what the next read gives, and leaves it.
pub(crate) fn peek(socket: &impl AsFd, buf: &mut [u8]) -> io::Result<usize> {
    Ok(receive_from(socket, buf, true)?.0)
}

pub(crate) fn receive(socket: &impl AsFd, buf: &mut [u8]) -> io::Result<usize> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: writes to the buffer, which lives over the call, at most its length.
    let n = unsafe { libc::recv(fd, buf.as_mut_ptr().cast(), buf.len(), FLAGS) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

pub(crate) fn receive_vectored(
    socket: &impl AsFd,
    bufs: &mut [IoSliceMut<'_>],
) -> io::Result<usize> {
    // SAFETY: all zeros is a message header without any part.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // `IoSliceMut` is laid out as the system's `iovec`, by its documentation.
    message.msg_iov = bufs.as_mut_ptr().cast();
    message.msg_iovlen = bufs.len().min(1024) as _;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the header and the buffers that it points to live over the call.
    let n = unsafe { libc::recvmsg(fd, &raw mut message, FLAGS) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}
