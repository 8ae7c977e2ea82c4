//! Listening sockets: by TCP address, by path, or handed in by whoever has started the process.
//!
//! All of them are kept as `TcpListener`: std's type is an owner of a descriptor, and neither
//! engine asks which family it belongs to. What differs is kept beside it: the name for the operator,
//! and the file that a unix socket leaves behind.

use super::inherited;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) socket: TcpListener,
    /// Its name for the operator: `http://127.0.0.1:8000` or `unix:/run/app.sock`.
    pub(crate) name: String,
    /// `None` for a unix socket.
    pub(crate) addr: Option<SocketAddr>,
    /// The file of a unix socket that we have made.
    pub(crate) file: Option<SocketFile>,
}

/// Whom a socket with an IPv6 address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Also for clients with IPv4 addresses, if its address is `[::]`.
    Both,
    /// For IPv6 alone.
    V6Only,
}

/// Listens on all addresses: `host:port`, `:port`, `unix:path` or `fd://number`. `write_timeout` is
/// how long a client may take nothing of what it is sent.
///
/// # Errors
/// When a name does not resolve, an address is taken or may not be had. The message names the
/// address.
pub(crate) fn listen_on_all(
    addresses: &[String],
    backlog: u32,
    write_timeout: Duration,
) -> io::Result<Vec<Listening>> {
    let listen_on = |address: &String| {
        listen(address, addresses, backlog, write_timeout).map_err(|error| {
            let why = format!("cannot listen on {address}: {}", plain(&error));
            io::Error::new(error.kind(), why)
        })
    };
    addresses.iter().map(listen_on).collect()
}

/// Whether addresses are well-formed, and their names can be looked up; listens on none of them.
///
/// # Errors
/// As [`listen_on_all`].
pub(crate) fn check_addresses<'a>(addresses: impl Iterator<Item = &'a String>) -> io::Result<()> {
    for address in addresses {
        let checked = match address.split_once(':') {
            Some(("unix", path)) => check_path(Path::new(path)),
            Some(("fd", _)) => Ok(()), // whoever starts the server hands it in
            _ => resolve(address).map(drop),
        };
        checked.map_err(|error| {
            let why = format!("cannot listen on {address}: {}", plain(&error));
            io::Error::new(error.kind(), why)
        })?;
    }
    Ok(())
}

fn check_path(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        let why = "a path is wanted, as in unix:/run/app.sock";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(())
}

fn listen(
    address: &str,
    all: &[String],
    backlog: u32,
    write_timeout: Duration,
) -> io::Result<Listening> {
    if let Some(path) = address.strip_prefix("unix:") {
        return bind_unix(Path::new(path), backlog);
    }
    if let Some(number) = address.strip_prefix("fd://") {
        return inherit(number, backlog, write_timeout);
    }
    let socket = match address.strip_prefix(':') {
        // Everywhere. A machine may be without IPv6.
        Some(port) if port.parse::<u16>().is_ok() && !has_v4_wildcard(all, port) => {
            let everywhere = resolve(&format!("[::]:{port}"))?;
            bind_tcp(everywhere, Family::Both, backlog, write_timeout).or_else(
                |error| match error.kind() {
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                    _ => bind_tcp(resolve(address)?, Family::Both, backlog, write_timeout),
                },
            )?
        }
        _ => {
            let addr = resolve(address)?;
            let family = match has_v4_wildcard(all, &addr.port().to_string()) {
                true => Family::V6Only, // so that both can be bound
                false => Family::Both,
            };
            bind_tcp(addr, family, backlog, write_timeout)?
        }
    };
    let addr = socket.local_addr()?;
    Ok(Listening {
        socket,
        name: format!("http://{addr}"),
        addr: Some(addr),
        file: None,
    })
}

/// Whether all IPv4 addresses are asked for by a name of their own.
fn has_v4_wildcard(all: &[String], port: &str) -> bool {
    all.iter()
        .any(|address| address.strip_prefix("0.0.0.0:") == Some(port))
}

/// The addresses to listen on: those that were asked for, or the sockets that the process was started
/// with (systemd's `LISTEN_FDS`), or one that is for this machine alone.
pub(crate) fn wanted_addresses(asked: &[String]) -> Vec<String> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    let numbers = inherited::waiting();
    match numbers.is_empty() {
        true => vec!["127.0.0.1:8000".to_owned()],
        false => numbers.iter().map(|fd| format!("fd://{fd}")).collect(),
    }
}

