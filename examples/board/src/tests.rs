//! The board as its visitors use it.

use super::app;
use greenway::testing::{Client, Reply};
use std::cell::RefCell;
use std::path::PathBuf;

/// A visitor, with cookies and the last page.
struct Visitor {
    client: Client,
    cookie: RefCell<String>,
    data: PathBuf,
}

impl Visitor {
    fn new(name: &str) -> Self {
        let data =
            std::env::temp_dir().join(format!("greenway-board-{}-{name}", std::process::id()));
        let app = app(&data, "secret".to_owned()).expect("the temporary folder can be written to");
        Self {
            client: Client::new(greenway::validate(app)),
            cookie: RefCell::default(),
            data,
        }
    }

    fn keep(&self, reply: Reply) -> Reply {
        if let Some(cookie) = reply.header("set-cookie") {
            *self.cookie.borrow_mut() = cookie.split(';').next().unwrap_or_default().to_owned();
        }
        reply
    }

    fn get(&self, path: &str) -> Reply {
        let get = self
            .client
            .get(path)
            .header("cookie", self.cookie.borrow().as_str());
        self.keep(get.send())
    }

    /// Sends a form with the token of the page. A field that begins with an `@` is a file.
    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let page = self.get("/").text();
        let token = page
            .split("csrf_token value=\"")
            .nth(1)
            .expect("it has a token");
        let token = token.split('"').next().unwrap_or_default();
        let token = ("csrf_token", token);
        let fields = fields.iter().chain([&token]);
        let part = |(name, value): &(&str, &str)| {
            let (name, file) = match name.strip_prefix('@') {
                Some(name) => (name, "; filename=a.bin"),
                None => (*name, ""),
            };
            let head = format!("Content-Disposition: form-data; name={name}{file}");
            format!("--b\r\n{head}\r\n\r\n{value}\r\n")
        };
        let body = fields.map(part).collect::<String>() + "--b--\r\n";
        let post = self
            .client
            .post(path)
            .header("cookie", self.cookie.borrow().as_str());
        let post = post.header("content-type", "multipart/form-data; boundary=b");
        self.keep(post.body(body).send())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        // What is left over is in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

#[test]
fn notices_are_pinned_up_found_and_exported() {
    let visitor = Visitor::new("notices");
    assert_eq!(visitor.post("/notices", &[("title", "x")]).status(), 403);
    visitor.post("/login", &[("name", "Ada"), ("password", "wrong")]);
    assert!(
        visitor
            .get("/")
            .text()
            .contains("not the board&#39;s password")
    );
    visitor.post("/login", &[("name", "Ada"), ("password", "secret")]);
    assert!(visitor.get("/").text().contains("Welcome, Ada!"));

    let notice = [
        ("title", "<b>Piano</b>"),
        ("text", "=1+1 \"loud\""),
        ("@picture", "GIF89a..."),
    ];
    assert_eq!(visitor.post("/notices", &notice).status(), 303);
    assert_eq!(
        visitor.post("/notices", &[("title", "100% wool")]).status(),
        303
    );
    let page = visitor.get("/").text();
    assert!(
        page.contains("&lt;b&gt;Piano&lt;/b&gt;") && !page.contains("<b>"),
        "{page}"
    );
    let picture = page
        .split("src='")
        .nth(1)
        .and_then(|rest| rest.split('\'').next());
    let picture = visitor.get(picture.expect("it has a picture"));
    assert_eq!(
        (picture.header("content-type"), picture.text().as_str()),
        (Some("image/gif"), "GIF89a...")
    );
    let found = |words: &str| {
        visitor
            .get(&format!("/?q={words}"))
            .text()
            .matches("<article")
            .count()
    };
    assert_eq!(
        (found("wool"), found("Ada"), found("%25"), found("_")),
        (1, 2, 1, 0)
    );

    let table = visitor.get("/notices.csv");
    let lines = table.text();
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[2].ends_with(r#","Ada","<b>Piano</b>","'=1+1 ""loud""""#),
        "{lines:?}"
    );
    let json = visitor.get("/api/notices?before=2");
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert!(
        json.text()
            .starts_with(r#"[{"id":1,"author":"Ada","title":"<b>Piano</b>""#)
    );

    visitor.post("/logout", &[]);
    assert!(visitor.get("/").text().contains("Log in"));
}

#[test]
fn what_is_wrong_is_said() {
    let visitor = Visitor::new("wrong");
    visitor.post("/login", &[("name", "Ada"), ("password", "secret")]);
    let status = |fields: &[(&str, &str)]| visitor.post("/notices", fields).status().as_u16();
    assert_eq!(status(&[("title", " ")]), 400);
    assert_eq!(status(&[("title", &"x".repeat(81))]), 400);
    assert_eq!(
        status(&[("title", "x"), ("@picture", "<svg onload=...>")]),
        415
    );
    assert_eq!(status(&[("title", "x"), ("@picture", "")]), 415);
    let foreign = visitor
        .client
        .post("/notices")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(foreign.send().status(), 403);
    let missing = visitor.get("/notices/9");
    assert_eq!(missing.status(), 404);
    assert!(
        missing
            .text()
            .contains("<h2>404 Not Found</h2><p>there is no such notice</p>")
    );
    let missing = visitor.get("/api/notices/9");
    assert_eq!(
        missing.text(),
        r#"{"detail":"there is no such notice","status":"404"}"#
    );
    assert_eq!(visitor.get("/api/notices?before=x").status(), 400);
    assert_eq!(visitor.get("/pictures/../board.db").status(), 404);
}

#[test]
fn strangers_find_little_to_try() {
    let nowhere = std::path::Path::new("no such folder");
    let refused = app(nowhere, String::new()).expect_err("it has no password");
    assert!(refused.to_string().contains("BOARD_PASSWORD"), "{refused}");
    assert!(!nowhere.exists(), "nothing was made before that");

    let visitor = Visitor::new("strangers");
    let page = visitor.get("/");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy");
    assert!(policy.is_some_and(|policy| policy.contains("default-src 'self'")));
    let guess = || {
        let fields = [("name", "Eve"), ("password", "guess")];
        visitor.post("/login", &fields).status().as_u16()
    };
    let statuses: Vec<_> = (0..11).map(|_| guess()).collect();
    assert_eq!(statuses[..10], [303; 10]);
    assert_eq!(statuses[10], 429);
}
