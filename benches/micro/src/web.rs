//! What an application does with its input, called by the test client as in `call-plain`: a turn is
//! the call, and what is measured in it.

use std::fs;
use std::hint::black_box;

use greenway::testing::Client;
use greenway::{HttpError, Json, Request, StaticFiles};
use serde::{Deserialize, Serialize};

/// Reads one of three cookies.
pub fn cookie(n: usize) {
    let client = Client::new(|request: Request| {
        black_box(request.cookie("theme"));
        "Hello, World!"
    });
    let cookies = "session=Zm9vYmFyYmF6cXV4MDEyMzQ1Njc4OWFiY2RlZg; theme=dark; consent=2026-01-01";
    for _ in 0..n {
        let reply = client.get("/").header("cookie", cookies).send();
        assert_eq!(reply.status(), 200);
    }
}

#[derive(Deserialize)]
struct Profile {
    name: String,
    email: String,
    city: String,
    age: u8,
    note: String,
}

/// Reads a URL-encoded form of five fields into a struct.
pub fn form_fields(n: usize) {
    let client = Client::new(|request: Request| {
        let form: Profile = request.form_as()?;
        black_box((&form.name, &form.email, &form.city, form.age, &form.note));
        Ok::<_, HttpError>("Hello, World!")
    });
    let form = "name=Ada+Lovelace&email=ada%40example.org&city=London&age=36&\
        note=Met+Mr.+Babbage+at+a+party+%28June+1833%29.+Will+write+about+his+engine%2C+soon.";
    for _ in 0..n {
        let post = client
            .post("/")
            .header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(post.body(form).send().status(), 200);
    }
}

/// Reads a multipart form of two fields and a file of two kilobytes.
pub fn form_file(n: usize) {
    let client = Client::new(|request: Request| {
        let form = request.form()?;
        black_box((form.get("name"), form.get("note"), form.file("file")));
        Ok::<_, HttpError>("Hello, World!")
    });
    const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
    let disposition = format!("--{BOUNDARY}\r\nContent-Disposition: form-data");
    let file = "0123456789abcde\n".repeat(128);
    let form = format!(
        "{disposition}; name=\"name\"\r\n\r\nAda Lovelace\r\n\
         {disposition}; name=\"note\"\r\n\r\nas promised\r\n\
         {disposition}; name=\"file\"; filename=\"notes.txt\"\r\n\
         Content-Type: text/plain\r\n\r\n{file}\r\n--{BOUNDARY}--\r\n"
    );
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    for _ in 0..n {
        let post = client.post("/").header("content-type", &content_type);
        assert_eq!(post.body(form.clone()).send().status(), 200);
    }
}

#[derive(Deserialize)]
struct Order {
    customer: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    name: String,
    count: u32,
    price: u32,
}

#[derive(Serialize)]
struct Receipt {
    customer: String,
    total: u32,
}

/// Reads a kilobyte of JSON into a struct, and answers in JSON.
pub fn json(n: usize) {
    let client = Client::new(|request: Request| {
        let order: Order = request.json()?;
        let price = |item: &Item| item.count * item.price + black_box(&item.name).len() as u32;
        Ok::<_, HttpError>(Json(Receipt {
            total: order.items.iter().map(price).sum(),
            customer: order.customer,
        }))
    });
    let items = (0..16)
        .map(|n| format!(r#"{{"name":"Gear wheel, brass, No. {n}","count":{n},"price":101}}"#));
    let items = items.collect::<Vec<_>>().join(",");
    let order = format!(r#"{{"customer":"Ada Lovelace","items":[{items}]}}"#);
    for _ in 0..n {
        let post = client.post("/").header("content-type", "application/json");
        assert_eq!(post.body(order.clone()).send().status(), 200);
    }
}

/// Asks for a file that the client has already.
pub fn not_modified(n: usize) {
    let folder = std::env::temp_dir().join(format!("greenway-micro-{}", std::process::id()));
    fs::create_dir(&folder).expect("there is room for a folder of temporary files");
    fs::write(folder.join("file"), "some text").expect("the folder can be written");
    let client = Client::new(StaticFiles::new(&folder));
    let tag = client.get("/file").send();
    let tag = tag.header("etag").expect("files have tags").to_owned();
    for _ in 0..n {
        let reply = client.get("/file").header("if-none-match", &tag).send();
        assert_eq!(reply.status(), 304);
    }
    // Of a folder for temporary files, whoever cleans it up does the rest.
    let _ = fs::remove_dir_all(folder);
}
