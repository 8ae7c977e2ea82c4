//! A real server on loopback, whose clients are slices of bytes.
//!
//! One server serves all sessions of the process, each on a connection of its own. It is reached
//! as every client reaches it, and so nothing of the server is compiled for the fuzzer alone.

use crate::session::{Served, Session, application};
use greenway::{HalfClose, Running, Server};
use greenway_app::Request;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A server that has not answered or closed within this time never will: everything that a session
/// needs is on the same machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often the application was called, by the address of the client. A session knows its own
/// address and takes its number away when it is over.
static CALLS: Mutex<Option<HashMap<SocketAddr, usize>>> = Mutex::new(None);

/// Serves one connection, whose client sends the pieces of the stream one by one, half-closes, and
/// reads to the end.
///
/// Nothing that the server has said may be lost, whatever the client still sends: it ends its sending
/// direction, and reads on before it closes (RFC 9112 section 9.6).
///
/// # Panics
/// When the server does not close the connection in time, or resets it.
#[must_use]
pub fn serve(session: Session<'_>) -> Served {
    let mut client = TcpStream::connect(server()).expect("the server listens");
    let me = client.local_addr().expect("the socket is connected");
    with_calls(|calls| calls.insert(me, 0));
    client.set_nodelay(true).expect("the socket is open");
    client
        .set_read_timeout(Some(DEADLINE))
        .expect("the socket is open, and the time is not zero");
    for piece in session.cuts.pieces(session.stream) {
        // A server that has refused the stream reads no further, and what it said is still there.
        if client.write_all(piece).is_err() {
            break;
        }
    }
    // Fails only where the server has closed already.
    let _ = client.shutdown(Shutdown::Write);
    let mut output = Vec::new();
    let mut taken = (&client).take(u64::try_from(session.room).unwrap_or(u64::MAX));
    let read = taken.read_to_end(&mut output);
    let calls = with_calls(|calls| calls.remove(&me)).unwrap_or_default();
    if let Err(error) = read {
        panic!("the connection does not end in good order: {error}");
    }
    Served {
        output,
        calls,
        shut: true,
    }
}

/// Where the server of this process listens.
fn server() -> SocketAddr {
    static SERVER: OnceLock<Running> = OnceLock::new();
    let running = SERVER.get_or_init(|| {
        let numbered = application(|request: &Request| {
            let client = request.peer_addr().expect("the connection is TCP");
            with_calls(|calls| {
                // One that has left is not counted any more.
                let Some(number) = calls.get_mut(&client) else {
                    return 0;
                };
                *number += 1;
                *number
            })
        });
        Server::new(numbered)
            .bind("127.0.0.1:0")
            // A stream that is over is one that has been sent, as it is over memory.
            .half_close(HalfClose::Serve)
            .start()
            .expect("port 0 is always free")
    });
    running.addrs()[0]
}

fn with_calls<T>(use_them: impl FnOnce(&mut HashMap<SocketAddr, usize>) -> T) -> T {
    // A number is counted or not, so a panic elsewhere leaves nothing half done.
    let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    use_them(calls.get_or_insert_default())
}
