//! Forms as handlers get them.

use crate::testing::{Client, Reply};
use crate::{FileUpload, FormData, HttpError, Input, InputSource, Limits, Request};
use crate::{HeaderMap, Peer, Unblocker};
use std::cell::Cell;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::rc::Rc;
use std::time::Duration;

const MULTIPART: &str = "multipart/form-data; boundary=b";
const URLENCODED: &str = "application/x-www-form-urlencoded";

fn shown(form: &FormData) -> String {
    let fields = form.iter().map(|(name, value)| format!("{name}={value}"));
    let file = |file: &FileUpload| {
        let data = file.read_all(100).unwrap();
        let data = String::from_utf8_lossy(&data).into_owned();
        format!("{}:{}:{data}", file.name(), file.filename())
    };
    let files = form.files().iter().map(file);
    fields.chain(files).collect::<Vec<_>>().join(" ")
}

fn post_with(content_type: &str, body: impl Into<String>, limits: Limits) -> Reply {
    let app = move |mut request: Request| {
        request.set_limits(limits.clone());
        request.form().map(shown)
    };
    let client = Client::new(app);
    let post = client.post("/").header("content-type", content_type);
    post.body(body.into()).send()
}

fn field(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str, filename: &str, data: &str) -> String {
    let names = format!("name=\"{name}\"; filename=\"{filename}\"");
    let lines = format!("Content-Disposition: form-data; {names}\r\nContent-Type: image/png");
    format!("--b\r\n{lines}\r\n\r\n{data}\r\n")
}

#[test]
fn limits_may_be_as_large_as_numbers_are() {
    let limits = Limits {
        memory: usize::MAX,
        parts: usize::MAX,
        part_header: usize::MAX,
        field: u64::MAX,
        file: u64::MAX,
        total: u64::MAX,
        file_memory: usize::MAX,
    };
    let reply = post_with(URLENCODED, "a=1", limits.clone());
    assert_eq!(reply.text(), "a=1");
    let body = field("a", "1") + &file("f", "x", "data") + "--b--\r\n";
    assert_eq!(post_with(MULTIPART, body, limits).text(), "a=1 f:x:data");
}

#[test]
fn both_kinds_in_their_order() {
    let none = Limits::default;
    for (content_type, body, expected) in [
        (
            URLENCODED,
            "b=1&a=x+y%26&b=2&%C3%A9=%e2%82%ac&c&=d".to_owned(),
            "b=1 a=x y& b=2 é=€ c= =d",
        ),
        (
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            "a=1".to_owned(),
            "a=1",
        ),
        (URLENCODED, String::new(), ""),
        (URLENCODED, "a=%ff%zz".to_owned(), "a=\u{fffd}%zz"),
        (
            MULTIPART,
            field("b", "1")
                + &file("f", "../x.png", "PNG")
                + &field("a", "é")
                + &field("b", "2")
                + &file("f", "y", "")
                + "--b--\r\n",
            "b=1 a=é b=2 f:x.png:PNG f:y:",
        ),
        // No file was chosen.
        (MULTIPART, file("f", "", "") + "--b--\r\n", ""),
        (
            MULTIPART,
            file("f", "", "data") + "--b--\r\n",
            "f:empty:data",
        ),
    ] {
        let reply = post_with(content_type, body.as_str(), none());
        assert_eq!(
            (reply.status().as_u16(), reply.text()),
            (200, expected.to_owned()),
            "{body:?}"
        );
    }
}

#[test]
fn what_is_no_form() {
    let app = |request: Request| request.form().map(shown);
    let client = Client::new(app);
    assert_eq!(client.get("/").send().status(), 200);
    assert_eq!(client.post("/").body("a=1").send().status(), 415);
    for (content_type, status) in [
        ("text/plain", 415),
        ("application/json", 415),
        ("multipart/mixed; boundary=b", 415),
        ("multipart/form-data", 400),
    ] {
        assert_eq!(
            post_with(content_type, "a=1", Limits::default()).status(),
            status
        );
    }
}

