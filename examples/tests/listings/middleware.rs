//! The listings of the chapter on middleware.

use greenway::testing::Client;

mod own {
    // ANCHOR: own
    use greenway::{App, Next, Request, Response, abort};
    use std::time::Instant;

    /// What routes say of themselves.
    struct Public;

    fn timed(request: Request, next: Next<'_>) -> Response {
        let start = Instant::now();
        let response = next.run(request);
        let took = format!("handler;dur={}", start.elapsed().as_millis());
        response.with_header("server-timing", took)
    }

    fn door(request: Request, next: Next<'_>) -> Response {
        let route = request.route();
        let public = route.is_some_and(|route| route.setting::<Public>().is_some());
        if !public && request.header("x-key") != Some("42") {
            abort(403, "knock with X-Key");
        }
        next.run(request)
    }

    pub(crate) fn app() -> App {
        let mut app = App::new();
        app.install(timed).install(door);
        app.get("/", |_: Request| "welcome\n").set(Public);
        app.get("/vault", |_: Request| "gold\n");
        app
    }
    // ANCHOR_END: own
}

mod provided {
    // ANCHOR: provided
    use greenway::middleware::*;
    use greenway::{App, Request};
    use std::time::Duration;

    pub(crate) fn app() -> App {
        let mut app = App::new();
        app.install(RequestIds::new()) // all others can name the request
            .install(SecurityHeaders::new()) // on refusals, too
            .install(Cors::new().origin("https://app.example")) // preflights carry no password
            .install(RateLimit::new(100, Duration::from_secs(60))) // before anything that costs
            .install(Compression::new())
            .install(ETags::new()); // of what is compressed on its way out
        app.before_request(method_override);

        app.get("/", |_: Request| "home\n");
        // A secret and a stranger's words on one page: see BREACH below.
        app.get("/search", |_: Request| "found\n")
            .skip::<Compression>();
        app.group("/staff", |staff| {
            staff.install(BasicAuth::new("staff").user("ada", "correct horse"));
            staff.get("/", |request: Request| {
                format!("Hello {}\n", request.user().unwrap_or("?"))
            });
        });
        app
    }
    // ANCHOR_END: provided
}

// ANCHOR: encoder
use greenway::{Body, BodyEncoder, BodyError, Bytes, Next, Request, Response};

/// Counts the lines of a body, and says at its end how many there were.
#[derive(Default)]
struct Counted(usize);

impl BodyEncoder for Counted {
    fn encode(&mut self, chunk: Bytes) -> Result<Bytes, BodyError> {
        self.0 += chunk.iter().filter(|byte| **byte == b'\n').count();
        Ok(chunk)
    }

    fn finish(&mut self) -> Result<Bytes, BodyError> {
        Ok(format!("{} lines\n", self.0).into())
    }
}

fn counted(request: Request, next: Next<'_>) -> Response {
    let mut response = next.run(request);
    let body = std::mem::take(response.body_mut());
    *response.body_mut() = body.encode(Counted::default());
    response
}
// ANCHOR_END: encoder

#[test]
fn ones_own() {
    let client = Client::new(greenway::validate(own::app()));
    let reply = client.get("/").send();
    assert_eq!(reply.text(), "welcome\n");
    assert!(
        reply
            .header("server-timing")
            .unwrap()
            .starts_with("handler;dur=")
    );
    let refused = client.get("/vault").send();
    assert_eq!(refused.status(), 403);
    assert!(refused.header("server-timing").is_some());
    assert_eq!(
        client.get("/vault").header("x-key", "42").send().text(),
        "gold\n"
    );
}

#[test]
fn the_provided_ones() {
    let client = Client::new(greenway::validate(provided::app()));
    let reply = client.get("/").send();
    for name in ["x-request-id", "x-frame-options", "etag", "vary"] {
        assert!(reply.header(name).is_some(), "{name}");
    }
    assert_eq!(client.get("/staff/").send().status(), 401);
    let ada = "Basic YWRhOmNvcnJlY3QgaG9yc2U=";
    let reply = client.get("/staff/").header("authorization", ada).send();
    assert_eq!(reply.text(), "Hello ada\n");
}

#[test]
fn an_end_is_written() {
    let mut app = greenway::App::new();
    app.install(counted);
    app.get("/", |_: Request| Body::iter(["a\n", "b\nc\n"]));
    let reply = Client::new(app).get("/").send();
    assert_eq!(reply.chunks(), ["a\n", "b\nc\n", "3 lines\n"]);
}
