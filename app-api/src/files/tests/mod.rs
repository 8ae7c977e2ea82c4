//! Static files as the in-process client sees them.

mod conditional;
mod escapes;
mod negotiation;

use super::*;
use crate::testing::{Client, Reply};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::time::{Duration, SystemTime};

/// When the files of the tests were changed: Saturday, 1 November 2025, 10:00:01 and a half.
const CHANGED: Duration = Duration::from_millis(1_761_991_201_500);
const CHANGED_DATE: &str = "Sat, 01 Nov 2025 10:00:01 GMT";

/// A directory that only one test has; gone when it is dropped. The root is `root` in it, so that
/// there is something outside.
struct Site {
    outer: PathBuf,
    dir: Dir,
}

impl Site {
    fn new(name: &str) -> Self {
        let outer = std::env::temp_dir().join(format!("gw-static-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&outer);
        std::fs::create_dir_all(outer.join("root")).unwrap();
        let dir = Dir::open_ambient_dir(outer.join("root"), ambient_authority()).unwrap();
        std::fs::write(outer.join("secret"), "outside").unwrap();
        Self { outer, dir }
    }

    fn root(&self) -> PathBuf {
        self.outer.join("root")
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.with_at(name, bytes, CHANGED)
    }

    fn with_at(self, name: &str, bytes: impl AsRef<[u8]>, changed: Duration) -> Self {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + changed).unwrap();
        self
    }

    fn files(&self) -> StaticFiles {
        StaticFiles::new(self.root())
    }

    /// Serves it at `/s`.
    fn client(&self) -> Client {
        serve(self.files())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.outer);
    }
}

fn serve(files: StaticFiles) -> Client {
    let mut app = App::new();
    app.static_files("/s", files);
    Client::new(app)
}

/// Status and text.
fn seen(reply: &Reply) -> (u16, String) {
    (reply.status().as_u16(), reply.text())
}

/// Bytes that tell where they are.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251 + at) as u8).collect()
}

#[test]
fn a_file_arrives_with_all_that_is_known_of_it() {
    let site = Site::new("whole").with("a.txt", "hello");
    let reply = site.client().get("/s/a.txt").send();
    assert_eq!(seen(&reply), (200, "hello".to_owned()));
    let tag = format!("\"{:x}-5\"", CHANGED.as_nanos());
    let mut headers: Vec<_> = reply
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    headers.sort_unstable();
    assert_eq!(
        headers,
        [
            ("accept-ranges", "bytes"),
            ("content-type", "text/plain; charset=utf-8"),
            ("etag", tag.as_str()),
            ("last-modified", CHANGED_DATE),
        ]
    );
}

#[test]
fn head_is_get_without_the_body() {
    let long = pattern(100_000);
    let site = Site::new("head").with("a.bin", long).with("b", "b");
    let client = site.client();
    for path in ["/s/a.bin", "/s/b"] {
        let (get, head) = (client.get(path).send(), client.head(path).send());
        assert_eq!(get.headers(), head.headers());
        assert_eq!((head.status().as_u16(), head.bytes().len()), (200, 0));
    }
}

#[test]
fn sizes_around_the_borders() {
    let borders = [0, 1, 65_535, 65_536, 65_537, 131_073, 1_000_000];
    let mut site = Site::new("sizes");
    for size in borders {
        site = site.with(&size.to_string(), pattern(size));
    }
    let client = site.client();
    for size in borders {
        let reply = client.get(&format!("/s/{size}")).send();
        assert_eq!(reply.status(), 200);
        assert!(reply.bytes() == pattern(size), "{size}");
    }
}

#[test]
fn types_are_those_of_the_names() {
    let mut site = Site::new("types");
    for (name, expected) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.PNG", "image/png"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.pdf", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("a", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ] {
        site = site.with(name, "x");
        let reply = site.client().get(&format!("/s/{name}")).send();
        assert_eq!(reply.header("content-type"), Some(expected), "{name}");
    }
    let plain = serve(site.files().charset(None)).get("/s/a.css").send();
    assert_eq!(plain.header("content-type"), Some("text/css"));
    let latin = serve(site.files().charset("latin1")).get("/s/a.css").send();
    assert_eq!(
        latin.header("content-type"),
        Some("text/css; charset=latin1")
    );
}

#[test]
fn directories_have_an_index_or_nothing() {
    let site = Site::new("index")
        .with("index.html", "top")
        .with("sub/index.html", "sub")
        .with("other/home.htm", "other")
        .with("a b/index.html", "blank");
    let client = site.client();
    for (path, status, text) in [
        ("/s/", 200, "top"),
        ("/s/index.html", 200, "top"),
        ("/s/sub/", 200, "sub"),
        ("/s", 301, ""),
        ("/s/sub", 301, ""),
        ("/s/other", 404, "404 Not Found: no such file\n"),
        ("/s/other/", 404, "404 Not Found: no such file\n"),
        ("/s/index.html/", 404, "404 Not Found: no such file\n"),
        ("/s/none/", 404, "404 Not Found: no such file\n"),
        ("/s/index.html/x", 404, "404 Not Found: no such file\n"),
    ] {
        let reply = client.get(path).send();
        assert_eq!(seen(&reply), (status, text.to_owned()), "{path}");
    }
    for (path, location) in [
        ("/s", "./s/"),
        ("/s/sub", "./sub/"),
        ("/s/sub?a=b&c", "./sub/?a=b&c"),
        ("/s/a%20b", "./a%20b/"),
    ] {
        let reply = client.get(path).send();
        assert_eq!(reply.header("location"), Some(location), "{path}");
    }
    let other = serve(site.files().index("home.htm"));
    assert_eq!(other.get("/s/other/").send().text(), "other");
    assert_eq!(other.get("/s/").send().status(), 404);
    let none = serve(site.files().index(None));
    for path in ["/s", "/s/", "/s/sub", "/s/sub/"] {
        assert_eq!(none.get(path).send().status(), 404, "{path}");
    }
}