/// The metrics are few bytes for few clients; a short queue is enough.
const METRICS_BACKLOG: u32 = 16;

/// Listens for those who ask for metrics: on `host:port`, or on a socket that a master hands over.
///
/// # Errors
/// As [`listen_on_all`].
pub(crate) fn listen_for_metrics(address: &str) -> io::Result<TcpListener> {
    let listening = match address.strip_prefix("fd://") {
        Some(number) => inherit(number, METRICS_BACKLOG, Duration::ZERO).map(|one| one.socket),
        None => resolve(address)
            .and_then(|address| bind_tcp(address, Family::Both, METRICS_BACKLOG, Duration::ZERO)),
    };
    listening.map_err(|error| {
        let why = format!("cannot show metrics on {address}: {}", plain(&error));
        io::Error::new(error.kind(), why)
    })
}

/// The first address that `address` stands for.
///
/// # Errors
/// `InvalidInput` when it is no address, another kind when its name cannot be looked up now.
pub(super) fn resolve(address: &str) -> io::Result<SocketAddr> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why);
    if address.contains(',') {
        return Err(invalid("the flag is given once for each address"));
    }
    if address.contains("://") {
        return Err(invalid("an address stands there without http://"));
    }
    let parts = address.rsplit_once(':');
    let (host, port) = parts.ok_or_else(|| invalid("this is not host:port"))?;
    let number = port.parse::<u16>();
    number.map_err(|_| invalid("a port is a number from 0 to 65535"))?;
    if host.contains(':') && !host.starts_with('[') {
        return Err(invalid("an IPv6 address stands in brackets, as in [::1]"));
    }
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let advice = || {
        format!(
            "{host:?} cannot be looked up; name an address of this machine instead, such as \
             127.0.0.1:{port}, or 0.0.0.0:{port} for all of them"
        )
    };
    let found = format!("{host}:{port}").to_socket_addrs();
    let mut found =
        found.map_err(|error| io::Error::new(error.kind(), format!("{} ({error})", advice())))?;
    found
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, advice()))
}

/// Listens on a TCP address.
pub(super) fn bind_tcp(
    address: SocketAddr,
    family: Family,
    backlog: u32,
    write_timeout: Duration,
) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(family == Family::V6Only)?;
    }
    socket.set_reuse_address(true)?; // as after a restart connections linger in TIME_WAIT
    prepare(&socket, write_timeout)?;
    socket.bind(&address.into())?;
    begin(&socket, backlog)?;
    Ok(socket.into())
}

/// When a peer that says nothing is asked whether it is there, how long each question waits for an
/// answer, and after how many of them the connection ends. The kernel rounds such times, so the
/// questions of thousands of connections are sent at once, and some of them are lost in its queues.
const FIRST_QUESTION: Duration = Duration::from_secs(60);
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(10);
const QUESTIONS: u32 = 6;
/// The least time for which the kernel tries to reach a peer that does not answer: a bit less than
/// all questions take. Where it is set, Linux does not count questions any more, but ends the
/// connection at the first unanswered one after this time. Were it shorter, a single lost question
/// would end one that is merely idle; were it longer, further ones would be asked.
const LEAST_USER_TIMEOUT: Duration = Duration::from_secs(115);

/// Sets what accepted connections inherit.
///
/// The kernel sends a chunk at once, and does not wait for more to send with it. And it finds out
/// that a peer is dead without a word (a phone without a network, a machine without power): then
/// the connection has an error, which ends its handler as any departure does.
fn prepare(socket: &Socket, write_timeout: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(user_timeout(write_timeout))?;
    // While nothing is on its way to it.
    let questions = TcpKeepalive::new()
        .with_time(FIRST_QUESTION)
        .with_interval(BETWEEN_QUESTIONS)
        .with_retries(QUESTIONS);
    socket.set_tcp_keepalive(&questions)
}

