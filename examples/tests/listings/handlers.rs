//! The listings of the chapter "Writing handlers".

use greenway::testing::Client;
use greenway::{App, Request};

#[test]
fn a_request_is_read() {
    // ANCHOR: request
    use greenway::{HttpError, Request};

    /// `GET /shelf/<name>/<page:int>?tag=a&tag=b`
    fn shelf(request: Request) -> Result<String, HttpError> {
        let name = request.param("name"); // decoded
        let page: u16 = request.param_as("page")?; // or 400, and what is wrong with it
        let tags: Vec<_> = request.query_all("tag").collect();
        let language = request.header("accept-language").unwrap_or("en");
        Ok(format!("{name}, {page}, {}, {language}\n", tags.join("+")))
    }
    // ANCHOR_END: request

    let mut app = App::new();
    app.get("/shelf/<name>/<page:int>", shelf);
    let client = Client::new(app);
    let reply = client.get("/shelf/A%26B/7?tag=a&tag=b").send();
    assert_eq!(reply.text(), "A&B, 7, a+b, en\n");
    assert_eq!(client.get("/shelf/a/70000").send().status(), 400);
    assert_eq!(client.get("/shelf/a/b").send().status(), 404);
}

#[test]
fn many_things_are_responses() {
    let mut app = App::new();
    // ANCHOR: returned
    use greenway::{Body, Html, Json, Response, StatusCode};
    use std::time::Duration;

    app.get("/text", |_: Request| "plain text\n");
    app.get("/html", |_: Request| Html("<p>marked as HTML"));
    app.get("/json", |_: Request| Json(["a", "b"]));
    app.get("/none", |_: Request| StatusCode::NO_CONTENT);
    app.post("/things", |_: Request| (201, "created\n"));
    app.get("/csv", |_: Request| {
        (200, [("content-type", "text/csv")], "a,b\n")
    });
    app.get("/lines", |_: Request| Body::iter(["one\n", "two\n"]));
    app.get("/logo", |_: Request| {
        Response::new(b"\x89PNG")
            .with_header("content-type", "image/png")
            .with_cache(Duration::from_secs(3600))
    });
    app.get("/old", |request: Request| request.redirect("/text"));
    // ANCHOR_END: returned

    let client = Client::new(app);
    for (path, status, content_type, text) in [
        (
            "/text",
            200,
            Some("text/plain; charset=utf-8"),
            "plain text\n",
        ),
        (
            "/html",
            200,
            Some("text/html; charset=utf-8"),
            "<p>marked as HTML",
        ),
        ("/json", 200, Some("application/json"), r#"["a","b"]"#),
        ("/none", 204, None, ""),
        ("/csv", 200, Some("text/csv"), "a,b\n"),
        (
            "/lines",
            200,
            Some("text/plain; charset=utf-8"),
            "one\ntwo\n",
        ),
        ("/old", 303, None, ""),
    ] {
        let reply = client.get(path).send();
        assert_eq!(reply.status(), status, "{path}");
        assert_eq!(reply.header("content-type"), content_type, "{path}");
        assert_eq!(reply.text(), text, "{path}");
    }
    assert_eq!(client.post("/things").send().status(), 201);
    let logo = client.get("/logo").send();
    assert_eq!(logo.header("cache-control"), Some("max-age=3600"));
}

#[test]
fn bodies_are_streamed() {
    // ANCHOR: stream
    use greenway::green::sleep;
    use greenway::{Body, Request};
    use std::time::Duration;

    fn countdown(request: Request) -> Body {
        let from = request.int("from").clamp(0, 60);
        Body::stream(move |out| {
            for n in (1..=from).rev() {
                out.send(format!("{n}\n"))?; // `?` ends it when the client has left
                sleep(Duration::from_millis(10)); // what was sent is on its way
            }
            out.send("liftoff\n")
        })
    }
    // ANCHOR_END: stream

    let mut app = App::new();
    app.get("/<from:int>", countdown);
    let client = Client::new(app);
    let reply = client.get("/2").send();
    assert_eq!(reply.chunks(), ["2\n", "1\n", "liftoff\n"]);
    let left = client.get("/60").leave_after(1).send();
    assert!(left.error().is_some_and(greenway::BodyError::is_gone));
}

mod state {
    // ANCHOR: state
    use greenway::green::Lock;
    use greenway::{App, HttpError, OrStatus, Request};
    use std::collections::HashMap;

    #[derive(Default)]
    struct Prices(Lock<HashMap<String, u32>>);

    fn set(request: Request) -> Result<&'static str, HttpError> {
        let price = request.body(16)?;
        let price = std::str::from_utf8(&price)
            .ok()
            .and_then(|text| text.parse().ok())
            .or_status(400, "a price is a number")?;
        let mut prices = request.state::<Prices>().0.lock()?;
        prices.insert(request.param("thing").to_owned(), price);
        Ok("noted\n")
    }

    fn get(request: Request) -> Result<String, HttpError> {
        let thing = request.param("thing");
        let prices = request.state::<Prices>().0.lock()?;
        let price = prices.get(thing).or_status(404, "that has no price")?;
        Ok(format!("{price}\n"))
    }

    pub(crate) fn app() -> App {
        let mut app = App::new();
        app.share(Prices::default());
        app.get("/price/<thing>", get).put("/price/<thing>", set);
        app
    }
    // ANCHOR_END: state
}

#[test]
fn handlers_share_state() {
    let client = Client::new(state::app());
    let get = || client.get("/price/tea").send();
    assert_eq!(get().text(), "404 Not Found: that has no price\n");
    assert_eq!(client.put("/price/tea").body("x").send().status(), 400);
    assert_eq!(client.put("/price/tea").body("3").send().text(), "noted\n");
    assert_eq!(get().text(), "3\n");
}

#[test]
fn handlers_wait() {
    let mut app = App::new();
    // ANCHOR: wait
    use greenway::green::{Greenlet, Queue, Timeout, spawn, unblock};
    use std::time::Duration;

    let news: Queue<String> = Queue::new(16);
    let feed = news.clone();
    app.post("/news", move |request: Request| {
        let text = String::from_utf8(request.body(1000)?.to_vec())?;
        feed.put(text)?; // waits while 16 are there that nobody has taken
        Ok("posted\n")
    });
    app.get("/news", move |_: Request| {
        match news.get_timeout(Duration::from_secs(20)) {
            Ok(Some(text)) => (200, text),
            Ok(None) | Err(_) => (204, String::new()),
        }
    });
    app.get("/both", |_: Request| {
        let one = spawn(|| "one\n"); // two things at once
        let two = spawn(|| "two\n");
        let value = |thread: Greenlet<_>| thread.join().map_err(|error| error.to_string());
        Ok(format!("{}{}", value(one)?, value(two)?))
    });
    app.get("/hosts", |_: Request| {
        // What blocks in the kernel, on an OS thread, for 2 seconds at most.
        let read = || unblock(|| std::fs::read_to_string("/etc/hosts"));
        Ok(Timeout::run(Duration::from_secs(2), read)??)
    });
    // ANCHOR_END: wait

    let client = Client::new(app);
    assert_eq!(client.post("/news").body("rain").send().text(), "posted\n");
    assert_eq!(client.get("/news").send().text(), "rain");
    assert_eq!(client.get("/both").send().text(), "one\ntwo\n");
    assert_eq!(client.get("/hosts").send().status(), 200);
}
