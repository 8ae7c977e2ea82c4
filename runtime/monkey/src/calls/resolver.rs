//! Asking name servers by `res_query` and its kin.
//!
//! What is to be asked, and how, stands in a state that belongs to the caller: one of its own, or that of its OS
//! thread, `_res`, which all green threads of a worker share. So each call works on a copy of it, which no
//! other call sees, and gives back how it has ended.

use super::elsewhere::owned;
use super::names::{copy, pointer};
use crate::patch::{Patch, counts};
use crate::{errno, original};
use greenway_green::embed::name_threads;
use libc::{c_char, c_int, c_uint, c_ulong, c_void, sockaddr_in, sockaddr_in6};
use std::ffi::{CStr, CString};
use std::ptr::null_mut;

/// The most name servers that a state has.
const SERVERS: usize = 3;

/// `struct __res_state` of `<resolv.h>`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct State {
    retrans: c_int,
    retry: c_int,
    options: c_ulong,
    servers: c_int,
    /// Of another family than IPv4's: 0, and the address is in `addresses`.
    server_list: [sockaddr_in; SERVERS],
    id: u16,
    /// Strings, most of them in `default_domain`.
    search: [*mut c_char; 7],
    default_domain: [c_char; 256],
    trace: c_ulong,
    bits: c_uint,
    sort_list: [[u32; 2]; 10],
    unused: [*mut c_void; 2],
    error: c_int,
    connection: c_int,
    flags: c_uint,
    known_servers: u16,
    map: [u16; SERVERS],
    sockets: [c_int; SERVERS],
    servers_6: u16,
    begun: u16,
    /// Memory of the C library's allocator.
    addresses: [*mut sockaddr_in6; SERVERS],
    /// Which of the settings that glibc knows it was made of, as a number.
    index: [c_uint; 2],
}
const _: () = assert!(size_of::<State>() == 568 || size_of::<usize>() != 8);

/// It has been initialised.
const INITIALISED: c_ulong = 1;
/// Connections are kept open.
const STAYS_OPEN: c_ulong = 0x100;
/// A change of the system's settings does not count.
const IS_NOT_RELOADED: c_ulong = 0x0200_0000;

/// A copy of a state.
struct Copy {
    state: Box<State>,
    /// The original was initialised; else the call does so with the copy.
    was_initialised: bool,
    /// Strings to which it points.
    _texts: Vec<CString>,
}

// SAFETY: it is used by one thread at a time, and what it points to is its own.
unsafe impl Send for Copy {}

