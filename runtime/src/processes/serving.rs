//! A process that was started by a master, as it sees that: orders come, reports go.

use super::frames::{Frames, Order, Report};
use crate::green::embed::lock;
use crate::server::{Pages, Running, ServerPages};
use crate::service::ServiceThread;
use crate::ticket_keys::{TicketKeys, TicketRing};
use http::StatusCode;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, OnceLock, TryLockError};

/// What a process that serves says to its master.
#[derive(Debug)]
pub(crate) struct ToMaster {
    control: Mutex<UnixStream>,
    /// The keys of TLS tickets, once it has told them.
    tickets: OnceLock<Arc<TicketRing>>,
}

/// What the master wants, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FromMaster {
    /// It has said so.
    Order(Order),
    /// It has ended, without a word.
    Gone,
}

impl ToMaster {
    /// Begins to take orders: `act` is called for each, on a thread of its own. Pages are shown
    /// without its help, once there is a server. What the master has said before it has started
    /// this process, such as the keys of TLS tickets, is acted on before the call returns.
    ///
    /// # Errors
    /// When the process can have no more threads or descriptors.
    pub(crate) fn start(
        control: UnixStream,
        server: Arc<OnceLock<Arc<Running>>>,
        mut act: impl FnMut(FromMaster) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let mut incoming = control.try_clone()?;
        let this = Arc::new(Self::new(control));
        let answers = this.clone();
        let mut frames = Frames::default();
        take_what_is_there(&mut incoming, &mut frames)?;
        while let Ok(Some(order)) = frames.order() {
            match order {
                Order::TicketKeys(keys) => this.take_on(keys),
                other => act(FromMaster::Order(other)),
            }
        }
        // It ends with the process.
        let _detached = ServiceThread::start("greenway-control", move || {
            loop {
                let order = match next_order(&mut incoming, &mut frames) {
                    Ok(Some(order)) => order,
                    Ok(None) | Err(_) => return act(FromMaster::Gone),
                };
                match order {
                    Order::Page { question, path } => {
                        let pages = server.get().and_then(|server| server.pages());
                        answers.tell(&answer(pages, question, &path));
                    }
                    Order::TicketKeys(keys) => answers.take_on(keys),
                    other => act(FromMaster::Order(other)),
                }
            }
        })?;
        Ok(this)
    }

    fn new(control: UnixStream) -> Self {
        Self {
            control: Mutex::new(control),
            tickets: OnceLock::new(),
        }
    }

    fn take_on(&self, keys: TicketKeys) {
        match self.tickets.get() {
            Some(tickets) => tickets.take_on(keys),
            None => {
                let of_master = || Arc::new(TicketRing::of_master(keys));
                self.tickets.get_or_init(of_master);
            }
        }
    }

    /// The keys of TLS tickets, which all processes have; `None` where the master is an older one
    /// that has none.
    #[cfg(feature = "tls")]
    pub(crate) fn tickets(&self) -> Option<Arc<TicketRing>> {
        self.tickets.get().cloned()
    }

    /// Tells the master something. Waits if the master is stopped; one that has ended hears nothing.
    pub(crate) fn tell(&self, report: &Report) {
        let _it_has_ended = lock(&self.control).write_all(&report.to_bytes());
    }

    /// Tells the master something short, if that needs no waiting: a master that is stopped, or reads
    /// a long page, must not hold up whoever accepts clients. False if it was not told.
    pub(crate) fn try_tell(&self, report: &Report) -> bool {
        let control = match self.control.try_lock() {
            Ok(control) => control,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let bytes = report.to_bytes();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let sent = SockRef::from(&*control).send_with_flags(&bytes, flags);
        // The kernel takes so few bytes as a whole, or not at all.
        sent.is_ok_and(|n| n == bytes.len())
    }
}

/// Takes what has come so far. Does not wait.
fn take_what_is_there(incoming: &mut UnixStream, frames: &mut Frames) -> io::Result<()> {
    // Nobody else reads or writes here yet.
    incoming.set_nonblocking(true)?;
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = incoming.read(&mut buffer) {
        frames.take(&mut buffer[..n]);
    }
    incoming.set_nonblocking(false)
}

/// Waits for an order; `None` if the master has ended.
fn next_order(incoming: &mut UnixStream, frames: &mut Frames) -> io::Result<Option<Order>> {
    loop {
        if let Some(order) = frames.order()? {
            return Ok(Some(order));
        }
        let mut buffer = [0; 4096];
        match incoming.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(n) => frames.take(&mut buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The path under which a process tells for how long its workers are held up, in microseconds.
pub(super) const HELD_UP: &str = "held-up";

fn answer(pages: Option<&ServerPages>, question: u32, path: &str) -> Report {
    let (status, body) = match pages {
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
        Some(pages) if path == HELD_UP => (StatusCode::OK, pages.held_up().as_micros().to_string()),
        Some(pages) => {
            let (path, query) = match path.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (path, None),
            };
            match pages.page(path, query) {
                Some(page) => (page.status, page.body),
                None => (StatusCode::NOT_FOUND, String::new()),
            }
        }
    };
    Report::Page {
        question,
        status,
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_that_does_not_read_holds_nobody_up() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let to_master = ToMaster::new(ours);
        let mut told = 0_usize;
        while to_master.try_tell(&Report::Full(told.is_multiple_of(2))) {
            told += 1;
        }
        // What it was told is whole.
        theirs.set_nonblocking(true).unwrap();
        let (mut frames, mut buffer, mut read) = (Frames::default(), [0; 4096], 0_usize);
        while let Ok(n @ 1..) = theirs.read(&mut buffer) {
            frames.push(&buffer[..n]);
            while let Some(report) = frames.report().unwrap() {
                assert_eq!(report, Report::Full(read.is_multiple_of(2)));
                read += 1;
            }
        }
        assert_eq!(read, told);
        // And it hears of what comes next.
        assert!(to_master.try_tell(&Report::Full(true)));
    }
}
