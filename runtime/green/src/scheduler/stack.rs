//! How much of their stacks green threads use, by route or by name; and what they can give back.
//!
//! A page that was ever touched stays with its green thread. One that is about to wait for long
//! can give back what it has used before and does not need any more: see [`trim`].
//!
//! The figures cost system calls, so they are taken on request only (`Config::stack_marks`): before
//! something begins, the pages below the stack pointer are given back to the kernel; when it is over, those that are
//! there again are what it has used, to the page.
//!
//! # Implementation
//!
//! `mincore` tells which pages are there. They are looked at downwards from the stack pointer: a
//! stack is used without gaps, because large frames touch each of their pages, and below its end
//! lies the guard page, which is never there. `may` keeps a mark on the last page of a stack and
//! ends the process when it is gone, so the last of the pages that are there stays, always.

use crate::logging::Count;
use crate::scheduler::config;
use crate::scheduler::lock::lock;
use crate::scheduler::thread;
use crate::scheduler::worker;
use std::collections::HashMap;
use std::fmt;
use std::ptr::without_provenance_mut;
use std::sync::Mutex;

const PAGE: usize = 4096;
/// Pages that are looked at with one call.
const CHUNK: usize = 64;
/// Routes and names that are remembered.
const MOST_MARKS: usize = 256;
/// What is used beyond so many hundredths is worth a warning.
const WARN_AT: usize = 75;

static MARKS: Mutex<Option<HashMap<String, StackMark>>> = Mutex::new(None);

/// The most that green threads of one kind have used of their stacks. Shown, it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackMark {
    /// The method and the route of requests, or the name of green threads.
    pub who: String,
    /// The most that was used, in bytes, up to a page.
    pub used: usize,
    /// What there is, in bytes.
    pub size: usize,
    /// How often it was looked at.
    pub count: u64,
}

impl fmt::Display for StackMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, size) = (self.used / 1024, self.size / 1024);
        let (who, times) = (&self.who, Count(self.count, "time"));
        write!(f, "{used:>8} of {size} KiB  {who} ({times})")
    }
}

/// The most that requests of each route, and green threads of each name, have used of their
/// stacks so far; most first. Empty unless [`Config::stack_marks`](crate::Config::stack_marks) is
/// set. At most 256 different ones are remembered, those that came first.
pub fn stack_marks() -> Vec<StackMark> {
    let mut marks: Vec<_> = lock(&MARKS)
        .iter()
        .flat_map(HashMap::values)
        .cloned()
        .collect();
    marks.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.who.cmp(&b.who)));
    marks
}

fn stack_marks_wanted() -> bool {
    config::in_effect().is_some_and(|config| config.stack_marks)
}

/// The size of each green thread's stack; 0 while there are none.
fn stack_size() -> usize {
    config::in_effect().map_or(0, |config| config.stack_size)
}

/// Gives the kernel all pages of the stack below the one that the caller is on: for a green
/// thread that has just done the deepest of its work, and is about to wait. One system call.
/// Does nothing in an OS thread, nor with `Config::stack_marks`, which needs these pages as they are.
#[cold]
#[inline(never)]
pub fn trim() {
    if worker::current().is_some() && !stack_marks_wanted() {
        discard_unused();
    }
}

fn discard_unused() {
    /// What the system call itself needs, and more.
    const MARGIN: usize = 256;
    let anchor = thread::with_current(|me| me.anchor());
    let pointer = stack_pointer();
    if is_within(anchor, pointer) {
        // The lower part is left alone: at its end is the mark, which has to stay.
        let low = anchor.saturating_sub(stack_size() / 4);
        let high = (pointer - MARGIN) / PAGE * PAGE;
        discard(low.next_multiple_of(PAGE), high);
    }
}

/// Whether an address lies within the stack of a green thread with this anchor. The thread may be on
/// a stack of somebody else's: a library that grows stacks (`stacker`) has called us on one. Then
/// nothing is known of the pages that we are on, and the memory in between is not ours.
fn is_within(anchor: usize, address: usize) -> bool {
    // The anchor lies in a function that has returned: others that its caller has called since then
    // may begin a little above it.
    let upper = anchor.saturating_add(PAGE);
    anchor > 0 && address <= upper && upper - address < stack_size()
}

/// Watches how much of the stack is used from here on.
#[derive(Debug)]
pub struct Measure {
    /// The upper end of what is looked at; 0 if nothing is to be measured.
    top: usize,
}

impl Measure {
    /// For the thread that calls, which may be of any kind.
    #[inline]
    pub fn begin() -> Self {
        if stack_marks_wanted() {
            Self::begin_wanted()
        } else {
            Self { top: 0 }
        }
    }

    #[inline(never)] // what is measured with would be kept by the stack of whoever is not
    fn begin_wanted() -> Self {
        let anchor = if worker::current().is_some() {
            thread::current().anchor()
        } else {
            0
        };
        let pointer = stack_pointer();
        if !is_within(anchor, pointer) {
            return Self { top: 0 };
        }
        give_back(resident_below(pointer));
        Self { top: anchor }
    }

    /// Notes what was used since then, under what `who` says.
    #[inline]
    pub fn end(self, who: impl FnOnce() -> Option<String>) {
        if self.top > 0 {
            self.end_wanted(who);
        }
    }

    #[inline(never)] // as above
    fn end_wanted(self, who: impl FnOnce() -> Option<String>) {
        let pointer = stack_pointer();
        if !is_within(self.top, pointer) {
            return;
        }
        let here = resident_below(pointer);
        let used = self.top.next_multiple_of(PAGE).saturating_sub(here.low);
        let size = stack_size();
        if let Some(who) = who() {
            note(who, used, size);
        }
    }
}

