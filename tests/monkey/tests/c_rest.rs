//! Calls of C that wait and are no sockets and no locks: messages, signals, FIFOs, name servers, and so on.

use greenway::green::{self, Greenlet, spawn};
use greenway_monkey_tests::{begin, crowd, until};
use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn posix_queue(n: c_int) -> c_int;
    fn posix_sends(queue: c_int, rounds: c_int) -> c_int;
    fn posix_receives(queue: c_int, rounds: c_int) -> c_int;
    fn system_v_queue() -> c_int;
    fn system_v_sends(queue: c_int, rounds: c_int) -> c_int;
    fn system_v_receives(queue: c_int, rounds: c_int) -> c_int;
    fn signals(myself: *mut c_ulong, asked: *const c_int) -> c_int;
    fn send_signal(to: *const c_ulong) -> c_int;
    fn make_fifo(path: *const c_char) -> c_int;
    fn fifo_writes(path: *const c_char, late: c_int) -> c_int;
    fn fifo_reads(path: *const c_char, late: c_int) -> c_int;
    fn terminal() -> c_int;
    fn command(text: *const c_char) -> c_int;
    fn commands(seconds: *const c_char) -> c_int;
    fn counter(fd: c_int, rounds: c_int) -> c_int;
    fn count_up(fd: c_int, rounds: c_int) -> c_int;
    fn event_loop(event: c_int, past: *const c_int) -> c_int;
    fn ask_name_server(port: c_int) -> c_int;
    fn old_names() -> c_int;
    fn send_files(near: c_int, path: *const c_char, n: c_long) -> c_int;
    fn relay_bytes(from: c_int, to: c_int) -> c_int;
    fn never_again(fd: c_int, n: c_long) -> c_int;
    fn any_step(
        which: c_int,
        queue: c_int,
        counter: c_int,
        path: *const c_char,
        port: c_int,
        near: c_int,
    );
    fn wait_in(call: c_int, fd: c_int, path: *const c_char) -> c_int;
    fn nearly_full_counter() -> c_int;
    fn adds(fd: c_int, n: c_long) -> c_int;
    fn counts(fd: c_int, n: c_ulong) -> c_int;
    fn full_counter() -> c_int;
    fn semaphores() -> c_int;
    fn remove_queue(queue: c_int) -> c_int;
    fn remove_semaphores(set: c_int) -> c_int;
    fn fills_queue(queue: c_int) -> c_int;
    fn slow_command(path: *const c_char, pipe: *mut c_ulong) -> *mut c_void;
    fn close_command(stream: *mut c_void) -> c_int;
    fn impatient_descriptor() -> c_int;
}

fn path(name: &str) -> (PathBuf, CString) {
    let path = std::env::temp_dir().join(format!("gw-monkey-{}-{name}", std::process::id()));
    let name = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    (path, name)
}

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

#[test]
fn queues_of_messages() {
    begin();
    crowd(5, |n| {
        // SAFETY: takes a number.
        let queue = unsafe { posix_queue(n as c_int) };
        assert!(queue >= 0);
        // SAFETY: a queue that is open.
        let sender = spawn(move || unsafe { posix_sends(queue, 100) });
        // SAFETY: as above.
        assert_eq!(unsafe { posix_receives(queue, 100) }, 0);
        assert_eq!(sender.join().unwrap(), 0);
        // SAFETY: as above, and nobody uses it any more.
        unsafe { libc::close(queue) };
        // SAFETY: takes nothing.
        let queue = unsafe { system_v_queue() };
        assert!(queue >= 0);
        // SAFETY: takes numbers.
        let sender = spawn(move || unsafe { system_v_sends(queue, 100) });
        // SAFETY: takes numbers.
        assert_eq!(unsafe { system_v_receives(queue, 100) }, 0);
        assert_eq!(sender.join().unwrap(), 0);
    });
}

#[test]
fn waiting_for_signals() {
    static SELF: AtomicU64 = AtomicU64::new(0);
    static ASKED: AtomicI32 = AtomicI32::new(0);
    begin();
    // SAFETY: numbers that live for ever.
    let waiter = spawn(|| unsafe { signals(SELF.as_ptr(), ASKED.as_ptr()) });
    for stage in 1..=5 {
        until("it waits for a signal", || {
            ASKED.load(Ordering::SeqCst) == stage
        });
        green::sleep(Duration::from_millis(20));
        // SAFETY: the OS thread of a worker, which never ends.
        assert_eq!(unsafe { send_signal(SELF.as_ptr()) }, 0);
    }
    assert_eq!(waiter.join().unwrap(), 0);
}

