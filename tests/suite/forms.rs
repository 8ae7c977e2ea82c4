//! Forms, uploads and sessions over sockets: with clients that other people have written, with
//! more than fits into memory, and with clients that leave.

use crate::churn::Held;
use crate::real_clients::{curl, finish, script, start};
use crate::websocket_clients::installed;
use greenway_tests::request::{get, post};
use greenway_tests::{Client, Engine, Folder, Program, on_green_and_threads, until};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

on_green_and_threads!(
    curl_sends_forms_and_files,
    curl_keeps_a_session,
    pythons_requests,
    a_large_upload_takes_no_memory,
    a_client_that_leaves_leaves_no_file,
);

/// With a slow disk, one worker serves others meanwhile. On a pool of threads an upload holds its
/// thread, as anything that blocks.
#[test]
fn a_slow_disk_holds_up_nobody_else() {
    let server = Server::start_with("slow", Engine::Green, &["--cores", "1"]);
    let mut client = Client::connect(server.program.wait_for_addr());
    assert_eq!(client.send(post("/disk/hold", "")).reply().status(), 200);
    let mut upload = Client::connect(server.program.wait_for_addr());
    let head = "--b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n";
    let form = format!("{head}{}\r\n--b--\r\n", "x".repeat(1 << 20));
    upload.send(format!(
        "POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n{}",
        form.len(),
        &form[..form.len() - 1],
    ));
    assert_eq!(client.send(get("/pid")).reply().status(), 200);
    assert_eq!(server.open_files(), 0, "the disk is slow");
    assert_eq!(client.send(post("/disk/release", "")).reply().status(), 200);
    upload.send(&form[form.len() - 1..]);
    let said = upload.reply().text();
    assert_eq!(said, format!("f: f, -, {}, {}\n", 1 << 20, 120 << 20));
}

/// Bytes of the large upload.
const LARGE: u64 = 64 << 20;

/// KiB by which the server's memory may grow meanwhile: for buffers, stacks and the allocator.
/// What was read would be 65,536.
const MARGIN: usize = 16 << 10;

/// A server whose temporary files lie in a folder of their own.
struct Server {
    program: Program,
    temporary: Folder,
    pid: u32,
}

impl Server {
    fn start(name: &str, engine: Engine) -> Self {
        Self::start_with(name, engine, &[])
    }

