//! The residents of a worker: three coroutines that live for ever.
//!
//! The *mailbox task* watches the bell, empties the mailbox, wakes and starts what it finds there.
//! The *timer task* watches a timerfd and wakes what is due. The *I/O task* watches an epoll and
//! wakes those whose descriptor is ready (see [`watch`](crate::scheduler::watch)). Their
//! descriptors are chosen so that `may` watches them on that worker, and all are edge-triggered:
//! bell and timer never have to be read.

use super::coroutine_pool::CoroutinePool;
use super::coroutines::launch;
use super::service_thread::Noticed;
use super::worker::{self, Here, Message, Worker};
use crate::sys;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Starts the residents of all workers, and waits until each worker has its OS thread, which calls
/// `first` before anything else.
///
/// # Errors
/// Why `may` cannot start them.
pub(crate) fn start(workers: &[&'static Worker], first: fn()) -> io::Result<()> {
    let settled = Arc::new((Mutex::new(0), Condvar::new()));
    for &worker in workers {
        let settled = settled.clone();
        let builder = || {
            may::coroutine::Builder::new()
                .id(worker.index())
                .name("greenway".into())
        };
        // SAFETY: `may` asks for care with thread-locals and with stack overflow. The residents
        // use one thread-local, which the first of them sets, and never leave their OS thread,
        // since `may` is built without work stealing; their frames are shallow.
        unsafe {
            builder().spawn(move || {
                let _noticed = Noticed("greenway (mailbox)");
                worker.settle();
                sys::signal::use_signal_stack();
                first();
                let (count, changed) = &*settled;
                *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                changed.notify_all();
                run_mailbox_task(here());
            })?;
            builder().spawn(move || -> () {
                let _noticed = Noticed("greenway (timers)");
                loop {
                    worker.timer.wait();
                    here().fire_timers();
                }
            })?;
            builder().spawn(move || -> () {
                let _noticed = Noticed("greenway (descriptors)");
                let mut woken = Vec::new();
                loop {
                    worker.news.wait();
                    here().wake_ready(&mut woken);
                }
            })?;
        }
    }
    let (count, changed) = &*settled;
    let started = count.lock().unwrap_or_else(PoisonError::into_inner);
    let all = changed.wait_while(started, |count| *count < workers.len());
    drop(all.unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

/// The first resident of a worker settles before it waits, and the others start after it.
fn here() -> Here {
    worker::here().expect("residents live on workers")
}

fn run_mailbox_task(here: Here) {
    let mut mail = Vec::new();
    loop {
        if here.bell.wait() {
            here.collect(&mut mail);
            here.begin_round();
            for message in mail.drain(..) {
                match message {
                    Message::Wake(thread) => thread.deliver(here),
                    Message::Spawn(start) => here.take_in_mail(start),
                }
            }
        }
        while here.has_newborn() {
            if here.with_pool(|pool| pool.has_called()) {
                may::coroutine::yield_now(); // those were started earlier, and come first
            }
            if let Some(start) = here.next_newborn() {
                here.with_pool(CoroutinePool::count_made);
                launch(start);
            }
        }
    }
}
