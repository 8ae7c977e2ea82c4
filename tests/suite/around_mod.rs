//! What is around a server: its sockets, its numbers and logs, and the proxies in front of it.

#[path = "around_admission.rs"]
mod admission;
#[path = "around_logs.rs"]
mod logs;
#[path = "around_metrics.rs"]
mod metrics;
#[path = "around_parking.rs"]
mod parking;
#[path = "around_proxies.rs"]
mod proxies;
#[path = "around_sockets.rs"]
mod sockets;
#[path = "around_stuck_logs.rs"]
mod stuck_logs;
#[path = "around_surroundings.rs"]
mod surroundings;

use greenway::{Running, Server};
use greenway_tests::{Client, DEADLINE, Reply, request, until};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A server with everything that [`greenway_tests::TestServer`] does not show.
#[derive(Debug)]
struct Served(Running);

impl Served {
    /// Starts a server that has an address.
    #[track_caller]
    fn start(server: Server) -> Self {
        Self(server.start().expect("the server starts"))
    }

    /// Starts a server with a TCP port of its own.
    #[track_caller]
    fn on_port(server: Server) -> Self {
        Self::start(server.bind("127.0.0.1:0"))
    }

    fn addr(&self) -> SocketAddr {
        self.0.addrs()[0]
    }

    #[track_caller]
    fn connect(&self) -> Client {
        Client::connect(self.addr())
    }

    #[track_caller]
    fn ask(&self, request: impl AsRef<[u8]>) -> Reply {
        self.connect().send(request).reply()
    }

    #[track_caller]
    fn get(&self, path: &str) -> Reply {
        self.ask(request::get_close(path))
    }

    /// The metrics as they are now.
    #[track_caller]
    fn metrics(&self) -> String {
        let addr = self.0.metrics_addr().expect("the server shows metrics");
        let reply = Client::connect(addr).send(request::get("/metrics")).reply();
        assert_eq!(reply.status(), 200);
        reply.text()
    }

    /// The value of a sample, named with its labels; 0 if there is none.
    #[track_caller]
    fn metric(&self, sample: &str) -> f64 {
        let text = self.metrics();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a sample has a number"))
    }

    /// Waits for a sample to have a value.
    #[track_caller]
    fn until_metric(&self, sample: &str, value: f64) {
        until(&format!("{sample} {value}"), || {
            self.metric(sample) == value
        });
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.stop_within(Duration::from_millis(100));
    }
}

/// Sends a request over a unix socket, and reads to the end of the connection.
#[track_caller]
fn ask_unix(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the server listens");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a timeout that is not zero");
    stream
        .write_all(request.as_bytes())
        .expect("the server reads");
    let mut response = String::new();
    stream
        .read_to_string(&mut response)
        .expect("the server answers and closes");
    response
}