#[test]
fn bounds() {
    let limits = Limits {
        memory: 20,
        parts: 2,
        file_memory: 10,
        ..Limits::default()
    };
    let long = "x".repeat(50);
    for (content_type, body, status) in [
        (URLENCODED, "a=3456789012345678&b".to_owned(), 200),
        (URLENCODED, "a=3456789012345678&bc".to_owned(), 413),
        (URLENCODED, "a=1&b=2".to_owned(), 200),
        (URLENCODED, "a=1&b=2&c".to_owned(), 413),
        (MULTIPART, field("a", &long[..19]), 200),
        (MULTIPART, field("a", &long[..20]), 413),
        (
            MULTIPART,
            field("a", &long[..9]) + &field("a", &long[..9]),
            200,
        ),
        (
            MULTIPART,
            field("a", &long[..9]) + &field("a", &long[..10]),
            413,
        ),
        (MULTIPART, field(&long, ""), 413),
        // Files go to disk before they are refused; their names are in memory.
        (
            MULTIPART,
            file("a", "f", &long) + &file("a", "f", &long),
            413,
        ),
        (MULTIPART, file("a", "f", &long), 200),
        (MULTIPART, file("a", &long, ""), 413),
    ] {
        let end = if content_type == MULTIPART {
            "--b--\r\n"
        } else {
            ""
        };
        let reply = post_with(content_type, body.clone() + end, limits.clone());
        assert_eq!(reply.status(), status, "{body:?}");
    }
}

#[test]
fn large_files_are_on_disk_and_can_be_read_anywhere() {
    let (one, two) = ("1".repeat(100_000), "2".repeat(200_000));
    let body = file("a", "one", &one) + &file("b", "two", &two) + &file("c", "three", "3");
    let app = |request: Request| {
        let readers: Vec<_> = request.files()?.iter().map(FileUpload::reader).collect();
        drop(request);
        let mut readers = readers.into_iter();
        let (mut one, mut two) = (readers.next().unwrap(), readers.next().unwrap());
        let mut three = readers.next().unwrap();
        let mut text = String::new();
        // By turns, as they share a file.
        for _ in 0..3 {
            for reader in [&mut one, &mut two, &mut three] {
                let mut start = [0; 1];
                let n = reader.read(&mut start)?;
                text.push_str(std::str::from_utf8(&start[..n]).unwrap());
            }
        }
        assert_eq!(two.seek(SeekFrom::End(-5))?, 199_995);
        two.read_to_string(&mut text)?;
        two.seek(SeekFrom::Start(1_000_000))?;
        assert_eq!(two.fill_buf()?, b"");
        assert!(two.seek(SeekFrom::Current(-2_000_000)).is_err());
        three.rewind()?;
        three.read_to_string(&mut text)?;
        let rest = one.read_to_end(&mut Vec::new())?;
        Ok::<_, HttpError>(format!("{text} {rest}"))
    };
    let client = Client::new(app);
    let post = client.post("/").header("content-type", MULTIPART);
    let reply = post.body(body + "--b--\r\n").send();
    assert_eq!(reply.text(), "1231212222223 99997");
}

