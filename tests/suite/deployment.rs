//! The files of `examples/deploy`, as far as they can be tried without a cluster: the server as
//! process 1 of a system that has nothing but what the image has, and cannot be written to; systemd's
//! units; the numbers of the manifest.

use crate::websocket_clients::installed;
use greenway_tests::request::{get, get_close, post};
use greenway_tests::{Client, Ended, Folder, Program, until};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

const DOCKERFILE: &str = include_str!("../../examples/deploy/Dockerfile");
const KUBERNETES: &str = include_str!("../../examples/deploy/kubernetes.yaml");
const SERVICE: &str = include_str!("../../examples/deploy/app.service");
const MASTER: &str = include_str!("../../examples/deploy/app-master.service");
const SOCKET: &str = include_str!("../../examples/deploy/app.socket");

const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

/// The files of the libraries that a program is linked with.
fn libraries(program: &str) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output();
    let output = output.expect("the C library comes with ldd").stdout;
    let text = String::from_utf8(output).expect("paths of libraries are text");
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(PathBuf::from).collect()
}

/// What the image of the Dockerfile has: the program, the C library, libgcc, and folders on which a
/// container's file systems are mounted.
fn image(folder: &Folder) -> PathBuf {
    let root = folder.path("root");
    let put = |from: &Path, to: &str| {
        let to = root.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("it has a name")).expect("the folder is ours");
        fs::copy(from, to).expect("the folder is ours");
    };
    put(Path::new(PROGRAM), "/app");
    for library in libraries(PROGRAM) {
        put(&library, library.to_str().expect("it was text"));
    }
    for name in ["proc", "tmp"] {
        fs::create_dir(root.join(name)).expect("the folder is ours");
    }
    root
}

/// Runs the program as a container does: as process 1, without privileges outside of its own user
/// namespace, on a root that is read-only. `/tmp` is a file system of its own.
fn contain(root: &Path, args: &[&str]) -> Program {
    const MOUNT: &str = r#"root=$1; shift
        mount --bind "$root" "$root" && mount -o remount,bind,ro "$root" "$root" &&
        mount -t proc proc "$root/proc" && mount -t tmpfs tmpfs "$root/tmp" &&
        exec chroot "$root" /app "$@""#;
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "sh", "-c", MOUNT, "sh"])
        .arg(root)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Program::start_command(&mut command)
}

/// The process that is number 1 within, as it is numbered here.
fn first_process(program: &Program) -> String {
    let number = program.id();
    let children = format!("/proc/{number}/task/{number}/children");
    let children = fs::read_to_string(children).expect("it runs");
    children.trim().to_owned()
}

