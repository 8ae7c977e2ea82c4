//! RFC 7578 and what browsers do, as tables.

use super::*;
use std::fmt::Write;

/// A part, as the tables write it: name, file name, what it holds.
type Shown = (String, Option<String>, Vec<u8>);

/// Gives so many bytes at a read.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.1.min(self.0.len()).min(out.len());
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

fn read_with(body: &[u8], size: usize, limits: &Limits) -> Result<Vec<Shown>, u16> {
    let content_type = "multipart/form-data; boundary=b";
    let status = |error: HttpError| error.status().as_u16();
    let mut form = Multipart::new(Pieces(body, size), content_type, limits).map_err(status)?;
    let mut parts = Vec::new();
    while let Some(mut part) = form.next_part().map_err(status)? {
        let mut data = Vec::new();
        part.read_to_end(&mut data)
            .map_err(|error| status(input_error(error)))?;
        assert_eq!(part.read(&mut [0; 9]).unwrap(), 0, "after the end");
        let filename = part.raw_filename().map(str::to_owned);
        parts.push((part.name().to_owned(), filename, data));
    }
    assert!(form.next_part().unwrap().is_none(), "after the end");
    Ok(parts)
}

/// In one piece and in pieces of every size up to 9, which must not matter.
fn read(body: &[u8]) -> Result<Vec<Shown>, u16> {
    let limits = Limits::default();
    let whole = read_with(body, usize::MAX, &limits);
    for size in 1..10 {
        let text = String::from_utf8_lossy(body);
        assert_eq!(read_with(body, size, &limits), whole, "{size} of {text:?}");
    }
    whole
}

/// One part with this Content-Disposition.
fn disposition(value: &str) -> Result<(String, Option<String>), u16> {
    let body = format!("--b\r\nContent-Disposition: {value}\r\n\r\nx\r\n--b--\r\n");
    let (name, filename, data) = read(body.as_bytes())?.remove(0);
    assert_eq!(data, b"x");
    Ok((name, filename))
}

const A: &str = "Content-Disposition: form-data; name=\"a\"\r\n";

