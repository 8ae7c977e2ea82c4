//! The C library's own functions, behind ours of the same name.
//!
//! The dynamic linker knows who defines a name after us; an address is asked for once. Asking may
//! allocate and take the linker's lock, so all are asked for by [`patch`](crate::patch), long before a green
//! thread needs one; a hook that runs earlier asks for its own.

use libc::{
    FILE, addrinfo, c_char, c_int, c_long, c_uint, c_ulong, c_void, clockid_t, epoll_event, fd_set,
    hostent, id_t, idtype_t, iovec, loff_t, mmsghdr, mqd_t, msghdr, nfds_t, off_t, off64_t, pid_t,
    pollfd, pthread_barrier_t, pthread_cond_t, pthread_mutex_t, pthread_rwlock_t,
    pthread_spinlock_t, pthread_t, rusage, sem_t, sembuf, siginfo_t, sigset_t, size_t, sockaddr,
    socklen_t, ssize_t, timespec, timeval, useconds_t,
};
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The address of the next definition of a name after ours.
fn address(known: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let address = known.load(Ordering::Relaxed);
    if !address.is_null() {
        return address;
    }
    // SAFETY: the name is a string of C's.
    let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if address.is_null() {
        missing(name);
    }
    known.store(address, Ordering::Relaxed);
    address
}

/// The C library lacks a function that the program has called through us.
#[cold]
fn missing(name: &CStr) -> ! {
    eprintln!("greenway: the C library has no function {name:?}");
    std::process::abort()
}

/// Declares functions of the C library: their names and types.
macro_rules! originals {
    ($(fn $name:ident($($arg:ident: $Arg:ty),* $(,)?) $(-> $Return:ty)?;)*) => {
        $(
            /// The C library's function of this name.
            ///
            /// # Safety
            /// That function's.
            #[inline]
            #[allow(dead_code, reason = "some are there for `get_original` alone")]
            #[allow(clippy::too_many_arguments, reason = "they are C's")]
            pub(crate) unsafe fn $name($($arg: $Arg),*) $(-> $Return)? {
                type Function = unsafe extern "C-unwind" fn($($Arg),*) $(-> $Return)?;
                // SAFETY: the address is that of the function of this name, whose type is that
                // in the C library's headers.
                let function: Function = unsafe {
                    std::mem::transmute(address(&known::$name, crate::original::name!($name)))
                };
                // SAFETY: the caller keeps the function's rules.
                unsafe { function($($arg),*) }
            }
        )*

        #[expect(non_upper_case_globals, reason = "the functions' own names")]
        mod known {
            use super::*;
            $(pub(super) static $name: AtomicPtr<c_void> = AtomicPtr::new(null_mut());)*
        }

        /// Finds all that there are, so that no hook has to.
        pub(crate) fn find_all() {
            $(find(&known::$name, name!($name));)*
        }

        /// The address of the C library's function of this name.
        pub(crate) fn get(name: &str) -> Option<*const c_void> {
            $(if name == stringify!($name) {
                return find(&known::$name, name!($name));
            })*
            None
        }
    };
}

/// A name as C has it.
macro_rules! name {
    ($name:ident) => {
        // PROOF: an identifier has no zero byte, and one is added.
        const {
            match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("an identifier has no zero byte"),
            }
        }
    };
}
pub(crate) use name;

/// As [`address`], where nobody depends on there being one.
fn find(known: &AtomicPtr<c_void>, name: &CStr) -> Option<*const c_void> {
    if known.load(Ordering::Relaxed).is_null() {
        // SAFETY: as in `address`.
        let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
        known.store(address, Ordering::Relaxed);
    }
    let address = known.load(Ordering::Relaxed);
    (!address.is_null()).then_some(address.cast_const())
}

