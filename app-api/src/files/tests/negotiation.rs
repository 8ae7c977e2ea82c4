//! Compressed neighbours.

use super::*;

const LATER: Duration = Duration::from_secs(1_761_991_300);

fn site(name: &str) -> Site {
    Site::new(name)
        .with("a.js", "plain")
        .with("a.js.br", "brotli")
        .with("a.js.gz", "gzip")
        .with_at("b.js", "plain", LATER)
        .with("b.js.gz", "stale")
        .with("c.js", "plain")
        .with("d.png", "plain")
        .with("d.png.gz", "gzip")
        .with("e.js", "four")
        .with("e.js.gz", "gzip")
        .with("sub/index.html", "plain")
        .with("sub/index.html.zst", "zstd")
}

#[test]
fn clients_get_what_they_like_best() {
    let site = site("neighbours");
    let client = site.client();
    for (path, accept, text, coding, varies) in [
        ("a.js", None, "plain", None, true),
        ("a.js", Some("gzip"), "gzip", Some("gzip"), true),
        ("a.js", Some("gzip, br"), "brotli", Some("br"), true),
        ("a.js", Some("gzip, br;q=0.9"), "gzip", Some("gzip"), true),
        ("a.js", Some("zstd"), "plain", None, true),
        ("a.js", Some("zstd, gzip;q=0.1"), "gzip", Some("gzip"), true),
        ("a.js", Some("br;q=0"), "plain", None, true),
        ("a.js", Some("*"), "brotli", Some("br"), true),
        ("a.js", Some("identity"), "plain", None, true),
        ("b.js", Some("gzip"), "plain", None, false),
        ("c.js", Some("gzip"), "plain", None, false),
        // Compressed already: nobody looks for a neighbour.
        ("d.png", Some("gzip"), "plain", None, false),
        ("a.js.gz", Some("gzip"), "gzip", None, false),
        ("sub/", Some("zstd"), "zstd", Some("zstd"), true),
    ] {
        let mut request = client.get(&format!("/s/{path}"));
        if let Some(accept) = accept {
            request = request.header("accept-encoding", accept);
        }
        let reply = request.send();
        let at = format!("{path} {accept:?}");
        assert_eq!(seen(&reply), (200, text.to_owned()), "{at}");
        assert_eq!(reply.header("content-encoding"), coding, "{at}");
        let vary = varies.then_some("accept-encoding");
        assert_eq!(reply.header("vary"), vary, "{at}");
    }
}

#[test]
fn the_type_is_that_of_the_file_and_the_tag_is_the_neighbours() {
    let site = site("tags");
    let client = site.client();
    let plain = client.get("/s/a.js").send();
    let zipped = client
        .get("/s/a.js")
        .header("accept-encoding", "gzip")
        .send();
    for reply in [&plain, &zipped] {
        assert_eq!(
            reply.header("content-type"),
            Some("text/javascript; charset=utf-8")
        );
    }
    let ask = |accepted| {
        client
            .get("/s/e.js")
            .header("accept-encoding", accepted)
            .send()
    };
    let (plain_twin, zipped_twin) = (ask("identity"), ask("gzip"));
    assert_eq!(
        (plain_twin.text(), zipped_twin.text()),
        ("four".into(), "gzip".into())
    );
    assert_ne!(
        plain_twin.header("etag"),
        zipped_twin.header("etag"),
        "of one length and time"
    );
    let tag = zipped.header("etag").unwrap();
    assert_ne!(plain.header("etag").unwrap(), tag);
    let ask = || client.get("/s/a.js").header("if-none-match", tag);
    let again = ask().header("accept-encoding", "gzip").send();
    assert_eq!(again.status(), 304);
    assert_eq!(again.header("vary"), Some("accept-encoding"));
    assert_eq!(again.header("content-encoding"), None);
    assert_eq!(ask().send().text(), "plain");
    // A range is one of the bytes that would be sent.
    let part = client
        .get("/s/a.js")
        .header("accept-encoding", "gzip")
        .header("range", "bytes=1-2")
        .send();
    assert_eq!(seen(&part), (206, "zi".to_owned()));
    assert_eq!(part.header("content-encoding"), Some("gzip"));
    assert_eq!(part.header("content-range"), Some("bytes 1-2/4"));
}

#[test]
fn it_can_be_turned_off() {
    let site = site("off");
    let client = serve(site.files().precompressed(false));
    let reply = client.get("/s/a.js").header("accept-encoding", "br").send();
    assert_eq!(seen(&reply), (200, "plain".to_owned()));
    assert_eq!(reply.header("vary"), None);
}
