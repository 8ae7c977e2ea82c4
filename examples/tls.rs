//! What docs/src/tls.md shows: `cargo run -p greenway-examples --features tls --bin tls -- --help`.

#![forbid(unsafe_code)]

use greenway::tls::Connector;
use greenway::{App, OrStatus, Request};
use std::io::{Read, Write};

// ANCHOR: client
fn whoami(request: Request) -> String {
    let tls = request.connection().tls.as_ref();
    match tls.and_then(|tls| tls.client.as_ref()) {
        Some(client) => format!("{} (until {:?})\n", client.subject, client.not_after),
        None => "nobody in particular\n".to_owned(),
    }
}
// ANCHOR_END: client

// ANCHOR: connect
fn ask(name: &str) -> std::io::Result<String> {
    let mut stream = Connector::new().connect(name, 443)?;
    stream.write_all(format!("GET / HTTP/1.0\r\nHost: {name}\r\n\r\n").as_bytes())?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?; // an error if the end is not said
    Ok(page)
}
// ANCHOR_END: connect

fn main() {
    let mut app = App::new();
    app.get("/", whoami);
    app.get("/ask/<name>", |request: Request| {
        ask(request.param("name")).or_status(502, "that server cannot be asked")
    });
    greenway::serve(app)
}
