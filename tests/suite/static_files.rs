//! Static files as clients over sockets see them.

use greenway::{App, Engine, StaticFiles};
use greenway_tests::request::{get, with};
use greenway_tests::{Client, DEADLINE, TestServer, linted, on_green_and_threads};
use rustix::fs::{Advice, FileType, Mode, fadvise, mknodat};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

on_green_and_threads!(
    files_of_all_sizes_arrive_whole,
    ranges_are_bytes_of_the_file,
    no_raw_request_leads_out_of_the_root,
    what_is_no_file_is_not_waited_for,
    one_that_is_not_in_the_cache_arrives_too,
    one_that_is_replaced_is_sent_as_it_was,
    one_that_is_cut_cuts_the_connection,
    curl_keeps_a_copy_up_to_date,
    curl_goes_on_where_it_was_cut_off,
    curl_gets_compressed_neighbours,
);

/// More than any socket buffer holds, and no multiple of a page.
const LONG: usize = 12 * 1024 * 1024 + 321;

/// A directory that nobody else has, with a root in it and something beside that.
struct Site(PathBuf);

impl Site {
    fn new(name: &str, engine: Engine) -> Self {
        let name = format!("gw-site-{}-{name}-{engine:?}", std::process::id());
        let site = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(site.root().join("sub")).expect("the temporary directory is there");
        std::fs::write(site.0.join("secret"), "outside").expect("it was made just now");
        site.with("a.txt", "hello").with("sub/b", "b")
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.root().join(name), bytes).expect("the directory is ours");
        self
    }

    fn serve(&self, engine: Engine) -> TestServer {
        let mut app = App::new();
        app.static_files("/s", StaticFiles::new(self.root()));
        let server = linted(app).engine(engine).timeout(DEADLINE);
        // A test reads a response of megabytes, and makes those that it compares it with, before it
        // asks for the next: on a machine that is busy that may take longer than the default, which
        // counts from when the kernel has the last byte.
        TestServer::start(server.keep_alive(DEADLINE))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bytes(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|at| (at / 251 + at) as u8).collect()
}

fn files_of_all_sizes_arrive_whole(engine: Engine) {
    let sizes = [0, 1, 16_384, 65_536, 65_537, LONG];
    let mut site = Site::new("sizes", engine);
    for size in sizes {
        site = site.with(&size.to_string(), bytes(0, size));
    }
    let server = site.serve(engine);
    let mut client = server.connect();
    for size in sizes {
        let reply = client.send(get(&format!("/s/{size}"))).reply();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.head.content_length(), Some(size));
        assert!(reply.body == bytes(0, size), "{size}");
        client.send(with("HEAD", &format!("/s/{size}"), "", ""));
        // Of a response without a body, the server does not tell how long it is.
        let told = (size > 0).then_some(size);
        assert_eq!(client.reply_to_head().head.content_length(), told);
    }
}

fn ranges_are_bytes_of_the_file(engine: Engine) {
    let site = Site::new("ranges", engine).with("long", bytes(0, LONG));
    let server = site.serve(engine);
    let mut client = server.connect();
    let ask = |range: &str| with("GET", "/s/long", &format!("Range: bytes={range}\r\n"), "");
    for (range, from, to) in [
        ("0-0".to_owned(), 0, 1),
        ("100-3000000".to_owned(), 100, 3_000_001),
        (format!("{}-", LONG - 10), LONG - 10, LONG),
        ("-200000".to_owned(), LONG - 200_000, LONG),
    ] {
        let reply = client.send(ask(&range)).reply();
        assert_eq!(reply.status(), 206, "{range}");
        assert!(reply.body == bytes(from, to), "{range}");
    }
    let reply = client.send(ask("0-9, 1000000-2000000,-5")).reply();
    assert_eq!(reply.status(), 206);
    let boundary = reply.head.field("content-type").expect("a type of parts");
    let boundary = boundary.split_once("boundary=").expect("a boundary").1;
    let mut rest = reply.body.as_slice();
    for (from, to) in [(0, 10), (1_000_000, 2_000_001), (LONG - 5, LONG)] {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {from}-{}/{LONG}\r\n\r\n",
            to - 1
        );
        rest = rest
            .strip_prefix(head.as_bytes())
            .expect("the head of a part");
        assert!(rest[..to - from] == bytes(from, to));
        rest = &rest[to - from..];
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
    let reply = client.send(ask(&format!("{LONG}-"))).reply();
    assert_eq!(reply.status(), 416);
    let whole = format!("bytes */{LONG}");
    assert_eq!(reply.head.field("content-range"), Some(whole.as_str()));
}

