//! The board as its visitors use it.

use super::app;
use greenway::testing::{Client, Reply};
use serde_json::Value;
use std::path::PathBuf;

const GIF: &[u8] = b"GIF89a...";

/// A visitor, with cookies, of a board that nobody else has.
struct Visitor {
    client: Client,
    data: Data,
}

/// A folder for what a board keeps, which goes away with the test.
struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Self {
        let name = format!("greenway-board-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // What is left over is in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Visitor {
    fn new(name: &str) -> Self {
        let data = Data::new(name);
        let app = app(&data.0).expect("the temporary folder can be written to");
        let client = Client::new(greenway::validate(app)).with_cookies();
        Self { client, data }
    }

    fn get(&self, path: &str) -> Reply {
        self.client.get(path).send()
    }

    /// Sends a form with the token of the page. A field that begins with an `@` is a file.
    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let page = self.get("/").text();
        let token = page.split("csrf_token\" value=\"").nth(1);
        let token = token.and_then(|rest| rest.split('"').next());
        let mut post = self.client.post(path);
        post = post.field("csrf_token", token.expect("each page has a form"));
        for (name, value) in fields {
            post = match name.strip_prefix('@') {
                Some(name) => post.file(name, "../a.bin", "image/gif", value.as_bytes()),
                None => post.field(name, value),
            };
        }
        post.send()
    }

    fn join(&self, name: &str) {
        let fields = [("name", name), ("password", "correct horse"), ("join", "1")];
        assert_eq!(self.post("/login", &fields).status(), 303);
        assert!(self.get("/").text().contains(&format!("Welcome, {name}!")));
    }

    /// What the board says after a try to log in.
    fn answer(&self, fields: &[(&str, &str)]) -> String {
        assert_eq!(self.post("/login", fields).status(), 303);
        let page = self.get("/").text();
        let flash = page.split("role=\"status\">").nth(1).unwrap_or_default();
        flash.split('<').next().unwrap_or_default().to_owned()
    }
}

#[test]
fn notices_are_pinned_up_found_and_exported() {
    let visitor = Visitor::new("notices");
    assert_eq!(
        visitor
            .post("/notices", &[("title", "x"), ("text", "")])
            .status(),
        403
    );
    visitor.join("Ada");
    let picture = std::str::from_utf8(GIF).expect("it is ASCII");
    let notice = [
        ("title", " <b>Piano</b> "),
        ("text", "=1+1 \"loud\""),
        ("@picture", picture),
    ];
    assert_eq!(visitor.post("/notices", &notice).status(), 303);
    let wool = [("title", "100% wool"), ("text", "")];
    assert_eq!(visitor.post("/notices", &wool).status(), 303);
    let page = visitor.get("/").text();
    assert!(page.contains(">&lt;b&gt;Piano&lt;/b&gt;<"), "{page}");
    assert!(!page.contains("<b>Piano"), "{page}");
    let source = page.split("src=\"/pictures/").nth(1);
    let name = source.and_then(|rest| rest.split('"').next());
    let picture = visitor.get(&format!("/pictures/{}", name.expect("it has a picture")));
    assert_eq!(picture.header("content-type"), Some("image/gif"));
    assert_eq!(picture.bytes(), GIF);

    let found = |words: &str| {
        let page = visitor.get(&format!("/?q={words}")).text();
        page.matches("<article").count()
    };
    let counts = ["wool", "WOOL", "ada", "%25", "_", "nothing"].map(found);
    assert_eq!(counts, [1, 1, 2, 1, 0, 0]);

    let table = visitor.get("/notices.csv");
    let disposition = table.header("content-disposition");
    assert_eq!(disposition, Some("attachment; filename=\"notices.csv\""));
    assert!(table.chunks().len() > 2, "it comes row by row");
    let text = table.text();
    let last = text.lines().nth(2).unwrap_or_default();
    let expected = r#","Ada","<b>Piano</b>","'=1+1 ""loud""""#;
    assert!(last.ends_with(expected), "{text}");

    let all: Value = visitor.get("/api/notices?before=2").json();
    assert_eq!(all[0]["title"], "<b>Piano</b>");
    assert_eq!(all.as_array().map(Vec::len), Some(1));

    visitor.post("/logout", &[]);
    assert!(visitor.get("/").text().contains("Log in to talk."));
}

#[test]
fn a_page_of_the_list_leads_to_the_next() {
    let visitor = Visitor::new("pages");
    visitor.join("Ada");
    for n in 0..=super::PAGE {
        let fields = [("title", &*format!("number {n}")), ("text", "")];
        assert_eq!(visitor.post("/notices", &fields).status(), 303);
    }
    let first = visitor.get("/").text();
    assert!(first.contains("?before=2\">Older notices"), "{first}");
    let second = visitor.get("/?before=2").text();
    assert_eq!(second.matches("<article").count(), 1);
    assert!(second.contains("number 0"));
    let rows = visitor.get("/notices.csv").text().lines().count();
    assert_eq!(rows, usize::from(super::PAGE) + 2);
}