#[test]
fn both_ends_of_a_fifo() {
    begin();
    crowd(10, |n| {
        let (file, name) = path(&format!("fifo-{n}"));
        let _ = std::fs::remove_file(&file);
        // SAFETY: a string of C's, which lives over the call.
        assert_eq!(unsafe { make_fifo(name.as_ptr()) }, 0);
        let late = (n % 2) as c_int;
        let its = name.clone();
        // SAFETY: as above.
        let write = move || unsafe { fifo_writes(its.as_ptr(), late) };
        let writer: Box<dyn FnOnce() -> c_int> = if n % 3 == 0 {
            let thread = thread::spawn(write);
            Box::new(move || thread.join().unwrap())
        } else {
            let thread = spawn(write);
            Box::new(move || thread.join().unwrap())
        };
        // SAFETY: as above.
        assert_eq!(unsafe { fifo_reads(name.as_ptr(), 1 - late) }, 0);
        assert_eq!(writer(), 0);
        // std opens by another name.
        let its = file.clone();
        let writer = spawn(move || std::fs::write(its, "from std").unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "from std");
        writer.join().unwrap();
        std::fs::remove_file(file).unwrap();
    });
}

#[test]
fn terminals_commands_counters_and_event_loops() {
    begin();
    // SAFETY: takes nothing.
    assert_eq!(crowd(5, |_| unsafe { terminal() }), [0; 5]);
    let start = Instant::now();
    let lines = crowd(10, |_| {
        // SAFETY: a string of C's, which lives over the call.
        unsafe { commands(c"0.3".as_ptr()) }
    });
    assert_eq!(lines, [0; 10]);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    greenway::monkey::patch(greenway::monkey::Patch::EPOLL);
    crowd(10, |_| {
        // SAFETY: takes numbers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        let past = Arc::new(AtomicI32::new(0));
        let its = past.clone();
        // SAFETY: a descriptor, and a number that lives over the call.
        let other = spawn(move || unsafe { event_loop(fd, its.as_ptr()) });
        until("no time is waited for", || past.load(Ordering::SeqCst) == 1);
        // SAFETY: takes numbers.
        assert_eq!(unsafe { count_up(fd, 1) }, 0);
        assert_eq!(other.join().unwrap(), 0);
        // SAFETY: takes numbers.
        assert_eq!(unsafe { counter(fd, 1) }, 0);
        // SAFETY: takes numbers.
        let counts = spawn(move || unsafe { counter(fd, 1) });
        green::sleep(Duration::from_millis(2));
        // SAFETY: takes numbers.
        assert_eq!(unsafe { count_up(fd, 1) }, 0);
        assert_eq!(counts.join().unwrap(), 0);
        // SAFETY: nobody uses it any more.
        unsafe { libc::close(fd) };
    });
}

/// A name server, which thinks for a while. It knows `a.test`, answers nobody who asks for `silent.test`, and
/// knows nothing else.
fn name_server() -> u16 {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let port = socket.local_addr().unwrap().port();
    let serve = move || {
        let mut buffer = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            let question = buffer[..n].to_vec();
            let socket = socket.clone();
            spawn(move || {
                thread::sleep(Duration::from_millis(20));
                let knows = question[12..].starts_with(b"\x01a\x04test");
                if question[12..].starts_with(b"\x06silent") {
                    return;
                }
                let mut answer = question;
                answer[2..4].copy_from_slice(&[0x81, if knows { 0x80 } else { 0x83 }]);
                if knows {
                    answer[7] = 1; // one address of that name
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 9]);
                }
                socket.send_to(&answer, from).unwrap();
            });
        }
    };
    spawn(serve);
    port
}

#[test]
fn name_servers_are_asked_elsewhere() {
    begin();
    let port = name_server().into();
    // SAFETY: takes a number.
    assert_eq!(
        crowd(20, move |_| unsafe { ask_name_server(port) }),
        [0; 20]
    );
    // SAFETY: takes nothing.
    assert_eq!(crowd(20, |_| unsafe { old_names() }), [0; 20]);
}

