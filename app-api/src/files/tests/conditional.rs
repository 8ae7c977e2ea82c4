//! Conditions and ranges, up to the bytes.

use super::*;

const LONG: usize = 300_000;

fn site(name: &str) -> Site {
    Site::new(name)
        .with("long", pattern(LONG))
        .with("ten", "0123456789")
        .with("none", "")
}

fn tag(client: &Client, path: &str) -> String {
    let reply = client.get(path).send();
    reply.header("etag").unwrap().to_owned()
}

#[test]
fn conditions_are_answered() {
    let site = site("conditions");
    let client = serve(site.files().cache_control("max-age=9"));
    let tag = tag(&client, "/s/ten");
    let other = "\"other\"";
    for (name, value, status) in [
        ("if-none-match", tag.as_str(), 304),
        ("if-none-match", other, 200),
        ("if-match", &tag, 200),
        ("if-match", other, 412),
        ("if-modified-since", CHANGED_DATE, 304),
        ("if-modified-since", "Sat, 01 Nov 2025 10:00:00 GMT", 200),
        ("if-unmodified-since", CHANGED_DATE, 200),
        ("if-unmodified-since", "Sat, 01 Nov 2025 10:00:00 GMT", 412),
    ] {
        for request in [client.get("/s/ten"), client.head("/s/ten")] {
            let reply = request.header(name, value).send();
            assert_eq!(reply.status(), status, "{name}: {value}");
        }
    }
    let reply = client.get("/s/ten").header("if-none-match", &tag).send();
    assert!(reply.bytes().is_empty());
    let mut names: Vec<_> = reply.headers().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "etag", "last-modified"]);
}

#[test]
fn one_range() {
    let site = site("one");
    let client = site.client();
    let long = pattern(LONG);
    for (range, from, to) in [
        ("0-0", 0, 1),
        ("0-", 0, LONG),
        ("-1", LONG - 1, LONG),
        ("-300000", 0, LONG),
        ("1-65536", 1, 65_537),
        ("100000-299999", 100_000, LONG),
        ("250000-999999999", 250_000, LONG),
    ] {
        let reply = client
            .get("/s/long")
            .header("range", format!("bytes={range}"))
            .send();
        assert_eq!(reply.status(), 206, "{range}");
        assert!(reply.bytes() == long[from..to], "{range}");
        let expected = format!("bytes {from}-{}/{LONG}", to - 1);
        assert_eq!(reply.header("content-range"), Some(expected.as_str()));
        assert_eq!(
            reply.header("content-type"),
            Some("application/octet-stream")
        );
        assert!(reply.header("etag").is_some() && reply.header("last-modified").is_some());
    }
}

#[test]
fn ranges_that_are_not_followed() {
    let site = site("not");
    let client = site.client();
    for range in ["bytes=5-2", "lines=0-1", "bytes=0-,0-", "bytes", ""] {
        let reply = client.get("/s/ten").header("range", range).send();
        assert_eq!(seen(&reply), (200, "0123456789".to_owned()), "{range}");
        assert_eq!(reply.header("content-range"), None);
    }
    let reply = client.get("/s/ten").header("range", "bytes=10-").send();
    assert_eq!(reply.status(), 416);
    assert_eq!(reply.header("content-range"), Some("bytes */10"));
    let reply = client.get("/s/none").header("range", "bytes=0-").send();
    assert_eq!(seen(&reply), (200, String::new()));
    // Twice, or of a HEAD, it means nothing.
    let twice = client.get("/s/ten").header("range", "bytes=0-1");
    assert_eq!(twice.header("range", "bytes=2-3").send().status(), 200);
    let head = client.head("/s/ten").header("range", "bytes=0-1").send();
    assert_eq!(
        (head.status().as_u16(), head.header("content-range")),
        (200, None)
    );
}

#[test]
fn a_range_of_another_version_is_the_whole() {
    let site = site("if-range");
    let client = site.client();
    let tag = tag(&client, "/s/ten");
    for (value, status) in [
        (tag.as_str(), 206),
        ("\"other\"", 200),
        (&format!("W/{tag}"), 200),
        (CHANGED_DATE, 206),
        ("Sat, 01 Nov 2025 10:00:02 GMT", 200),
        ("Sat, 01 Nov 2025 10:00:00 GMT", 200),
        ("nonsense", 200),
    ] {
        let request = client.get("/s/ten").header("range", "bytes=2-3");
        let reply = request.header("if-range", value).send();
        assert_eq!(reply.status(), status, "{value}");
        let whole = client.get("/s/ten").header("range", "bytes=99-");
        let reply = whole.header("if-range", value).send();
        let expected = if status == 206 { 416 } else { 200 };
        assert_eq!(reply.status(), expected, "{value}");
    }
    // The conditions come first.
    let request = client.get("/s/ten").header("range", "bytes=99-");
    assert_eq!(request.header("if-none-match", &tag).send().status(), 304);
    let request = client.get("/s/ten").header("range", "bytes=0-1");
    assert_eq!(request.header("if-match", "\"x\"").send().status(), 412);
}

