//! The pool's side: one request after another.

use super::super::accept::lost;
use super::parked::{Parked, Stage};
use super::{Command, Commands, Job};
use crate::connection::{After, Connection, Flushed, Wire};
use crate::green::embed::Stream;
use crate::service::{ConnContext, ConnState, Service};
use crossbeam_channel::Receiver;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// After so long in the queue it is worth a system call to ask whether the client is still there.
const LONG_WAIT: Duration = Duration::from_millis(10);

/// The life of a thread of the pool; ends when the poller does.
pub(super) fn work(service: &Arc<Service>, jobs: &Receiver<Job>, commands: &Commands) {
    let seat = ConnContext::new(ConnState::Free);
    let number = service.lifecycle.seat(seat.clone());
    for job in jobs {
        seat.set(ConnState::Busy);
        let token = job.connection.token;
        // An unwind that comes out of here is a stop that met the connection between two
        // requests; the connection is closed by it, and the thread goes on.
        let back = catch_unwind(AssertUnwindSafe(|| serve(service, &seat, job)));
        seat.set(ConnState::Free);
        seat.set_client(None);
        seat.thread.clear_interrupt();
        match back {
            Ok(Some(parked)) => commands.send(Command::Back(Box::new(parked))),
            Ok(None) => commands.send(Command::Gone(token)),
            Err(payload) => {
                crate::green::embed::discard(payload);
                commands.send(Command::Gone(token));
            }
        }
    }
    service.lifecycle.unseat(number);
}

/// Serves a request, and those that have come behind it. Gives the connection back if something
/// is left to be done for it that needs no thread.
fn serve(service: &Arc<Service>, seat: &Arc<ConnContext>, job: Job) -> Option<Parked> {
    let Job {
        connection:
            Parked {
                token,
                stream,
                incoming,
                facts,
                admission,
                stage: _, // what led to the request is over
            },
        request,
        since,
    } = job;
    let stream = Stream::new(stream)
        .inspect_err(|error| lost(service, error))
        .ok()?;
    let wire = Wire::new(stream, incoming, service);
    let connection = Connection::new(service.clone(), seat.clone(), facts.clone(), wire);
    if since.elapsed() >= LONG_WAIT {
        connection.has_been_queued();
    }
    let hook = connection.before_block();
    let mut request = Some(request);
    let mut after = After::Reuse;
    while let Some(next) = request.take() {
        after = connection.exchange(next);
        if after == After::Close || connection.flush_now().ok()? == Flushed::InPart {
            break;
        }
        match connection.buffered_head() {
            Ok(head) => request = head,
            Err(reject) => {
                connection.answer_reject(&reject);
                after = After::Close;
            }
        }
    }
    drop(hook);
    let (stream, incoming, rest) = connection.leave(after)?;
    let stage = if rest.unsent.is_empty() && after == After::Reuse {
        Stage::Head
    } else {
        Stage::Sending {
            unsent: rest.unsent,
            pace: rest.pace,
            then: after,
            linger: rest.linger,
        }
    };
    Some(Parked {
        token,
        stream: stream.into_plain()?,
        incoming,
        facts,
        admission,
        stage,
    })
}
