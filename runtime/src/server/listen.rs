//! Listening sockets.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

/// Listens on `address`, which is `host:port` or `:port`.
///
/// # Errors
/// When the name does not resolve, the port is taken or may not be had. The message names the
/// address.
pub(super) fn listen(address: &str, backlog: u32) -> io::Result<TcpListener> {
    let resolved = resolve(address)?;
    bind(resolved, backlog).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot listen on {address}: {}", plain(&error)),
        )
    })
}

/// The first address that `address` stands for.
pub(super) fn resolve(address: &str) -> io::Result<SocketAddr> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let full = match address.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => address.to_owned(),
    };
    full.to_socket_addrs()
        .map_err(|error| invalid(format!("--bind {address}: not host:port ({error})")))?
        .next()
        .ok_or_else(|| invalid(format!("--bind {address}: the name has no address")))
}

fn bind(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // so that 0.0.0.0 can be bound as well
    }
    socket.set_reuse_address(true)?; // as after a restart connections linger in TIME_WAIT
    // Accepted connections inherit it: a chunk is never kept back for company by the kernel.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What went wrong, without the number that std adds.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".into(),
        _ => error.to_string(),
    }
}