#[test]
fn names_and_their_quotes() {
    for (value, expected) in [
        (r#"form-data; name="a""#, Ok(("a", None))),
        (r#"form-data; name=a"#, Ok(("a", None))),
        (r#"FORM-DATA ; NAME = "a" ; "#, Ok(("a", None))),
        (r#"form-data;name="a";filename="f""#, Ok(("a", Some("f")))),
        (r#"form-data; filename="f"; name="a""#, Ok(("a", Some("f")))),
        (r#"form-data; name=""; filename="""#, Ok(("", Some("")))),
        (
            r#"form-data; name="a"; filename=f.txt ; x=y"#,
            Ok(("a", Some("f.txt"))),
        ),
        (
            r#"form-data; name="a;b=c"; filename="x; y""#,
            Ok(("a;b=c", Some("x; y"))),
        ),
        (
            r#"form-data; name="ä"; filename="図""#,
            Ok(("ä", Some("図"))),
        ),
        // WHATWG: three escapes, and a percent sign that stands for itself.
        (
            r#"form-data; name="a%22b%0D%0Ac%0d""#,
            Ok(("a\"b\r\nc\r", None)),
        ),
        (
            r#"form-data; name="100%"; filename="%41%2""#,
            Ok(("100%", Some("%41%2"))),
        ),
        (
            r#"form-data; name="%"; filename="%2522""#,
            Ok(("%", Some("%2522"))),
        ),
        // Old clients: backslashes that escape, and those that do not.
        (r#"form-data; name="a\"b""#, Ok(("a\"b", None))),
        (r#"form-data; name="a\\b""#, Ok(("a\\b", None))),
        (
            r#"form-data; name="a"; filename="C:\dir\f.txt""#,
            Ok(("a", Some(r"C:\dir\f.txt"))),
        ),
        (
            r#"form-data; name="a"; filename="ends\""#,
            Ok(("a", Some(r"ends\"))),
        ),
        // RFC 8187, though RFC 7578 does not want it; the plain one wins.
        (
            r#"form-data; name="a"; filename*=UTF-8''%e2%82%ac"#,
            Ok(("a", Some("€"))),
        ),
        (
            r#"form-data; name="a"; filename*=utf-8'en'a%20b"#,
            Ok(("a", Some("a b"))),
        ),
        (
            r#"form-data; name="a"; filename="p"; filename*=UTF-8''q"#,
            Ok(("a", Some("p"))),
        ),
        (r#"form-data; name="a"; filename*=latin1''x"#, Err(400)),
        (r#"form-data; name="a"; filename*=UTF-8''%ff"#, Err(400)),
        (r#"form-data; name="a"; filename*=x"#, Err(400)),
        // What two readers could read differently.
        (r#"form-data; name="a"; name="b""#, Err(400)),
        (
            r#"form-data; name="a"; filename="f"; filename="g""#,
            Err(400),
        ),
        (r#"form-data; name="a" filename="f""#, Err(400)),
        (r#"form-data; name="a"b"#, Err(400)),
        (r#"form-data; name="a"#, Err(400)),
        (r#"form-data; name="a\"; filename="f""#, Err(400)),
        (r#"form-data; name"#, Err(400)),
        (r#"form-data; filename="f""#, Err(400)),
        (r#"form-data"#, Err(400)),
        (r#"attachment; name="a""#, Err(400)),
        ("form-data; name=\"a\0\"", Err(400)),
        ("form-data; name=\"a\nb\"", Err(400)),
        ("form-data; name=\"a\rb\"", Err(400)),
        // Folded.
        (
            "form-data;\r\n name=\"a\";\r\n\t filename=\"f\"",
            Ok(("a", Some("f"))),
        ),
    ] {
        let expected = expected
            .map(|(name, file): (&str, Option<&str>)| (name.to_owned(), file.map(str::to_owned)));
        assert_eq!(disposition(value), expected, "{value:?}");
    }
}

#[test]
fn bodies() {
    let a = |data: &str| vec![("a".to_owned(), None, data.as_bytes().to_vec())];
    for (body, expected) in [
        (format!("--b\r\n{A}\r\nx\r\n--b--\r\n"), Ok(a("x"))),
        // The last line end is not needed, and what follows has no meaning.
        (format!("--b\r\n{A}\r\nx\r\n--b--"), Ok(a("x"))),
        (format!("--b\r\n{A}\r\nx\r\n--b-- \t"), Ok(a("x"))),
        (
            format!("--b\r\n{A}\r\nx\r\n--b--\r\nepilogue\r\n--b\r\n"),
            Ok(a("x")),
        ),
        (
            format!("preamble\r\n--bb\r\n--b\r\n{A}\r\nx\r\n--b--\r\n"),
            Ok(a("x")),
        ),
        (format!("\r\n--b\r\n{A}\r\nx\r\n--b--\r\n"), Ok(a("x"))),
        // Spaces behind the boundary (RFC 2046, 5.1.1).
        (format!("--b \t \r\n{A}\r\nx\r\n--b--\r\n"), Ok(a("x"))),
        // No data, with and without a line end of its own.
        (format!("--b\r\n{A}\r\n\r\n--b--\r\n"), Ok(a(""))),
        (format!("--b\r\n{A}\r\n--b--\r\n"), Ok(a(""))),
        (format!("--b\r\n{A}\r\n\r\n\r\n--b--\r\n"), Ok(a("\r\n"))),
        // Data that looks like a boundary.
        (format!("--b\r\n{A}\r\n--b"), Err(400)),
        (format!("--b\r\n{A}\r\n--bb\r\n--b--\r\n"), Ok(a("--bb"))),
        (
            format!("--b\r\n{A}\r\nx--b\r\n\r\n--b--\r\n"),
            Ok(a("x--b\r\n")),
        ),
        (
            format!("--b\r\n{A}\r\n\r\n--bc\r\n--b-\r\n--b--x\r\n--b--\r\n"),
            Ok(a("\r\n--bc\r\n--b-\r\n--b--x")),
        ),
        (
            format!("--b\r\n{A}\r\nx\n--b\n--b--\n\r\n--b--\r\n"),
            Ok(a("x\n--b\n--b--\n")),
        ),
        (
            format!("--b\r\n{A}\r\n\r\r\n\r\n-\r\n--\r\n--b--\r\n"),
            Ok(a("\r\r\n\r\n-\r\n--")),
        ),
        (
            format!("--b\r\n{A}\r\n\r\n--b{}\r\n\r\n--b--\r\n", " ".repeat(200)),
            Ok(a(&format!("\r\n--b{}\r\n", " ".repeat(200)))),
        ),
        // None at all.
        ("--b--\r\n".to_owned(), Ok(vec![])),
        ("--b--".to_owned(), Ok(vec![])),
        // Ends that are missing.
        (String::new(), Err(400)),
        ("\r\n".to_owned(), Err(400)),
        ("--b".to_owned(), Err(400)),
        ("--b-".to_owned(), Err(400)),
        ("--b\r\n".to_owned(), Err(400)),
        (format!("--b\r\n{A}"), Err(400)),
        (format!("--b\r\n{A}\r\n"), Err(400)),
        (format!("--b\r\n{A}\r\nx"), Err(400)),
        (format!("--b\r\n{A}\r\nx\r\n"), Err(400)),
        (format!("--b\r\n{A}\r\nx\r\n--b"), Err(400)),
        (format!("--b\r\n{A}\r\nx\r\n--b\r\n"), Err(400)),
        (format!("--b\r\n{A}\r\nx\r\n--c--\r\n"), Err(400)),
        // Line ends that are not CRLF.
        (format!("--b\n{A}\r\nx\r\n--b--\r\n"), Err(400)),
        (
            "--b\r\nContent-Disposition: form-data; name=a\n\nx\r\n--b--\r\n".to_owned(),
            Err(400),
        ),
        // Headers.
        ("--b\r\n\r\nx\r\n--b--\r\n".to_owned(), Err(400)),
        (
            "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n".to_owned(),
            Err(400),
        ),
        (format!("--b\r\n{A}{A}\r\nx\r\n--b--\r\n"), Err(400)),
        (
            format!("--b\r\n{A}nonsense\r\n\r\nx\r\n--b--\r\n"),
            Err(400),
        ),
        (format!("--b\r\n{A}X Y: 1\r\n\r\nx\r\n--b--\r\n"), Err(400)),
        (format!("--b\r\n{A}: 1\r\n\r\nx\r\n--b--\r\n"), Err(400)),
        (format!("--b\r\n folded\r\n{A}\r\nx\r\n--b--\r\n"), Err(400)),
        (
            format!("--b\r\n{A}Content-Transfer-Encoding: 8BIT\r\n\r\nx\r\n--b--\r\n"),
            Ok(a("x")),
        ),
        (
            format!("--b\r\n{A}Content-Transfer-Encoding: base64\r\n\r\nx\r\n--b--\r\n"),
            Err(415),
        ),
    ] {
        assert_eq!(read(body.as_bytes()), expected, "{body:?}");
    }
}

#[test]
fn any_bytes_are_data() {
    let data: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let head = format!("--b\r\n{A}\r\n");
    let body = [head.as_bytes(), &data, b"\r\n--b--\r\n"].concat();
    for size in [1, 7, 1000, usize::MAX] {
        let parts = read_with(&body, size, &Limits::default()).unwrap();
        assert!(parts == [("a".to_owned(), None, data.clone())], "{size}");
    }
}

#[test]
fn split_at_every_byte() {
    struct Two<'a>(&'a [u8], &'a [u8]);
    impl Read for Two<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                std::mem::swap(&mut self.0, &mut self.1);
            }
            self.0.read(out)
        }
    }
    let file = "Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\nX-More: 1\r\n";
    let body = format!("--b\r\n{A}\r\n1\r\n--b \r\n{file}\r\n\r\n--b2\r\n--\r\n--b--\r\nmore");
    for at in 0..=body.len() {
        let (start, end) = body.as_bytes().split_at(at);
        let content_type = "multipart/form-data; boundary=\"b\"";
        let reader = Two(start, end);
        let mut form = Multipart::new(reader, content_type, &Limits::default()).unwrap();
        let mut part = form.next_part().unwrap().unwrap();
        assert_eq!((part.name(), part.is_file()), ("a", false));
        assert_eq!(part.text(9).unwrap(), "1");
        let mut part = form.next_part().unwrap().unwrap();
        assert_eq!(
            (part.filename().as_str(), part.header("x-more")),
            ("x", Some("1"))
        );
        assert_eq!(part.read_all(99).unwrap(), b"\r\n--b2\r\n--");
        assert!(form.next_part().unwrap().is_none(), "{at}");
    }
}

#[test]
fn limits() {
    let tight = Limits {
        parts: 2,
        part_header: 60,
        field: 3,
        file: 4,
        total: 260,
        ..Limits::default()
    };
    let field = |data: &str| format!("--b\r\n{A}\r\n{data}\r\n");
    let file = |data: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\n{data}\r\n")
    };
    let exact = "x".repeat(60 - "Content-Disposition: form-data; name=".len());
    let headed =
        |name: &str| format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n\r\n");
    for (parts, expected) in [
        (field("abc"), Ok(1)),
        (field("abcd"), Err(413)),
        (file("abcd"), Ok(1)),
        (file("abcde"), Err(413)),
        (field("") + &field(""), Ok(2)),
        (field("") + &field("") + &field(""), Err(413)),
        (headed(&exact), Ok(1)),
        (headed(&format!("{exact}x")), Err(431)),
        ("x".repeat(200) + "\r\n" + &field(""), Ok(1)),
        ("x".repeat(250) + "\r\n" + &field(""), Err(413)),
    ] {
        let body = parts + "--b--\r\n";
        for size in [1, 2, 3, 5, usize::MAX] {
            let got = read_with(body.as_bytes(), size, &tight).map(|parts| parts.len());
            assert_eq!(got, expected, "{size} of {body:?}");
        }
    }
    // What follows the form is read, and counts.
    let body = field("") + "--b--\r\n" + &"x".repeat(300);
    for size in [1, usize::MAX] {
        assert_eq!(read_with(body.as_bytes(), size, &tight), Err(413));
    }
}

#[test]
fn ten_thousand_parts() {
    let mut body = String::new();
    for n in 0..10_000 {
        let _ = write!(
            body,
            "--b\r\nContent-Disposition: form-data; name=n{n}\r\n\r\n{n}\r\n"
        );
    }
    body += "--b--\r\n";
    let limits = |parts| Limits {
        parts,
        ..Limits::default()
    };
    let parts = read_with(body.as_bytes(), usize::MAX, &limits(10_000)).unwrap();
    assert_eq!(parts.len(), 10_000);
    assert_eq!(parts[9_999], ("n9999".to_owned(), None, b"9999".to_vec()));
    let refused = read_with(body.as_bytes(), usize::MAX, &limits(9_999));
    assert_eq!(refused, Err(413));
}

#[test]
fn a_header_of_a_megabyte() {
    let body = format!(
        "--b\r\n{A}X-Long: {}\r\n\r\nx\r\n--b--\r\n",
        "x".repeat(1 << 20)
    );
    let limits = |part_header| Limits {
        part_header,
        ..Limits::default()
    };
    let read = |limits| read_with(body.as_bytes(), usize::MAX, &limits);
    assert_eq!(read(Limits::default()), Err(431));
    assert_eq!(read(limits(2 << 20)).unwrap().len(), 1);
    // It was refused long before it was read.
    let mut form = Multipart::new(
        body.as_bytes(),
        "multipart/form-data; boundary=b",
        &Limits::default(),
    )
    .unwrap();
    form.next_part().unwrap_err();
    assert!(form.reader.len() > 1_000_000, "{}", form.reader.len());
}

#[test]
fn parts_that_nobody_reads_are_passed_over() {
    let body = format!("--b\r\n{A}\r\n1234567\r\n").repeat(3) + "--b--\r\n";
    let content_type = "multipart/form-data; boundary=b";
    for size in [1, 4, usize::MAX] {
        let pieces = Pieces(body.as_bytes(), size);
        let mut form = Multipart::new(pieces, content_type, &Limits::default()).unwrap();
        let mut starts = Vec::new();
        while let Some(mut part) = form.next_part().unwrap() {
            let mut start = [0; 2];
            part.read_exact(&mut start).unwrap();
            starts.push(start);
        }
        assert_eq!(starts, [*b"12"; 3]);
    }
}

#[test]
fn boundaries_of_the_content_type() {
    let longest = "x".repeat(70);
    let too_long = "x".repeat(71);
    for (content_type, expected) in [
        ("multipart/form-data; boundary=b".to_owned(), Ok(())),
        (
            "multipart/form-data; boundary=\"a b?:=\"".to_owned(),
            Ok(()),
        ),
        (format!("multipart/form-data; boundary={longest}"), Ok(())),
        (
            format!("multipart/form-data; boundary={too_long}"),
            Err(400),
        ),
        ("multipart/form-data".to_owned(), Err(400)),
        ("multipart/form-data; boundary=".to_owned(), Err(400)),
        ("multipart/form-data; boundary=\"a \"".to_owned(), Err(400)),
        ("multipart/form-data; boundary=a@b".to_owned(), Err(400)),
        ("multipart/form-data; boundary=ä".to_owned(), Err(400)),
        (
            "multipart/form-data; boundary=a; boundary=b".to_owned(),
            Err(400),
        ),
        ("multipart/mixed; boundary=b".to_owned(), Err(415)),
        (String::new(), Err(415)),
    ] {
        let got = Multipart::new(&b""[..], &content_type, &Limits::default())
            .map(drop)
            .map_err(|error| error.status().as_u16());
        assert_eq!(got, expected, "{content_type:?}");
    }
}

#[test]
fn errors_repeat_and_keep_their_status() {
    let body = format!("--b\r\n{A}\r\nabc");
    let content_type = "multipart/form-data; boundary=b";
    let mut form = Multipart::new(body.as_bytes(), content_type, &Limits::default()).unwrap();
    let mut part = form.next_part().unwrap().unwrap();
    let mut data = Vec::new();
    for _ in 0..2 {
        let error = part.read_to_end(&mut data).unwrap_err();
        assert_eq!(HttpError::from(error).status(), 400);
    }
    assert_eq!(data, b"abc");
    assert_eq!(form.next_part().unwrap_err().status(), 400);

    struct Late;
    impl Read for Late {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
    let mut form = Multipart::new(Late, content_type, &Limits::default()).unwrap();
    assert_eq!(form.next_part().unwrap_err().status(), 408);
}
