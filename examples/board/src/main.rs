//! A notice board: accounts, notices with pictures, a list that is live, a talk in front of it,
//! search, an interface for programs, and a file for tables. What a whole application looks like;
//! its pages are in `templates/`, its database is in `store.rs`.
//!
//! ```text
//! cargo run --release -p greenway-board
//! ```
//!
//! Then open <http://127.0.0.1:8001>. All that is kept goes into the folder `board-data`, or where
//! `BOARD_DATA` says. Programs read `/api/notices`.

#![forbid(unsafe_code)]

mod store;
#[cfg(test)]
mod tests;

use greenway::green::unblock_scoped;
use greenway::middleware::{RateLimit, SecurityHeaders};
use greenway::room::{Change, Post, Room, Since};
use greenway::sessions::{Csrf, Sessions, new_token};
use greenway::sse::{self, Sse};
use greenway::templates::{Serde, context};
use greenway::websocket::Options;
use greenway::{
    App, Body, FileUpload, HttpError, IntoResponse, Json, Keys, OrStatus, Request, Response,
    Server, abort,
};
use serde::Deserialize;
use serde_json::json;
use std::error::Error;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{Notice, PAGE, Store};

/// Bytes of a notice with its picture.
const LARGEST: u64 = 10 << 20;
/// All that a page needs comes from here, and the preview of a picture from the page itself.
const POLICY: &str = "default-src 'self'; img-src 'self' blob:; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'self'";
/// The folder of this package, for what it has besides the program.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// What all handlers share.
struct Board {
    store: Store,
    /// What is pinned up, for the pages that show the list.
    live: Room,
    talk: Room,
    pictures: PathBuf,
}

#[derive(Deserialize)]
struct Account {
    name: String,
    password: String,
    join: Option<String>,
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
    /// The notices older than the one with this id are asked for.
    before: Option<i64>,
}

#[derive(Deserialize)]
struct Draft {
    title: String,
    text: String,
}

fn app(data: &Path) -> Result<App, Box<dyn Error>> {
    let pictures = data.join("pictures");
    // A folder for nobody else. One that was there is as it was: what is secret in it, the key of
    // the sessions and the hashes of passwords, is in files for nobody else.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&pictures)?;
    let database = data.join("board.db");
    drop(private(&database)?);
    let store = Store::open(&database)?;
    let mut app = App::new();
    app.install(SecurityHeaders::new().csp(POLICY))
        .install(Sessions::in_cookie(Keys::new(secret(data)?)))
        .install(Csrf::new())
        .templates(Path::new(HERE).join("templates"))
        .static_files("/static", Path::new(HERE).join("static"))
        .static_files("/pictures", pictures.clone());
    app.get("/", board)
        .get("/notices/<id:int>", one)
        .get("/notices.csv", table)
        .get("/live", live)
        .get("/talk", talk);
    // Passwords are found by trying.
    app.post("/login", log_in)
        .apply(RateLimit::new(20, Duration::from_secs(60)));
    app.post("/logout", log_out);
    app.post("/notices", post).body_limit(LARGEST);
    app.get("/api/notices", api);
    app.error_default(error_page);
    app.share(Board {
        store,
        live: Room::new(),
        talk: Room::builder().history(50).on_change(tell_how_many).build(),
        pictures,
    });
    Ok(app)
}

/// The key of the sessions, which outlives the program: made when it is not there. It has its name
/// when it is complete: a disk that is full leaves none that is empty.
fn secret(data: &Path) -> io::Result<String> {
    let path = data.join("secret");
    if !path.exists() {
        let part = data.join("secret.part");
        let mut file = private(&part)?;
        file.set_len(0)?;
        file.write_all(new_token().as_bytes())?;
        fs::rename(part, &path)?;
    }
    fs::read_to_string(path)
}

/// A file that nobody else can read, made when it is not there.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true).mode(0o600).open(path)
}

fn board(request: Request) -> Result<Response, HttpError> {
    let Search { q, before } = request.query_as()?;
    let board: &Board = request.state();
    // What is pinned up while the list is read comes once more, and the page knows it by its id.
    let since = board.live.cursor().to_string();
    let notices = board.store.page(&q, before)?;
    let is_full = notices.len() >= usize::from(PAGE);
    let older = notices.last().filter(|_| is_full).map(|last| last.id);
    let is_live = q.is_empty() && before.is_none();
    let values = context! { q, older, is_live, since, notices => Serde(&notices) };
    request.render("board.html", values)
}

fn one(request: Request) -> Result<Response, HttpError> {
    let found = request.state::<Board>().store.get(request.int("id"))?;
    let notice = found.or_status(404, "There is no such notice.")?;
    request.render("one.html", context! { notice => Serde(notice) })
}

fn live(request: Request) -> Result<Sse, HttpError> {
    let after = request.query("after");
    let since = Since::seen(sse::last_event_id(&request).or(after.as_deref()));
    let member = request.state::<Board>().live.join("a reader", since)?;
    Ok(member.into_events())
}

/// A WebSocket. All may listen; who has logged in may speak.
fn talk(request: Request) -> Result<(), HttpError> {
    let user = request.session()?.user::<String>();
    let ws = Options::new().max_message(4096).accept(&request)?;
    let ws = ws.or_status(400, "This is for WebSockets.")?;
    let room = &request.state::<Board>().talk;
    let name = user.as_deref().unwrap_or("a guest");
    let _member = room.join_socket(name, Since::Start, ws.sender())?;
    while let Some(message) = ws.receive()? {
        let text = message.as_text().unwrap_or_default();
        if user.is_some() && fits(text, 1..=500) {
            room.publish(json!({ "name": name, "text": text.trim() }).to_string());
        }
    }
    Ok(())
}