#[test]
fn several_ranges_are_parts() {
    let site = site("several").with("a.html", pattern(LONG));
    let client = site.client();
    let long = pattern(LONG);
    let reply = client
        .get("/s/a.html")
        .header("range", "bytes=5-9, 100000-250000, -2")
        .send();
    assert_eq!(reply.status(), 206);
    let content_type = reply.header("content-type").unwrap();
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    assert_eq!(reply.header("content-range"), None);
    let mut expected = Vec::new();
    for (from, to) in [(5, 10), (100_000, 250_001), (LONG - 2, LONG)] {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: text/html; charset=utf-8\r\n\
             Content-Range: bytes {from}-{}/{LONG}\r\n\r\n",
            to - 1
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&long[from..to]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(reply.bytes() == expected);
    // One that is left needs no parts.
    let reply = client
        .get("/s/a.html")
        .header("range", "bytes=5-9, 900000-")
        .send();
    assert_eq!(reply.header("content-range"), Some("bytes 5-9/300000"));
    assert!(reply.bytes() == long[5..10]);
}

#[test]
fn the_length_of_parts_is_known_before_they_are_sent() {
    let site = site("length");
    let files = site.files();
    let app = move |request: Request| {
        let response = files.serve(&request, "/long").unwrap();
        let length = response.body().length().unwrap();
        response.with_header("x-length", length)
    };
    let reply = Client::new(app)
        .get("/long")
        .header("range", "bytes=0-9,20-100000,-7")
        .send();
    let length: usize = reply.header("x-length").unwrap().parse().unwrap();
    assert_eq!(reply.bytes().len(), length);
}

#[test]
fn boundaries_are_not_to_be_foreseen() {
    let site = site("boundaries");
    let client = site.client();
    let boundary = || {
        let request = client.get("/s/ten").header("range", "bytes=0-1,3-4");
        request.send().header("content-type").unwrap().to_owned()
    };
    assert_ne!(boundary(), boundary());
}

#[test]
fn times_that_nobody_believes_are_not_told() {
    let site = Site::new("times")
        .with_at("nix", "x", Duration::from_secs(1))
        .with_at("zip", "x", Duration::from_secs(315_532_800));
    let future = SystemTime::now() + Duration::from_secs(9_999_999);
    let future = future.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let site = site.with_at("future", "x", future);
    let client = site.client();
    for name in ["nix", "zip"] {
        let reply = client.get(&format!("/s/{name}")).send();
        assert_eq!(
            (reply.header("etag"), reply.header("last-modified")),
            (None, None)
        );
        let again = client
            .get(&format!("/s/{name}"))
            .header("if-modified-since", CHANGED_DATE)
            .send();
        assert_eq!(again.status(), 200);
    }
    let reply = client.get("/s/future").send();
    let shown = httpdate::parse_http_date(reply.header("last-modified").unwrap()).unwrap();
    assert!(shown <= SystemTime::now());
}

#[test]
fn a_file_that_is_cut_meanwhile_is_an_error() {
    let site = site("cut");
    let client = site.client();
    let app = {
        let (files, root) = (site.files(), site.root());
        move |request: Request| {
            let response = files.serve(&request, "/long").unwrap();
            let file = std::fs::File::options().write(true).open(root.join("long"));
            file.unwrap().set_len(100_000).unwrap();
            response
        }
    };
    let reply = Client::new(app).get("/long").send();
    assert_eq!(reply.bytes().len(), 100_000);
    assert!(reply.error().is_some());
    assert_eq!(client.get("/s/long").send().bytes().len(), 100_000);
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_sent_as_it_was() {
    let site = site("replaced").with("next", "new");
    let app = {
        let (files, root) = (site.files(), site.root());
        move |request: Request| {
            let response = files.serve(&request, "/long").unwrap();
            std::fs::rename(root.join("next"), root.join("long")).unwrap();
            response
        }
    };
    let reply = Client::new(app).get("/long").send();
    assert!(reply.bytes() == pattern(LONG) && reply.error().is_none());
    assert_eq!(site.client().get("/s/long").send().text(), "new");
}