originals! {
    // time
    fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int;
    fn clock_nanosleep(clock: clockid_t, flags: c_int, time: *const timespec, left: *mut timespec) -> c_int;
    fn usleep(time: useconds_t) -> c_int;
    fn sleep(seconds: c_uint) -> c_uint;
    fn sched_yield() -> c_int;
    fn pause() -> c_int;

    // signals
    fn sigsuspend(mask: *const sigset_t) -> c_int;
    fn sigwait(set: *const sigset_t, signal: *mut c_int) -> c_int;
    fn sigwaitinfo(set: *const sigset_t, info: *mut siginfo_t) -> c_int;
    fn sigtimedwait(set: *const sigset_t, info: *mut siginfo_t, timeout: *const timespec) -> c_int;

    // reading
    fn read(fd: c_int, buffer: *mut c_void, n: size_t) -> ssize_t;
    fn readv(fd: c_int, parts: *const iovec, n: c_int) -> ssize_t;
    fn preadv2(fd: c_int, parts: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t;
    fn recv(fd: c_int, buffer: *mut c_void, n: size_t, flags: c_int) -> ssize_t;
    fn recvfrom(fd: c_int, buffer: *mut c_void, n: size_t, flags: c_int, from: *mut sockaddr, length: *mut socklen_t) -> ssize_t;
    fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t;
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int, timeout: *mut timespec) -> c_int;
    fn pread(fd: c_int, buffer: *mut c_void, n: size_t, at: off_t) -> ssize_t;
    fn pread64(fd: c_int, buffer: *mut c_void, n: size_t, at: off64_t) -> ssize_t;

    // writing
    fn write(fd: c_int, buffer: *const c_void, n: size_t) -> ssize_t;
    fn writev(fd: c_int, parts: *const iovec, n: c_int) -> ssize_t;
    fn pwritev2(fd: c_int, parts: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t;
    fn send(fd: c_int, buffer: *const c_void, n: size_t, flags: c_int) -> ssize_t;
    fn sendto(fd: c_int, buffer: *const c_void, n: size_t, flags: c_int, to: *const sockaddr, length: socklen_t) -> ssize_t;
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t;
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int) -> c_int;
    fn sendfile(to: c_int, from: c_int, at: *mut off_t, n: size_t) -> ssize_t;
    fn sendfile64(to: c_int, from: c_int, at: *mut off64_t, n: size_t) -> ssize_t;
    fn splice(from: c_int, from_at: *mut loff_t, to: c_int, to_at: *mut loff_t, n: size_t, flags: c_uint) -> ssize_t;
    fn tee(from: c_int, to: c_int, n: size_t, flags: c_uint) -> ssize_t;
    fn fsync(fd: c_int) -> c_int;
    fn fdatasync(fd: c_int) -> c_int;

    // connections
    fn connect(fd: c_int, to: *const sockaddr, length: socklen_t) -> c_int;
    fn accept(fd: c_int, from: *mut sockaddr, length: *mut socklen_t) -> c_int;
    fn accept4(fd: c_int, from: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int;

    fn tcdrain(fd: c_int) -> c_int;

    // messages between processes
    fn mq_receive(queue: mqd_t, buffer: *mut c_char, n: size_t, priority: *mut c_uint) -> ssize_t;
    fn mq_timedreceive(queue: mqd_t, buffer: *mut c_char, n: size_t, priority: *mut c_uint, until: *const timespec) -> ssize_t;
    fn mq_send(queue: mqd_t, message: *const c_char, n: size_t, priority: c_uint) -> c_int;
    fn mq_timedsend(queue: mqd_t, message: *const c_char, n: size_t, priority: c_uint, until: *const timespec) -> c_int;
    fn msgrcv(queue: c_int, buffer: *mut c_void, n: size_t, kind: c_long, flags: c_int) -> ssize_t;
    fn msgsnd(queue: c_int, message: *const c_void, n: size_t, flags: c_int) -> c_int;

    // several at once
    fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int;
    fn ppoll(fds: *mut pollfd, n: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int;
    fn select(n: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int;
    fn pselect(n: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) -> c_int;
    fn epoll_wait(fd: c_int, events: *mut epoll_event, n: c_int, timeout: c_int) -> c_int;
    fn epoll_pwait(fd: c_int, events: *mut epoll_event, n: c_int, timeout: c_int, mask: *const sigset_t) -> c_int;

    fn epoll_pwait2(fd: c_int, events: *mut epoll_event, n: c_int, timeout: *const timespec, mask: *const sigset_t) -> c_int;

    // names
    fn getaddrinfo(name: *const c_char, service: *const c_char, hints: *const addrinfo, found: *mut *mut addrinfo) -> c_int;
    fn getnameinfo(address: *const sockaddr, length: socklen_t, host: *mut c_char, host_length: socklen_t, service: *mut c_char, service_length: socklen_t, flags: c_int) -> c_int;
    fn gethostbyname(name: *const c_char) -> *mut hostent;
    fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent;
    fn gethostbyaddr(address: *const c_void, length: socklen_t, family: c_int) -> *mut hostent;
    fn gethostbyname_r(name: *const c_char, entry: *mut hostent, buffer: *mut c_char, n: size_t, found: *mut *mut hostent, error: *mut c_int) -> c_int;
    fn gethostbyname2_r(name: *const c_char, family: c_int, entry: *mut hostent, buffer: *mut c_char, n: size_t, found: *mut *mut hostent, error: *mut c_int) -> c_int;
    fn gethostbyaddr_r(address: *const c_void, length: socklen_t, family: c_int, entry: *mut hostent, buffer: *mut c_char, n: size_t, found: *mut *mut hostent, error: *mut c_int) -> c_int;
    fn res_nquery(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, n: c_int) -> c_int;
    fn res_nsearch(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, n: c_int) -> c_int;
    fn res_nquerydomain(state: *mut c_void, name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut u8, n: c_int) -> c_int;
    fn res_nsend(state: *mut c_void, question: *const u8, length: c_int, answer: *mut u8, n: c_int) -> c_int;
    fn res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, n: c_int) -> c_int;
    fn res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut u8, n: c_int) -> c_int;
    fn res_querydomain(name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut u8, n: c_int) -> c_int;
    fn res_send(question: *const u8, length: c_int, answer: *mut u8, n: c_int) -> c_int;

    // processes
    fn wait(status: *mut c_int) -> pid_t;
    fn waitpid(pid: pid_t, status: *mut c_int, options: c_int) -> pid_t;
    fn wait4(pid: pid_t, status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t;
    fn waitid(kind: idtype_t, id: id_t, info: *mut siginfo_t, options: c_int) -> c_int;
    fn system(command: *const c_char) -> c_int;
    fn pclose(stream: *mut FILE) -> c_int;

    // locks of files
    fn flock(fd: c_int, operation: c_int) -> c_int;
    fn lockf(fd: c_int, command: c_int, n: off_t) -> c_int;

    // locks of threads
    fn pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int;
    fn pthread_mutex_trylock(mutex: *mut pthread_mutex_t) -> c_int;
    fn pthread_mutex_timedlock(mutex: *mut pthread_mutex_t, until: *const timespec) -> c_int;
    fn pthread_mutex_clocklock(mutex: *mut pthread_mutex_t, clock: clockid_t, until: *const timespec) -> c_int;
    fn pthread_mutex_unlock(mutex: *mut pthread_mutex_t) -> c_int;
    fn pthread_cond_wait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t) -> c_int;
    fn pthread_cond_timedwait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t, until: *const timespec) -> c_int;
    fn pthread_cond_clockwait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t, clock: clockid_t, until: *const timespec) -> c_int;
    fn pthread_cond_signal(condition: *mut pthread_cond_t) -> c_int;
    fn pthread_cond_broadcast(condition: *mut pthread_cond_t) -> c_int;
    fn pthread_rwlock_rdlock(lock: *mut pthread_rwlock_t) -> c_int;
    fn pthread_rwlock_tryrdlock(lock: *mut pthread_rwlock_t) -> c_int;
    fn pthread_rwlock_timedrdlock(lock: *mut pthread_rwlock_t, until: *const timespec) -> c_int;
    fn pthread_rwlock_wrlock(lock: *mut pthread_rwlock_t) -> c_int;
    fn pthread_rwlock_trywrlock(lock: *mut pthread_rwlock_t) -> c_int;
    fn pthread_rwlock_timedwrlock(lock: *mut pthread_rwlock_t, until: *const timespec) -> c_int;
    fn pthread_rwlock_clockrdlock(lock: *mut pthread_rwlock_t, clock: clockid_t, until: *const timespec) -> c_int;
    fn pthread_rwlock_clockwrlock(lock: *mut pthread_rwlock_t, clock: clockid_t, until: *const timespec) -> c_int;
    fn pthread_rwlock_unlock(lock: *mut pthread_rwlock_t) -> c_int;
    fn pthread_once(once: *mut c_int, initialise: unsafe extern "C-unwind" fn()) -> c_int;
    fn pthread_join(thread: pthread_t, value: *mut *mut c_void) -> c_int;
    fn pthread_timedjoin_np(thread: pthread_t, value: *mut *mut c_void, until: *const timespec) -> c_int;
    fn pthread_clockjoin_np(thread: pthread_t, value: *mut *mut c_void, clock: clockid_t, until: *const timespec) -> c_int;
    fn pthread_spin_lock(lock: *mut pthread_spinlock_t) -> c_int;
    fn pthread_spin_trylock(lock: *mut pthread_spinlock_t) -> c_int;
    fn pthread_barrier_wait(barrier: *mut pthread_barrier_t) -> c_int;
    fn pthread_barrier_destroy(barrier: *mut pthread_barrier_t) -> c_int;
    fn semop(semaphores: c_int, operations: *mut sembuf, n: size_t) -> c_int;
    fn semtimedop(semaphores: c_int, operations: *mut sembuf, n: size_t, timeout: *const timespec) -> c_int;
    fn pthread_tryjoin_np(thread: pthread_t, value: *mut *mut c_void) -> c_int;
    fn sem_wait(semaphore: *mut sem_t) -> c_int;
    fn sem_trywait(semaphore: *mut sem_t) -> c_int;
    fn sem_timedwait(semaphore: *mut sem_t, until: *const timespec) -> c_int;
    fn sem_clockwait(semaphore: *mut sem_t, clock: clockid_t, until: *const timespec) -> c_int;
    fn sem_post(semaphore: *mut sem_t) -> c_int;
}