fn note(who: String, used: usize, size: usize) {
    let text = note_mark(who, used, size).map(|who| {
        format!(
            "{who} has used {} of {} KiB of its stack; beyond that the process ends. \
             --stack-size BYTES makes it larger.",
            used / 1024,
            size / 1024
        )
    });
    // Not under the lock: a logger may wait for others, who end and are noted as well.
    if let Some(text) = text {
        log::warn!("{text}");
    }
}

/// Gives whose mark it is, if that is worth a warning.
fn note_mark(who: String, used: usize, size: usize) -> Option<String> {
    let mut marks = lock(&MARKS);
    let marks = marks.get_or_insert_default();
    if marks.len() >= MOST_MARKS && !marks.contains_key(&who) {
        return None;
    }
    let mark = marks.entry(who.clone()).or_insert_with(|| StackMark {
        who,
        used: 0,
        size,
        count: 0,
    });
    mark.count += 1;
    if used <= mark.used {
        return None;
    }
    mark.used = used;
    (used * 100 > size * WARN_AT).then(|| mark.who.clone())
}

/// Pages that are there, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pages {
    /// The address of the lowest one.
    low: usize,
    /// The end of the highest one.
    high: usize,
}

/// The pages that are there below an address, down to the first that is not; the page of the
/// address itself is one of them.
fn resident_below(address: usize) -> Pages {
    let high = (address + 1).next_multiple_of(PAGE);
    let mut low = high - PAGE;
    let mut there = [0u8; CHUNK];
    loop {
        let start = low.saturating_sub(CHUNK * PAGE);
        let pages = (low - start) / PAGE;
        // SAFETY: `there` holds a byte for each page, and nothing is written elsewhere.
        let result = unsafe {
            libc::mincore(
                without_provenance_mut(start),
                pages * PAGE,
                there.as_mut_ptr().cast(),
            )
        };
        if result != 0 {
            return Pages { low, high }; // something in between is no memory at all
        }
        for page in (0..pages).rev() {
            if there[page] & 1 == 0 {
                return Pages { low, high };
            }
            low -= PAGE;
        }
    }
}

/// Gives pages of the stack back to the kernel, but for the lowest one and for those around the
/// stack pointer.
fn give_back(pages: Pages) {
    let low = pages.low + PAGE;
    // The functions that are called from here use this page, and perhaps the next.
    discard(low, pages.high.saturating_sub(3 * PAGE));
}

/// Gives pages of this thread's own stack back to the kernel, if there are any in between. They
/// lie below all frames that are in use.
fn discard(low: usize, high: usize) {
    if low < high {
        // SAFETY: private memory of this thread's stack, below the frames that are in use and
        // that of the call itself: what lies there belongs to calls that are over.
        unsafe { libc::madvise(without_provenance_mut(low), high - low, libc::MADV_DONTNEED) };
    }
}

#[inline(never)]
fn stack_pointer() -> usize {
    let here = 0u8;
    (&raw const here).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, config, spawn, start};
    use std::hint::black_box;

    #[inline(never)]
    fn use_stack(kib: usize) -> u8 {
        let frame = [1u8; 1024];
        match black_box(kib) {
            0 | 1 => black_box(&frame)[7],
            more => black_box(&frame)[7] + use_stack(more - 1),
        }
    }

    #[test]
    fn what_was_used_is_seen_to_the_page_and_each_time_anew() {
        start(Config {
            workers: 2,
            ..Config::default()
        });
        if !config().stack_marks {
            return; // another test was faster, in a build without marks
        }
        let name = |name: &str| format!("stack test {name}");
        for (who, kib) in [("deep", 100), ("flat", 1), ("deep", 40)] {
            let thread = crate::Builder::new().name(name(who));
            thread
                .worker(0)
                .spawn(move || black_box(use_stack(kib)))
                .join()
                .unwrap();
        }
        let used = |who: &str| {
            let mark = stack_marks().into_iter().find(|mark| mark.who == name(who));
            mark.unwrap_or_else(|| panic!("no mark of {who}")).used
        };
        let deep = used("deep");
        assert!((100..300).contains(&(deep / 1024)), "{deep}");
        assert!(used("flat") < 64 * 1024, "{}", used("flat"));
        assert_eq!(spawn(|| 1).join().unwrap(), 1);
    }

    #[test]
    fn only_addresses_within_the_stack_are_ours() {
        crate::embed::workers();
        let size = stack_size();
        let anchor = 1 << 40;
        assert!(is_within(anchor, anchor) && is_within(anchor, anchor - size / 2));
        for elsewhere in [anchor + 2 * PAGE, anchor - size, 1, usize::MAX] {
            assert!(!is_within(anchor, elsewhere), "{elsewhere}");
        }
        assert!(!is_within(0, 1), "an OS thread has no anchor");
    }

    #[test]
    fn what_is_no_longer_used_is_given_back() {
        start(Config {
            workers: 2,
            ..Config::default()
        });
        let (before, after, sum) = spawn(|| {
            let sum = black_box(use_stack(48));
            let before = resident_below(stack_pointer());
            discard_unused();
            let after = resident_below(stack_pointer());
            // And it can be used again.
            (before, after, sum == black_box(use_stack(48)))
        })
        .join()
        .unwrap();
        assert!(before.high - before.low >= 40 * 1024, "{before:?}");
        assert!(after.high - after.low <= 2 * PAGE, "{after:?}");
        assert!(sum);
    }
}