#[test]
fn files_are_sent_and_bytes_are_relayed() {
    const N: usize = 3 << 20;
    begin();
    let (file, name) = path("sent");
    let bytes: Vec<u8> = (0..N).map(|n| (n / 7) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    let bytes = Arc::new(bytes);
    crowd(4, move |_| {
        // A file, through a relay, to one who reads slowly.
        let ((near, relay_in), (relay_out, mut far)) = (tcp(), tcp());
        let name = name.clone();
        // SAFETY: a descriptor and a string that live over the call.
        let sender =
            spawn(move || unsafe { send_files(near.as_raw_fd(), name.as_ptr(), N as c_long) });
        // SAFETY: descriptors that are open over the call.
        let relay =
            spawn(move || unsafe { relay_bytes(relay_in.as_raw_fd(), relay_out.as_raw_fd()) });
        let mut all = Vec::new();
        let mut part = vec![0; 100_000];
        loop {
            match far.read(&mut part).unwrap() {
                0 => break,
                n => all.extend_from_slice(&part[..n]),
            }
            thread::sleep(Duration::from_micros(100));
        }
        assert_eq!((sender.join().unwrap(), relay.join().unwrap()), (0, 0));
        assert_eq!(all.len(), 2 * N - 10);
        assert!(all[..N - 10] == bytes[10..] && all[N - 10..] == bytes[..]);
    });
    std::fs::remove_file(file).unwrap();
}

/// Descriptors that an OS thread uses at the same time: calls of it that wait are never told to come again.
#[test]
fn whoever_shares_a_descriptor_is_not_disturbed() {
    const N: usize = 1 << 20;
    begin();
    let (file, name) = path("shared");
    std::fs::write(&file, vec![7u8; N]).unwrap();
    // The OS thread reads what the other end writes, byte by byte, while a green thread sends files over the
    // same socket.
    let (near, far) = UnixStream::pair().unwrap();
    let reads = near.as_raw_fd();
    // SAFETY: a descriptor that is open until the thread has ended.
    let reader = thread::spawn(move || unsafe { never_again(reads, 20_000) });
    let drain = {
        let mut far = far.try_clone().unwrap();
        spawn(move || {
            let mut part = [0; 4096];
            while far.read(&mut part).unwrap() > 0 {}
        })
    };
    let writer = {
        let mut far = far.try_clone().unwrap();
        spawn(move || {
            for _ in 0..20_000 {
                far.write_all(b"x").unwrap();
            }
        })
    };
    let sender = spawn(move || {
        for _ in 0..20 {
            let file = std::fs::File::open(std::path::Path::new(name.to_str().unwrap())).unwrap();
            // SAFETY: descriptors that are open over the call.
            let sent = unsafe {
                libc::sendfile(near.as_raw_fd(), file.as_raw_fd(), std::ptr::null_mut(), N)
            };
            assert_eq!(sent, N as isize);
        }
        near
    });
    let near = sender.join().unwrap();
    writer.join().unwrap();
    assert_eq!(reader.join().unwrap(), 0);
    near.shutdown(std::net::Shutdown::Both).unwrap();
    drain.join().unwrap();
    std::fs::remove_file(file).unwrap();
    // A datagram socket that is connected anew while an OS thread waits at it.
    let (one, other) = (
        UdpSocket::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    let one = Arc::new(one);
    let to = one.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (one, stop) = (one.clone(), stop.clone());
        thread::spawn(move || {
            let mut got = 0;
            while !stop.load(Ordering::SeqCst) {
                one.recv(&mut [0; 8])
                    .expect("a call that waits is not told to come again");
                got += 1;
            }
            got
        })
    };
    let peer = other.local_addr().unwrap();
    crowd(1, move |_| {
        for _ in 0..2_000 {
            one.connect(peer).unwrap();
        }
    });
    stop.store(true, Ordering::SeqCst);
    until("it ends", || {
        other.send_to(b"end", to).unwrap();
        reader.is_finished()
    });
    reader.join().unwrap();
}

/// Waits until a green thread does, as the dump of all has it.
fn until_it_waits<T>(waiter: &Greenlet<T>, text: &str) {
    until(text, || {
        let tasks = green::green_threads();
        let its = tasks.iter().find(|task| task.number == waiter.number());
        its.is_some_and(|task| task.to_string().contains(text))
    });
}

#[test]
fn commands_that_take_long_leave_the_threads_of_unblock_alone() {
    begin();
    let (file, name) = path("commands");
    std::fs::write(&file, "").unwrap();
    let text = format!(
        "while test -e {}; do sleep 0.05; done",
        name.to_str().unwrap()
    );
    let text = CString::new(text).unwrap();
    let running: Vec<_> = (0..20)
        .map(|_| {
            let text = text.clone();
            // SAFETY: a string of C's, which lives over the call.
            spawn(move || unsafe { command(text.as_ptr()) })
        })
        .collect();
    for thread in &running {
        until_it_waits(thread, "system");
    }
    let job = spawn(|| green::unblock(|| 7)).join_timeout(Duration::from_secs(20));
    std::fs::remove_file(file).unwrap();
    for thread in running {
        assert_eq!(thread.join().unwrap(), 0);
    }
    assert_eq!(job.expect("it did not wait for the commands").unwrap(), 7);
}

/// What an OS thread gets, in a patched program as in any other.
#[test]
fn an_os_thread_that_accepts_has_its_own_time_limit() {
    begin();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (send, ended) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let limit = libc::timeval {
            tv_sec: 0,
            tv_usec: 50_000,
        };
        // SAFETY: the option is a time, which lives over the call.
        let set = unsafe {
            libc::setsockopt(
                listener.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const limit).cast(),
                size_of::<libc::timeval>() as libc::socklen_t,
            )
        };
        assert_eq!(set, 0);
        let accepted = listener.accept().map(drop);
        send.send(accepted.map_err(|error| error.raw_os_error()))
            .unwrap();
    });
    let end = ended.recv_timeout(Duration::from_secs(20));
    assert_eq!(end.expect("its time is over"), Err(Some(libc::EAGAIN)));
}