#[test]
fn a_container_of_nothing_but_the_program_is_enough() {
    let folder = Folder::new("container");
    let root = image(&folder);
    for engine in ["green", "threads"] {
        let bind = ["--bind", "127.0.0.1:0", "--engine", engine];
        let program = contain(&root, &bind);
        let ask = |request: String| program.connect().send(request).reply();
        assert_eq!(ask(get_close("/pid")).text(), "1", "{engine}");
        assert_eq!(ask(get_close("/hello")).text(), "Hello\n");
        assert_eq!(ask(post("/echo", "sent back")).text(), "sent back");
        // The stop waits for one who is under way.
        let mut waiting = program.connect();
        waiting.send(get("/wait"));
        assert_eq!(ask(get_close("/until/1")).status(), 200);
        let first = first_process(&program);
        let kill = Command::new("kill").args(["-TERM", &first]).status();
        assert!(kill.is_ok_and(|status| status.success()));
        program.wait_for_line("stopping");
        let addr = program.wait_for_addr();
        until("nobody is let in any more", || {
            std::net::TcpStream::connect(addr).is_err()
        });
        drop(waiting);
        let ended = program.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[test]
fn the_root_cannot_be_written_to_and_logs_say_so() {
    let folder = Folder::new("read-only");
    let root = image(&folder);
    let bind = ["--bind", "127.0.0.1:0", "--access-logfile", "/access.log"];
    let ended = contain(&root, &bind).wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr[0].contains("/access.log"), "{ended:?}");
    let bind = [
        "--bind",
        "127.0.0.1:0",
        "--access-logfile",
        "/tmp/access.log",
    ];
    let program = contain(&root, &bind);
    let reply = program.connect().send(get_close("/hello")).reply();
    assert_eq!(reply.status(), 200);
}

/// The number behind a flag or a key, where a file has it last.
fn number(text: &str, key: &str) -> u64 {
    let (_, rest) = text.rsplit_once(key).unwrap_or_else(|| panic!("{key}"));
    let rest = rest.trim_start_matches([' ', ':', '=']);
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().expect(key)
}

/// Beyond the grace period, a stop takes four seconds at most: see `Running::stop_within`.
const BEYOND: u64 = 4;

#[test]
fn the_numbers_of_the_manifests_fit_together() {
    let grace = number(KUBERNETES, "--graceful-timeout=");
    let before = number(
        KUBERNETES,
        "preStop:\n              sleep: # there is no shell in the image; from Kubernetes 1.30 on\n                seconds",
    );
    let time = number(KUBERNETES, "terminationGracePeriodSeconds");
    assert!(time >= before + grace + BEYOND, "{before}, {grace}, {time}");
    let default = 30;
    for unit in [SERVICE, MASTER] {
        assert!(number(unit, "TimeoutStopSec") >= default + BEYOND);
    }
    assert!(number(DOCKERFILE, "--stop-timeout ") >= default + BEYOND);
    for path in ["/readyz", "/healthz"] {
        assert!(KUBERNETES.contains(&format!("path: {path}\n")));
    }
    for (port, flag) in [
        ("8000", "--bind=0.0.0.0:8000"),
        ("9100", "--metrics-bind=0.0.0.0:9100"),
    ] {
        assert!(
            KUBERNETES.contains(flag) && KUBERNETES.contains(&format!("containerPort: {port}\n"))
        );
        assert!(DOCKERFILE.contains(&format!("0.0.0.0:{port}")));
    }
}

/// The arguments of the manifest, and the variables of the image, are settings.
#[test]
fn the_settings_of_the_manifests_are_right() {
    let args = KUBERNETES
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- --"));
    let args: Vec<String> = args.map(|arg| format!("--{arg}")).collect();
    assert!(args.len() > 3, "{args:?}");
    let checked = Command::new(PROGRAM)
        .args(&args)
        .arg("--check-config")
        .output();
    assert!(checked.is_ok_and(|checked| checked.status.success()));
    let line = DOCKERFILE
        .lines()
        .find_map(|line| line.strip_prefix("ENV "));
    let variables: Vec<_> = line
        .expect("there are some")
        .split(' ')
        .map(|pair| pair.split_once('=').expect("NAME=VALUE"))
        .collect();
    let mut command = Command::new(PROGRAM);
    let ended: Ended = Program::start_command(
        command
            .envs(variables.iter().copied())
            .arg("--check-config"),
    )
    .wait();
    assert_eq!(ended.code, Some(0));
    for (name, _) in variables {
        let place = format!("# ${name}");
        assert!(
            ended.stdout.iter().any(|line| line.ends_with(&place)),
            "{ended:?}"
        );
    }
}

/// The probes as the manifest has them, of a server that serves, and of one that stops.
#[test]
fn probes_see_a_stop() {
    let args = ["--bind", "127.0.0.1:0", "--metrics-bind", "127.0.0.1:0"];
    let program = Program::start(PROGRAM, &args);
    let metrics = program.wait_for_metrics_addr();
    let probe = |path: &str| {
        let mut client = Client::connect(metrics);
        client.send(get_close(path)).reply().status()
    };
    assert_eq!([probe("/readyz"), probe("/healthz")], [200, 200]);
    let mut waiting = program.connect();
    waiting.send(get("/wait"));
    let begun = program.connect().send(get_close("/until/1")).reply();
    assert_eq!(begun.status(), 200);
    program.signal(greenway_tests::Signal::TERM);
    until("it is not ready any more", || probe("/readyz") == 503);
    assert_eq!(probe("/healthz"), 200, "it is well, and must not be killed");
    drop(waiting);
    assert_eq!(program.wait().code, Some(0));
}

/// systemd finds nothing wrong with the units, and little with what the service may do.
#[test]
fn systemd_takes_the_units() {
    let folder = Folder::new("units");
    let [service, master] = [SERVICE, MASTER].map(|unit| {
        let unit = unit.replace("/usr/local/bin/app", PROGRAM);
        assert!(unit.contains(PROGRAM));
        unit
    });
    let units = [
        ("app.service", service.as_str()),
        ("app-master.service", &master),
        ("app.socket", SOCKET),
    ];
    let units = units.map(|(name, text)| {
        let path = folder.path(name);
        fs::write(&path, text).expect("the folder is ours");
        path
    });
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(&units)
        .output()
        .expect("./test installs systemd");
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let of_us = |line: &&str| line.contains("app.") || line.contains("app-master.");
    let ours: Vec<&str> = said.lines().filter(of_us).collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");
    let exposure = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--threshold=20"])
        .args(&units[..2])
        .output()
        .expect("./test installs systemd");
    let said = String::from_utf8_lossy(&exposure.stdout).into_owned();
    assert!(exposure.status.success(), "above 2.0 of 10: {said}");
}

/// The sockets of a socket unit, as systemd hands them over.
#[test]
fn systemd_hands_a_socket_over() {
    // It chooses no port itself: one that was free a moment ago.
    let addr: SocketAddr = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("the machine has free ports");
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(addr.to_string()).arg(PROGRAM);
    let program = Program::start_command(&mut command);
    // The first client is one who waits until the program, which is started for it, accepts.
    until("the socket is open", || {
        std::net::TcpStream::connect(addr).is_ok()
    });
    let reply = Client::connect(addr).send(get_close("/hello")).reply();
    assert_eq!(reply.text(), "Hello\n");
    assert_eq!(program.wait_for_addr(), addr);
}

/// The manifest, by Kubernetes' own schema.
#[test]
fn kubernetes_takes_the_manifest() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = root.join("examples/deploy/kubernetes.yaml");
    let mut command = Command::new(installed("python/bin/kubernetes-validate"));
    let output = command.args(["--strict"]).arg(manifest).output();
    let output = output.expect("it was installed");
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(" passed for resource ").count(), 2, "{said}");
}