impl Copy {
    /// # Safety
    /// It is a state that the caller may use.
    unsafe fn of(original: *const State) -> Self {
        // SAFETY: the caller's promise. A state is a plain value.
        let mut state = Box::new(unsafe { original.read() });
        let mut texts = Vec::new();
        let was_initialised = state.options & INITIALISED != 0;
        if was_initialised {
            state.options = (state.options & !STAYS_OPEN) | IS_NOT_RELOADED;
            state.connection = -1;
            state.flags = 0;
            state.sockets = [-1; SERVERS];
            state.known_servers = 0;
            let (from, to) = (original.addr(), (&raw mut *state).cast::<c_char>());
            for text in &mut state.search {
                let at = text.addr().wrapping_sub(from);
                if at < size_of::<State>() {
                    *text = to.wrapping_add(at);
                } else if !text.is_null() {
                    // SAFETY: a string that the caller has put there, which may be gone before we are done.
                    let own = unsafe { CStr::from_ptr(*text) }.to_owned();
                    *text = own.as_ptr().cast_mut();
                    texts.push(own);
                }
            }
            // It is the original's, and another one's when that was closed. With none, what stands here counts.
            state.index = [0; 2];
            let servers = usize::try_from(state.servers).unwrap_or(0);
            for n in 0..SERVERS {
                let theirs = state.addresses[n];
                state.addresses[n] = null_mut();
                if n < servers && state.server_list[n].sin_family == 0 && !theirs.is_null() {
                    // SAFETY: such a server has its address there. Without memory for it, it is none.
                    unsafe {
                        let ours = libc::malloc(size_of::<sockaddr_in6>()).cast::<sockaddr_in6>();
                        if !ours.is_null() {
                            ours.write(theirs.read());
                        }
                        state.addresses[n] = ours;
                    }
                }
            }
        }
        Self {
            state,
            was_initialised,
            _texts: texts,
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if self.was_initialised {
            for address in self.state.addresses {
                // SAFETY: null, ours, or of the C library, which has made it for this copy.
                unsafe { libc::free(address.cast()) };
            }
        } else if self.state.options & INITIALISED != 0 {
            unsafe extern "C" {
                fn __res_nclose(state: *mut State);
            }
            // SAFETY: the call has initialised this copy.
            unsafe { __res_nclose(&raw mut *self.state) };
        }
    }
}

/// The state of the OS thread that calls.
fn of_os_thread() -> *mut State {
    unsafe extern "C" {
        fn __res_state() -> *mut State;
    }
    // SAFETY: gives the address of a thread-local.
    unsafe { __res_state() }
}

/// Asks with `ask`, which fills a buffer of `n` bytes, on one of the threads for names.
///
/// # Safety
/// It is a state that the caller may use, and `n` bytes at `answer` may be written.
unsafe fn resolve(
    state: *mut State,
    answer: *mut u8,
    n: c_int,
    ask: impl FnOnce(*mut State, *mut u8) -> c_int + Send + 'static,
) -> c_int {
    // SAFETY: the caller's promise.
    let mut copy = unsafe { Copy::of(state) };
    let room = usize::try_from(n).unwrap_or(0);
    let call = move || {
        let copy = &mut copy; // whole, so that it is `Send`
        let mut answer = vec![0u8; room];
        let result = ask(&raw mut *copy.state, answer.as_mut_ptr());
        (result, errno::get(), copy.state.error, answer)
    };
    let before = errno::get();
    let (result, number, error) = match owned(name_threads(), "res_query", call) {
        Ok((result, number, error, found)) => {
            let length = usize::try_from(result).unwrap_or(0).min(room);
            // SAFETY: the caller's buffer is as long as ours.
            unsafe { answer.copy_from(found.as_ptr(), length) };
            (result, if result < 0 { number } else { before }, error)
        }
        Err(ended) => {
            let number = ended.map_or(libc::EAGAIN, |_| libc::ECANCELED);
            (-1, number, super::hosts::INTERNAL)
        }
    };
    // SAFETY: the caller's state.
    unsafe { (&raw mut (*state).error).write(error) };
    errno::set_of_names(error);
    errno::set(number);
    result
}

/// Defines functions that ask for a name: one that works on a state, and one that works on that of the OS thread.
macro_rules! ask {
    ($($with_state:ident, $plain:ident($($name:ident),+);)*) => {$(
        /// See `resolver(3)`.
        ///
        /// # Safety
        /// That of the C function.
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $with_state(
            state: *mut State,
            $($name: *const c_char,)+
            class: c_int,
            kind: c_int,
            answer: *mut u8,
            n: c_int,
        ) -> c_int {
            if !counts(Patch::DNS) {
                // SAFETY: the caller's arguments, unchanged.
                return unsafe { original::$with_state(state.cast(), $($name,)+ class, kind, answer, n) };
            }
            // SAFETY: the caller's names.
            $(let $name = unsafe { copy($name) };)+
            // SAFETY: the caller's state and buffer; it is called with those of its own.
            unsafe {
                resolve(state, answer, n, move |state, answer| {
                    original::$with_state(state.cast(), $(pointer($name.as_ref()),)+ class, kind, answer, n)
                })
            }
        }

        /// See `resolver(3)`.
        ///
        /// # Safety
        /// That of the C function.
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $plain(
            $($name: *const c_char,)+
            class: c_int,
            kind: c_int,
            answer: *mut u8,
            n: c_int,
        ) -> c_int {
            if !counts(Patch::DNS) {
                // SAFETY: the caller's arguments, unchanged.
                return unsafe { original::$plain($($name,)+ class, kind, answer, n) };
            }
            // SAFETY: the caller's arguments, and its own OS thread's state.
            unsafe { $with_state(of_os_thread(), $($name,)+ class, kind, answer, n) }
        }
    )*};
}

ask! {
    res_nquery, res_query(name);
    res_nsearch, res_search(name);
    res_nquerydomain, res_querydomain(name, domain);
}

/// See `resolver(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn res_nsend(
    state: *mut State,
    question: *const u8,
    length: c_int,
    answer: *mut u8,
    n: c_int,
) -> c_int {
    if question.is_null() || !counts(Patch::DNS) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::res_nsend(state.cast(), question, length, answer, n) };
    }
    let size = usize::try_from(length).unwrap_or(0);
    // SAFETY: the caller gives a question of that length.
    let question = unsafe { std::slice::from_raw_parts(question, size) }.to_vec();
    // SAFETY: the caller's state and buffer; it is called with those of its own.
    unsafe {
        resolve(state, answer, n, move |state, answer| {
            original::res_nsend(state.cast(), question.as_ptr(), length, answer, n)
        })
    }
}

/// See `resolver(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn res_send(
    question: *const u8,
    length: c_int,
    answer: *mut u8,
    n: c_int,
) -> c_int {
    if !counts(Patch::DNS) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::res_send(question, length, answer, n) };
    }
    // SAFETY: the caller's arguments, and its own OS thread's state.
    unsafe { res_nsend(of_os_thread(), question, length, answer, n) }
}
