//! An HTTP client over green sockets: `ureq` with a transport and a resolver of ours. A handler
//! that asks other servers can take this file as it is.

use super::crates::{everywhere, serve};
use greenway::green::net::{TcpStream, resolve_timeout};
use greenway::green::sleep;
use greenway_tests::DEADLINE;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::time::Duration;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, Error, config::Config};

/// Looks names up with [`greenway::green::net::resolve`].
#[derive(Debug)]
struct GreenResolver;

impl Resolver for GreenResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let default = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let limit = timeout.not_zero().map_or(Duration::MAX, |limit| *limit);
        let found = resolve_timeout(host, uri.port_u16().unwrap_or(default), limit)?;
        let mut addrs = self.empty();
        for addr in found.into_iter().take(16) {
            addrs.push(addr);
        }
        Ok(addrs)
    }
}

/// Connects with [`greenway::green::net::TcpStream`].
#[derive(Debug)]
struct GreenConnector;

impl Connector for GreenConnector {
    type Out = GreenTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<GreenTransport>, Error> {
        let limit = details
            .timeout
            .not_zero()
            .map_or(Duration::MAX, |limit| *limit);
        let stream = TcpStream::connect_timeout(&details.addrs[..], limit)
            .map_err(|error| explain(error, details.timeout))?;
        stream.set_nodelay(details.config.no_delay())?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(GreenTransport { stream, buffers }))
    }
}

#[derive(Debug)]
struct GreenTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
}

fn explain(error: std::io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

impl Transport for GreenTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let limit = timeout.not_zero().map(|limit| *limit);
        self.stream.set_write_timeout(limit)?;
        self.stream
            .write_all(&self.buffers.output()[..amount])
            .map_err(|error| explain(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let limit = timeout.not_zero().map(|limit| *limit);
        self.stream.set_read_timeout(limit)?;
        let read = self.stream.read(self.buffers.input_append_buf());
        let amount = read.map_err(|error| explain(error, timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// A connection that waits for its next use has nothing to say, not even that it has ended.
    fn is_open(&mut self) -> bool {
        let quiet = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.stream.peek(&mut [0]))
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        quiet && self.stream.set_nonblocking(false).is_ok()
    }
}

fn agent(limit: Duration) -> Agent {
    let config = Agent::config_builder().timeout_global(Some(limit)).build();
    Agent::with_parts(config, GreenConnector, GreenResolver)
}

/// Reads requests, and answers each with its path; takes its time.
fn answer(stream: TcpStream, count: usize) {
    let mut reader = BufReader::new(&stream);
    for _ in 0..count {
        let (mut first, mut line) = (String::new(), String::new());
        reader.read_line(&mut first).unwrap();
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0);
        }
        let path = first.split(' ').nth(1).unwrap();
        let length = path.len();
        sleep(Duration::from_millis(5));
        write!(
            &stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
        )
        .unwrap();
        sleep(Duration::from_millis(5));
        (&stream).write_all(path.as_bytes()).unwrap();
    }
}

#[test]
fn ureq_over_one_connection() {
    everywhere(|| {
        let (addr, server) = serve(|stream| answer(stream, 2));
        let agent = agent(DEADLINE);
        for path in ["/first", "/second"] {
            let url = format!("http://localhost:{}{path}", addr.port());
            let mut response = agent.get(&url).call().unwrap();
            assert_eq!(response.body_mut().read_to_string().unwrap(), path);
        }
        server.join().unwrap();
    });
}

#[test]
fn ureq_gives_up_in_time() {
    everywhere(|| {
        let (addr, server) = serve(|mut stream| {
            let read = stream.read_to_end(&mut Vec::new());
            assert!(read.is_ok(), "the client goes, and says so");
        });
        let agent = agent(Duration::from_millis(50));
        let error = agent.get(&format!("http://{addr}/")).call().unwrap_err();
        assert!(matches!(error, Error::Timeout(_)), "{error}");
        drop(agent);
        server.join().unwrap();
    });
}
