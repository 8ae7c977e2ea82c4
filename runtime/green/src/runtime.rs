//! The start of the workers, and who they are.

use crate::monitor::{self, overflow};
use crate::scheduler::config::{self, Config};
use crate::scheduler::lock::lock;
use crate::scheduler::residents;
use crate::scheduler::worker::Worker;
use crate::sys;
use crate::task::spawn::spawn_on;
use std::io;
use std::sync::{Mutex, OnceLock};

static WORKERS: OnceLock<Vec<&'static Worker>> = OnceLock::new();

/// Starts the workers, unless they run already. True if this call has started them.
///
/// Called implicitly with [`Config::default`] by the first `spawn`; call it before that to
/// choose. The number of workers and the stack size cannot be changed later.
///
/// # Panics
/// When the process has no descriptors left for the workers' timers and bells, or when called
/// first from a coroutine that was spawned with `may` directly.
pub fn start(config: Config) -> bool {
    let mut started = false;
    WORKERS.get_or_init(|| {
        started = true;
        start_workers(config.possible())
            .unwrap_or_else(|error| panic!("cannot start the green threads' workers: {error}"))
    });
    started
}

/// Whether the workers run.
pub(crate) fn is_started() -> bool {
    WORKERS.get().is_some()
}

/// All workers; starts them if none run yet.
pub fn workers() -> &'static [&'static Worker] {
    WORKERS.get().unwrap_or_else(|| {
        start(Config::default());
        WORKERS.get().expect("start() has just set it")
    })
}

/// How the green threads are run, in effect; starts the workers if none run yet.
pub fn config() -> Config {
    workers();
    config::in_effect().expect("set before the workers are")
}

/// Whether there are workers. Unlike [`workers`], it starts none.
pub fn is_running() -> bool {
    WORKERS.get().is_some()
}

/// What each worker's OS thread is to do when it starts.
static AT_START: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Has each worker's OS thread call `this` once: when it starts, or soon if it runs already. It may be
/// called twice where both happen at once.
pub fn at_worker_start(this: fn()) {
    lock(&AT_START).push(this);
    for &worker in WORKERS.get().into_iter().flatten() {
        spawn_on(worker, this);
    }
}

/// Does what is to be done on a worker's OS thread when it starts; called there.
fn worker_starts() {
    let all = lock(&AT_START).clone();
    for this in all {
        this();
    }
}

/// The worker with the fewest green threads.
pub fn least_loaded() -> &'static Worker {
    workers()
        .iter()
        .min_by_key(|worker| worker.population())
        .expect("there is at least one worker")
}

fn start_workers(config: Config) -> io::Result<Vec<&'static Worker>> {
    assert!(
        !may::coroutine::is_coroutine(),
        "greenway_green::start() must be called before the first `may` coroutine waits"
    );
    sys::signal::survive_broken_pipes()?;
    // Before `may` puts its own in its place.
    let before = overflow::present_handler()?;
    config::take_effect(config);
    may::config()
        .set_workers(config.workers)
        .set_stack_size(config.stack_size / size_of::<usize>())
        // Pooled stacks are made and touched at start (8 KiB each), and save an mmap, an
        // mprotect, an munmap and two page faults each where many come at once. (Where they
        // come one after the other, coroutines are used again.)
        .set_pool_capacity(192)
        // A pinned worker cannot get out of the way of another process on its core.
        .set_worker_pin(false);
    let mut workers = Vec::new();
    for index in 0..config.workers {
        let worker: &Worker = Box::leak(Box::new(Worker::new(index, config.workers)?));
        workers.push(worker);
    }
    residents::start(&workers, worker_starts)?;
    overflow::install(before)?;
    monitor::start(workers.clone(), config.max_blocking_time)?;
    Ok(workers)
}
