//! std's processes.

use greenway::green::{self, spawn};
use greenway_monkey_tests::{at_once, begin, crowd, until};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn output_of_a_hundred_at_once() {
    begin();
    at_once(100, Duration::from_millis(500), |n| {
        let mut command = Command::new("sh");
        let output = command
            .args([
                "-c",
                &format!("sleep 0.5; echo out {n}; echo err {n} >&2; exit {}", n % 3),
            ])
            .output()
            .unwrap();
        assert_eq!(output.stdout, format!("out {n}\n").into_bytes());
        assert_eq!(output.stderr, format!("err {n}\n").into_bytes());
        assert_eq!(output.status.code(), Some(n as i32 % 3));
    });
}

#[test]
fn status_and_wait() {
    begin();
    at_once(100, Duration::from_millis(300), |n| {
        if n % 2 == 0 {
            assert!(Command::new("sleep").arg("0.3").status().unwrap().success());
        } else {
            let mut child = Command::new("sleep").arg("0.3").spawn().unwrap();
            assert!(child.wait().unwrap().success());
        }
    });
}

/// More than a pipe holds, both ways at once.
#[test]
fn pipes_in_and_out() {
    begin();
    crowd(20, |_| {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let reader = spawn(move || {
            let mut all = Vec::new();
            from.read_to_end(&mut all).unwrap();
            all
        });
        let text = vec![b'x'; 1 << 20];
        to.write_all(&text).unwrap();
        drop(to);
        assert!(reader.join().unwrap() == text);
        assert!(child.wait().unwrap().success());
    });
}

/// A kill ends the wait with an error; the child is still there, for whoever has it.
#[test]
fn a_kill_ends_the_wait() {
    begin();
    let waiting = spawn(|| {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let error = child.wait().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        child.kill().unwrap();
        // To be waited for by an OS thread, since no wait of this one will do.
        std::thread::spawn(move || child.wait().unwrap());
        green::sleep(Duration::MAX); // unwinds
    });
    until("it waits", || {
        let tasks = green::green_threads();
        let mut its = tasks.iter().filter(|task| task.number == waiting.number());
        its.any(|task| task.to_string().contains("child process"))
    });
    waiting.kill();
    assert!(matches!(waiting.join(), Err(green::JoinError::Killed)));
}
