//! Looking names up by the functions that were there before `getaddrinfo`.
//!
//! Those whose name ends in `_r` fill memory of the caller's, so they are waited for whatever happens to the
//! caller. The others give a result that is one for the whole process in the C library. Here it is one for
//! each worker, and replaced only when the next call of that worker has come back.

use super::elsewhere::{lent, owned};
use super::names::{copy, is_address, pointer};
use crate::patch::{Patch, counts};
use crate::{errno, original};
use greenway_green::embed::{NoWaitCell, name_threads};
use libc::{c_char, c_int, c_void, hostent, size_t, socklen_t};
use std::ffi::CStr;
use std::ptr::null_mut;

/// What `h_errno` says: try it later, or look at `errno`.
const TRY_AGAIN: c_int = 2;
pub(super) const INTERNAL: c_int = -1;

/// How dump and log call all of these.
const CALL: &str = "gethostbyname";

/// Where a function whose name ends in `_r` puts what it gives.
#[derive(Clone, Copy)]
struct Places {
    entry: *mut hostent,
    buffer: *mut c_char,
    n: size_t,
    found: *mut *mut hostent,
    error: *mut c_int,
}

impl Places {
    /// The C library's `gethostbyname_r`.
    ///
    /// # Safety
    /// That function's.
    unsafe fn by_name(self, name: *const c_char) -> c_int {
        let Self {
            entry,
            buffer,
            n,
            found,
            error,
        } = self;
        // SAFETY: the caller's promise.
        unsafe { original::gethostbyname_r(name, entry, buffer, n, found, error) }
    }

    /// The C library's `gethostbyname2_r`.
    ///
    /// # Safety
    /// That function's.
    unsafe fn by_name_of(self, name: *const c_char, family: c_int) -> c_int {
        let Self {
            entry,
            buffer,
            n,
            found,
            error,
        } = self;
        // SAFETY: the caller's promise.
        unsafe { original::gethostbyname2_r(name, family, entry, buffer, n, found, error) }
    }

    /// The C library's `gethostbyaddr_r`.
    ///
    /// # Safety
    /// That function's.
    unsafe fn by_address(self, address: *const c_void, length: socklen_t, family: c_int) -> c_int {
        let Self {
            entry,
            buffer,
            n,
            found,
            error,
        } = self;
        // SAFETY: the caller's promise.
        unsafe {
            original::gethostbyaddr_r(address, length, family, entry, buffer, n, found, error)
        }
    }

    /// Makes a call that fills this memory of the caller's: on one of the threads for names, if it is to be made
    /// elsewhere.
    ///
    /// # Safety
    /// That of the function that is called.
    unsafe fn fill(self, elsewhere: bool, call: impl Fn(Self) -> c_int) -> c_int {
        if !elsewhere {
            return call(self);
        }
        let before = errno::get();
        let made = lent(name_threads(), CALL, || (call(self), errno::get()));
        let Some((result, error)) = made else {
            // SAFETY: the caller gives a place for both.
            unsafe {
                self.found.write(null_mut());
                self.error.write(TRY_AGAIN);
            }
            return libc::EAGAIN;
        };
        errno::set(if result == 0 { before } else { error });
        result
    }
}

/// Whether somebody has to be asked for a name.
///
/// # Safety
/// It is null or a string of C's.
unsafe fn is_asked_for(name: *const c_char) -> bool {
    // SAFETY: the caller's promise.
    !name.is_null() && !is_address(unsafe { CStr::from_ptr(name) })
}

/// See `gethostbyname_r(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn gethostbyname_r(
    name: *const c_char,
    entry: *mut hostent,
    buffer: *mut c_char,
    n: size_t,
    found: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    let to = Places {
        entry,
        buffer,
        n,
        found,
        error,
    };
    // SAFETY: the caller's arguments, unchanged.
    unsafe {
        let elsewhere = counts(Patch::DNS) && is_asked_for(name);
        to.fill(elsewhere, |to| to.by_name(name))
    }
}

/// See `gethostbyname_r(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn gethostbyname2_r(
    name: *const c_char,
    family: c_int,
    entry: *mut hostent,
    buffer: *mut c_char,
    n: size_t,
    found: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    let to = Places {
        entry,
        buffer,
        n,
        found,
        error,
    };
    // SAFETY: the caller's arguments, unchanged.
    unsafe {
        let elsewhere = counts(Patch::DNS) && is_asked_for(name);
        to.fill(elsewhere, |to| to.by_name_of(name, family))
    }
}

