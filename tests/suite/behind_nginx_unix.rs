//! nginx in front of a unix socket, which is how gunicorn is run most often: the book's lines, and who
//! may connect.

use crate::behind_nginx::{around, book, start_proxy};
use greenway_tests::request::{get, post};
use greenway_tests::{Client, Engine, Folder, Program, on_green_and_threads};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

on_green_and_threads!(a_group_that_may_connect_does);

const BOOK: &str = include_str!("../../docs/src/proxies.md");
/// nobody, and a group that nobody is in.
const NGINX: &str = "65534";
const GROUP: &str = "65533";

/// What stands in the book behind these words, up to a word's end.
fn told(before: &str) -> &'static str {
    let (_, rest) = BOOK.split_once(before).expect(before);
    rest.split([' ', ';', '\n']).next().unwrap_or(rest)
}

/// nginx as somebody who is in the group, in front of the socket.
fn nginx(folder: &Folder, name: &str, socket: &str) -> (Program, SocketAddr) {
    let upstream = format!("server unix:{};", told("server unix:"));
    let site = book("nginx").replace("server 127.0.0.1:8000;", &upstream);
    let site = site.replace(told("server unix:"), socket);
    let file = folder.path("nginx.conf");
    start_proxy(name, |front| {
        let ready = format!("listen {front}; location = /ready {{ return 200 \"ready {name}\"; }}");
        let text = around(&site.replace("listen 80;", &ready));
        fs::write(&file, text).expect("the folder is ours");
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            NGINX,
            "--regid",
            GROUP,
            "--clear-groups",
            "nginx",
        ]);
        command.arg("-p").arg(folder.path("")).arg("-c").arg(&file);
        command.args(["-e", "stderr"]);
        command
    })
}

fn a_group_that_may_connect_does(engine: Engine) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: it takes root to be somebody else");
        return;
    }
    let umask = told("app.sock --umask ");
    for (mask, status) in [(umask, 200), ("0022", 502)] {
        let name = format!("unix-{mask}-{}", engine.name());
        let folder = Folder::new(&name);
        fs::set_permissions(folder.path(""), Permissions::from_mode(0o777)).expect("it is ours");
        let socket = folder.path("app.sock").display().to_string();
        let bind = format!("unix:{socket}");
        let server = Program::start(
            env!("CARGO_BIN_EXE_longpoll"),
            &[
                &["--bind", &bind, "--umask", mask, "--group", GROUP][..],
                &["--engine", engine.name(), "--cores", "1"],
            ]
            .concat(),
        );
        server.wait_for_line("listening on unix:");
        let (_nginx, front) = nginx(&folder, &name, &socket);
        let mut client = Client::connect(front);
        let reply = client.send(get("/hello")).reply();
        assert_eq!(reply.status(), status, "{name}");
        if status == 200 {
            let large = "0123456789abcdef".repeat(12_000);
            let reply = client.send(post("/echo", &large)).reply();
            assert!(reply.text() == large, "{name}");
        }
    }
}
