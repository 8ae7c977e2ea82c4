//! Peer: `may_minihttp`, the crate as published with its default features.
//!
//! Stack size and pool are the defaults of `may`, as in the crate's own README; the
//! number of workers follows `--cores`. `/sleep` uses `may`'s sleep, which parks the
//! coroutine and no thread.

use std::io;
use std::time::Duration;

use may_minihttp::{HttpServer, HttpService, Request, Response};

#[derive(Clone)]
struct Hello;

impl HttpService for Hello {
    fn call(
        &mut self,
        request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        if let Some(time) = peer_common::sleep_asked(request.path()) {
            // Under a millisecond means "for ever" to may.
            may::coroutine::sleep(time.max(Duration::from_millis(1)));
        }
        response
            .header("Content-Type: text/plain")
            .body(peer_common::HELLO);
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let flags = peer_common::flags();
    may::config().set_workers(flags.cores);
    // The crate binds by itself and keeps the listener, so port 0 could not be reported:
    // a free port is found first and taken at once.
    let address = if flags.bind.port() == 0 {
        std::net::TcpListener::bind(flags.bind)?.local_addr()?
    } else {
        flags.bind
    };
    let server = HttpServer(Hello).start(address)?;
    peer_common::listening_on(address);
    server
        .join()
        .map_err(|_| io::Error::other("the acceptor panicked"))
}