#[test]
fn whoever_adds_to_a_counter_that_has_room_for_less_waits() {
    begin();
    // SAFETY: takes nothing.
    let counter = unsafe { nearly_full_counter() };
    let both = spawn(move || {
        // SAFETY: takes numbers.
        let adder = spawn(move || unsafe { adds(counter, 10) });
        until_it_waits(&adder, "write");
        // SAFETY: takes numbers.
        assert_eq!(unsafe { counts(counter, u64::MAX - 5) }, 0);
        assert_eq!(adder.join().unwrap(), 0);
        // SAFETY: takes numbers.
        assert_eq!(unsafe { counts(counter, 10) }, 0);
    });
    let end = both.join_timeout(Duration::from_secs(60));
    end.expect("it ends in time").unwrap();
    // SAFETY: nobody uses it any more.
    unsafe { libc::close(counter) };
}

#[test]
fn whoever_waits_for_a_queue_or_a_semaphore_learns_that_it_is_gone() {
    begin();
    // SAFETY: takes nothing.
    let (empty, full, set) = unsafe { (system_v_queue(), system_v_queue(), semaphores()) };
    // SAFETY: takes numbers, and no path for these calls.
    let receiver = spawn(move || unsafe { wait_in(1, empty, std::ptr::null()) });
    // SAFETY: takes a number.
    let sender = spawn(move || unsafe { fills_queue(full) });
    // SAFETY: as above.
    let taker = spawn(move || unsafe { wait_in(13, set, std::ptr::null()) });
    for (waiter, text) in [
        (&receiver, "msgrcv"),
        (&sender, "msgsnd"),
        (&taker, "semop"),
    ] {
        until_it_waits(waiter, text);
    }
    // SAFETY: takes numbers.
    let removed = unsafe {
        [
            remove_queue(empty),
            remove_queue(full),
            remove_semaphores(set),
        ]
    };
    assert_eq!(removed, [0; 3]);
    for waiter in [receiver, sender, taker] {
        assert_eq!(waiter.join().unwrap(), libc::EIDRM);
    }
}

