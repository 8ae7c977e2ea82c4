//! Peer: `tiny_http` with a pool of threads that take requests from it, the form its
//! docs show. `/sleep` holds one thread of the pool, so `--threads` (20 by default)
//! is how many can sleep at once; `--cores` means nothing to it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use peer_common::Ask;
use tiny_http::{Header, Request, Response, Server, StatusCode};

/// `/stream` as tiny_http has it: a reader without a length, which it sends in chunks of
/// its own size.
struct Chunks {
    left: u64,
    rest: &'static [u8],
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && self.left > 0 {
            self.left -= 1;
            self.rest = peer_common::CHUNK;
        }
        self.rest.read(buffer)
    }
}

/// Answers a request. Nobody can wait for news in a pool of twenty: no
/// `/poll`; and chunks are gathered: no `/ticks`.
fn answer(mut request: Request, plain: &Header) -> io::Result<()> {
    match peer_common::ask(request.url()) {
        Ask::Sleep(time) => std::thread::sleep(time),
        Ask::Compute(time) => peer_common::compute(time),
        Ask::Json => return request.respond(Response::from_data(peer_common::json())),
        Ask::Echo => {
            let mut body = Vec::new();
            let limit = peer_common::MAX_ECHO as u64;
            request.as_reader().take(limit).read_to_end(&mut body)?;
            return request.respond(Response::from_data(body));
        }
        Ask::Stream(left) => {
            let body = Chunks { left, rest: &[] };
            let response = Response::new(StatusCode(200), Vec::new(), body, None, None);
            return request.respond(response);
        }
        Ask::Large => return request.respond(Response::from_data(&peer_common::LARGE[..])),
        Ask::Hello if request.url().starts_with("/file/") => {
            let name = Path::new(request.url()).file_name().unwrap_or_default();
            let file = File::open(peer_common::files().join(name))?;
            return request.respond(Response::from_file(file));
        }
        Ask::Hello | Ask::Order | Ask::Ticks(..) | Ask::Poll | Ask::Publish | Ask::Waiting => {}
    }
    request.respond(Response::from_string(peer_common::HELLO).with_header(plain.clone()))
}

fn main() -> io::Result<()> {
    let flags = peer_common::flags();
    let server = Arc::new(Server::http(flags.bind).map_err(io::Error::other)?);
    if let Some(address) = server.server_addr().to_ip() {
        peer_common::listening_on(address);
    }
    let plain = Header::from_bytes("Content-Type", "text/plain")
        .map_err(|()| io::Error::other("the content type cannot stand in a header"))?;
    let pool: Vec<_> = (0..flags.threads)
        .map(|_| {
            let (server, plain) = (Arc::clone(&server), plain.clone());
            std::thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    // A client that leaves is the normal end of a connection here.
                    let _ = answer(request, &plain);
                }
            })
        })
        .collect();
    for thread in pool {
        thread
            .join()
            .map_err(|_| io::Error::other("a thread of the pool panicked"))?;
    }
    Ok(())
}
