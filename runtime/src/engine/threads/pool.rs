//! The pool, and the way of a connection to it and back.

use super::super::HandlerThreads;
use super::early::{Early, EarlyThreads};
use crate::connection::{Connection, Detached, Handlers};
use crate::green::embed::net::Stream;
use crate::green::embed::spawn::discard;
use crate::green::embed::thread::{self, Awaited, Io, Thread, wait_for};
use crate::service::{ConnContext, ConnState, Service};
use crossbeam_channel::{Receiver, Sender, unbounded};
use greenway_proto::http1::RequestHead;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After so long in the queue it is worth a system call to ask whether the client is still there.
const LONG_WAIT: Duration = Duration::from_millis(10);

/// A request for the pool, and the connection that it came on.
struct Job {
    connection: Detached<Stream>,
    request: RequestHead,
    since: Instant,
    back: Back,
}

/// Where a connection comes back from the pool. Whatever becomes of the job, the waiting green
/// thread is told when this is dropped.
struct Back(Arc<Reply>);

#[derive(Debug)]
struct Reply {
    state: Mutex<ReplyState>,
    /// The green thread that waits.
    thread: Arc<Thread>,
}

#[derive(Debug)]
enum ReplyState {
    Awaited,
    /// The job is over; with the connection, if it is not closed.
    Over(Option<Detached<Stream>>),
}

impl Reply {
    fn lock(&self) -> MutexGuard<'_, ReplyState> {
        // Nothing under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Back {
    fn give(self, connection: Option<Detached<Stream>>) {
        *self.0.lock() = ReplyState::Over(connection);
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(*state, ReplyState::Awaited) {
            *state = ReplyState::Over(None);
        }
        drop(state);
        self.0.thread.wake();
    }
}

/// The fixed pool of OS threads on which handlers run.
#[derive(Debug)]
pub(in crate::engine) struct Pool {
    service: Arc<Service>,
    /// `None` when the server has stopped: the threads end then.
    jobs: Mutex<Option<Sender<Job>>>,
    early: Arc<EarlyThreads>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the process can have no more threads.
    pub(in crate::engine) fn start(service: &Arc<Service>) -> io::Result<Self> {
        let count = service.config.threads.max(1);
        let (jobs, work) = unbounded();
        let mut threads = Vec::new();
        for number in 1..=count {
            let (service, work) = (service.clone(), work.clone());
            let builder = std::thread::Builder::new().name(format!("greenway-pool-{number}"));
            threads.push(builder.spawn(move || serve_jobs(&service, &work))?);
        }
        Ok(Self {
            service: service.clone(),
            jobs: Mutex::new(Some(jobs)),
            early: EarlyThreads::new(count),
            threads: Mutex::new(threads),
        })
    }

    /// Hands a request over, and waits until the pool is done with it.
    fn run(&self, connection: Detached<Stream>, request: RequestHead) -> Option<Detached<Stream>> {
        let reply = Arc::new(Reply {
            state: Mutex::new(ReplyState::Awaited),
            thread: thread::current(),
        });
        let job = Job {
            connection,
            request,
            since: Instant::now(),
            back: Back(reply.clone()),
        };
        let sender = lock(&self.jobs).clone();
        // Without a pool the job is dropped, which tells the reply that the connection is closed.
        let _given = sender.map(|jobs| jobs.send(job));
        let result = wait_for(
            Awaited::Job,
            None,
            Io::None,
            |_, _| match std::mem::replace(&mut *reply.lock(), ReplyState::Awaited) {
                ReplyState::Awaited => None,
                ReplyState::Over(connection) => Some(connection),
            },
        );
        result.ok().flatten()
    }
}

impl Handlers<Stream> for Pool {
    fn exchange(
        &self,
        connection: Connection<Stream>,
        request: RequestHead,
    ) -> Option<Connection<Stream>> {
        let clocks = &self.service.config.clocks;
        let early: Option<Early> = self.early.ready(&connection, &request, clocks.body);
        let context = connection.context().clone();
        let detached = connection.detach()?;
        // A stop interrupts the thread that has the request, not the one that waits for it.
        context.set(ConnState::Pooled);
        let back = self.run(detached, request);
        context.set(ConnState::Busy);
        drop(early);
        let detached = back?;
        detached.io.stream.came_back();
        Some(Connection::attach(detached, self.service.clone(), context))
    }
}

impl HandlerThreads for Pool {
    fn stop(&self) {
        *lock(&self.jobs) = None;
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // A thread whose handler does not end cannot be waited for.
            if thread.is_finished() {
                let _its_panic_was_printed = thread.join();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under the locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of a thread of the pool.
fn serve_jobs(service: &Arc<Service>, jobs: &Receiver<Job>) {
    let context = ConnContext::new(ConnState::Free);
    let number = service.lifecycle.register(context.clone());
    for job in jobs {
        context.set(ConnState::Busy);
        let Job {
            connection,
            request,
            since,
            back,
        } = job;
        let queued = since.elapsed() >= LONG_WAIT;
        let connection = Connection::attach(connection, service.clone(), context.clone());
        // An unwind that comes out of here is a stop that met the connection between two
        // requests; the connection is closed by it, and the thread goes on.
        let result = catch_unwind(AssertUnwindSafe(|| serve(connection, request, queued)));
        context.set(ConnState::Free);
        context.set_client(None);
        context.thread.clear_interrupt();
        match result {
            Ok(connection) => back.give(connection),
            Err(payload) => discard(payload),
        }
    }
    service.lifecycle.unregister(number);
}

/// Serves a request, and those that have come behind it and need no waiting.
fn serve(
    connection: Connection<Stream>,
    request: RequestHead,
    queued: bool,
) -> Option<Detached<Stream>> {
    let mut request = Some(request);
    while let Some(next) = request.take() {
        connection.exchange(next, queued);
        if !connection.may_be_reused() || !connection.flush_now().unwrap_or(false) {
            break;
        }
        match connection.buffered_request() {
            Ok(next) => request = next,
            Err(reject) => connection.reject(&reject),
        }
    }
    connection.detach()
}
