//! Connections are [`TcpStream`]s, whose waits let others of the worker go on.

use crate::green::net::TcpStream;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

#[derive(Debug)]
pub(super) struct GreenConnector;

impl<In: Transport> Connector<In> for GreenConnector {
    type Out = Either<In, GreenTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(through_a_proxy) = chained {
            return Ok(Some(Either::A(through_a_proxy)));
        }
        let limit = details.timeout.not_zero();
        let limit = limit.map_or(Duration::MAX, |limit| *limit);
        let stream = TcpStream::connect_timeout(&details.addrs[..], limit)
            .map_err(|error| explain(error, details.timeout))?;
        let config = details.config;
        stream.set_nodelay(config.no_delay())?;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(GreenTransport { stream, buffers })))
    }
}

#[derive(Debug)]
pub(super) struct GreenTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
}

fn explain(error: io::Error, timeout: NextTimeout) -> Error {
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