/// It has no way to give up a child: it waits for it, and the thread ends at its next wait.
#[test]
fn a_kill_leaves_pclose_to_its_child() {
    begin();
    let (file, name) = path("command");
    let ends = Arc::new((AtomicI32::new(-1), AtomicU64::new(0)));
    let its = ends.clone();
    let waiter = spawn(move || {
        // SAFETY: a string of C's and a number, which live over the call, and the stream that it gives.
        let status = unsafe {
            let stream = slow_command(name.as_ptr(), its.1.as_ptr());
            assert!(!stream.is_null());
            close_command(stream)
        };
        its.0.store(status, Ordering::SeqCst);
        green::sleep(Duration::MAX); // unwinds
    });
    until_it_waits(&waiter, "pclose");
    waiter.kill();
    let end = waiter
        .join_timeout(Duration::from_secs(60))
        .expect("it ends");
    assert!(matches!(end, Err(green::JoinError::Killed)), "{end:?}");
    assert_eq!(ends.0.load(Ordering::SeqCst), 0);
    let child = std::fs::read_to_string(&file).unwrap();
    assert!(!PathBuf::from(format!("/proc/{}", child.trim())).exists());
    let pipe = format!("pipe:[{}]", ends.1.load(Ordering::SeqCst));
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = all.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    assert_eq!(links.filter(|to| *to == PathBuf::from(&pipe)).count(), 0);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_wait_for_a_process_whose_descriptor_does_not_block() {
    begin();
    // SAFETY: takes nothing.
    assert_eq!(crowd(1, |_| unsafe { impatient_descriptor() }), [0]);
}

#[test]
fn a_kill_ends_each_of_these_waits() {
    begin();
    let silent = c_int::from(name_server());
    let (file, name) = path("ended");
    let _ = std::fs::remove_file(&file);
    // SAFETY: a string of C's, which lives over the call.
    assert_eq!(unsafe { make_fifo(name.as_ptr()) }, 0);
    // SAFETY: takes numbers.
    let fds = unsafe {
        let counter = libc::eventfd(0, libc::EFD_CLOEXEC);
        [
            posix_queue(99),
            system_v_queue(),
            -1,
            -1,
            -1,
            -1,
            -1,
            silent,
            counter,
            full_counter(),
            -1,
            -1,
            -1,
            semaphores(),
        ]
    };
    let texts = [
        "mq_receive",
        "msgrcv",
        "signal",
        "signal",
        "open",
        "open",
        "system",
        "res_query",
        "read",
        "write",
        "tee",
        "splice",
        "splice",
        "semop",
    ];
    for (call, (fd, text)) in fds.into_iter().zip(texts).enumerate() {
        let name = name.clone();
        let ended = Arc::new(AtomicI32::new(-1));
        let its = ended.clone();
        let waiter = spawn(move || {
            // SAFETY: a descriptor that is open over the call, and a string of C's.
            let error = unsafe { wait_in(call as c_int, fd, name.as_ptr()) };
            its.store(error, Ordering::SeqCst);
            green::sleep(Duration::MAX); // unwinds
        });
        until_it_waits(&waiter, text);
        waiter.kill();
        let end = waiter
            .join_timeout(Duration::from_secs(60))
            .expect("it ends");
        assert!(
            matches!(end, Err(green::JoinError::Killed)),
            "{text}: {end:?}"
        );
        // This call always fails so.
        let expected = if call == 3 {
            libc::EINTR
        } else {
            libc::ECANCELED
        };
        assert_eq!(ended.load(Ordering::SeqCst), expected, "{text}");
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_kill_at_any_step_leaves_no_lock_and_no_descriptor_behind() {
    begin();
    let port = c_int::from(name_server());
    let (file, name) = path("any");
    let _ = std::fs::remove_file(&file);
    // SAFETY: takes numbers and a string of C's, which lives over the call.
    let (queue, counter) = unsafe {
        assert_eq!(make_fifo(name.as_ptr()), 0);
        (posix_queue(77), libc::eventfd(0, libc::EFD_CLOEXEC))
    };
    let (near, mut far) = UnixStream::pair().unwrap();
    let drain = thread::spawn(move || {
        let mut part = [0; 4096];
        while far.read(&mut part).unwrap() > 0 {}
    });
    let socket = near.as_raw_fd();
    let step = move |which| {
        // SAFETY: descriptors that are open, and a string of C's, over the call.
        unsafe { any_step(which, queue, counter, name.as_ptr(), port, socket) }
    };
    // What is made once is made.
    for which in [10, 11, 13] {
        let step = step.clone();
        spawn(move || step(which)).join().unwrap();
    }
    let myself = std::env::current_exe().unwrap();
    let ours = file.clone();
    let descriptors = move || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = all.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        links.filter(|to| *to == ours || *to == myself).count()
    };
    let mut random = 77u64;
    let mut below = move |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 20) % n
    };
    for round in 0..100 {
        let doomed: Vec<_> = (0..14)
            .map(|n| {
                let step = step.clone();
                spawn(move || {
                    for which in (n + round % 3..).step_by(3) {
                        step(which % 14);
                        green::yield_now();
                    }
                })
            })
            .collect();
        green::sleep(Duration::from_micros(below(3_000)));
        for thread in &doomed {
            thread.kill();
        }
        for thread in doomed {
            let end = thread.join_timeout(Duration::from_secs(60));
            let end = end.unwrap_or_else(|| panic!("it ends: {:#?}", green::green_threads()));
            assert!(matches!(end, Err(green::JoinError::Killed)), "{end:?}");
        }
    }
    // All locks are free: each step ends by itself; those at the FIFO meet.
    crowd(14, move |n| step(n as c_int));
    // Commands and look-ups that nobody waits for any more end soon.
    until("all descriptors are closed", || descriptors() == 0);
    drop(near);
    drain.join().unwrap();
    std::fs::remove_file(file).unwrap();
}