    fn start_with(name: &str, engine: Engine, flags: &[&str]) -> Self {
        let temporary = Folder::new(&format!("{name}-{}", engine.name()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_forms"));
        command
            .args(["--bind", "127.0.0.1:0", "--engine", engine.name()])
            .args(["--limit-request-body", "100000000"])
            // A report of who holds up a worker takes more memory than what is measured.
            .args(["--max-blocking-time", "0"])
            .args(flags)
            .env("TMPDIR", temporary.path(""));
        let program = Program::start_command(&mut command);
        let pid = program.connect().send(get("/pid")).reply().text();
        Self {
            pid: pid.parse().expect("a number"),
            program,
            temporary,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.program.wait_for_addr())
    }

    /// How many files in the temporary folder it has open, with a name or without.
    fn open_files(&self) -> usize {
        let folder = self.temporary.path("");
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("it runs");
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets.filter(|target| target.starts_with(&folder)).count()
    }

    /// Whether the temporary folder is empty: no file has a name, at any time.
    fn has_no_names(&self) -> bool {
        let mut entries = fs::read_dir(self.temporary.path("")).expect("it is there");
        entries.next().is_none()
    }
}

/// Runs curl, and gives what it says.
fn curl_says(args: &[&str]) -> Vec<String> {
    finish(start(&mut curl(args))).stdout
}

fn curl_sends_forms_and_files(engine: Engine) {
    let server = Server::start("curl", engine);
    let file = server.temporary.path("sent.txt");
    fs::write(&file, "some text\r\n--boundary\r\n").expect("the folder can be written to");
    let sent = format!(
        "file=@{};type=text/csv;filename=\"a;b.csv\"",
        file.display()
    );
    for path in ["/form", "/parts"] {
        let said = curl_says(&[
            "-F",
            "a=1",
            "-F",
            "b=x & é",
            "-F",
            &sent,
            "-F",
            "a=2",
            &server.url(path),
        ]);
        let mut lines = ["a=1", "b=x & é", "a=2", "file: a;b.csv, text/csv, 23, 1925"];
        if path == "/parts" {
            lines.swap(2, 3); // as they come
        }
        assert_eq!(said, lines, "{path}");
    }
    let url = server.url("/form");
    let said = curl_says(&["--data-urlencode", "a=x & é", "--data", "b=1&a=2", &url]);
    assert_eq!(said, ["a=x & é", "b=1", "a=2"]);
    // In chunks, without a length.
    let chunked = ["-H", "Transfer-Encoding: chunked", "-F", &sent, &url];
    assert_eq!(curl_says(&chunked), ["file: a;b.csv, text/csv, 23, 1925"]);
}

fn curl_keeps_a_session(engine: Engine) {
    let server = Server::start("session", engine);
    let jar = server.temporary.path("jar");
    let jar = jar.to_str().expect("a path in UTF-8");
    for path in ["/visitors/", "/cookies/"] {
        let url = server.url(path);
        let page = || curl_says(&["-b", jar, "-c", jar, &url]);
        let first = page();
        assert_eq!(first[0], "<h1>nobody</h1>");
        let token = first[1].split('"').nth(1).expect("it has a token");
        let token = format!("csrf_token={token}");
        let login = format!("{url}login");
        let status = [
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-b",
            jar,
            "-c",
            jar,
        ];
        let post = |more: &[&str]| curl_says(&[&status[..], more, &[&login]].concat());
        let data = ["-d", "user=Ada", "-d", &token];
        let foreign = [&data[..], &["-H", "Origin: https://evil.example"]].concat();
        assert_eq!(post(&foreign), ["403"]);
        assert_eq!(post(&data[..2]), ["403"]);
        assert_eq!(post(&data), ["303"]);
        assert_eq!(page()[0], "<h1>Ada</h1><p>welcome</p>");
        assert_eq!(page()[0], "<h1>Ada</h1>");
        let kept = fs::read_to_string(jar).expect("curl has written it");
        assert!(
            kept.contains("#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t"),
            "{kept}"
        );
        fs::remove_file(jar).expect("it was there a moment ago");
    }
}

fn pythons_requests(engine: Engine) {
    let server = Server::start("requests", engine);
    let ended = finish(start(
        Command::new(installed("python/bin/python"))
            .arg(script("forms_client.py"))
            .arg(server.program.wait_for_addr().to_string()),
    ));
    assert_eq!(ended.stdout, ["ok"]);
    assert!(server.has_no_names());
}

/// A file of 64 MiB that takes no room: zeros, and three bytes at its end.
fn large(path: &Path) {
    let fill = || {
        let mut file = File::create(path)?;
        file.set_len(LARGE)?;
        file.seek(SeekFrom::Start(LARGE - 3))?;
        file.write_all(&[1, 2, 3])
    };
    fill().expect("the folder can be written to");
}

fn a_large_upload_takes_no_memory(engine: Engine) {
    let server = Server::start("large", engine);
    let files = Folder::new(&format!("sent-{}", engine.name()));
    let path = files.path("large.bin");
    large(&path);
    let before = Held::by(server.pid).resident;
    let sent = format!("file=@{}", path.display());
    for path in ["/form", "/parts"] {
        let said = curl_says(&["-F", &sent, &server.url(path)]);
        let line = format!("file: large.bin, application/octet-stream, {LARGE}, 6");
        assert_eq!(said, [line], "{path}");
        let most = Held::most_by(server.pid);
        assert!(
            most <= before + MARGIN,
            "{path}: from {before} to {most} KiB"
        );
    }
    assert!(server.has_no_names());
    until("the file is closed", || server.open_files() == 0);
}

fn a_client_that_leaves_leaves_no_file(engine: Engine) {
    let server = Server::start("leaves", engine);
    let mut client = Client::connect(server.program.wait_for_addr());
    client.send(
        "POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: 90000000\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n",
    );
    client.send(vec![b'x'; 1 << 20]);
    until("the upload goes to disk", || server.open_files() == 1);
    assert!(server.has_no_names());
    drop(client);
    until("the file is closed", || server.open_files() == 0);
    assert!(server.has_no_names());
    let mut next = Client::connect(server.program.wait_for_addr());
    assert_eq!(
        next.send(get("/pid")).reply().text(),
        server.pid.to_string()
    );
}
