//! Chunks that wait for company, so that a burst of small ones does not cost a system call each.
//!
//! PEP 3333 lets a server "use a different thread to ensure that the block continues to be
//! transmitted while the application produces the next block". The first chunk after a pause leaves at once. Those that follow
//! it without one gather, and leave
//! - when their producer waits for anything, or its response ends;
//! - when there would be more than [`MOST_BYTES`], or a chunk comes a millisecond after the last
//!   write: together with it, in one write;
//! - in any case after about a millisecond: then the [`flusher`] writes them, an OS thread, which
//!   no producer can hold up by computing.
//!
//! What must stay true:
//! - Bytes leave in their order. Whoever writes has taken what was gathered before, or holds the
//!   lock over a write that does not wait; so the flusher and the producer never write at once.
//! - What was gathered before anything else that is to go leaves before it.
//! - With TLS the flusher writes through the session's lock, as all who share a socket do.
//! - The client's end that the flusher finds is told to the producer, at its next chunk or wait.

use super::buffers;
use super::flusher::{self, Listed};
use super::shared_socket::SharedSocket;
use crate::green::embed::lock;
use std::cell::{Cell, OnceCell};
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// So many bytes are gathered at most: what a client that does not read makes its connection hold.
const MOST_BYTES: usize = 16 * 1024;

/// A chunk that comes so long after the last write is not held back.
const BURST: Duration = Duration::from_millis(1);

/// The producer's side: one for each connection.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    /// Made when something is gathered for the first time.
    shared: OnceCell<Arc<Gathered>>,
    /// Something was gathered and not taken since; the flusher may have written it.
    holds: Cell<bool>,
    /// The last write of a chunk, unless the producer has waited since.
    burst: Cell<Option<Instant>>,
    /// When the clock was read for a chunk, and how often the flusher had looked by then.
    read: Cell<Option<(Instant, u64)>>,
}

/// What a connection has gathered, for its producer and the flusher.
#[derive(Debug)]
pub(super) struct Gathered {
    state: Mutex<State>,
    socket: Arc<dyn SharedSocket>,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// So many bytes has the flusher written, which the producer has not been told of.
    given: usize,
    /// What the flusher has met instead.
    failed: Option<io::Error>,
    /// The flusher has seen these bytes before.
    seen: bool,
    /// The flusher knows of the connection.
    listed: bool,
}

/// What was gathered, for the producer to send.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    /// So many bytes were written already.
    pub(super) given: usize,
    /// Writing has failed.
    pub(super) failed: Option<io::Error>,
}

impl Gatherer {
    /// Whether there may be something to [`take`](Self::take).
    #[inline]
    pub(super) fn holds(&self) -> bool {
        self.holds.get()
    }

    /// The time, for a chunk. While something is gathered the flusher looks each millisecond; until
    /// it has, the clock is not read again: that takes longer than all else that a small chunk needs.
    #[inline]
    pub(super) fn now(&self) -> Instant {
        let looks = flusher::looks();
        match self.read.get() {
            Some((now, then)) if then == looks && self.holds() => now,
            _ => {
                let now = Instant::now();
                self.read.set(Some((now, looks)));
                now
            }
        }
    }

    /// The producer waits: what comes next comes after a pause.
    #[inline]
    pub(super) fn pause(&self) {
        self.burst.set(None);
    }

    /// A chunk was written.
    pub(super) fn has_sent(&self) {
        self.burst.set(Some(Instant::now()));
    }

    /// Whether a chunk that comes now follows the last one without a pause.
    #[inline]
    pub(super) fn is_in_burst(&self, now: Instant) -> bool {
        let sent = self.burst.get();
        sent.is_some_and(|sent| now.saturating_duration_since(sent) < BURST)
    }

    /// Whether the producer has gone on for long without a wait.
    #[inline]
    pub(super) fn has_gone_on(&self, now: Instant) -> bool {
        self.burst.get().is_some() && !self.is_in_burst(now)
    }

    /// Keeps the parts of a chunk. False if there is no room for them, or nobody who would send them
    /// in time.
    ///
    /// # Errors
    /// What the flusher has met.
    pub(super) fn add(
        &self,
        parts: &[&[u8]],
        socket: impl FnOnce() -> Option<Arc<dyn SharedSocket>>,
    ) -> io::Result<bool> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        if length > MOST_BYTES {
            return Ok(false);
        }
        let Some(shared) = self.shared(socket) else {
            return Ok(false);
        };
        let mut state = lock(&shared.state);
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        if state.bytes.len() + length > MOST_BYTES {
            return Ok(false);
        }
        if state.bytes.is_empty() {
            state.seen = false;
            if state.bytes.capacity() == 0 {
                state.bytes = buffers::take();
            }
        }
        for part in parts {
            state.bytes.extend_from_slice(part);
        }
        let listed = std::mem::replace(&mut state.listed, true);
        drop(state);
        self.holds.set(true);
        if !listed {
            flusher::list(shared.clone());
        }
        Ok(true)
    }

    fn shared(
        &self,
        socket: impl FnOnce() -> Option<Arc<dyn SharedSocket>>,
    ) -> Option<&Arc<Gathered>> {
        if self.shared.get().is_none() {
            self.begin(socket()?)?;
        }
        self.shared.get()
    }

    #[cold]
    #[inline(never)]
    fn begin(&self, socket: Arc<dyn SharedSocket>) -> Option<()> {
        flusher::start().ok()?;
        let gathered = Gathered {
            state: Mutex::default(),
            socket,
        };
        self.shared.set(Arc::new(gathered)).ok()
    }

    /// Takes all that was gathered.
    pub(super) fn take(&self) -> Taken {
        self.holds.set(false);
        let taken = self.shared.get().map(|shared| {
            let mut state = lock(&shared.state);
            Taken {
                bytes: std::mem::take(&mut state.bytes),
                given: std::mem::take(&mut state.given),
                failed: state.failed.take(),
            }
        });
        taken.unwrap_or(Taken {
            bytes: Vec::new(),
            given: 0,
            failed: None,
        })
    }
}

