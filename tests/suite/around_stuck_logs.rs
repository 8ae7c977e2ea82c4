//! Logs that nobody reads: a standard error that is full, a FIFO without a reader. They hold up no
//! request, no signal and no stop. And what a panic's entry shows.

use super::ask_unix;
use greenway::Engine;
use greenway_tests::request::{get, get_close};
use greenway_tests::{Folder, Program, Signal, on_green_and_threads, until};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

on_green_and_threads!(
    a_full_standard_error_stops_nothing,
    a_fifo_without_a_reader_stops_nothing,
    a_panics_entry_shows_the_application,
);

const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

/// One end of a connection that takes no more, and the other end, that nobody reads.
fn full() -> (OwnedFd, UnixStream) {
    let (mut end, other) = UnixStream::pair().expect("there are descriptors");
    end.set_nonblocking(true).expect("a socket");
    for size in [1024, 1] {
        while end.write(&vec![b'x'; size]).is_ok() {}
    }
    end.set_nonblocking(false).expect("a socket"); // whoever writes waits
    (end.into(), other)
}

fn a_full_standard_error_stops_nothing(engine: Engine) {
    let folder = Folder::new(&format!("full-{}", engine.name()));
    let socket = folder.path("s");
    let bind = format!("unix:{}", socket.display());
    for (second, code) in [(false, 0), (true, 1)] {
        let (stderr, _nobody_reads) = full();
        let mut command = Command::new(PROGRAM);
        command.env_remove("RUST_LOG").env_remove("GREENWAY_ENGINE");
        command.args(["--bind", &bind, "--engine", engine.name()]);
        let program = Program::start_with_stderr(&mut command, Stdio::from(stderr));
        until("the server to listen", || {
            UnixStream::connect(&socket).is_ok()
        });
        for n in 0..15 {
            let response = ask_unix(&socket, &get_close(&format!("/fail/{n}")));
            assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
        }
        program.signal(Signal::USR2);
        program.signal(Signal::USR1);
        assert!(ask_unix(&socket, &get_close("/hello")).ends_with("Hello\n"));
        if second {
            let mut waiting = UnixStream::connect(&socket).expect("it listens");
            waiting
                .write_all(get("/wait").as_bytes())
                .expect("it reads");
            assert!(ask_unix(&socket, &get_close("/until/1")).starts_with("HTTP/1.1 200"));
            program.signal(Signal::TERM);
            // No more connections: the stop has begun.
            until("the stop to begin", || {
                UnixStream::connect(&socket).is_err()
            });
            program.signal(Signal::TERM);
            assert_eq!(program.wait_code(), Some(code));
        } else {
            program.signal(Signal::TERM);
            assert_eq!(program.wait_code(), Some(code));
        }
    }
}

fn a_fifo_without_a_reader_stops_nothing(engine: Engine) {
    for flag in ["--error-logfile", "--access-logfile"] {
        let folder = Folder::new(&format!("fifo{}-{}", &flag[..4], engine.name()));
        let fifo = folder.path("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status();
        assert!(made.is_ok_and(|status| status.success()));
        let path = fifo.to_str().expect("the name is ours");
        let args = [
            "--bind",
            "127.0.0.1:0",
            "--engine",
            engine.name(),
            flag,
            path,
        ];
        let program = Program::start(PROGRAM, &args);
        let reply = program.connect().send(get_close("/fail/1")).reply();
        assert_eq!(reply.status(), 500);
        program.signal(Signal::TERM);
        assert_eq!(program.wait().code, Some(0), "{flag}");

        // What was said before somebody came to read is there.
        let program = Program::start(PROGRAM, &args);
        let reply = program.connect().send(get_close("/fail/2")).reply();
        assert_eq!(reply.status(), 500);
        let reader = std::fs::File::open(&fifo).expect("the server writes");
        let mut line = String::new();
        BufReader::new(reader)
            .read_line(&mut line)
            .expect("it is text");
        assert!(line.contains("GET /fail/2 HTTP/1.1"), "{line}");
        program.signal(Signal::TERM);
        assert_eq!(program.wait().code, Some(0), "{flag}");
    }
}

fn a_panics_entry_shows_the_application(engine: Engine) {
    for (setting, shown) in [(None, true), (Some("1"), true), (Some("0"), false)] {
        let mut command = Command::new(PROGRAM);
        command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
        if let Some(setting) = setting {
            command.env("RUST_BACKTRACE", setting);
        }
        command.args(["--bind", "127.0.0.1:0", "--engine", engine.name()]);
        let program = Program::start_command(&mut command);
        let reply = program.connect().send(get_close("/fail/7")).reply();
        assert_eq!(reply.status(), 500);
        program.signal(Signal::TERM);
        let lines = program.wait().stderr;
        let at = lines.iter().position(|line| line.contains("failure 7"));
        let entry = &lines[at.expect("the panic is in the log") + 1..];
        let frames: Vec<_> = entry
            .iter()
            .take_while(|line| line.starts_with(' '))
            .collect();
        assert_eq!(!frames.is_empty(), shown, "{lines:#?}");
        for frame in &frames {
            assert!(frame.contains("longpoll::"), "{frames:#?}");
        }
    }
}
