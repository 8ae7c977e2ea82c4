//! Child processes: pipes, ends, and that none is left behind.

use super::super::subprocess::{Child, Command, Stdio};
use super::super::{Queue, TimedOut, Timeout, sleep, spawn, worker_index};
use super::files::Dir;
use super::{LONG, SHORT, eventually, everywhere, ms, on_worker};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Instant;

/// Neither running nor waiting to be reaped.
fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// A child that echoes what it is told, line by line.
fn echo() -> Child {
    Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A child that does nothing for longer than any test takes.
fn sleeper() -> Child {
    Command::new("sleep").arg("600").spawn().unwrap()
}

#[test]
fn output_is_what_it_wrote_and_how_it_ended() {
    everywhere(|| {
        let done = sh("cat; echo bad >&2; exit 7")
            .input("good")
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(7));
        assert_eq!(
            (&*done.stdout, &*done.stderr),
            (&b"good"[..], &b"bad\n"[..])
        );

        let status = sh("kill -9 $$").status().unwrap();
        assert_eq!(status.signal(), Some(9));
        // Without input, there is nothing to read.
        assert_eq!(Command::new("cat").output().unwrap().stdout, b"");
        // It need not read what it is given.
        assert!(sh(":").input(vec![0; 1 << 20]).status().unwrap().success());
    });
}

#[test]
fn no_pipe_fills_up_while_another_is_waited_for() {
    everywhere(|| {
        let input = vec![b'x'; 700_000];
        let done = sh("tee /dev/stderr").input(input.clone()).output().unwrap();
        assert!(done.stdout == input && done.stderr == input);
    });
}

