//! The pool, and the way of a connection to it and back.

use super::super::{GoOn, HandlerThreads, Returns};
use super::early::{Early, EarlyThreads, body_is_there};
use crate::connection::{Connection, Detached, Exchanged, Handlers, Transport};
use crate::green::embed::{
    Awaited, Count, Interrupt, Io, Thread, Unwind, current, discard, wait_for,
};
use crate::green::shield;
use crate::service::{ConnContext, ConnState, Service};
use crossbeam_channel::{Receiver, Sender, unbounded};
use greenway_proto::http1::RequestHead;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After so long in the queue it is worth a system call to ask whether the client is still there.
const LONG_WAIT: Duration = Duration::from_millis(10);

/// With so many requests in the queue for each thread, one more gives its green thread up instead
/// of waiting on it: its turn is far off, and its stack would be memory. With fewer a new green
/// thread for each request would cost more than it saves.
const LONG_QUEUE: usize = 4;

/// So many requests of one connection a thread serves one after the other while others wait.
const REQUESTS_AT_ONCE: usize = 64;

/// A request for the pool, and the connection that it came on.
struct Job<T> {
    connection: Box<Detached<T>>,
    request: RequestHead,
    since: Instant,
    back: Back<T>,
}

/// A request for the pool, on a connection of whatever kind.
trait Work: Send {
    /// Serves it, on a thread of the pool with this context.
    fn serve(self: Box<Self>, service: &Arc<Service>, context: &Arc<ConnContext>);
}

/// Where a connection comes back from the pool. Whatever becomes of the job, the waiting green
/// thread is told when this is dropped.
struct Back<T>(Arc<Reply<T>>);

#[derive(Debug)]
struct Reply<T> {
    state: Mutex<ReplyState<T>>,
    /// The green thread that waits.
    thread: Arc<Thread>,
}

enum ReplyState<T> {
    Awaited,
    /// The green thread has ended; this is to be called when the job is over.
    Left(GoOn<T>),
    /// The job is over; with the connection, if it is not closed.
    Over(Option<Box<Detached<T>>>),
}

impl<T> std::fmt::Debug for ReplyState<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Awaited => "Awaited",
            Self::Left(_) => "Left",
            Self::Over(_) => "Over",
        })
    }
}

impl<T> Reply<T> {
    fn lock(&self) -> MutexGuard<'_, ReplyState<T>> {
        // Nothing under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Back<T> {
    fn give(self, connection: Option<Box<Detached<T>>>) {
        self.0.over(connection);
    }
}

impl<T> Drop for Back<T> {
    fn drop(&mut self) {
        self.0.over(None); // unless it was given
    }
}

impl<T> Reply<T> {
    /// Says that the job is over, to whoever has to know. Only the first call counts.
    fn over(&self, connection: Option<Box<Detached<T>>>) {
        let mut state = self.lock();
        let former = match &*state {
            ReplyState::Over(_) => return,
            _ => std::mem::replace(&mut *state, ReplyState::Over(None)),
        };
        match former {
            ReplyState::Left(go_on) => {
                drop(state);
                go_on(connection);
            }
            _ => {
                *state = ReplyState::Over(connection);
                drop(state);
                self.thread.wake();
            }
        }
    }

    /// Waits until the job is over, whatever happens: a stop that has found the connection on its way
    /// to the pool ends the handler there, and what it answers still has to leave.
    fn wait(&self) -> Option<Box<Detached<T>>> {
        let result = shield(|| {
            wait_for(Awaited::Job, None, Io::None, |_, _| {
                match &mut *self.lock() {
                    ReplyState::Over(connection) => Some(connection.take()),
                    ReplyState::Awaited | ReplyState::Left(_) => None,
                }
            })
        });
        current().clear_stop();
        result.ok().flatten()
    }

    /// Has `go_on` called when the job is over: here and now, if it is.
    fn when_over(&self, go_on: GoOn<T>) {
        let mut state = self.lock();
        match &mut *state {
            ReplyState::Over(connection) => {
                let connection = connection.take();
                drop(state);
                go_on(connection);
            }
            ReplyState::Awaited | ReplyState::Left(_) => *state = ReplyState::Left(go_on),
        }
    }
}

/// A request in the queue whose green thread has ended.
pub(in crate::engine) struct Queued<T> {
    reply: Arc<Reply<T>>,
    early: Option<Early>,
}