/// How long something may be on its way to a peer that does not take it. Linux counts for this also
/// the time for which a living peer has closed its window, so a client that pauses within
/// `--write-timeout` must not meet it. `None`, where the kernel can count no further, is for ever.
fn user_timeout(write_timeout: Duration) -> Option<Duration> {
    let with_some_to_spare = write_timeout.checked_add(Duration::from_secs(5))?;
    let countable = with_some_to_spare.as_millis() <= i32::MAX as u128;
    countable.then(|| with_some_to_spare.max(LEAST_USER_TIMEOUT))
}

fn begin(socket: &Socket, backlog: u32) -> io::Result<()> {
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)
}

/// Listens on a path. The umask decides who may connect: that takes the right to write.
fn bind_unix(path: &Path, backlog: u32) -> io::Result<Listening> {
    check_path(path)?;
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(error);
        }
        remove_stale(path, &address)?;
        socket.bind(&address)?;
    }
    let file = SocketFile::at(path)?;
    begin(&socket, backlog)?;
    Ok(Listening {
        socket: socket.into(),
        name: format!("unix:{}", path.display()),
        addr: None,
        file: Some(file),
    })
}

/// Removes the file of a server that has not stopped in good order.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the file exists and is not a socket",
        ));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?; // one with a full queue is alive, and must not hold us up
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(()) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Takes a descriptor that the process was started with.
fn inherit(number: &str, backlog: u32, write_timeout: Duration) -> io::Result<Listening> {
    let number = number
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not the form fd://NUMBER"))?;
    let socket = inherited::take(number)?;
    let asked = SockRef::from(&socket);
    // Sets the length of the queue. If the socket is of another process, that may be refused.
    let _ = asked.listen(i32::try_from(backlog).unwrap_or(i32::MAX));
    asked.set_nonblocking(true)?;
    let local = asked.local_addr()?;
    let addr = local.as_socket();
    let name = match (addr, local.as_pathname()) {
        (Some(addr), _) => {
            prepare(&asked, write_timeout)?;
            format!("http://{addr}")
        }
        (None, Some(path)) => format!("unix:{}", path.display()),
        (None, None) => format!("fd://{number}"),
    };
    Ok(Listening {
        socket,
        name,
        addr,
        file: None, // made by somebody else, who may hand it to the next server
    })
}

/// What went wrong, without the number that std adds.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        // Not if it says more than the kernel does.
        io::ErrorKind::AddrInUse if error.get_ref().is_none() => "the address is in use".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".into(),
        _ => error.to_string(),
    }
}

/// The file of a unix socket; removed when dropped, unless another server has put its own there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The file that is at a path now.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            // The working directory may be another one when we stop.
            path: std::path::absolute(path)?,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// Leaves the file to somebody else.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            log::warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_prepared(listener: &TcpListener, user_timeout: Duration) {
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), FIRST_QUESTION);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), BETWEEN_QUESTIONS);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), QUESTIONS);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(user_timeout));
    }

    /// The kernel looks when a question is due, and ends the connection if that many seconds have
    /// passed since the peer was heard of.
    #[test]
    fn an_idle_connection_ends_only_when_all_questions_are_lost() {
        let after = |questions| FIRST_QUESTION + BETWEEN_QUESTIONS * questions;
        for write in [0, 1, 30, 60] {
            let user = user_timeout(Duration::from_secs(write)).unwrap();
            let ends = (1..).map(after).find(|due| *due >= user).unwrap();
            assert_eq!(ends, after(QUESTIONS), "--write-timeout {write}");
        }
    }

    #[test]
    fn connections_inherit_what_was_set_for_them() {
        for (write, user) in [(1, 115), (30, 115), (120, 125)] {
            let [write, user] = [write, user].map(Duration::from_secs);
            let address = "127.0.0.1:0".parse().unwrap();
            assert_prepared(&bind_tcp(address, Family::Both, 8, write).unwrap(), user);
        }
    }

    #[test]
    fn a_socket_that_was_handed_in_is_as_our_own() {
        use std::os::fd::AsRawFd;
        let made_by_others = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("fd://{}", made_by_others.as_raw_fd());
        let listening = listen(&name, &[], 8, Duration::from_secs(60)).unwrap();
        assert_prepared(&listening.socket, LEAST_USER_TIMEOUT);
    }

    #[test]
    fn what_the_kernel_cannot_count_is_for_ever() {
        assert_eq!(user_timeout(Duration::MAX), None);
        assert_eq!(user_timeout(Duration::from_secs(1 << 40)), None);
    }
}