#[test]
fn files_are_saved_where_they_may() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let app = move |request: Request| {
        let Some(file) = request.file("f")? else {
            return Err(HttpError::new(400, "no file"));
        };
        let saved = file.save(&path)?;
        assert_eq!(saved, path.join("passwd"));
        assert_eq!(
            file.save(&path).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        for bad in ["../x", "", "a/b"] {
            let error = file.save_as(&path, bad).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        file.save_as(&path, "other")?;
        file.replace(&path, "other")?;
        Ok(file.content_type().unwrap_or("").to_owned())
    };
    let client = Client::new(app);
    let post = client.post("/").header("content-type", MULTIPART);
    let reply = post
        .body(file("f", "../../etc/passwd", &"x".repeat(99_999)) + "--b--\r\n")
        .send();
    assert_eq!(reply.text(), "image/png");
    for name in ["passwd", "other"] {
        assert_eq!(std::fs::read(dir.path().join(name)).unwrap().len(), 99_999);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn parts_are_saved_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let app = move |request: Request| {
        let mut form = request.multipart()?;
        while let Some(mut part) = form.next_part()? {
            if part.is_file() {
                part.save(&path)?;
            }
        }
        Ok::<_, HttpError>(())
    };
    let client = Client::new(app);
    let post = |body: String| {
        let post = client.post("/").header("content-type", MULTIPART);
        post.body(body).send().status()
    };
    assert_eq!(
        post(field("a", "1") + &file("f", "x", "data") + "--b--"),
        200
    );
    assert_eq!(std::fs::read(dir.path().join("x")).unwrap(), b"data");
    // One that ends early leaves nothing, and is the client's mistake.
    assert_eq!(post(file("f", "y", "data")), 400);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_form_is_read_once_and_its_failure_stays() {
    let app = |request: Request| {
        let name = request.header("x-name").unwrap_or("");
        let first = request.form()?.get(name);
        assert_eq!(first, request.form()?.get(name));
        assert_eq!(request.body(10)?, "", "it has been read");
        Ok::<_, HttpError>(first.unwrap_or("").to_owned())
    };
    let client = Client::new(app);
    let post = client
        .post("/")
        .header("x-name", "a")
        .header("content-type", URLENCODED);
    assert_eq!(post.body("a=1").send().text(), "1");

    let twice = |request: Request| {
        let first = request.form().unwrap_err();
        let second = request.form().unwrap_err();
        assert_eq!(first.to_string(), second.to_string());
        Err::<(), _>(second)
    };
    let client = Client::new(twice);
    let post = client.post("/").header("content-type", MULTIPART);
    let reply = post.body("--b\r\nnonsense\r\n\r\n--b--").send();
    assert_eq!(reply.status(), 400);
}

#[test]
fn a_client_that_stops_is_told_so() {
    struct Late(&'static [u8]);
    impl InputSource for Late {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            if self.0.is_empty() {
                return Err(HttpError::new(408, "too slow").into());
            }
            Ok(self.0)
        }
        fn consume(&mut self, n: usize) {
            self.0 = &self.0[n..];
        }
        fn length(&self) -> Option<u64> {
            None
        }
    }
    let client = Client::new(|request: Request| request.form().map(shown));
    for (content_type, start) in [(URLENCODED, "a=1"), (MULTIPART, "--b\r\nContent-")] {
        let post = client.post("/").header("content-type", content_type);
        let reply = post
            .input(Input::new(Box::new(Late(start.as_bytes()))))
            .send();
        assert_eq!(reply.status(), 408, "{content_type}");
    }
}

/// A server that counts what may block.
struct Counting;

thread_local!(static UNBLOCKED: Cell<u32> = const { Cell::new(0) });

impl Peer for Counting {
    fn has_left(&self) -> bool {
        false
    }

    fn wait_until_left(&self, _: Duration) -> bool {
        false
    }

    fn early_hints(&self, _: &HeaderMap) -> io::Result<()> {
        Ok(())
    }

    fn unblocker(&self) -> Unblocker {
        |call| {
            UNBLOCKED.set(UNBLOCKED.get() + 1);
            call();
        }
    }
}

#[test]
fn what_is_done_to_a_disk_is_left_to_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let app = move |request: Request| {
        let request = request.with_peer(Rc::new(Counting));
        let counted = |what: &str| format!("{what}: {}, ", UNBLOCKED.take());
        if request.query("parts").is_some() {
            let mut form = request.multipart()?;
            let mut part = form.next_part()?.ok_or_else(|| HttpError::new(400, ""))?;
            part.save(&path)?;
            return Ok(counted("save"));
        }
        let Some(file) = request.file("f")? else {
            return Err(HttpError::new(400, "no file"));
        };
        let mut text = counted("read");
        io::copy(&mut file.reader(), &mut io::sink())?;
        text += &counted("copy");
        file.save(&path)?;
        Ok(text + &counted("save"))
    };
    let client = Client::new(app);
    let post = |path: &str, length: usize| {
        let form = file("f", &length.to_string(), &"x".repeat(length)) + "--b--\r\n";
        let post = client.post(path).header("content-type", MULTIPART);
        post.body(form).send().text()
    };
    assert_eq!(post("/", 10), "read: 0, copy: 0, save: 1, ");
    // In pieces of 128 KiB. Saving is one call, within which the pieces are read.
    assert_eq!(post("/", 300 << 10), "read: 3, copy: 3, save: 4, ");
    // One for its beginning, one for its end.
    assert_eq!(post("/?parts", 300_000), "save: 5, ");
    let saved = std::fs::read(dir.path().join("300000")).unwrap();
    assert_eq!(saved, "x".repeat(300_000).as_bytes());
}
