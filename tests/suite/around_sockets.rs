//! Unix sockets, and sockets that were handed in.

use super::{Served, ask_unix};
use greenway::{App, Body, Engine, Request};
use greenway_tests::request::get_close;
use greenway_tests::{
    Client, DEADLINE, Folder, Gate, Program, Signal, linted, on_green_and_threads, until,
};
use rustix::process::{Pid, kill_process};
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

on_green_and_threads!(
    a_unix_socket_serves_and_streams,
    a_departed_client_of_a_unix_socket_is_noticed,
    a_stale_socket_file_is_replaced,
    a_live_socket_file_is_in_use,
    what_is_no_socket_is_left_alone,
    a_successors_socket_file_is_left_alone,
    a_descriptor_by_number,
    whoever_comes_over_a_unix_socket_has_no_remote_addr,
    a_stop_is_graceful_if_nobody_reads_the_standard_error,
    a_stop_serves_who_has_connected,
);

const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

fn at(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn a_unix_socket_serves_and_streams(engine: Engine) {
    let folder = Folder::new(&format!("serves-{}", engine.name()));
    let path = folder.path("app.sock");
    let mut app = App::new();
    app.get("/who", |request: Request| {
        let peer = request.peer_addr();
        format!("{peer:?} {}", &request.environ()["SERVER_NAME"])
    });
    app.get("/stream", |_: Request| {
        Body::stream(|out| {
            out.send("one")?;
            greenway::green::sleep(Duration::from_millis(1));
            out.send("two")
        })
    });
    let served = Served::start(linted(app).engine(engine).bind(at(&path)));
    assert!(served.0.addrs().is_empty(), "it has no TCP address");
    let response = ask_unix(&path, &get_close("/who"));
    assert!(response.ends_with("None test"), "{response}");
    let response = ask_unix(&path, &get_close("/stream"));
    assert!(
        response.ends_with("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
        "{response}"
    );
    served.0.stop();
    assert!(!path.exists(), "a stop removes the file");
}

fn a_departed_client_of_a_unix_socket_is_noticed(engine: Engine) {
    let folder = Folder::new(&format!("left-{}", engine.name()));
    let path = folder.path("app.sock");
    let (begun, left) = (Gate::new(), Gate::new());
    let (begins, leaves) = (begun.clone(), left.clone());
    let app = move |request: Request| {
        begins.open();
        if request.wait_disconnected(DEADLINE) {
            leaves.open();
        }
        ""
    };
    let served = Served::start(linted(app).engine(engine).bind(at(&path)));
    let mut client = UnixStream::connect(&path).expect("the server listens");
    std::io::Write::write_all(&mut client, get_close("/").as_bytes()).expect("the server reads");
    begun.pass();
    drop(client);
    left.pass();
    drop(served);
}

fn a_stale_socket_file_is_replaced(engine: Engine) {
    let folder = Folder::new(&format!("stale-{}", engine.name()));
    let path = folder.path("app.sock");
    drop(UnixListener::bind(&path).expect("the folder is new"));
    assert!(
        path.exists(),
        "a socket that is closed leaves its file behind"
    );
    // A child process that another test has just forked has a copy until it runs its program.
    until("its last copy is closed", || {
        UnixStream::connect(&path).is_err()
    });
    let _served = Served::start(linted(|_: Request| "new").engine(engine).bind(at(&path)));
    assert!(ask_unix(&path, &get_close("/")).ends_with("new"));
}

fn a_live_socket_file_is_in_use(engine: Engine) {
    let folder = Folder::new(&format!("live-{}", engine.name()));
    let path = folder.path("app.sock");
    let _served = Served::start(linted(|_: Request| "first").engine(engine).bind(at(&path)));
    let second = linted(|_: Request| "second")
        .engine(engine)
        .bind(at(&path))
        .start();
    let error = second.expect_err("somebody listens there");
    assert!(
        error
            .to_string()
            .ends_with("app.sock: the address is in use"),
        "{error}"
    );
    assert!(ask_unix(&path, &get_close("/")).ends_with("first"));
}

fn what_is_no_socket_is_left_alone(engine: Engine) {
    let folder = Folder::new(&format!("file-{}", engine.name()));
    let path = folder.path("precious");
    std::fs::write(&path, "data").expect("the folder is new");
    let result = linted(|_: Request| "")
        .engine(engine)
        .bind(at(&path))
        .start();
    let error = result.expect_err("it would have to be removed");
    assert!(error.to_string().contains("is not a socket"), "{error}");
    assert_eq!(
        std::fs::read_to_string(&path).expect("it is still there"),
        "data"
    );
}

fn a_successors_socket_file_is_left_alone(engine: Engine) {
    let folder = Folder::new(&format!("next-{}", engine.name()));
    let path = folder.path("app.sock");
    let old = Served::start(linted(|_: Request| "old").engine(engine).bind(at(&path)));
    std::fs::rename(&path, folder.path("moved")).expect("it is there");
    let _new = Served::start(linted(|_: Request| "new").engine(engine).bind(at(&path)));
    old.0.stop();
    assert!(ask_unix(&path, &get_close("/")).ends_with("new"));
}

fn a_descriptor_by_number(engine: Engine) {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
    let addr = tcp.local_addr().expect("it is bound");
    let folder = Folder::new(&format!("fd-{}", engine.name()));
    let path = folder.path("handed.sock");
    let unix = UnixListener::bind(&path).expect("the folder is new");
    let server = linted(|_: Request| "hi")
        .engine(engine)
        .bind(format!("fd://{}", tcp.as_raw_fd()))
        .bind(format!("fd://{}", unix.as_raw_fd()));
    let served = Served::start(server);
    assert_eq!(served.0.addrs(), [addr]);
    assert_eq!(served.get("/").text(), "hi");
    assert!(ask_unix(&path, &get_close("/")).ends_with("hi"));
    served.0.stop();
    assert!(path.exists(), "the file belongs to whoever has made it");
}

fn a_stop_serves_who_has_connected(engine: Engine) {
    let folder = Folder::new(&format!("stop-{}", engine.name()));
    let path = folder.path("app.sock");
    let (begun, go_on) = (Gate::new(), Gate::new());
    let (begins, goes_on) = (begun.clone(), go_on.clone());
    let app = move |_: Request| {
        begins.open();
        goes_on.pass();
        "served"
    };
    let served = Served::start(linted(app).engine(engine).bind(at(&path)));
    thread::scope(|scope| {
        let client = scope.spawn(|| ask_unix(&path, &get_close("/")));
        begun.pass();
        let stop = scope.spawn(|| served.0.stop());
        until("the file is gone", || !path.exists());
        go_on.open();
        assert!(
            client
                .join()
                .expect("it does not panic")
                .ends_with("served")
        );
        assert_eq!(stop.join().expect("it does not panic").cut, 0);
    });
}

#[test]
fn the_umask_decides_who_may_connect() {
    let folder = Folder::new("umask");
    let path = folder.path("app.sock");
    let mut shell = Command::new("sh");
    // The folder is not writable for others; the socket would be if the umask did not count.
    shell.args(["-c", "umask 027; exec \"$0\" \"$@\""]);
    shell.arg(PROGRAM).args(["--bind", &at(&path)]);
    let program = Program::start_command(&mut shell);
    let line = program.wait_for_line("listening on");
    assert!(line.contains(&at(&path)), "{line}");
    let mode = std::fs::metadata(&path)
        .expect("it listens")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o750);
    program.signal(greenway_tests::Signal::TERM);
    assert_eq!(program.wait().code, Some(0));
    assert!(!path.exists());
}

/// Starts a program with a listening socket as descriptor 3, announced as systemd does.
fn start_announced(socket: OwnedFd, pid: &str) -> std::process::Child {
    let script = format!("exec 3<&0 0</dev/null; LISTEN_PID={pid} LISTEN_FDS=1 exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(PROGRAM);
    for name in ["PORT", "RUST_LOG", "GREENWAY_ENGINE", "GREENWAY_CORES"] {
        shell.env_remove(name);
    }
    shell.env("PORT", "1"); // which may not be had: it has to be ignored, or be tried and fail
    shell.stdin(Stdio::from(socket)).stderr(Stdio::piped());
    shell.spawn().expect("there is a shell")
}

#[test]
fn announced_sockets_are_used() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
    let addr = socket.local_addr().expect("it is bound");
    // `$$` is the shell's number, which the program inherits by `exec`.
    let mut child = start_announced(socket.into(), "$$");
    // The socket listens already, so this waits for the program to accept.
    let reply = Client::connect(addr).send(get_close("/hello")).reply();
    assert_eq!(reply.status(), 200, "{}", reply.text());
    child.kill().expect("it runs");
    child.wait().expect("it is our child");
}

#[test]
fn sockets_that_were_announced_to_another_are_not_touched() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
    let mut child = start_announced(socket.into(), "1");
    // Without a socket it turns to $PORT. Whether port 1 may be had depends on who runs the test.
    let mut stderr = child.stderr.take().expect("it was piped");
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while !seen.contains('\n') {
        match stderr.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => seen.push_str(&String::from_utf8_lossy(&buffer[..n])),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(seen.contains("0.0.0.0:1"), "{seen}");
    // It may have ended.
    let _ = child.kill();
    child.wait().expect("it is our child");
}

/// CGI's variable for an address that does not exist is left out (PEP 3333 asks for none).
fn whoever_comes_over_a_unix_socket_has_no_remote_addr(engine: Engine) {
    let folder = Folder::new(&format!("remote-{}", engine.name()));
    let path = folder.path("app.sock");
    let app = |request: Request| {
        let environ = request.environ();
        let names = ["REMOTE_ADDR", "REMOTE_PORT", "REQUEST_METHOD"];
        format!("{:?}", names.map(|name| environ.get(name).is_some()))
    };
    let _served = Served::start(linted(app).engine(engine).bind(at(&path)));
    let response = ask_unix(&path, &get_close("/"));
    assert!(response.ends_with("[false, false, true]"), "{response}");
}

fn a_stop_is_graceful_if_nobody_reads_the_standard_error(engine: Engine) {
    let folder = Folder::new(&format!("unread-{}", engine.name()));
    let path = folder.path("app.sock");
    let mut child = Command::new(PROGRAM)
        .args(["--bind", &at(&path), "--engine", engine.name()])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was built with this test");
    drop(child.stderr.take()); // the first line cannot be written already
    until("the server listens", || UnixStream::connect(&path).is_ok());
    let response = ask_unix(&path, &get_close("/hello"));
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process has a number"), Signal::TERM).expect("it runs");
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("it has not ended");
            let _ = child.wait(); // it was told to
            panic!("it has not ended within {DEADLINE:?}");
        }
        thread::sleep(Duration::from_millis(1));
    };
    assert!(response.ends_with("Hello\n"), "{response}");
    assert_eq!(status.code(), Some(0));
}
