//! What cannot be reached.

use super::*;

#[test]
fn no_spelling_leads_out_of_the_root() {
    let site = Site::new("escapes")
        .with("a", "a")
        .with("sub/b", "b")
        .with(".env", "hidden")
        .with(".git/config", "hidden")
        .with("sub/.hidden", "hidden")
        .with(".well-known/security.txt", "known");
    let client = site.client();
    let absolute = site.outer.join("secret");
    let absolute = absolute.to_str().unwrap();
    for path in [
        "/s/../secret",
        "/s/%2e%2e/secret",
        "/s/%2E%2E%2Fsecret",
        "/s/..%2fsecret",
        "/s/.%2e/secret",
        "/s/sub/../../secret",
        "/s/sub/%2e%2e/%2e%2e/secret",
        "/s/sub/../a",
        "/s/./a",
        "/s/..\\secret",
        "/s/..%5csecret",
        "/s/sub%5c..%5c..%5csecret",
        "/s/sub/..;/../secret",
        "/s/....//secret",
        "/s//etc/passwd",
        "/s/%2fetc%2fpasswd",
        &format!("/s{absolute}"),
        &format!("/s/{absolute}"),
        "/s/sub%2fb",
        "/s/sub//b",
        "/s//a",
        "/s/%252e%252e/secret",
        "/s/%c0%ae%c0%ae/secret",
        "/s/..%ef%bc%8fsecret",
        "/s/\u{ff0e}\u{ff0e}/secret",
        "/s/a%00",
        "/s/a%00.txt",
        "/s/.env",
        "/s/%2eenv",
        "/s/.git/config",
        "/s/.git/",
        "/s/sub/.hidden",
        "/s/.well-known/../.env",
        "/s/sub/.well-known",
        "/s/C:/a",
        "/s/a::$DATA",
        "/s/..",
        "/s/../",
        "/s/...",
        &format!("/s/{}", "../".repeat(1000)),
        &format!("/s/{}", "a/".repeat(5000)),
        &format!("/s/{}", "a".repeat(5000)),
    ] {
        let reply = client.get(path).send();
        // 400 comes of paths that are refused before they are routed.
        assert!(
            matches!(reply.status().as_u16(), 400 | 404),
            "{path}: {}",
            reply.status()
        );
        let text = reply.text();
        assert!(
            !text.contains("outside") && !text.contains("hidden"),
            "{path}"
        );
    }
    let known = client.get("/s/.well-known/security.txt").send();
    assert_eq!(known.text(), "known");
    let all = serve(site.files().dot_files(true));
    assert_eq!(all.get("/s/.env").send().text(), "hidden");
    assert_eq!(all.get("/s/../secret").send().status(), 404);
}

#[test]
fn links_are_followed_within_the_root_only() {
    let site = Site::new("links").with("sub/a", "inside").with("b", "b");
    let dir = &site.dir;
    dir.symlink("sub/a", "good").unwrap();
    dir.symlink("../b", "sub/up").unwrap();
    dir.symlink("sub", "good-dir").unwrap();
    dir.symlink("../secret", "bad").unwrap();
    dir.symlink("sub/../../secret", "bad-way").unwrap();
    dir.symlink("..", "bad-dir").unwrap();
    dir.symlink("loop", "loop").unwrap();
    dir.symlink("nowhere", "dangling").unwrap();
    dir.symlink_contents(site.outer.join("secret"), "absolute")
        .unwrap();
    dir.symlink_contents(site.root().join("b"), "absolute-inside")
        .unwrap();
    dir.symlink_contents("/", "slash").unwrap();
    dir.symlink_contents("/proc/self/root", "proc").unwrap();
    let client = site.client();
    for (path, text) in [
        ("good", "inside"),
        ("sub/up", "b"),
        ("good-dir/a", "inside"),
    ] {
        let reply = client.get(&format!("/s/{path}")).send();
        assert_eq!(seen(&reply), (200, text.to_owned()), "{path}");
    }
    for path in [
        "bad",
        "bad-way",
        "bad-dir/secret",
        "dangling",
        "absolute",
        "absolute-inside",
        "slash/etc/passwd",
        "proc/etc/passwd",
    ] {
        let reply = client.get(&format!("/s/{path}")).send();
        assert_eq!(reply.status(), 404, "{path}");
    }
    // The operator's mistake, which is in the log.
    assert_eq!(client.get("/s/loop").send().status(), 500);
}

#[test]
fn neighbours_and_indexes_do_not_lead_out_either() {
    let site = Site::new("beside")
        .with("a.css", "plain")
        .with("sub/x", "x");
    site.dir.symlink_contents("../secret", "a.css.gz").unwrap();
    site.dir
        .symlink_contents("../../secret", "sub/index.html")
        .unwrap();
    let client = site.client();
    let reply = client
        .get("/s/a.css")
        .header("accept-encoding", "gzip")
        .send();
    assert_eq!(reply.text(), "plain");
    assert_eq!(client.get("/s/sub/").send().status(), 404);
}