impl Drop for Gatherer {
    fn drop(&mut self) {
        if self.holds() {
            drop(self.take()); // the connection is lost, and the flusher is not to write to it
        }
    }
}

impl Listed for Gathered {
    /// Writes what has lain since the last call.
    fn tick(&self) -> bool {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return true, // its producer is at it
        };
        if state.bytes.is_empty() {
            state.listed = false;
            return false;
        }
        if !std::mem::replace(&mut state.seen, true) {
            return true;
        }
        match self.socket.write_now(&[IoSlice::new(&state.bytes)]) {
            Ok(n) => {
                state.bytes.drain(..n);
                state.given += n;
            }
            // The client is slow: its producer will wait for it.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => {
                state.bytes.clear();
                state.failed = Some(error);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::shared_socket::Writer;

    /// Takes as much of each write as it is told to, or fails.
    #[derive(Debug, Default)]
    struct Far {
        takes: Mutex<Vec<io::Result<usize>>>,
        taken: Mutex<Vec<u8>>,
    }

    impl SharedSocket for Far {
        fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
            let n = lock(&self.takes).pop().unwrap_or(Ok(usize::MAX))?;
            let n = n.min(bufs[0].len());
            lock(&self.taken).extend_from_slice(&bufs[0][..n]);
            Ok(n)
        }
        fn read_now(&self, _: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
            Ok(0)
        }
        fn unsent(&self) -> u64 {
            0
        }
        fn finish(&self) {}
        fn shutdown(&self) {}
        fn reset(&self) {}
        fn writer(self: Arc<Self>) -> io::Result<Box<dyn Writer>> {
            Err(ErrorKind::Unsupported.into())
        }
    }

    /// A gatherer that the flusher does not know of, so that the tests can be the flusher.
    fn gatherer(takes: Vec<io::Result<usize>>) -> (Gatherer, Arc<Gathered>, Arc<Far>) {
        let far = Arc::new(Far {
            takes: Mutex::new(takes),
            ..Far::default()
        });
        let gathered = Arc::new(Gathered {
            state: Mutex::new(State {
                listed: true,
                ..State::default()
            }),
            socket: far.clone(),
        });
        let gatherer = Gatherer::default();
        assert!(gatherer.shared.set(gathered.clone()).is_ok());
        (gatherer, gathered, far)
    }

    fn add(gatherer: &Gatherer, chunk: &[u8]) -> io::Result<bool> {
        gatherer.add(&[chunk], || None)
    }

    #[test]
    fn what_has_lain_is_written_at_the_second_look() {
        let (gatherer, gathered, far) = gatherer(Vec::new());
        assert!(add(&gatherer, b"one").unwrap());
        assert!(gathered.tick());
        assert!(add(&gatherer, b"two").unwrap());
        assert_eq!(*lock(&far.taken), b"");
        assert!(gathered.tick());
        assert_eq!(*lock(&far.taken), b"onetwo");
        assert!(gatherer.holds(), "as far as the producer knows");
        assert!(!gathered.tick(), "nothing is left");
        let taken = gatherer.take();
        assert_eq!((taken.bytes.len(), taken.given), (0, 6));
        assert!(!gatherer.holds());
    }

    #[test]
    fn the_rest_of_a_write_stays_in_its_place() {
        // From the last one on.
        let takes = vec![Err(ErrorKind::WouldBlock.into()), Ok(2)];
        let (gatherer, gathered, far) = gatherer(takes);
        assert!(add(&gatherer, b"abcd").unwrap());
        assert!(gathered.tick() && gathered.tick());
        assert!(add(&gatherer, b"ef").unwrap());
        assert!(gathered.tick());
        assert_eq!(*lock(&far.taken), b"ab");
        let taken = gatherer.take();
        assert_eq!((&*taken.bytes, taken.given), (&b"cdef"[..], 2));
        assert!(!gathered.tick(), "the producer has it");
    }

    #[test]
    fn the_end_of_the_client_is_told_with_the_next_chunk() {
        let (gatherer, gathered, _far) = gatherer(vec![Err(ErrorKind::BrokenPipe.into())]);
        assert!(add(&gatherer, b"one").unwrap());
        assert!(gathered.tick() && gathered.tick());
        let told = add(&gatherer, b"two").unwrap_err();
        assert_eq!(told.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn there_is_a_bound() {
        let (gatherer, _gathered, _far) = gatherer(Vec::new());
        assert!(!add(&gatherer, &[0; MOST_BYTES + 1]).unwrap());
        assert!(add(&gatherer, &[0; MOST_BYTES - 1]).unwrap());
        assert!(!add(&gatherer, b"..").unwrap());
        assert!(add(&gatherer, b".").unwrap());
        assert_eq!(gatherer.take().bytes.len(), MOST_BYTES);
    }
}
