//! A server that takes forms and knows its visitors: what clients of other people upload to, in a
//! process of its own, whose memory and files can be looked at.
//!
//! | Request | What happens |
//! |---|---|
//! | `POST /form` | reads the whole form; answers with a line for each field and file |
//! | `POST /parts` | reads a multipart form as it comes; answers with the same lines |
//! | `GET /` | a page with a form, a message if one waits, and who has logged in |
//! | `POST /login` | logs `user` in, and goes to the page |
//! | `POST /logout` | logs out, and goes to the page |
//! | `GET /pid` | the number of its process |
//! | `POST /disk/hold` | all threads that wait for disks wait, as if for a slow one |
//! | `POST /disk/release` | they go on |
//!
//! The line of a file is `name: file name, type, bytes, sum of the bytes`.

#![forbid(unsafe_code)]

use greenway::green::{threadpool, yield_now};
use greenway::sessions::{Csrf, Sessions};
use greenway::{App, Html, HttpError, Keys, Request, Response};
use std::io::{self, BufRead};
use std::sync::{Condvar, Mutex, MutexGuard};

fn main() {
    let mut app = App::new();
    app.post("/form", whole).post("/parts", parts);
    app.get("/pid", |_: Request| std::process::id().to_string());
    app.post("/disk/hold", |_: Request| {
        *held() = true;
        for _ in 0..threadpool().max_threads() {
            threadpool().spawn(|| drop(RELEASED.wait_while(held(), |held| *held)));
        }
    });
    app.post("/disk/release", |_: Request| {
        *held() = false;
        RELEASED.notify_all();
    });
    app.group("/visitors", |visitors| {
        visitors.install(Sessions::in_memory()).install(Csrf::new());
        with_visitors(visitors);
    });
    app.group("/cookies", |visitors| {
        let sessions = Sessions::in_cookie(Keys::random());
        visitors.install(sessions).install(Csrf::new());
        with_visitors(visitors);
    });
    greenway::serve(app)
}

static HELD: Mutex<bool> = Mutex::new(false);
static RELEASED: Condvar = Condvar::new();

/// Whether the threads that wait for disks are to wait.
fn held() -> MutexGuard<'static, bool> {
    HELD.lock().expect("nothing panics with it")
}

fn whole(request: Request) -> Result<String, HttpError> {
    let form = request.form()?;
    let mut text = String::new();
    for (name, value) in form.iter() {
        text += &format!("{name}={value}\n");
    }
    for file in form.files() {
        let content_type = file.content_type().unwrap_or("-");
        let (bytes, sum) = measure(file.reader())?;
        let (name, filename) = (file.name(), file.raw_filename());
        text += &format!("{name}: {filename}, {content_type}, {bytes}, {sum}\n");
    }
    Ok(text)
}

fn parts(request: Request) -> Result<String, HttpError> {
    let mut form = request.multipart()?;
    let mut text = String::new();
    while let Some(mut part) = form.next_part()? {
        let name = part.name().to_owned();
        if part.raw_filename().is_none() {
            text += &format!("{name}={}\n", part.text(1000)?);
            continue;
        }
        let filename = part.raw_filename().unwrap_or_default().to_owned();
        let content_type = part.content_type().unwrap_or("-").to_owned();
        let (bytes, sum) = measure(part)?;
        text += &format!("{name}: {filename}, {content_type}, {bytes}, {sum}\n");
    }
    Ok(text)
}

/// Reads all: how many bytes, and their sum.
fn measure(mut reader: impl BufRead) -> io::Result<(u64, u64)> {
    let (mut bytes, mut sum) = (0, 0_u64);
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok((bytes, sum));
        }
        sum += piece.iter().copied().map(u64::from).sum::<u64>();
        let length = piece.len();
        bytes += length as u64;
        reader.consume(length);
        // It computes for long, and others want to be served meanwhile.
        yield_now();
    }
}

fn with_visitors(app: &mut App) {
    app.get("/", page)
        .post("/login", log_in)
        .post("/logout", log_out);
}

fn page(request: Request) -> Result<Html<String>, HttpError> {
    let session = request.session()?;
    let user = session.user().unwrap_or_else(|| "nobody".to_owned());
    let flashes = session.take_flashes().into_iter();
    let flashes: String = flashes
        .map(|flash| format!("<p>{}</p>", flash.text))
        .collect();
    let token = session.csrf_token();
    Ok(Html(format!(
        "<h1>{user}</h1>{flashes}\n<form method=post action=login>\
         <input name=user><input name=csrf_token value=\"{token}\"></form>\n"
    )))
}

fn log_in(request: Request) -> Result<Response, HttpError> {
    let session = request.session()?;
    session.log_in(request.form()?.get("user"));
    session.flash("success", "welcome");
    Ok(Response::redirect("./", 303))
}

fn log_out(request: Request) -> Result<Response, HttpError> {
    request.session()?.log_out();
    Ok(Response::redirect("./", 303))
}
