//! A notice board: login, notices with pictures, a list that is live, search, an interface for
//! programs, and a file for tables. What a whole application looks like, in about 300 lines.
//!
//! ```text
//! cargo run --release -p greenway-board
//! ```
//!
//! Then open <http://127.0.0.1:8000>; the password is `board`, unless `BOARD_PASSWORD` says
//! otherwise. Notices and pictures go into `BOARD_DATA`, by default a folder `board-data`.

#![forbid(unsafe_code)]

mod store;
#[cfg(test)]
mod tests;
mod view;

use greenway::green::unblock;
use greenway::middleware::{RateLimit, SecurityHeaders};
use greenway::room::{Post, Room, Since};
use greenway::sessions::{Csrf, Sessions, new_token};
use greenway::sse::{self, Sse};
use greenway::{
    App, Body, FileUpload, Html, HttpError, IntoResponse, Json, Keys, OrStatus, Request, Response,
};
use std::collections::BTreeMap;
use std::env::{self, VarError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{Notice, Store};

/// Bytes of a notice with its picture.
const LARGEST: u64 = 10 << 20;
/// Notices on a page, and rows that the CSV file is made of at a time.
const PAGE: u32 = 50;

/// The password of whoever has not set another one.
const DEFAULT_PASSWORD: &str = "board";
/// All that a page needs comes from here, and its icon from within itself.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'self'";

/// What all handlers share.
struct Board {
    store: Store,
    live: Room,
    pictures: PathBuf,
    password: String,
}

fn app(data: &Path, password: String) -> Result<App, Box<dyn std::error::Error>> {
    if password.is_empty() {
        return Err("BOARD_PASSWORD is empty: anybody could log in".into());
    }
    let pictures = data.join("pictures");
    std::fs::create_dir_all(&pictures)?;
    let mut app = App::new();
    // The form for the login has a token, so every visitor has a session: the browsers keep them,
    // as strangers could fill a memory. The key, and with it all sessions, lasts for one run.
    let sessions = Sessions::in_cookie(Keys::new(new_token()));
    app.install(SecurityHeaders::new().csp(POLICY))
        .install(sessions)
        .install(Csrf::new());
    app.static_files("/pictures", pictures.clone());
    app.share(Board {
        store: Store::open(&data.join("board.db"))?,
        live: Room::new(),
        pictures,
        password,
    });
    app.get("/", board)
        .get("/notices/<id:int>", one)
        .get("/live", live);
    // One password for all can be guessed by trying.
    app.post("/login", log_in)
        .apply(RateLimit::new(10, Duration::from_secs(60)));
    app.post("/logout", log_out);
    app.post("/notices", post).body_limit(LARGEST);
    app.get("/notices.csv", table);
    app.get("/api/notices", api)
        .get("/api/notices/<id:int>", api_one);
    app.get("/board.css", |_: Request| {
        asset("text/css", include_str!("../pages/board.css"))
    });
    app.get("/board.js", |_: Request| {
        asset("text/javascript", include_str!("../pages/board.js"))
    });
    app.error_default(|request: &Request, error: &HttpError| {
        if !request.path().starts_with("/api/") {
            return view::error(error).into_response();
        }
        let (status, message) = (error.status().as_u16(), error.message());
        Json(BTreeMap::from([
            ("status", status.to_string()),
            ("detail", message.to_owned()),
        ]))
        .into_response()
    });
    Ok(app)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    Response::new(text).with_header("content-type", kind)
}

fn board(request: Request) -> Result<Html<String>, HttpError> {
    let words = request.query("q").unwrap_or_default();
    let board: &Board = request.state();
    let notices = board.store.page(&words, i64::MAX, PAGE)?;
    Ok(view::board(&request.session()?, &words, &notices))
}

fn find(request: &Request) -> Result<Notice, HttpError> {
    let found = request.state::<Board>().store.get(request.int("id"))?;
    found.or_status(404, "there is no such notice")
}

fn one(request: Request) -> Result<Html<String>, HttpError> {
    let notice = find(&request)?;
    Ok(view::page(&notice.title, &view::notice(&notice)))
}

/// Each notice as it is pinned up, as the piece of the page that it is.
fn live(request: Request) -> Result<Sse, HttpError> {
    let seen = Since::seen(sse::last_event_id(&request));
    let member = request.state::<Board>().live.join("a reader", seen)?;
    Ok(member.into_events())
}

fn log_in(request: Request) -> Result<Response, HttpError> {
    let form = request.form()?;
    let name = form.get("name").unwrap_or_default().trim();
    let session = request.session()?;
    let board: &Board = request.state();
    if name.is_empty() || name.chars().count() > 40 {
        session.flash("error", "A name of 1 to 40 letters, please.");
    } else if form.get("password") != Some(&board.password) {
        session.flash("error", "That is not the board's password.");
    } else {
        session.log_in(name);
        session.flash("success", format!("Welcome, {name}!"));
    }
    Ok(request.redirect("/"))
}

fn log_out(request: Request) -> Result<Response, HttpError> {
    request.session()?.log_out();
    Ok(request.redirect("/"))
}

fn post(request: Request) -> Result<Response, HttpError> {
    let session = request.session()?;
    let author = session.user::<String>().or_status(403, "Log in first.")?;
    let form = request.form()?;
    let field = |name, most| {
        let text = form.get(name).unwrap_or_default().trim();
        let fits = text.chars().count() <= most;
        fits.then(|| text.to_owned())
            .or_status(400, format!("The {name} is too long."))
    };
    let (title, text) = (field("title", 80)?, field("text", 2000)?);
    if title.is_empty() {
        return Err(HttpError::new(400, "A notice needs a title."));
    }
    let board: &Board = request.state();
    let picture = form.file("picture").map(|file| save(file, &board.pictures));
    let notice = board.store.add(Notice {
        id: 0,
        author,
        title,
        text,
        picture: picture.transpose()?,
        posted: String::new(),
    })?;
    board.live.publish(Post::new(view::notice(&notice)));
    session.flash("success", "It is pinned up.");
    Ok(request.redirect("/"))
}

/// Keeps a picture under a name that nobody can guess. It is what its first bytes say, whatever its
/// sender says.
fn save(file: &FileUpload, folder: &Path) -> Result<String, HttpError> {
    let mut start = Vec::new();
    file.reader().take(12).read_to_end(&mut start)?;
    let kind = match &start[..] {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpg",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => "webp",
        _ => return Err(HttpError::new(415, "A picture is PNG, JPEG, GIF or WebP.")),
    };
    let name = format!("{}.{kind}", new_token());
    let (file, folder, there) = (file.clone(), folder.to_owned(), name.clone());
    unblock(move || file.save_as(folder, &there))?; // the disk may be slow
    Ok(name)
}

/// All notices as a table, however many there are: each piece is sent before the next is read.
fn table(request: Request) -> Response {
    let body = Body::stream(move |out| {
        let store = &request.state::<Board>().store;
        out.send("id,posted,author,title,text\r\n")?;
        let mut before = i64::MAX;
        loop {
            let page = store.page("", before, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            before = last.id;
            let fields =
                |n: &Notice| [&n.posted, &n.author, &n.title, &n.text].map(|f| view::csv(f));
            let rows = page
                .iter()
                .map(|n| format!("{},{}\r\n", n.id, fields(n).join(",")));
            out.send(rows.collect::<String>())?;
        }
    });
    Response::new(body)
        .with_header("content-type", "text/csv; charset=utf-8")
        .with_header(
            "content-disposition",
            "attachment; filename=\"notices.csv\"",
        )
}

fn api(request: Request) -> Result<Json<Vec<Notice>>, HttpError> {
    let words = request.query("q").unwrap_or_default();
    let before = match request.query("before") {
        Some(text) => text
            .parse()
            .or_status(400, "`before` is the id of a notice")?,
        None => i64::MAX,
    };
    Ok(Json(
        request.state::<Board>().store.page(&words, before, PAGE)?,
    ))
}

fn api_one(request: Request) -> Result<Json<Notice>, HttpError> {
    find(&request).map(Json)
}

/// A setting from the environment; `None` if it is not there.
fn variable(name: &str) -> Result<Option<String>, Box<dyn std::error::Error>> {
    match env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{name}: {error}").into()),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = variable("BOARD_DATA")?.unwrap_or_else(|| "board-data".to_owned());
    let password = variable("BOARD_PASSWORD")?.unwrap_or_else(|| DEFAULT_PASSWORD.to_owned());
    if password == DEFAULT_PASSWORD {
        eprintln!("warning: everybody knows the default password; BOARD_PASSWORD sets another");
    }
    greenway::serve(app(Path::new(&data), password)?)
}
