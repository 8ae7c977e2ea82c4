//! What an application does with its input: JSON, forms and uploads, and a large table of routes.

use std::fs;
use std::io::BufRead;
use std::path::Path;

use greenway::{App, HttpError, Json, Limits, Request};
use serde::{Deserialize, Serialize};

/// Largest upload that is streamed: as long as those of the peers.
pub(crate) const MAX_UPLOAD: u64 = 2 << 30;
/// Bytes of a field of a form that is read whole.
const MAX_FIELD: usize = 64 << 10;

#[derive(Deserialize)]
struct Order {
    customer: String,
    items: Vec<Item>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "name")]
    _name: String,
    count: u32,
    price: u32,
}

#[derive(Serialize)]
struct Receipt {
    customer: String,
    pieces: u32,
    total: u64,
}

#[derive(Deserialize)]
struct Profile {
    name: String,
    email: String,
    city: String,
    age: u8,
    note: String,
}

/// Adds the routes; uploads are written below `files`, and removed again.
pub(crate) fn mount(app: &mut App, files: &Path) {
    app.post("/order", |request: Request| {
        let order: Order = request.json()?;
        let price = |item: &Item| u64::from(item.count) * u64::from(item.price);
        Ok::<_, HttpError>(Json(Receipt {
            pieces: order.items.iter().map(|item| item.count).sum(),
            total: order.items.iter().map(price).sum(),
            customer: order.customer,
        }))
    });
    app.post("/form", |request: Request| {
        let form: Profile = request.form_as()?;
        let texts = [&form.name, &form.email, &form.city, &form.note];
        let length: usize = texts.iter().map(|text| text.len()).sum();
        Ok::<_, HttpError>(format!("{} {} {length}", form.name, form.age))
    });
    app.post("/upload", |request: Request| {
        let form = request.form()?;
        let length = |name| form.get(name).map_or(0, str::len);
        let file = form.file("file").ok_or_else(no_file)?;
        let bytes = file.read_all(MAX_FIELD)?;
        let lengths = (length("name"), length("note"), bytes.len());
        Ok::<_, HttpError>(format!("{} {} {}", lengths.0, lengths.1, lengths.2))
    });
    let limits = Limits {
        file: MAX_UPLOAD,
        total: MAX_UPLOAD,
        ..Limits::DEFAULT
    };
    app.post("/upload/count", count).set(limits.clone());
    let folder = files.to_owned();
    app.post("/upload/disk", move |request: Request| {
        let mut form = request.multipart()?;
        let mut length = 0;
        while let Some(mut part) = form.next_part()? {
            if part.is_file() {
                let path = part.save(&folder)?;
                length += fs::metadata(&path)?.len();
                fs::remove_file(path)?;
            }
        }
        Ok::<_, HttpError>(length.to_string())
    })
    .set(limits);
    if std::env::var_os("BENCH_MANY_ROUTES").is_some() {
        many_routes(app);
    }
}

/// How long the file of a form is.
fn count(request: Request) -> Result<String, HttpError> {
    let mut form = request.multipart()?;
    let mut length = 0;
    while let Some(mut part) = form.next_part()? {
        if !part.is_file() {
            continue;
        }
        loop {
            let chunk = part.fill_buf()?.len();
            if chunk == 0 {
                break;
            }
            length += chunk;
            part.consume(chunk);
        }
    }
    Ok(length.to_string())
}

fn no_file() -> HttpError {
    HttpError::new(400, "no file")
}

/// A thousand rules that share their beginnings, as those of large interfaces do.
fn many_routes(app: &mut App) {
    for n in 0..250 {
        app.get(&format!("/api/v1/thing{n}"), |_: Request| "Hello, World!");
        app.get(&format!("/api/v1/thing{n}/<id>"), |request: Request| {
            request.param("id").to_owned()
        });
        app.get(&format!("/users/<user>/thing{n}"), |request: Request| {
            request.param("user").to_owned()
        });
        app.get(
            &format!("/users/<user>/thing{n}/<id>"),
            |request: Request| format!("{} {}", request.param("user"), request.param("id")),
        );
    }
}
