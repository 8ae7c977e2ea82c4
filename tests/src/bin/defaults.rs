//! A program with defaults of its own, for `suite/config.rs`.

#![forbid(unsafe_code)]

use greenway::{App, HttpError, Request, Server};

fn main() {
    let mut app = App::new();
    app.post("/length", |request: Request| {
        let body = request.body(1000)?;
        Ok::<_, HttpError>(body.len().to_string())
    });
    app.get("/debug", |request: Request| request.is_debug().to_string());
    Server::new(app)
        .bind("127.0.0.1:0")
        .limit_request_body(10)
        .run()
}
