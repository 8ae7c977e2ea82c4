//! What concerns the whole process: each test runs in one of its own.

use super::{LONG, alone, passes_alone, workers};
use crate::embed::{Stream, send_file};
use crate::net;
use crate::scheduler::service_thread::{Noticed, start};
use crate::{sleep, spawn_local, sys};
use std::fs::File;
use std::io::{ErrorKind, IoSlice, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;

#[track_caller]
fn dies_alone(test: &str, message: &str) {
    let output = alone(test);
    let complained = String::from_utf8_lossy(&output.stderr);
    let ended = output.status.signal() == Some(libc::SIGABRT);
    assert!(
        ended && complained.contains(message),
        "{test}: {}\n{complained}",
        output.status
    );
}

#[test]
fn an_os_thread_that_is_needed_and_panics_ends_the_process() {
    dies_alone(
        "processes::alone_a_needed_os_thread_panics",
        "greenway: the thread greenway-test has panicked, and is needed. Ending the process.",
    );
}

#[test]
#[ignore = "ends its process: started by the test above"]
fn alone_a_needed_os_thread_panics() {
    start("greenway-test", || panic!("as the test wants it")).unwrap();
    sleep(LONG);
}

#[test]
fn a_green_thread_that_is_needed_and_panics_ends_the_process() {
    dies_alone(
        "processes::alone_a_needed_green_thread_panics",
        "greenway: the thread greenway-test has panicked, and is needed. Ending the process.",
    );
}

#[test]
#[ignore = "ends its process: started by the test above"]
fn alone_a_needed_green_thread_panics() {
    let _ended = crate::spawn(|| {
        let _noticed = Noticed("greenway-test");
        panic!("as the test wants it");
    })
    .join();
    sleep(LONG);
}

#[test]
fn a_broken_pipe_is_an_error_where_main_is_not_rusts() {
    passes_alone("processes::alone_broken_pipes");
}

#[test]
#[ignore = "changes what its process does on a signal: started by the test above"]
fn alone_broken_pipes() {
    // As it is where another language's `main` has started the process.
    sys::signal::default_action(libc::SIGPIPE);
    workers();
    spawn_local_and_join(|| {
        let (gone, stream) = broken();
        let mut own = net::TcpStream::from(stream);
        let written = (0..100).find_map(|_| own.write(b"x").err());
        assert_eq!(
            written.map(|error| error.kind()),
            Some(ErrorKind::BrokenPipe),
            "{gone}"
        );
        let written = own.write_vectored(&[IoSlice::new(b"x"), IoSlice::new(b"y")]);
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
        // As the server sends, also files.
        let (_, stream) = broken();
        stream.set_nonblocking(true).unwrap();
        let served = Stream::new(stream).unwrap();
        let parts = [IoSlice::new(b"x"), IoSlice::new(b"y")];
        let written = (0..100).find_map(|_| served.write_now(&parts).err());
        assert_eq!(
            written.map(|error| error.kind()),
            Some(ErrorKind::BrokenPipe)
        );
        let file = File::open("/proc/self/exe").unwrap();
        let sent = send_file(served.std(), &file, 10);
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::BrokenPipe);
        // Whatever else writes: std's own pipes and sockets.
        let (reader, mut writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(
            writer.write(b"x").unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    });
    // Children begin with the default all the same.
    let mut sh = std::process::Command::new("sh");
    let ended = sh.args(["-c", "kill -PIPE $$; exit 3"]).status().unwrap();
    assert_eq!(ended.signal(), Some(libc::SIGPIPE));
}

fn spawn_local_and_join(body: fn()) {
    super::on_worker(0, move || spawn_local(body).join().unwrap())
        .join()
        .unwrap();
}

/// A connection that its other side has reset.
fn broken() -> (String, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener.accept().unwrap().0);
    // The first write is answered by a reset, the second one meets it.
    let _taken = near.write(b"x");
    let addr = near.local_addr().unwrap();
    (addr.to_string(), near)
}
