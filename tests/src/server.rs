//! A server in this process, for one test.

use crate::{Client, DEADLINE, Reply, request};
use greenway::{Application, Body, Input, Running, Server, Stopped, validate};
use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// What requests may still take when a test is over. Enough for what a test has left by intent;
/// the others have been answered.
const GRACE: Duration = Duration::from_millis(100);

/// A server that is being set up, for an application that keeps to the contract: where it does not,
/// the answer is a 500, and the reason is in the log.
pub fn linted(app: impl Application) -> Server {
    Server::new(validate(app))
}

/// A server on a port of its own, which stops with the test.
#[derive(Debug)]
pub struct TestServer {
    running: Arc<Running>,
}

impl TestServer {
    /// Starts a server that has no address yet.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn start(server: Server) -> Self {
        let running = server
            .bind("127.0.0.1:0")
            .start()
            .expect("port 0 is always free");
        Self {
            running: Arc::new(running),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.running.addrs()[0]
    }

    /// A new connection.
    #[track_caller]
    #[must_use]
    pub fn connect(&self) -> Client {
        Client::connect(self.addr())
    }

    /// Sends a request on a connection of its own, and reads the response.
    #[track_caller]
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Reply {
        self.connect().send(request).reply()
    }

    /// GETs a path on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.ask(request::get_close(path))
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.running.connections()
    }

    /// The value of a sample of its metrics, named with its labels; 0 if there is none.
    ///
    /// # Panics
    /// When it does not show its metrics (`Server::metrics_bind`).
    #[track_caller]
    #[must_use]
    pub fn metric(&self, sample: &str) -> f64 {
        let addr = self.running.metrics_addr().expect("it shows metrics");
        let text = Client::connect(addr)
            .send(request::get("/metrics"))
            .reply()
            .text();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a sample has a number"))
    }

    /// Stops it, now.
    ///
    /// # Panics
    /// As [`stop_within`](Self::stop_within).
    #[track_caller]
    pub fn stop(&self) -> Stopped {
        self.stop_within(GRACE)
    }

    /// Stops it with a grace period, whose end no test waits for if it is longer than
    /// [`DEADLINE`].
    ///
    /// # Panics
    /// When it does not stop.
    #[track_caller]
    pub fn stop_within(&self, grace: Duration) -> Stopped {
        self.try_stop(grace)
            .unwrap_or_else(|| panic!("the server has not stopped within {DEADLINE:?}"))
    }

    fn try_stop(&self, grace: Duration) -> Option<Stopped> {
        let (stopped, wait) = mpsc::channel();
        let running = self.running.clone();
        // On a thread of its own, which is left behind if it hangs.
        std::thread::spawn(move || stopped.send(running.stop_within(grace)));
        wait.recv_timeout(DEADLINE).ok()
    }
}

/// A body that sends a request's body back, piece by piece.
#[must_use]
pub fn as_it_comes(mut input: Input) -> Body {
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
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if self.try_stop(GRACE).is_none() && !std::thread::panicking() {
            panic!("the server has not stopped within {DEADLINE:?} of the end of the test");
        }
    }
}