/// Counted when the message has its place: so the last one is right when several come and go at once.
fn tell_how_many(room: &Room, _: Change) {
    room.publish_with(|_| Post::new(json!({ "here": room.len() }).to_string()).passing());
}

fn log_in(request: Request) -> Result<Response, HttpError> {
    let (form, session): (Account, _) = (request.form_as()?, request.session()?);
    let (name, password) = (form.name.trim(), &*form.password);
    let store = &request.state::<Board>().store;
    let is_line = !name.contains(char::is_control);
    let problem = if !is_line || !fits(name, 1..=40) || !fits(password, 8..=200) {
        "A name has 1 to 40 characters, a password 8 to 200."
    } else if form.join.is_some() && !store.join(name, password)? {
        "Somebody has that name already."
    } else if form.join.is_none() && !store.knows(name, password)? {
        "No account has this name and this password."
    } else {
        session.log_in(name);
        session.flash("success", format!("Welcome, {name}!"));
        return Ok(request.redirect("/"));
    };
    session.flash("error", problem);
    Ok(request.redirect("/"))
}

/// Whether a text has so many characters besides the space around it, controls nothing but line
/// ends, and is what it looks like: without characters that take no place or turn others round, with
/// which one could have the name of somebody else. (The joiners of some scripts are not among them.)
fn fits(text: &str, length: RangeInclusive<usize>) -> bool {
    let odd = |c: char| match c {
        '\r' | '\n' | '\t' => false,
        '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' => true,
        _ => c.is_control(),
    };
    length.contains(&text.trim().chars().count()) && !text.contains(odd)
}

fn log_out(request: Request) -> Result<Response, HttpError> {
    request.session()?.log_out();
    Ok(request.redirect("/"))
}

/// Keeps a notice, and shows it on all pages that are open.
fn post(request: Request) -> Result<Response, HttpError> {
    let (board, session): (&Board, _) = (request.state(), request.session()?);
    let author: String = session.user().or_status(403, "Log in first.")?;
    let Draft { title, text } = request.form_as()?;
    if !fits(&title, 1..=80) || !fits(&text, 0..=2000) {
        abort(400, "A title has 1 to 80 characters, a text 2,000 at most.");
    }
    let picture = request.file("picture")?;
    let picture = picture.map(|file| Ok::<_, HttpError>((file, name_of(file)?)));
    let picture = picture.transpose()?;
    // One step, which a visitor who leaves meanwhile does not cut in two; and slow as disks are.
    let notice = unblock_scoped(|| {
        let name = picture.as_ref().map(|(_, name)| name.clone());
        if let Some((file, name)) = &picture {
            file.save_as(&board.pictures, name)?;
        }
        let added = board.store.add(&author, &title, &text, name);
        if let (Err(_), Some((_, name))) = (&added, &picture) {
            fs::remove_file(board.pictures.join(name))?; // nobody would ever find it
        }
        added
    })?;
    let piece = request.render("notice.html", context! { notice => Serde(notice) })?;
    let html = piece.into_parts().1.into_full().unwrap_or_default();
    let post = Post::new(String::from_utf8_lossy(&html)).name("pinned");
    board.live.publish(post);
    session.flash("success", "It is pinned up.");
    Ok(request.redirect("/"))
}

/// A name for a picture that nobody can guess. It is what its first bytes say, whatever its sender
/// says.
fn name_of(file: &FileUpload) -> Result<String, HttpError> {
    let mut start = Vec::new();
    file.reader().take(12).read_to_end(&mut start)?;
    let kind = match &start[..] {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpg",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => "webp",
        _ => abort(415, "A picture is PNG, JPEG, GIF or WebP."),
    };
    Ok(format!("{}.{kind}", new_token()))
}

/// All notices as a table, however many there are: each piece is sent before the next is read.
fn table(request: Request) -> Response {
    let body = Body::stream(move |out| {
        out.send("id,posted,author,title,text\r\n")?;
        let mut before = None;
        loop {
            let page = request.state::<Board>().store.page("", before)?;
            for n in &page {
                let fields = [&n.posted, &n.author, &n.title, &n.text].map(|field| csv(field));
                out.send(format!("{},{}\r\n", n.id, fields.join(",")))?;
            }
            before = match page.last() {
                Some(last) => Some(last.id),
                None => return Ok(()),
            };
        }
    });
    Response::new(body)
        .with_header("content-type", "text/csv; charset=utf-8")
        .with_attachment("notices.csv")
}

/// A field of a CSV file (RFC 4180). A table program would take what begins so for a formula.
fn csv(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quote = if formula { "'" } else { "" };
    format!("\"{quote}{}\"", field.replace('"', "\"\""))
}

fn api(request: Request) -> Result<Json<Vec<Notice>>, HttpError> {
    let Search { q, before } = request.query_as()?;
    request.state::<Board>().store.page(&q, before).map(Json)
}

fn error_page(request: &Request, error: &HttpError) -> Response {
    let reason = error.status().canonical_reason().unwrap_or("Error");
    let (status, detail) = (error.status().as_u16(), error.message());
    if request.path().starts_with("/api/") {
        let problem = json!({ "status": status, "title": reason, "detail": detail });
        return Json(problem).into_response();
    }
    let page = request.render("error.html", context! { status, reason, detail });
    page.into_response()
}

fn main() -> Result<(), Box<dyn Error>> {
    let data = std::env::var_os("BOARD_DATA").unwrap_or_else(|| "board-data".into());
    Server::new(app(Path::new(&data))?)
        .bind("127.0.0.1:8001") // beside the tour
        .run()
}
