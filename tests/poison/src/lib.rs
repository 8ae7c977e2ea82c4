//! An allocator for tests that fills freed memory with a pattern and keeps it for a while, so that
//! whoever reads it sees nonsense, and whoever writes to it is found out.
//!
//! It has a crate of its own because an allocator cannot be written without `unsafe`, which the tests
//! themselves have none of.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// What freed memory is full of.
pub const POISON: u8 = 0xa5;

/// Freed blocks that are kept; older ones go back to the system.
const KEPT: usize = 1 << 14;
/// Larger blocks are poisoned, and go back at once.
const LARGEST: usize = 16 * 1024;
/// The size and the alignment of a kept block, at its beginning.
const HEADER: usize = 2 * size_of::<usize>();

static KEPT_BLOCKS: [AtomicPtr<u8>; KEPT] = [const { AtomicPtr::new(null_mut()) }; KEPT];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The allocator: `#[global_allocator] static ALLOCATOR: Poison = Poison;`.
#[derive(Debug, Clone, Copy)]
pub struct Poison;

/// Whether nobody has written to the block since it was freed.
///
/// # Safety
/// `block` has `size` bytes, of which the header is ours.
unsafe fn is_intact(block: *const u8, size: usize) -> bool {
    // SAFETY: within the block, as the caller says.
    (HEADER..size).all(|place| unsafe { block.add(place).read() } == POISON)
}

// SAFETY: each block comes from the system's allocator and goes back to it once, with its layout;
// between `dealloc` and that, this allocator alone has it.
unsafe impl GlobalAlloc for Poison {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's, who gives it up; it has the layout's size.
        unsafe { block.write_bytes(POISON, layout.size()) };
        let fits = (HEADER..=LARGEST).contains(&layout.size());
        if !fits || layout.align() < align_of::<usize>() {
            // SAFETY: as the caller says.
            return unsafe { System.dealloc(block, layout) };
        }
        let header = block.cast::<usize>();
        // SAFETY: the block is aligned for it, and large enough for two.
        unsafe {
            header.write(layout.size());
            header.add(1).write(layout.align());
        }
        let place = NEXT.fetch_add(1, Ordering::Relaxed) % KEPT;
        let old = KEPT_BLOCKS[place].swap(block, Ordering::AcqRel);
        if old.is_null() {
            return;
        }
        let header = old.cast::<usize>();
        // SAFETY: it was put there as `block` was just now, and nobody else can take it out.
        let (size, align) = unsafe { (header.read(), header.add(1).read()) };
        match Layout::from_size_align(size, align) {
            // SAFETY: as above; these are its size and its alignment, unless somebody has written
            // there, which the rest of the block then shows as well.
            Ok(layout) if size <= LARGEST && unsafe { is_intact(old, size) } => unsafe {
                System.dealloc(old, layout);
            },
            _ => std::process::abort(), // somebody has written to it after it was freed
        }
    }
}
