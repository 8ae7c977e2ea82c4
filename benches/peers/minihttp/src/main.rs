//! Peer: `may_minihttp`, the crate as published with its default features.
//!
//! Stack size and pool are the defaults of `may`, as in the crate's own README; the
//! number of workers follows `--cores`. `/sleep` uses `may`'s sleep, which parks the
//! coroutine and no thread.

use std::io::{self, Read};
use std::sync::{LazyLock, PoisonError};
use std::time::Duration;

use may::sync::{Condvar, Mutex, MutexGuard};
use may_minihttp::{HttpServer, HttpService, Request, Response};
use peer_common::{Ask, Waiting};

#[derive(Clone)]
struct Hello;

impl HttpService for Hello {
    fn call(
        &mut self,
        request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        match peer_common::ask(request.path()) {
            // Under a millisecond means "for ever" to may.
            Ask::Sleep(time) => may::coroutine::sleep(time.max(Duration::from_millis(1))),
            Ask::Compute(time) => peer_common::compute(time),
            Ask::Json => {
                response.header("Content-Type: application/json");
                response.body_vec(peer_common::json());
                return Ok(());
            }
            Ask::Echo => {
                let mut body = Vec::new();
                let limit = peer_common::MAX_ECHO as u64;
                request.body().take(limit).read_to_end(&mut body)?;
                response.header("Content-Type: application/octet-stream");
                response.body_vec(body);
                return Ok(());
            }
            Ask::Large => {
                response.header("Content-Type: application/octet-stream");
                response.body_vec(peer_common::LARGE.to_vec());
                return Ok(());
            }
            Ask::Poll => wait_for_news(),
            Ask::Publish => {
                *lock(&NEWS.0) += 1;
                NEWS.1.notify_all();
            }
            Ask::Waiting => {
                response.header("Content-Type: text/plain");
                response.body_vec(Waiting::count().to_string().into_bytes());
                return Ok(());
            }
            // It cannot stream, and nobody asks it for more.
            Ask::Hello | Ask::Order | Ask::Stream(_) | Ask::Ticks(..) => {}
        }
        response
            .header("Content-Type: text/plain")
            .body(peer_common::HELLO);
        Ok(())
    }
}

/// Counts publishes; the condition is notified of each.
static NEWS: LazyLock<(Mutex<u64>, Condvar)> = LazyLock::new(Default::default);

/// Nothing panics while it holds this lock.
fn lock(counter: &Mutex<u64>) -> MutexGuard<'_, u64> {
    counter.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_for_news() {
    let mut published = lock(&NEWS.0);
    let _counted = Waiting::new();
    let before = *published;
    while *published == before {
        published = NEWS
            .1
            .wait(published)
            .unwrap_or_else(PoisonError::into_inner);
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