/// `syscall`, which takes what the call takes.
///
/// # Safety
/// That of the system call.
pub(crate) unsafe fn syscall(number: c_long, arguments: [c_long; 6]) -> c_long {
    type Function = unsafe extern "C-unwind" fn(c_long, ...) -> c_long;
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    // SAFETY: the address is that of the C library's `syscall`, which has this type.
    let function: Function = unsafe { std::mem::transmute(address(&KNOWN, c"syscall")) };
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller keeps the rules of the call, which takes as many of these as it needs.
    unsafe { function(number, a, b, c, d, e, f) }
}

/// `fcntl`, whose third argument is a number or a pointer.
///
/// # Safety
/// That of the command.
pub(crate) unsafe fn fcntl(fd: c_int, command: c_int, argument: c_ulong) -> c_int {
    type Function = unsafe extern "C-unwind" fn(c_int, c_int, ...) -> c_int;
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    // SAFETY: the address is that of the C library's `fcntl`, which has this type.
    let function: Function = unsafe { std::mem::transmute(address(&KNOWN, c"fcntl")) };
    // SAFETY: the caller keeps the rules of the command.
    unsafe { function(fd, command, argument) }
}

/// `openat`, which takes a mode where it may make a file.
///
/// # Safety
/// That of the C function.
pub(crate) unsafe fn openat(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    type Function = unsafe extern "C-unwind" fn(c_int, *const c_char, c_int, ...) -> c_int;
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    // SAFETY: the address is that of the C library's `openat`, which has this type.
    let function: Function = unsafe { std::mem::transmute(address(&KNOWN, c"openat")) };
    // SAFETY: the caller keeps the rules of the function.
    unsafe { function(folder, path, flags, mode) }
}
