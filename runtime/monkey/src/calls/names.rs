//! Looking names up: on the threads that are there for names, with copies of what is asked.

use super::elsewhere::owned;
use crate::original;
use crate::patch::{Patch, counts};
use greenway_green::embed::name_threads;
use libc::{addrinfo, c_char, c_int, sockaddr, socklen_t};
use std::ffi::{CStr, CString};
use std::net::IpAddr;
use std::ptr::null;

/// A copy of a string of the caller's, which may be absent.
///
/// # Safety
/// It is null or a string of C's.
pub(super) unsafe fn copy(text: *const c_char) -> Option<CString> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_owned())
}

/// The other way; it lives as long as `text`.
pub(super) fn pointer(text: Option<&CString>) -> *const c_char {
    text.map_or(null(), |text| text.as_ptr())
}

/// Whether it is an address already, for which nobody has to be asked.
pub(super) fn is_address(name: &CStr) -> bool {
    name.to_str()
        .is_ok_and(|name| name.parse::<IpAddr>().is_ok())
}

/// What `getaddrinfo` has found, freed if nobody takes it.
struct Found(*mut addrinfo);

// SAFETY: a list in memory of the C library's, which any thread may use and free.
unsafe impl Send for Found {}

impl Drop for Found {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: `getaddrinfo` has made it, and nobody has taken it.
            unsafe { libc::freeaddrinfo(self.0) };
        }
    }
}

/// See `getaddrinfo(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn getaddrinfo(
    name: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    found: *mut *mut addrinfo,
) -> c_int {
    let host = if counts(Patch::DNS) {
        // SAFETY: null or a string of C's, as the function has it.
        unsafe { copy(name) }
    } else {
        None
    };
    let Some(host) = host.filter(|host| !is_address(host)) else {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::getaddrinfo(name, service, hints, found) };
    };
    // SAFETY: null or a string of C's, as the function has it.
    let service = unsafe { copy(service) };
    // What counts of the hints are four numbers; the pointers must be null.
    let hints = (!hints.is_null()).then(|| {
        // SAFETY: the caller gives hints that can be read.
        let hints = unsafe { hints.read() };
        [
            hints.ai_flags,
            hints.ai_family,
            hints.ai_socktype,
            hints.ai_protocol,
        ]
    });
    let call = move || {
        let mut found = Found(std::ptr::null_mut());
        // SAFETY: all zeros is a valid `addrinfo`, which is a plain value.
        let mut asked: addrinfo = unsafe { std::mem::zeroed() };
        if let Some([flags, family, kind, protocol]) = hints {
            asked.ai_flags = flags;
            asked.ai_family = family;
            asked.ai_socktype = kind;
            asked.ai_protocol = protocol;
        }
        let asked = if hints.is_some() {
            &raw const asked
        } else {
            null()
        };
        // SAFETY: strings and hints of our own, which live over the call, as does what is found.
        let result = unsafe {
            let service = pointer(service.as_ref());
            original::getaddrinfo(host.as_ptr(), service, asked, &raw mut found.0)
        };
        (result, crate::errno::get(), found)
    };
    match owned(name_threads(), "getaddrinfo", call) {
        Ok((result, error, mut list)) => {
            if result == 0 {
                // SAFETY: the caller gives a place for the list, which it frees.
                unsafe { found.write(std::mem::replace(&mut list.0, std::ptr::null_mut())) };
            }
            crate::errno::set(error);
            result
        }
        Err(Some(_)) => {
            crate::errno::set(libc::ECANCELED);
            libc::EAI_SYSTEM
        }
        Err(None) => libc::EAI_AGAIN,
    }
}

/// See `getnameinfo(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn getnameinfo(
    address: *const sockaddr,
    length: socklen_t,
    host: *mut c_char,
    host_length: socklen_t,
    service: *mut c_char,
    service_length: socklen_t,
    flags: c_int,
) -> c_int {
    let numeric = libc::NI_NUMERICHOST;
    if flags & numeric == numeric || host.is_null() || !counts(Patch::DNS) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe {
            original::getnameinfo(
                address,
                length,
                host,
                host_length,
                service,
                service_length,
                flags,
            )
        };
    }
    // SAFETY: the caller gives an address of that length.
    let address = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), length as usize) };
    // A copy that lies as an address has to.
    let mut copy = vec![0u64; address.len().div_ceil(8)];
    for (at, byte) in address.iter().enumerate() {
        copy[at / 8] |= u64::from_ne_bytes({
            let mut word = [0; 8];
            word[at % 8] = *byte;
            word
        });
    }
    let wants_service = !service.is_null();
    let call = move || {
        let mut names = [
            vec![0u8; host_length as usize],
            vec![0u8; service_length as usize],
        ];
        let [host, service] = &mut names;
        let service = if wants_service {
            service.as_mut_ptr()
        } else {
            std::ptr::null_mut()
        };
        // SAFETY: buffers of our own, of the lengths that are said.
        let result = unsafe {
            original::getnameinfo(
                copy.as_ptr().cast(),
                length,
                host.as_mut_ptr().cast(),
                host_length,
                service.cast(),
                service_length,
                flags,
            )
        };
        (result, crate::errno::get(), names)
    };
    match owned(name_threads(), "getnameinfo", call) {
        Ok((result, error, [found_host, found_service])) => {
            if result == 0 {
                // SAFETY: the caller's buffers are as long as ours.
                unsafe {
                    host.cast::<u8>()
                        .copy_from(found_host.as_ptr(), found_host.len());
                    if wants_service {
                        let to = service.cast::<u8>();
                        to.copy_from(found_service.as_ptr(), found_service.len());
                    }
                }
            }
            crate::errno::set(error);
            result
        }
        Err(Some(_)) => {
            crate::errno::set(libc::ECANCELED);
            libc::EAI_SYSTEM
        }
        Err(None) => libc::EAI_AGAIN,
    }
}
