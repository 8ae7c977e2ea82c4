//! Routes: a path, a wildcard, and wildcards that must be numbers.
//!
//! ```text
//! curl http://127.0.0.1:8000/
//! curl http://127.0.0.1:8000/hello/Ada
//! curl http://127.0.0.1:8000/sum/19/23
//! ```

#![forbid(unsafe_code)]

// ANCHOR: hello
use greenway::{App, HttpError, Request};

pub(crate) fn hello(req: Request) -> String {
    format!("Hello {}!\n", req.param("name"))
}

pub(crate) fn sum(req: Request) -> Result<String, HttpError> {
    let sum = req.int("a").checked_add(req.int("b"));
    let sum = sum.ok_or_else(|| HttpError::new(400, "the sum does not fit 64 bits"))?;
    Ok(format!("{sum}\n"))
}

pub(crate) fn app() -> App {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello, World!\n");
    app.get("/hello/<name>", hello);
    app.get("/sum/<a:int>/<b:int>", sum);
    app
}

fn main() {
    greenway::serve(app())
}
// ANCHOR_END: hello