fn no_raw_request_leads_out_of_the_root(engine: Engine) {
    let site = Site::new("raw", engine);
    std::os::unix::fs::symlink("../secret", site.root().join("link")).expect("a new name");
    let server = site.serve(engine);
    let absolute = site.0.join("secret");
    for target in [
        "/s/../secret",
        "/s/sub/../../secret",
        "/s/%2e%2e/secret",
        "/s/%2e%2e%2fsecret",
        "/s/..%5csecret",
        "/s/..\\secret",
        "/s/sub/%2e%2e/%2e%2e/secret",
        "/s/link",
        "/s/..;/secret",
        "/s//../secret",
        "http://test/s/../secret",
        "/../secret",
        "/s/a.txt%00",
        "/s/%c0%ae%c0%ae/secret",
        &format!("/s/{}", absolute.display()),
        &format!("/s{}", "/..".repeat(500)),
    ] {
        let reply = server.ask(with("GET", target, "Connection: close\r\n", ""));
        assert!(matches!(reply.status(), 400 | 404), "{target}: {reply:?}");
        assert!(!reply.text().contains("outside"), "{target}");
    }
    assert_eq!(server.get("/s/a.txt").summary(), (200, "hello".to_owned()));
}

fn what_is_no_file_is_not_waited_for(engine: Engine) {
    let site = Site::new("pipe", engine);
    let root = File::open(site.root()).expect("it was made just now");
    // Opening it would wait for a writer.
    mknodat(&root, "pipe", FileType::Fifo, Mode::RUSR, 0).expect("the directory is ours");
    let _socket = std::os::unix::net::UnixListener::bind(site.root().join("socket"));
    let server = site.serve(engine);
    for name in ["pipe", "socket", "sub"] {
        assert_eq!(server.get(&format!("/s/{name}")).status(), 404, "{name}");
    }
}

fn one_that_is_not_in_the_cache_arrives_too(engine: Engine) {
    let site = Site::new("cold", engine).with("long", bytes(0, LONG));
    let file = File::open(site.root().join("long")).expect("it is there");
    file.sync_all().expect("the disk works");
    fadvise(&file, 0, None, Advice::DontNeed).expect("an advice may be given");
    let reply = site.serve(engine).get("/s/long");
    assert!(reply.body == bytes(0, LONG));
}

fn one_that_is_replaced_is_sent_as_it_was(engine: Engine) {
    let site = Site::new("replaced", engine)
        .with("long", bytes(0, LONG))
        .with("next", "new");
    let server = site.serve(engine);
    // Too little room for all of it, so that most of it is not sent when the head is here.
    let mut client = Client::connect_with_buffer(4096, server.addr());
    client.send(get("/s/long"));
    assert_eq!(client.head().content_length(), Some(LONG));
    std::fs::rename(site.root().join("next"), site.root().join("long")).expect("both are there");
    assert!(client.take(LONG) == bytes(0, LONG));
    assert_eq!(server.get("/s/long").text(), "new");
}

