//! Peer: `tiny_http` with a pool of threads that take requests from it, the form its
//! docs show. `/sleep` holds one thread of the pool, so `--threads` (20 by default)
//! is how many can sleep at once; `--cores` means nothing to it.

use std::io;
use std::sync::Arc;

use tiny_http::{Header, Response, Server};

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
                    if let Some(time) = peer_common::sleep_asked(request.url()) {
                        std::thread::sleep(time);
                    }
                    let response =
                        Response::from_string(peer_common::HELLO).with_header(plain.clone());
                    // A client that leaves is the normal end of a connection here.
                    let _ = request.respond(response);
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
