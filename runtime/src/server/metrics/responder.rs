//! Shows the numbers to whoever asks, on an address of their own.
//!
//! Never on the application's: numbers are for operators. And on an OS thread: they have to be
//! had when all workers are held up, which is when they are of most interest.
//!
//! What must stay true: nobody who asks waits for another who asks. One thread has all
//! connections, none of which it ever waits for; when there are too many, the oldest is closed.

use super::Pages;
use super::answer::answer;
use crate::service::ServiceThread;
use bytes::BytesMut;
use greenway_proto::http1::{HeadLimits, HeadReader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a client may take for its request and the response together.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long `accept` is left alone after an error.
const PAUSE: Duration = Duration::from_millis(100);
/// Clients that are served at once.
const CLIENTS: usize = 64;

/// The thread that shows the numbers, until [`end`](Self::end).
#[derive(Debug)]
pub(crate) struct MetricsServer {
    /// Wakes the thread by being closed.
    bell: UnixStream,
    thread: ServiceThread,
}

impl MetricsServer {
    /// Starts to answer on `listener`.
    ///
    /// # Errors
    /// When the process can have no more threads or descriptors.
    pub(crate) fn start(
        pages: Box<dyn Pages>,
        listener: TcpListener,
    ) -> io::Result<(SocketAddr, Self)> {
        let addr = listener.local_addr()?;
        let (bell, rung) = UnixStream::pair()?;
        let mut clients = Vec::new();
        let mut paused_until = None;
        let thread = ServiceThread::start("greenway-metrics", move || {
            while wait(&rung, &listener, &clients, paused_until) {
                let now = Instant::now();
                paused_until = paused_until.filter(|until| *until > now);
                if paused_until.is_none()
                    && let Err(error) = take_clients(&listener, &mut clients)
                {
                    log::warn!("metrics cannot be asked for: {error}");
                    paused_until = Some(now + PAUSE);
                }
                clients.retain_mut(|client: &mut Client| client.go_on(&*pages));
            }
        })?;
        Ok((addr, Self { bell, thread }))
    }

    /// Ends the thread, and waits for that.
    pub(crate) fn end(self) {
        drop(self.bell);
        self.thread.join();
    }
}

/// Waits for news: of the listener, of a client, or of the clock. False when the server ends.
fn wait(
    bell: &UnixStream,
    listener: &TcpListener,
    clients: &[Client],
    paused_until: Option<Instant>,
) -> bool {
    let mut fds = vec![PollFd::new(bell, PollFlags::IN)];
    fds.extend(clients.iter().map(|client| {
        let events = match client.response.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::OUT,
        };
        PollFd::new(&client.stream, events)
    }));
    if paused_until.is_none() {
        fds.push(PollFd::new(listener, PollFlags::IN));
    }
    let next = clients.iter().map(|client| client.until);
    let next = next.chain(paused_until).min();
    let left = next.map(|at| at.saturating_duration_since(Instant::now()));
    // PATIENCE bounds it, so it fits. An error (a signal) counts as an early return.
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    let _early = poll(&mut fds, timeout.as_ref());
    fds[0].revents().is_empty()
}

/// Takes in all who have come.
fn take_clients(listener: &TcpListener, clients: &mut Vec<Client>) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                if clients.len() >= CLIENTS {
                    clients.remove(0); // it has had its time
                }
                clients.push(Client::new(stream));
            }
            Err(error) => {
                use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
                match error.kind() {
                    WouldBlock => return Ok(()),
                    ConnectionAborted | Interrupted => {}
                    _ => return Err(error),
                }
            }
        }
    }
}

/// One who asks.
#[derive(Debug)]
struct Client {
    stream: TcpStream,
    until: Instant,
    head: HeadReader,
    incoming: BytesMut,
    /// Empty until the request has come.
    response: Vec<u8>,
    sent: usize,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            until: Instant::now() + PATIENCE,
            head: HeadReader::default(),
            incoming: BytesMut::new(),
            response: Vec::new(),
            sent: 0,
        }
    }

    /// Does what can be done without waiting. False when it is over.
    fn go_on(&mut self, pages: &dyn Pages) -> bool {
        match self.try_to_go_on(pages) {
            Ok(over) => !over && Instant::now() < self.until,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Instant::now() < self.until,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) => {
                log::debug!("metrics were asked for, but not taken: {error}");
                false
            }
        }
    }

    fn try_to_go_on(&mut self, pages: &dyn Pages) -> io::Result<bool> {
        while self.response.is_empty() {
            let head = self.head.read(&mut self.incoming, &HeadLimits::default());
            if let Some(head) = head.transpose() {
                self.response = answer(head.map(|head| *head.head), pages);
                break;
            }
            let mut buffer = [0; 4096];
            let n = (&self.stream).read(&mut buffer)?;
            if n == 0 {
                return Ok(true);
            }
            self.incoming.extend_from_slice(&buffer[..n]);
        }
        while self.sent < self.response.len() {
            self.sent += (&self.stream).write(&self.response[self.sent..])?;
        }
        let _it_has_left = self.stream.shutdown(Shutdown::Write);
        Ok(true)
    }
}