#[test]
fn what_cannot_be_started_is_an_error() {
    everywhere(|| {
        let error = Command::new("/no/such/program").output().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = Command::new("true").current_dir("/no/such/dir").status();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn environment_directory_and_redirections_are_as_told() {
    let mut command = sh("echo $A $B; pwd; echo lost >&2");
    command
        .env_clear()
        .env("A", "a")
        .envs([("B", "b"), ("C", "c")]);
    command
        .env_remove("C")
        .current_dir("/")
        .stderr(Stdio::null());
    let done = command.output().unwrap();
    assert_eq!(done.stdout, b"a b\n/\n");
    assert_eq!(done.stderr, b"");

    let mut std = std::process::Command::new("echo");
    std.arg("from std");
    assert_eq!(Command::from(std).output().unwrap().stdout, b"from std\n");
}

#[test]
fn a_conversation_waits_alone() {
    everywhere(|| {
        let mut child = echo();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = Queue::new(1);
        let listen = said.clone();
        let listener = spawn(move || {
            for line in &mut lines {
                listen.put(line.unwrap()).unwrap();
            }
            listen.close();
        });
        let stdin = child.stdin.as_ref().unwrap();
        for n in 0..20 {
            writeln!(&*stdin, "line {n}").unwrap();
            assert_eq!(said.get(), Some(format!("line {n}")));
        }
        // Closes its stdin; so it ends, and we see the end of its stdout.
        assert!(child.wait().unwrap().success());
        assert!(child.try_wait().unwrap().is_some());
        assert_eq!(said.get(), None);
        listener.join().unwrap();
    });
}

#[test]
fn a_pipe_may_be_used_on_one_worker_and_then_on_another() {
    let mut child = echo();
    let (stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for n in 0..6 {
        // The reader waits first, so the pipe is registered with its worker.
        let reader = on_worker(n, move || {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            (stdout, byte[0], worker_index())
        });
        sleep(ms(2));
        (&stdin).write_all(&[n as u8]).unwrap();
        let (back, byte, worker) = reader.join().unwrap();
        assert_eq!((usize::from(byte), worker), (n, Some(n % super::workers())));
        stdout = back;
    }
}

#[test]
fn two_may_wait_for_one_pipe() {
    let mut child = echo();
    let stdin = child.stdin.take().unwrap();
    let stdout = std::sync::Arc::new(child.stdout.take().unwrap());
    let readers: Vec<_> = (0..4)
        .map(|n| {
            let stdout = stdout.clone();
            on_worker(n, move || (&*stdout).read(&mut [0; 1]).unwrap())
        })
        .collect();
    sleep(SHORT); // most likely they all wait by then
    (&stdin).write_all(b"1234").unwrap();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 1);
    }
}

#[test]
fn a_pipe_may_have_a_timeout() {
    everywhere(|| {
        let mut child = echo();
        let stdout = child.stdout.as_mut().unwrap();
        stdout.set_read_timeout(Some(SHORT));
        let error = stdout.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);

        // Nobody reads: the pipes fill up.
        let stdin = child.stdin.as_mut().unwrap();
        stdin.set_write_timeout(Some(SHORT));
        let error = stdin.write_all(&vec![0; 1 << 20]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_wait_may_have_a_timeout_and_leaves_the_child_alone() {
    everywhere(|| {
        let mut child = sleeper();
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(child.wait_timeout(SHORT).unwrap(), None);
        assert_eq!(Timeout::run(SHORT, || child.wait().unwrap()), Err(TimedOut));
        assert_eq!(child.try_wait().unwrap(), None);
        child.terminate().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        child.kill().unwrap(); // it has ended: nothing happens
        child.signal(10).unwrap();
        assert_eq!(
            child.signal(12345).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    });
}

#[test]
fn one_that_takes_too_long_is_killed() {
    everywhere(|| {
        let start = Instant::now();
        for capture in [false, true] {
            let mut command = sh("echo $$; exec sleep 600");
            command.timeout(SHORT);
            let error = if capture {
                command.output().unwrap_err()
            } else {
                command.stdout(Stdio::null()).status().unwrap_err()
            };
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(error.to_string().contains("20ms"), "{error}");
        }
        assert!(start.elapsed() < LONG);
    });
}

#[test]
fn who_holds_its_pipes_after_its_death_is_not_waited_for() {
    everywhere(|| {
        let dir = Dir::new();
        let note = dir.at("pid");
        let script = format!(
            "sleep 600 & echo $! >{0}.new; mv {0}.new {0}; wait",
            note.display()
        );
        let running = spawn(move || sh(&script).timeout(ms(300)).output());
        eventually(|| note.exists());
        let error = running.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // It was not killed, since its parent did not lead a group.
        let pid = std::fs::read_to_string(note).unwrap();
        let killed = sh(&format!("kill -9 {pid}")).status().unwrap();
        assert!(killed.success());
    });
}

#[test]
fn no_descriptor_is_left_open() {
    super::passes_alone("subprocesses::own::no_descriptor_is_left_open");
}

mod own {
    use super::*;

    /// What each descriptor leads to. Pipes and sockets have a number, so no two are taken for
    /// one another.
    fn open_descriptors() -> Vec<String> {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        // The directory itself is read, and closed before it is asked where it leads to.
        let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        let links = files.iter().filter_map(|file| file.read_link().ok());
        links.map(|to| to.display().to_string()).collect()
    }

    /// What is open now, and was not, or less often.
    fn opened_since(before: &[String]) -> Vec<String> {
        let mut now = open_descriptors();
        for known in before {
            if let Some(at) = now.iter().position(|one| one == known) {
                now.swap_remove(at);
            }
        }
        now
    }

    #[test]
    #[ignore = "run in a process of its own by the test of the same name"]
    fn no_descriptor_is_left_open() {
        // Starts what there is to start: an OS thread keeps a bell, and a worker an epoll, once
        // it has had to wait for a descriptor.
        everywhere(|| {
            let mut child = sleeper();
            assert_eq!(child.wait_timeout(SHORT).unwrap(), None);
            sh("cat; echo >&2").input("x").output().unwrap();
        });
        // The reaper has not yet closed what tells of the end of the first.
        eventually(|| !open_descriptors().iter().any(|one| one.contains("pidfd")));
        let before = open_descriptors();
        everywhere(|| {
            for _ in 0..20 {
                sh("cat; echo >&2").input("x").output().unwrap();
                drop(echo());
                echo().detach();
                Command::new("/no/such/program").spawn().unwrap_err();
                sh("exec sleep 600").timeout(ms(1)).output().unwrap_err();
            }
        });
        let start = Instant::now();
        while start.elapsed() < LONG && !opened_since(&before).is_empty() {
            sleep(ms(1));
        }
        assert_eq!(opened_since(&before), [""; 0]);
    }
}

#[test]
fn one_that_writes_too_much_is_killed() {
    everywhere(|| {
        let error = Command::new("yes").max_output(100_000).output();
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert!(
            error.to_string().contains("100000 bytes to its stdout"),
            "{error}"
        );
        let exact = sh("printf 12345").max_output(5).output().unwrap();
        assert_eq!(exact.stdout, b"12345");
    });
}

#[test]
fn a_killed_waiter_takes_the_child_along_and_leaves_no_zombie() {
    for worker in 0..2 {
        let pid = Queue::new(1);
        let tell = pid.clone();
        let waiter = on_worker(worker, move || {
            let mut child = sleeper();
            tell.put(child.id()).unwrap();
            child.wait()
        });
        let pid = pid.get().unwrap();
        assert!(!is_gone(pid));
        waiter.kill();
        assert!(waiter.join().is_err());
        eventually(|| is_gone(pid));
    }
}

#[test]
fn a_dropped_child_is_killed_and_a_detached_one_is_not() {
    everywhere(|| {
        let child = sleeper();
        let pid = child.id();
        drop(child);
        eventually(|| is_gone(pid));

        let mut child = echo();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let pid = child.detach();
        (&stdin).write_all(b"still here").unwrap();
        drop(stdin);
        let mut said = String::new();
        stdout.read_to_string(&mut said).unwrap();
        assert_eq!(said, "still here");
        eventually(|| is_gone(pid)); // reaped, though nobody has waited for it
    });
}

#[test]
fn the_leader_of_a_group_is_killed_with_its_group() {
    everywhere(|| {
        let mut command = sh("sleep 600 & echo $!; wait");
        let mut child = command
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let grandchild = line.trim().to_owned();
        drop(child);
        // It is reaped by whoever adopts it.
        eventually(|| {
            std::fs::read_to_string(format!("/proc/{grandchild}/stat"))
                .map_or(true, |stat| stat.contains(") Z "))
        });
    });
}

#[test]
fn children_can_be_chained() {
    everywhere(|| {
        // The second waits for its input, which would be an error on a pipe that does not block.
        let mut first = sh("sleep 0.05; echo b; echo a");
        let mut first = first.stdout(Stdio::piped()).spawn().unwrap();
        let pipe = first.stdout.take().unwrap();
        let sorted = Command::new("sort").stdin(pipe).output().unwrap();
        assert_eq!(sorted.stdout, b"a\nb\n");
        assert!(first.wait().unwrap().success());
    });
}

#[test]
fn without_a_pidfd_the_end_is_seen_as_well() {
    everywhere(|| {
        let mut child = sleeper();
        child.process.running().end = None;
        assert_eq!(child.wait_timeout(SHORT).unwrap(), None);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    });
}

#[test]
fn many_run_at_once() {
    let children: Vec<_> = (0..60)
        .map(|n| {
            on_worker(n, move || {
                let said = sh("sleep 0.05; cat").input(n.to_string()).output().unwrap();
                String::from_utf8(said.stdout).unwrap()
            })
        })
        .collect();
    for (n, child) in children.into_iter().enumerate() {
        assert_eq!(child.join().unwrap(), n.to_string());
    }
}