#[test]
fn only_reading_is_a_method_of_files() {
    let site = Site::new("methods").with("a", "a");
    let client = site.client();
    let reply = client.post("/s/a").body("x").send();
    assert_eq!(reply.status(), 405);
    let alone = Client::new(site.files());
    assert_eq!(alone.get("/a").send().text(), "a");
    assert_eq!(alone.put("/a").body("x").send().status(), 405);
    assert_eq!(alone.delete("/a").send().header("allow"), Some("GET, HEAD"));
}

#[test]
fn a_prefix_may_be_all_or_have_a_slash_or_wildcards() {
    let site = Site::new("prefix").with("a", "a").with("index.html", "top");
    let mut app = App::new();
    app.get("/own", |_: Request| "own");
    app.static_files("/", site.files());
    let client = Client::new(app);
    assert_eq!(client.get("/a").send().text(), "a");
    assert_eq!(client.get("/").send().text(), "top");
    assert_eq!(client.get("/own").send().text(), "own");
    let mut app = App::new();
    app.static_files("/x/", site.files());
    app.static_files("/u/<user>/files", site.root());
    let client = Client::new(app);
    assert_eq!(client.get("/x/a").send().text(), "a");
    assert_eq!(client.get("/u/ann/files/a").send().text(), "a");
    assert_eq!(client.get("/a").send().status(), 404);
}

#[test]
fn it_can_be_mounted() {
    let site = Site::new("mount").with("a", "a").with("index.html", "top");
    let mut app = App::new();
    app.mount("/files", site.files());
    let client = Client::new(app);
    assert_eq!(client.get("/files/a").send().text(), "a");
    assert_eq!(client.get("/files/").send().text(), "top");
    let bare = client.get("/files").send();
    assert_eq!(bare.header("location"), Some("./files/"));
}

#[test]
fn single_files_have_bottles_arguments() {
    let site = Site::new("single").with("a.txt", "a").with("é.txt", "e");
    let root = site.root();
    let mut app = App::new();
    let at = root.clone();
    app.get("/plain/<name:path>", move |request: Request| {
        request.static_file(request.param("name"), &at)
    });
    let at = root.clone();
    app.get("/save", move |request: Request| {
        StaticFile::new("é.txt", at.clone())
            .attachment()
            .mimetype("text/x-own")
            .respond(&request)
    });
    let files = site.files().etag(false).cache_control("no-store");
    app.get("/named", move |request: Request| {
        StaticFile::new("/a.txt", files.clone())
            .download("b/c.txt")
            .respond(&request)
    });
    let client = Client::new(app);
    assert_eq!(client.get("/plain/a.txt").send().text(), "a");
    assert_eq!(client.get("/plain/b.txt").send().status(), 404);
    assert_eq!(client.get("/plain/./").send().status(), 404);
    let save = client.get("/save").send();
    assert_eq!(save.header("content-type"), Some("text/x-own"));
    assert_eq!(
        save.header("content-disposition"),
        Some("attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt")
    );
    let named = client.get("/named").send();
    assert_eq!(
        named.header("content-disposition"),
        Some("attachment; filename=\"c.txt\"")
    );
    assert_eq!(named.header("cache-control"), Some("no-store"));
    assert_eq!(named.header("etag"), None);
    assert_eq!(named.header("last-modified"), Some(CHANGED_DATE));
}

#[test]
fn a_root_that_is_not_there_is_the_operators_error() {
    let client = serve(StaticFiles::new("/nonexistent/greenway"));
    let reply = client.get("/s/a").send();
    assert_eq!(
        seen(&reply),
        (500, "500 Internal Server Error\n".to_owned())
    );
}

#[test]
fn the_root_is_looked_up_anew() {
    let site = Site::new("release").with("one/a", "1").with("two/a", "2");
    let latest = site.root().join("latest");
    let client = serve(StaticFiles::new(&latest));
    for (release, text) in [("one", "1"), ("two", "2")] {
        let _ = std::fs::remove_file(&latest);
        site.dir.symlink(release, "latest").unwrap();
        assert_eq!(client.get("/s/a").send().text(), text);
    }
}

#[test]
#[should_panic(expected = "StaticFiles::cache_control")]
fn a_bad_cache_control_is_found_at_the_start() {
    let _ = StaticFiles::new("x").cache_control("a\nb");
}

#[test]
#[should_panic(expected = "StaticFile::mimetype")]
fn a_bad_type_is_found_at_the_start() {
    let _ = StaticFile::new("x", "y").mimetype("a\nb");
}
