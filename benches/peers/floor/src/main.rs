//! The floor under every figure: one epoll loop per core that parses nothing.
//!
//! It looks for the blank line that ends a request head and answers each with the
//! same prepared bytes, one read and one write per readiness. No server that reads
//! what it is sent can be cheaper, so the distance to it is what HTTP itself costs.
//! It cannot sleep: `/sleep` is answered at once, like everything else.
//!
//! Each core has a listening socket of its own (`SO_REUSEPORT`), so the loops share
//! nothing. Request bodies would be taken for heads; the load generator sends none.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};

use memchr::memmem::Finder;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\
    Content-Type: text/plain\r\n\r\nHello, World!";
const LISTENER: u64 = u64::MAX;
const BACKLOG: i32 = 4096;
/// Answers are collected up to this many per write; the rest follows in the next one.
const BATCH: usize = 256;

fn main() -> io::Result<()> {
    let flags = peer_common::flags();
    let first = listen(flags.bind)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..flags.cores {
        listeners.push(listen(address)?);
    }
    peer_common::listening_on(address);
    let loops: Vec<_> = listeners
        .into_iter()
        .map(|listener| std::thread::spawn(move || serve(&listener)))
        .collect();
    for each in loops {
        each.join()
            .map_err(|_| io::Error::other("an event loop panicked"))??;
    }
    Ok(())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// One connection: the bytes of a head that has not ended, and answers not yet taken.
struct Connection {
    stream: TcpStream,
    partial: Vec<u8>,
    unsent: Vec<u8>,
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let answers = ANSWER.repeat(BATCH);
    let blank_line = Finder::new(b"\r\n\r\n");
    let mut space = [MaybeUninit::<Event>::uninit(); 256];
    loop {
        let (events, _) = match epoll::wait(&poll, &mut space[..], None) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for event in events.iter() {
            if event.data.u64() == LISTENER {
                // Out of descriptors or a client that left: the next event tries again.
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let slot = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    epoll::add(
                        &poll,
                        &stream,
                        EventData::new_u64(slot as u64),
                        EventFlags::IN,
                    )?;
                    connections[slot] = Some(Connection {
                        stream,
                        partial: Vec::new(),
                        unsent: Vec::new(),
                    });
                }
                continue;
            }
            let slot = event.data.u64() as usize;
            // A slot is freed once and reused only by a later accept, so an event names a
            // connection that lives; if it did not, there would be nothing to do.
            let Some(connection) = connections[slot].as_mut() else {
                continue;
            };
            if advance(connection, &mut buffer, &answers, &blank_line).is_err() {
                connections[slot] = None;
                free.push(slot);
                continue;
            }
            if connection.unsent.is_empty() {
                let ready = event.flags;
                if ready.contains(EventFlags::OUT) {
                    let flags = EventFlags::IN;
                    epoll::modify(
                        &poll,
                        &connection.stream,
                        EventData::new_u64(slot as u64),
                        flags,
                    )?;
                }
            } else {
                let flags = EventFlags::OUT;
                epoll::modify(
                    &poll,
                    &connection.stream,
                    EventData::new_u64(slot as u64),
                    flags,
                )?;
            }
        }
    }
}

/// Writes what is owed, then reads once and answers each head that ended.
///
/// # Errors
/// When the client has left or broke the connection.
fn advance(
    connection: &mut Connection,
    buffer: &mut [u8],
    answers: &[u8],
    blank_line: &Finder<'_>,
) -> io::Result<()> {
    if !connection.unsent.is_empty() {
        let unsent = std::mem::take(&mut connection.unsent);
        send(connection, &unsent)?;
        return Ok(());
    }
    let n = match connection.stream.read(buffer) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(n) => n,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut joined;
    let bytes = if connection.partial.is_empty() {
        &buffer[..n]
    } else {
        joined = std::mem::take(&mut connection.partial);
        joined.extend_from_slice(&buffer[..n]);
        &joined[..]
    };
    let mut heads = 0;
    let mut end = 0;
    for found in blank_line.find_iter(bytes) {
        heads += 1;
        end = found + 4;
    }
    if end < bytes.len() {
        if bytes.len() - end > buffer.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let rest = bytes[end..].to_vec();
        connection.partial = rest;
    }
    while heads > 0 {
        let batch = heads.min(BATCH);
        send(connection, &answers[..batch * ANSWER.len()])?;
        heads -= batch;
    }
    Ok(())
}

/// Writes now what the socket takes and keeps the rest.
fn send(connection: &mut Connection, bytes: &[u8]) -> io::Result<()> {
    if !connection.unsent.is_empty() {
        connection.unsent.extend_from_slice(bytes);
        return Ok(());
    }
    let taken = match connection.stream.write(bytes) {
        Ok(n) => n,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    connection.unsent.extend_from_slice(&bytes[taken..]);
    Ok(())
}