#[test]
fn accounts_have_passwords() {
    let visitor = Visitor::new("accounts");
    let no = "No account has this name and this password.";
    let right = [("name", "Ada"), ("password", "correct horse")];
    assert_eq!(visitor.answer(&right), no, "nobody has joined");
    visitor.join("Ada");
    visitor.post("/logout", &[]);
    let taken = [("name", "ADA"), ("password", "another one"), ("join", "1")];
    assert_eq!(visitor.answer(&taken), "Somebody has that name already.");
    let short = [("name", "Eve"), ("password", "short"), ("join", "1")];
    assert!(visitor.answer(&short).starts_with("A name has"));
    let wrong = [("name", "Ada"), ("password", "correct house")];
    assert_eq!(visitor.answer(&wrong), no);
    assert_eq!(visitor.answer(&right), "Welcome, Ada!");
    let stored = std::fs::read(visitor.data.0.join("board.db-wal")).expect("it is there");
    let holds = |text: &[u8]| stored.windows(text.len()).any(|part| part == text);
    assert!(holds(b"$argon2id$") && !holds(b"correct horse"));

    // Whoever tries is told to wait.
    let mut statuses = (0..=20).map(|_| visitor.post("/login", &wrong).status().as_u16());
    assert!(statuses.any(|status| status == 429));
}

#[test]
fn sessions_outlive_the_program() {
    let visitor = Visitor::new("sessions");
    visitor.join("Ada");
    let again = Client::new(app(&visitor.data.0).expect("the folder is there"));
    let cookie = visitor
        .client
        .cookie("session")
        .expect("a session has begun");
    let page = again
        .get("/")
        .header("cookie", format!("session={cookie}"))
        .send();
    assert!(page.text().contains("Log out"));
}

#[test]
fn what_is_wrong_is_said() {
    let visitor = Visitor::new("wrong");
    visitor.join("Ada");
    let status = |title: &str, picture: &[(&str, &str)]| {
        let fields = [&[("title", title), ("text", "")], picture].concat();
        visitor.post("/notices", &fields).status().as_u16()
    };
    assert_eq!(status(" ", &[]), 400);
    assert_eq!(status(&"x".repeat(81), &[]), 400);
    assert_eq!(status("x", &[("@picture", "<svg onload=...>")]), 415);
    let large = "GIF8".to_owned() + &"x".repeat(10 << 20);
    assert_eq!(status("x", &[("@picture", &large)]), 413);
    assert_eq!(status("x", &[("@picture", &large[..1 << 20])]), 303);
    let pictures = std::fs::read_dir(visitor.data.0.join("pictures")).expect("it is there");
    assert_eq!(pictures.count(), 1, "what was refused is not kept");

    let missing = visitor.get("/notices/9");
    assert_eq!(missing.status(), 404);
    assert!(missing.text().contains("There is no such notice."));
    assert_eq!(visitor.get("/pictures/../board.db").status(), 404);
    let wrong = visitor.get("/api/notices?before=x");
    assert_eq!(wrong.status(), 400);
    assert_eq!(wrong.json::<Value>()["title"], "Bad Request");
}

#[test]
fn nobody_has_a_name_that_looks_like_another() {
    let visitor = Visitor::new("names");
    let names = [
        "Ada\u{200b}",
        "\u{202e}adA",
        "A\nda",
        "\u{feff}",
        "\u{3164}",
    ];
    for name in names {
        let fields = [("name", name), ("password", "correct horse"), ("join", "1")];
        let answer = visitor.answer(&fields);
        assert!(answer.starts_with("A name has"), "{name:?}: {answer}");
    }
    visitor.join("\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}");
    let turned = [("title", "\u{202e}gpj"), ("text", "")];
    assert_eq!(visitor.post("/notices", &turned).status(), 400);
}

#[test]
fn a_notice_that_cannot_be_kept_leaves_no_picture() {
    let visitor = Visitor::new("lost");
    visitor.join("Ada");
    let database = rusqlite::Connection::open(visitor.data.0.join("board.db"));
    let database = database.expect("it is there");
    // It can be read from, and not written to.
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON notices
                  BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    database.execute_batch(refuse).expect("nobody writes now");
    let fields = [("title", "x"), ("text", ""), ("@picture", "GIF8")];
    assert_eq!(visitor.post("/notices", &fields).status(), 500);
    let pictures = std::fs::read_dir(visitor.data.0.join("pictures")).expect("it is there");
    assert_eq!(pictures.count(), 0);
}

#[test]
fn what_is_secret_is_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Data::new("folder");
    let data = &folder.0;
    // One that was there already, as that of a container is.
    std::fs::create_dir_all(data).expect("the temporary folder can be written to");
    drop(app(data).expect("it can be written to"));
    for entry in std::fs::read_dir(data).expect("it is there") {
        let entry = entry.expect("it is there");
        let metadata = entry.metadata().expect("it is there");
        let others = metadata.permissions().mode() & 0o077;
        assert_eq!(others, 0, "{}", entry.path().display());
    }
}

#[test]
fn strangers_find_little_to_try() {
    let visitor = Visitor::new("strangers");
    let page = visitor.get("/");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy");
    assert!(policy.is_some_and(|policy| policy.contains("default-src 'self'")));
    let cookie = page.header("set-cookie").unwrap_or_default();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    for path in ["/login", "/logout", "/notices"] {
        let foreign = visitor.client.post(path).form([("name", "x")]);
        assert_eq!(foreign.send().status(), 403, "{path} without a token");
    }
}