/// See `gethostbyname_r(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn gethostbyaddr_r(
    address: *const c_void,
    length: socklen_t,
    family: c_int,
    entry: *mut hostent,
    buffer: *mut c_char,
    n: size_t,
    found: *mut *mut hostent,
    error: *mut c_int,
) -> c_int {
    let to = Places {
        entry,
        buffer,
        n,
        found,
        error,
    };
    // SAFETY: the caller's arguments, unchanged.
    unsafe {
        to.fill(counts(Patch::DNS), |to| {
            to.by_address(address, length, family)
        })
    }
}

/// A result that is kept for the caller: an entry, and the memory that it points into.
struct Kept {
    entry: hostent,
    memory: Vec<u8>,
}

// SAFETY: the pointers of the entry lead into its own memory, which moves along with it.
unsafe impl Send for Kept {}

/// So much memory is given at first and at last.
const LITTLE: usize = 1 << 10;
const MUCH: usize = 1 << 20;

thread_local! {
    /// The last result of this OS thread.
    static LAST: NoWaitCell<Option<Box<Kept>>> = const { NoWaitCell::new(None) };
}

/// Looks something up with a function whose name ends in `_r`, on one of the threads for names if somebody has to
/// be asked, and keeps the result.
fn keep(asks: bool, call: impl Fn(Places) -> c_int + Send + 'static) -> *mut hostent {
    let ask = move || {
        // SAFETY: all zeros is a valid `hostent`, which is a plain value.
        let entry = unsafe { std::mem::zeroed() };
        let mut kept = Box::new(Kept {
            entry,
            memory: vec![0; LITTLE],
        });
        let (mut found, mut error) = (null_mut(), 0);
        loop {
            let result = call(Places {
                entry: &raw mut kept.entry,
                buffer: kept.memory.as_mut_ptr().cast(),
                n: kept.memory.len(),
                found: &raw mut found,
                error: &raw mut error,
            });
            if result == libc::ERANGE && kept.memory.len() < MUCH {
                let more = 4 * kept.memory.len();
                kept.memory = vec![0; more];
                continue;
            }
            return (
                (result == 0 && !found.is_null()).then_some(kept),
                error,
                errno::get(),
            );
        }
    };
    let before = errno::get();
    let found = if asks {
        owned(name_threads(), CALL, ask)
    } else {
        Ok(ask())
    };
    let (error, number) = match found {
        Ok((Some(mut kept), ..)) => {
            let entry = &raw mut kept.entry; // it stays where it is, in its box
            drop(LAST.with(|last| last.replace(Some(kept))));
            errno::set(before);
            return entry;
        }
        Ok((None, error, number)) => (error, number),
        Err(Some(_)) => (INTERNAL, libc::ECANCELED),
        Err(None) => (TRY_AGAIN, libc::EAGAIN),
    };
    errno::set(number);
    errno::set_of_names(error);
    null_mut()
}

/// See `gethostbyname(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn gethostbyname(name: *const c_char) -> *mut hostent {
    if name.is_null() || !counts(Patch::DNS) {
        // SAFETY: the caller's argument, unchanged.
        return unsafe { original::gethostbyname(name) };
    }
    // SAFETY: the caller's name.
    let (asks, name) = unsafe { (is_asked_for(name), copy(name)) };
    // SAFETY: a name of our own, and memory that lives over the call.
    keep(asks, move |to| unsafe {
        to.by_name(pointer(name.as_ref()))
    })
}

/// See `gethostbyname(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn gethostbyname2(
    name: *const c_char,
    family: c_int,
) -> *mut hostent {
    if name.is_null() || !counts(Patch::DNS) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::gethostbyname2(name, family) };
    }
    // SAFETY: the caller's name.
    let (asks, name) = unsafe { (is_asked_for(name), copy(name)) };
    keep(asks, move |to| {
        // SAFETY: a name of our own, and memory that lives over the call.
        unsafe { to.by_name_of(pointer(name.as_ref()), family) }
    })
}

/// See `gethostbyname(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn gethostbyaddr(
    address: *const c_void,
    length: socklen_t,
    family: c_int,
) -> *mut hostent {
    // A length that no address has is refused, and nothing of that length need be there.
    let longest = size_of::<libc::in6_addr>();
    if address.is_null() || length as usize > longest || !counts(Patch::DNS) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::gethostbyaddr(address, length, family) };
    }
    // SAFETY: the caller gives an address of that length.
    let address = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), length as usize) };
    let address = address.to_vec();
    keep(true, move |to| {
        // SAFETY: an address of our own, and memory that lives over the call.
        unsafe { to.by_address(address.as_ptr().cast(), length, family) }
    })
}
