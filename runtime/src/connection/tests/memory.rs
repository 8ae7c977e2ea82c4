//! A connection whose client is a slice of bytes.
//!
//! A socket's timing decides how a stream is cut into reads and how much of a response is taken at
//! a time; here the test decides, to the byte.

use crate::connection::{Connection, Detached, Here, Incoming, IoParts, Transport};
use crate::service::config::Config;
use crate::service::{ConnContext, ConnState, Service};
use greenway_app::{ConnectionInfo, Request};
use greenway_fuzz_checks::{Cuts, Served, Session, application};
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Serves a connection to its end, on this thread. The cuts are those of the reads and of the
/// writes.
pub(super) fn serve(session: Session<'_>) -> Served {
    let shared = Rc::new(Shared::default());
    let memory = Memory {
        stream: session.stream.to_vec(),
        taken: Cell::new(0),
        reads: Cell::new(0),
        cuts: session.cuts,
        room: session.room,
        shared: shared.clone(),
    };
    CALLS.set(0);
    let service = service();
    let info = Arc::new(ConnectionInfo::default());
    let detached = Detached::new(IoParts::new(memory, Incoming::default()), info);
    let context = ConnContext::new(ConnState::Busy);
    let connection = Connection::attach(detached, service, context);
    let closed = matches!(
        connection.serve(&Here, Duration::MAX),
        crate::connection::Served::Closed
    );
    Served {
        output: shared.output.take(),
        calls: CALLS.get(),
        shut: closed && shared.shut.get(),
    }
}

thread_local!(static CALLS: Cell<usize> = const { Cell::new(0) });

/// What all sessions are served by.
fn service() -> Arc<Service> {
    static SERVICE: OnceLock<Arc<Service>> = OnceLock::new();
    let service = SERVICE.get_or_init(|| {
        let numbered = application(|_: &Request| {
            CALLS.set(CALLS.get() + 1);
            CALLS.get()
        });
        Service::bare(numbered, Config::default())
    });
    service.clone()
}

/// What the session wants to know when the connection is gone.
#[derive(Debug, Default)]
struct Shared {
    output: RefCell<Vec<u8>>,
    shut: Cell<bool>,
}

/// The transport.
#[derive(Debug)]
struct Memory {
    stream: Vec<u8>,
    taken: Cell<usize>,
    reads: Cell<usize>,
    cuts: Cuts,
    room: usize,
    shared: Rc<Shared>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.shared.shut.set(true);
    }
}

impl Transport for Memory {
    fn read_unless(
        &self,
        _: &AtomicBool,
        _: Option<Instant>,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize> {
        let rest = &self.stream[self.taken.get()..];
        let piece = &rest[..self.cuts.size(self.reads.get()).min(rest.len())];
        self.reads.set(self.reads.get() + 1);
        self.taken.set(self.taken.get() + piece.len());
        if !piece.is_empty() {
            take(piece);
        }
        Ok(piece.len())
    }

    fn write(&self, bufs: &[IoSlice<'_>], _: Option<Instant>) -> io::Result<usize> {
        let mut output = self.shared.output.borrow_mut();
        let most = self.cuts.size(output.len()).min(self.room - output.len());
        if most == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let before = output.len();
        for buf in bufs {
            let left = most - (output.len() - before);
            output.extend_from_slice(&buf[..left.min(buf.len())]);
        }
        Ok(output.len() - before)
    }

    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(bufs, None)
    }

    fn unsent(&self) -> Option<u64> {
        None
    }

    fn finish(&self) -> bool {
        self.shared.shut.set(true);
        true
    }

    fn shutdown(&self) {
        self.shared.shut.set(true);
    }

    fn reset(&self) {
        self.shared.shut.set(true);
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn is_green(&self) -> bool {
        // Either is right; an odd byte of cuts tries the one, an even one the other.
        self.cuts.0 % 2 == 1
    }
}