/// The fixed pool of OS threads on which handlers run.
#[derive(Debug)]
pub(in crate::engine) struct Pool {
    service: Arc<Service>,
    /// `None` when the server has stopped: the threads end then.
    jobs: Mutex<Option<Sender<Box<dyn Work>>>>,
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
            let started = builder.spawn(move || serve_jobs(&service, &work));
            threads.push(started.map_err(|error| {
                let why = format!(
                    "no room for the {} of the pool: {error}",
                    Count(count, "thread")
                );
                io::Error::new(error.kind(), why)
            })?);
        }
        Ok(Self {
            service: service.clone(),
            jobs: Mutex::new(Some(jobs)),
            early: EarlyThreads::new(count),
            threads: Mutex::new(threads),
        })
    }

    /// Hands a request over. Whether there are many before it, too.
    fn hand_over<T: Transport + Send>(
        &self,
        connection: Box<Detached<T>>,
        request: RequestHead,
    ) -> (Arc<Reply<T>>, bool) {
        let reply = Arc::new(Reply {
            state: Mutex::new(ReplyState::Awaited),
            thread: current().handle(),
        });
        let job = Box::new(Job {
            connection,
            request,
            since: Instant::now(),
            back: Back(reply.clone()),
        });
        let sender = lock(&self.jobs).clone();
        // Without a pool the job is dropped, which tells the reply that the connection is closed.
        let waiting = sender.map_or(0, |jobs| {
            let _given = jobs.send(job);
            jobs.len()
        });
        let threads = self.service.config.threads.max(1);
        (reply, waiting > threads.saturating_mul(LONG_QUEUE))
    }
}

impl Pool {
    /// Waits until the request may be handed over: see [`EarlyThreads::ready`]. The end of a stop
    /// ends that wait; a thread of the pool says so to the client.
    #[inline(never)]
    fn body_or_thread<T: Transport>(
        &self,
        connection: &Connection<T>,
        request: &RequestHead,
        pause: Duration,
    ) -> Option<Early> {
        let wait = || self.early.ready(connection, request, pause);
        catch_unwind(AssertUnwindSafe(wait)).unwrap_or_else(|payload| match Unwind::of(&*payload) {
            Some(Unwind::Interrupted(Interrupt::Stop)) => {
                current().clear_stop();
                None
            }
            _ => resume_unwind(payload),
        })
    }
}

impl<T: Transport + Send> Handlers<T> for Pool {
    type Queued = Queued<T>;

    fn exchange(&self, connection: Connection<T>, request: RequestHead) -> Exchanged<T, Queued<T>> {
        let clocks = &self.service.config.clocks;
        let context = connection.context().clone();
        let early = self.body_or_thread(&connection, &request, clocks.body);
        let Some(detached) = connection.detach() else {
            return Exchanged::Closed;
        };
        // A stop interrupts the thread that has the request, not the one that waits for it.
        context.set(ConnState::Pooled);
        let (reply, queue_is_long) = self.hand_over(detached, request);
        if queue_is_long {
            return Exchanged::Queued(Queued { reply, early });
        }
        let back = reply.wait();
        context.set(ConnState::Busy);
        drop(early);
        let Some(detached) = back else {
            return Exchanged::Closed;
        };
        detached.io.stream.came_back();
        Exchanged::Back(Connection::attach(detached, self.service.clone(), context))
    }
}

impl<T: Transport + Send> Returns<T> for Pool {
    fn when_back(&self, queued: Queued<T>, go_on: GoOn<T>) {
        let Queued { reply, early } = queued;
        reply.when_over(Box::new(move |connection| {
            drop(early);
            go_on(connection);
        }));
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
fn serve_jobs(service: &Arc<Service>, jobs: &Receiver<Box<dyn Work>>) {
    let context = ConnContext::new(ConnState::Free);
    let number = service.lifecycle.register(context.clone());
    for job in jobs {
        context.set(ConnState::Busy);
        job.serve(service, &context);
    }
    service.lifecycle.unregister(number);
}

impl<T: Transport + Send> Work for Job<T> {
    fn serve(self: Box<Self>, service: &Arc<Service>, context: &Arc<ConnContext>) {
        let Self {
            connection,
            request,
            since,
            back,
        } = *self;
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
}

/// Serves a request, and those that have come behind it and need no waiting. The others take the
/// usual way to a thread.
fn serve<T: Transport>(
    connection: Connection<T>,
    request: RequestHead,
    queued: bool,
) -> Option<Box<Detached<T>>> {
    let mut request = Some(request);
    let mut left = REQUESTS_AT_ONCE;
    while let Some(next) = request.take() {
        left -= 1;
        connection.exchange(next, queued);
        if !connection.may_be_reused() || !connection.flush_now().unwrap_or(false) {
            break;
        }
        match connection.buffered_request() {
            Ok(Some(next)) if left > 0 && body_is_there(&connection, &next) => {
                request = Some(next);
            }
            Ok(Some(next)) => connection.put_back(next),
            Ok(None) => {}
            Err(reject) => connection.reject(&reject),
        }
    }
    connection.detach()
}
