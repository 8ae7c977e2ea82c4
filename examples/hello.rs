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

pub(crate) fn app() -> App {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello, World!\n");
    routes(&mut app);
    app
}

pub(crate) fn routes(app: &mut App) {
    app.get("/hello/<name>", |req: Request| {
        format!("Hello {}!\n", req.param("name"))
    });
    app.get("/sum/<a:int>/<b:int>", |req: Request| {
        let sum = req.int("a").checked_add(req.int("b"));
        let sum = sum.ok_or_else(|| HttpError::new(400, "the sum does not fit 64 bits"))?;
        Ok::<_, HttpError>(format!("{sum}\n"))
    });
}

fn main() {
    greenway::serve(app())
}
// ANCHOR_END: hello
