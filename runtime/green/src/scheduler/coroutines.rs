//! Carriers: coroutines that run one green thread after the other.
//!
//! To make a coroutine takes `may` nine allocations, and its pool hands out the stack that has
//! been out of use for longest, which no cache knows any more. So the coroutine of a green thread
//! that has ended rests, if not too many do, and takes the next one that is started on its
//! worker: the last to rest first, with its stack still warm.
//!
//! What must stay true: nothing of a green thread is left for the next one. Its control block is
//! forgotten, its local values are dropped at its end. (A coroutine-local of `may`'s, of which
//! green threads know nothing, would stay; that of an OS thread in a pool does, too.)

use crate::scheduler::thread;
use crate::scheduler::worker;
use std::cell::Cell;
use std::rc::Rc;

/// The first function of a green thread.
pub(crate) type Start = Box<dyn FnOnce()>;

/// The carriers of a worker that rest. Only its own OS thread touches them.
pub(crate) struct Carriers {
    resting: Vec<Resting>,
    /// How many may rest. Each holds the two or three pages of its stack that were touched.
    most: usize,
    /// How many have been given a green thread and have not begun with it.
    called: usize,
    spare: Vec<Rc<Slot>>,
}

struct Resting {
    coroutine: may::coroutine::Coroutine,
    slot: Rc<Slot>,
}

/// Where a carrier finds its next green thread.
type Slot = Cell<Option<Start>>;

impl Carriers {
    /// For one of `workers`.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            resting: Vec::new(),
            most: (128 / workers).clamp(8, 64),
            called: 0,
            spare: Vec::new(),
        }
    }

    /// Lets one that rests run a green thread, as soon as its turn comes.
    ///
    /// # Errors
    /// The thread's first function, when none rests.
    pub(crate) fn start(&mut self, start: Start) -> Result<(), Start> {
        let Some(carrier) = self.resting.pop() else {
            return Err(start);
        };
        self.called += 1;
        carrier.slot.set(Some(start));
        carrier.coroutine.unpark();
        Ok(())
    }

    /// Whether some are about to begin, which were called before whoever asks.
    pub(crate) fn are_called(&self) -> bool {
        self.called > 0
    }

    /// The carrier that calls rests. Gives the place where it finds what it is called for; `None`
    /// if enough rest.
    fn rest(&mut self) -> Option<Rc<Slot>> {
        if self.resting.len() >= self.most {
            return None;
        }
        let slot = self.spare.pop().unwrap_or_default();
        self.resting.push(Resting {
            coroutine: may::coroutine::current(),
            slot: slot.clone(),
        });
        Some(slot)
    }

    /// A carrier begins with what it was called for.
    fn begin(&mut self, slot: Rc<Slot>) {
        self.called -= 1;
        self.spare.push(slot); // no more of them than carriers
    }
}

/// The life of a carrier.
// Nothing but the box lies on the stack below a green thread: see "Stack" in `crate::connection`.
pub(crate) fn carry(first: Start) {
    first();
    while let Some(next) = rest() {
        next();
    }
}

/// Waits for the next green thread. `None` if the carrier is not needed.
#[inline(never)]
fn rest() -> Option<Start> {
    thread::forget_current();
    let home = worker::current().expect("carriers live on workers");
    let slot = home.with_carriers(Carriers::rest)?;
    loop {
        may::coroutine::park();
        if let Some(next) = slot.take() {
            home.with_carriers(|carriers| carriers.begin(slot));
            return Some(next);
        }
    }
}