fn one_that_is_cut_cuts_the_connection(engine: Engine) {
    let site = Site::new("cut", engine).with("long", bytes(0, LONG));
    let server = site.serve(engine);
    let mut client = Client::connect_with_buffer(4096, server.addr());
    client.send(get("/s/long"));
    assert_eq!(client.head().content_length(), Some(LONG));
    let left = LONG - 100_000;
    File::options()
        .write(true)
        .open(site.root().join("long"))
        .and_then(|file| file.set_len(left as u64))
        .expect("it is ours");
    assert!(client.take(left) == bytes(0, left));
    client.is_cut_short();
}

/// Runs curl in `directory`, and gives what it says of the answer: status, downloaded bytes.
fn curl(directory: &Path, args: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-m", "60", "-w", "%{http_code} %{size_download}"])
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null());
    let output = curl
        .output()
        .unwrap_or_else(|error| panic!("curl: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.is_empty(), "curl {args:?}: {complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn curl_keeps_a_copy_up_to_date(engine: Engine) {
    let site = Site::new("copy", engine);
    let server = site.serve(engine);
    let url = format!("http://{}/s/a.txt", server.addr());
    let here = &site.0;
    let fetch = |args: &[&str]| curl(here, &[&["-o", "copy", url.as_str()], args].concat());
    let tags = ["--etag-save", "tag", "--etag-compare", "tag"];
    assert_eq!(fetch(&["--etag-save", "tag"]), "200 5");
    assert_eq!(fetch(&tags), "304 0");
    // -R gives the copy the file's own time, and -z asks for what is newer than the copy.
    assert_eq!(fetch(&["-R"]), "200 5");
    assert_eq!(fetch(&["-z", "copy"]), "304 0");
    let changed = std::time::SystemTime::now() - std::time::Duration::from_secs(9);
    let site = site.with("a.txt", "changed");
    let file = File::options().write(true).open(site.root().join("a.txt"));
    file.and_then(|file| file.set_modified(changed))
        .expect("it is ours");
    let older = File::options().write(true).open(site.0.join("copy"));
    let long_ago = changed - std::time::Duration::from_secs(9);
    older
        .and_then(|file| file.set_modified(long_ago))
        .expect("it is ours");
    let fetch = |args: &[&str]| curl(&site.0, &[&["-o", "copy", url.as_str()], args].concat());
    assert_eq!(fetch(&["-z", "copy"]), "200 7");
    assert_eq!(fetch(&tags), "200 7");
    assert_eq!(fetch(&["-I"]), "200 0");
}

fn curl_goes_on_where_it_was_cut_off(engine: Engine) {
    let site = Site::new("resume", engine).with("long", bytes(0, LONG));
    let server = site.serve(engine);
    let url = format!("http://{}/s/long", server.addr());
    let first = curl(&site.0, &["-o", "copy", "-r", "0-999999", &url]);
    assert_eq!(first, "206 1000000");
    let rest = curl(&site.0, &["-o", "copy", "-C", "-", &url]);
    assert_eq!(rest, format!("206 {}", LONG - 1_000_000));
    let copy = std::fs::read(site.0.join("copy")).expect("curl has made it");
    assert!(copy == bytes(0, LONG));
}

fn curl_gets_compressed_neighbours(engine: Engine) {
    let text = "one line of many\n".repeat(1000);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zipped
        .write_all(text.as_bytes())
        .expect("it goes to memory");
    let zipped = zipped.finish().expect("it goes to memory");
    let site = Site::new("gzip", engine)
        .with("page.txt", &text)
        .with("page.txt.gz", &zipped);
    let server = site.serve(engine);
    let url = format!("http://{}/s/page.txt", server.addr());
    let seen = curl(&site.0, &["-o", "copy", "--compressed", &url]);
    assert_eq!(seen, format!("200 {}", zipped.len()));
    let mut copy = String::new();
    File::open(site.0.join("copy"))
        .and_then(|mut file| file.read_to_string(&mut copy))
        .expect("curl has made it");
    assert!(copy == text);
}
