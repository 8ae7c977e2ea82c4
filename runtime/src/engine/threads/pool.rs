//! The pool's side: one request after another.

use super::{Command, Commands, Job, Parked};
use crate::connection::{After, Connection, Place, Seat, Wire};
use crate::green::net::Stream;
use crate::server::Service;
use crossbeam_channel::Receiver;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The life of a thread of the pool; ends when the poller does.
pub(super) fn work(service: &Arc<Service>, jobs: &Receiver<Job>, commands: &Commands) {
    let seat = Seat::new(Place::Free);
    let number = service.lifecycle.seat(seat.clone());
    for job in jobs {
        seat.set(Place::Busy);
        let token = job.connection.token;
        // An unwind that comes out of here is a stop that met the connection between two
        // requests; the connection is closed by it, and the thread goes on.
        let back = catch_unwind(AssertUnwindSafe(|| serve(service, &seat, job)));
        seat.set(Place::Free);
        seat.set_client(None);
        seat.thread.clear_interrupt();
        match back {
            Ok(Some(parked)) => commands.send(Command::Back(Box::new(parked))),
            Ok(None) => commands.send(Command::Gone(token)),
            Err(payload) => {
                crate::green::spawn::discard(payload);
                commands.send(Command::Gone(token));
            }
        }
    }
    service.lifecycle.unseat(number);
}

/// Serves a request, and those that have come behind it. Gives the connection back if it can
/// be used again.
fn serve(service: &Arc<Service>, seat: &Arc<Seat>, job: Job) -> Option<Parked> {
    let Job {
        connection:
            Parked {
                token,
                stream,
                incoming,
                facts,
                admission,
                expects_proxy,
            },
        request,
    } = job;
    let stream = Stream::new(stream)
        .inspect_err(|error| log::error!("a connection is lost: {error}"))
        .ok()?;
    let wire = Wire::new(stream, incoming, service);
    let connection = Connection::new(service.clone(), seat.clone(), facts.clone(), wire);
    let hook = connection.before_block();
    let mut request = Some(request);
    while let Some(next) = request.take() {
        if connection.exchange(next) == After::Close {
            connection.close();
            return None;
        }
        match connection.buffered_head() {
            Ok(head) => request = head,
            Err(reject) => {
                connection.reject(&reject);
                return None;
            }
        }
    }
    if connection.flush().is_err() {
        return None;
    }
    drop(hook);
    let (stream, incoming) = connection.into_wire()?.into_parts();
    Some(Parked {
        token,
        stream: stream.into_plain()?,
        incoming,
        facts,
        admission,
        expects_proxy, // no longer
    })
}
