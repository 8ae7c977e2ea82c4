//! A connection whose client is a slice of bytes.

use super::Cuts;
use crate::connection::{self, ConnContext, ConnState, Connection, Incoming, Transport, Wire};
use crate::service::Service;
use crate::service::config::Config;
use greenway_app::{App, Body, ConnectionInfo, Request, Response};
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, IoSlice};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A connection to be served.
#[derive(Debug, Clone)]
pub(crate) struct Session<'a> {
    stream: &'a [u8],
    cuts: Cuts,
    room: usize,
}

/// What came of a [`Session`].
#[derive(Debug)]
pub(crate) struct Served {
    /// All that the server has written.
    pub(crate) output: Vec<u8>,
    /// How often the application was called.
    pub(crate) calls: usize,
    /// Whether the server is done with the connection, and has ended its sending direction or
    /// closed the whole of it.
    pub(crate) shut: bool,
}

impl<'a> Session<'a> {
    /// A client that sends `stream`, all at once, and takes whatever comes.
    pub(crate) fn new(stream: &'a [u8]) -> Self {
        Self {
            stream,
            cuts: Cuts::NONE,
            room: usize::MAX,
        }
    }

    /// Cuts the stream into reads, and what is written into writes.
    pub(crate) fn cut(mut self, cuts: Cuts) -> Self {
        self.cuts = cuts;
        self
    }

    /// The client leaves when it has taken `room` bytes.
    pub(crate) fn leaving_after(mut self, room: usize) -> Self {
        self.room = room;
        self
    }

    /// Serves the connection to its end, on this thread.
    pub(crate) fn serve(self) -> Served {
        let shared = Rc::new(Shared::default());
        let memory = Memory {
            stream: self.stream.to_vec(),
            taken: Cell::new(0),
            reads: Cell::new(0),
            cuts: self.cuts,
            room: self.room,
            shared: shared.clone(),
        };
        CALLS.set(0);
        let service = service();
        let wire = Wire::new(memory, Incoming::default(), &service);
        let facts = Arc::new(ConnectionInfo::default());
        let connection = Connection::new(service, ConnContext::new(ConnState::Busy), facts, wire);
        let closed = connection.serve(Duration::MAX) == connection::Served::Closed;
        drop(connection);
        Served {
            output: shared.output.take(),
            calls: CALLS.get(),
            shut: closed && shared.shut.get(),
        }
    }
}

thread_local!(static CALLS: Cell<usize> = const { Cell::new(0) });

/// What all sessions are served by.
fn service() -> Arc<Service> {
    static SERVICE: OnceLock<Arc<Service>> = OnceLock::new();
    let service = SERVICE.get_or_init(|| {
        let app = app();
        let numbered = move |request: Request| {
            CALLS.set(CALLS.get() + 1);
            let number = CALLS.get();
            greenway_app::Application::call(&app, request).with_header("x-call", number.to_string())
        };
        Service::bare(numbered, Config::default())
    });
    service.clone()
}

/// All the ways in which an application can treat a request's body and make its own.
fn app() -> App {
    let mut app = App::new();
    app.any("/", |_: Request| "unread");
    app.any("/echo", |mut request: Request| request.body(1024 * 1024));
    app.any("/stream", |mut request: Request| {
        let mut input = request.take_input();
        Body::stream(move |out| {
            loop {
                let piece = input.fill_buf()?.to_vec();
                if piece.is_empty() {
                    return Ok(());
                }
                input.consume(piece.len());
                out.send(piece)?;
            }
        })
    });
    app.any("/first", |mut request: Request| {
        let first = request.input().fill_buf()?.first().copied();
        Ok::<_, greenway_app::HttpError>(format!("{first:?}"))
    });
    app.any("/drip", |_: Request| Body::iter(["a", "", "bc"]));
    app.any("/none", |_: Request| Response::new("x").with_status(204));
    app.any("/close", |_: Request| {
        Response::new("bye").with_header("connection", "close")
    });
    app
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
    fn read(&self, _: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        let rest = &self.stream[self.taken.get()..];
        let piece = &rest[..self.cuts.size(self.reads.get()).min(rest.len())];
        self.reads.set(self.reads.get() + 1);
        self.taken.set(self.taken.get() + piece.len());
        if !piece.is_empty() {
            take(piece);
        }
        Ok(piece.len())
    }

    fn read_unless(
        &self,
        _: &AtomicBool,
        deadline: Option<Instant>,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize> {
        self.read(deadline, take)
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

    fn shutdown(&self, how: Shutdown) {
        if how != Shutdown::Read {
            self.shared.shut.set(true);
        }
    }

    fn reset(&self) {
        self.shared.shut.set(true);
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn may_hold_back(&self) -> bool {
        // Either is right; an odd byte of cuts tries the one, an even one the other.
        self.cuts.0 % 2 == 1
    }
}
