//! What a request arrives as, and what comes back.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Version;

use super::*;
use crate::{Body, BodyError, HttpError, Input, Request, Response, abort};

#[test]
fn a_request_arrives_as_it_was_made() {
    let client = Client::new(|request: Request| {
        let body = request.body(99).unwrap();
        let length = request.content_length();
        let host = request.host().unwrap_or_default().to_owned();
        let coding = request.header("transfer-encoding");
        format!(
            "{:?} {host} {length:?} {coding:?} {}",
            request.version(),
            body.len()
        )
    });
    assert_eq!(
        client.get("/").send().text(),
        "HTTP/1.1 localhost None None 0"
    );
    let reply = client
        .post("/")
        .body("abc")
        .version(Version::HTTP_10)
        .header("host", "h");
    assert_eq!(reply.send().text(), "HTTP/1.0 h Some(3) None 3");
    let reply = client.post("/").input(Input::default()).send();
    assert_eq!(reply.text(), "HTTP/1.1 localhost None Some(\"chunked\") 0");
}

#[test]
fn a_bad_path_never_reaches_the_application() {
    let client = Client::new(|_: Request| -> () { unreachable!("the path is bad") });
    assert_eq!(client.get("/%zz").send().status(), 400);
}

#[test]
fn bodies_are_left_out_where_http_has_none() {
    static DRIVEN: AtomicU32 = AtomicU32::new(0);
    let client = Client::new(|request: Request| {
        let status = request
            .query("status")
            .map_or(200, |text| text.parse().unwrap());
        let body = Body::stream(|out| {
            DRIVEN.fetch_add(1, Ordering::Relaxed);
            out.send("x")
        });
        (status, body)
    });
    for reply in [
        client.head("/").send(),
        client.get("/?status=204").send(),
        client.get("/?status=304").send(),
    ] {
        assert!(reply.chunks().is_empty());
        assert_eq!(DRIVEN.load(Ordering::Relaxed), 0);
    }
    assert_eq!(client.get("/").send().text(), "x");
}

#[test]
fn an_error_before_the_first_chunk_is_an_answer() {
    let fail = |out: &mut crate::Out<'_>| -> Result<(), BodyError> {
        out.send("")?;
        Err(HttpError::new(413, "big").with_header("x-a", "1").into())
    };
    let reply = Client::new(move |_: Request| Body::stream(fail))
        .get("/")
        .send();
    assert_eq!(reply.text(), "413 Payload Too Large: big\n");
    assert_eq!(
        (reply.header("x-a"), reply.error().is_some()),
        (Some("1"), true)
    );

    let odd = |_: Request| Body::stream(|_| Err(BodyError::new("secret")));
    assert_eq!(
        Client::new(odd).get("/").send().text(),
        "500 Internal Server Error\n"
    );

    let aborts = |_: Request| Body::stream(|_| abort(409, "no"));
    assert_eq!(Client::new(aborts).get("/").send().status(), 409);
}

#[test]
fn an_error_after_the_first_chunk_cuts() {
    let app = |_: Request| {
        Body::stream(|out| {
            out.send("a")?;
            Err(BodyError::new("late"))
        })
    };
    let reply = Client::new(app).get("/").send();
    assert_eq!((reply.status().as_u16(), reply.text().as_str()), (200, "a"));
    assert_eq!(reply.error().unwrap().to_string(), "late");
    // Once the head is out there is no other status to be had.
    let started = |_: Request| {
        Body::stream(|out| {
            out.start()?;
            Err(BodyError::new("late"))
        })
    };
    assert_eq!(Client::new(started).get("/").send().status(), 200);
}

#[test]
fn a_client_that_leaves_ends_the_body() {
    thread_local!(static DROPS: Rc<Cell<u32>> = Rc::default());
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            DROPS.with(|drops| drops.set(drops.get() + 1));
        }
    }
    let client = Client::new(|_: Request| {
        let guard = Guard;
        Body::iter(std::iter::repeat_with(move || {
            let _held = &guard;
            "x"
        }))
    });
    for chunks in [0, 1, 5] {
        let reply = client.get("/").leave_after(chunks).send();
        assert_eq!(reply.chunks().len(), chunks);
        assert!(reply.error().unwrap().is_gone());
    }
    assert_eq!(DROPS.with(|drops| drops.get()), 3);
}

#[test]
fn a_panic_is_the_500_that_users_see() {
    let client = Client::new(|request: Request| -> Body {
        match request.path() {
            "/handler" => panic!("boom"),
            "/body" => Body::stream(|_| panic!("{}", "boom")),
            _ => Body::stream(|out| {
                out.send("a")?;
                panic!("boom")
            }),
        }
    });
    for path in ["/handler", "/body"] {
        let reply = client.get(path).send();
        assert_eq!(
            reply.text(),
            "500 Internal Server Error: the handler failed\n"
        );
        assert_eq!(reply.panic(), Some("boom"));
    }
    let cut = client.get("/late").send();
    assert_eq!((cut.status().as_u16(), cut.text().as_str()), (200, "a"));
    assert_eq!(cut.panic(), Some("boom"));
    assert!(cut.error().is_some());
}

#[test]
fn redirects_are_followed_on_demand() {
    let mut app = crate::App::new();
    app.post("/303", |request: Request| request.redirect("/end?a"));
    app.post("/307", |request: Request| {
        request.redirect("/end").with_status(307)
    });
    app.get("/dir/relative", |_: Request| Response::redirect("end", 302));
    app.get("/dir/end", |_: Request| "in the directory");
    app.get("/loop", |request: Request| request.redirect("/loop"));
    app.get("/away", |_: Request| {
        Response::redirect("https://example.org/", 302)
    });
    app.get("/far", |_: Request| {
        Response::redirect("//example.org/", 302)
    });
    app.any("/end", |request: Request| {
        let body = request.body(99)?;
        Ok(format!(
            "{} {} {body:?}",
            request.method(),
            request.target()
        ))
    });
    let client = Client::new(app);
    let post = |path| client.post(path).body("x").follow().send().text();
    assert_eq!(post("/303"), "GET /end?a b\"\"");
    assert_eq!(post("/307"), "POST /end b\"x\"");
    let get = |path| client.get(path).follow().send();
    assert_eq!(get("/dir/relative").text(), "in the directory");
    for (path, status) in [("/loop", 303), ("/away", 302), ("/far", 302)] {
        assert_eq!(get(path).status(), status, "{path}");
    }
}

#[test]
fn events_are_found_in_whatever_pieces_they_come() {
    let text = "id: 1\r\nevent: a\rdata: x\ndata:y\n\n: comment\n\rdata\r\n\r\n\ndata: lost";
    let whole: Vec<_> = {
        let mut reader = EventReader::default();
        reader.feed(text.as_bytes());
        std::iter::from_fn(|| reader.next_event()).collect()
    };
    let seen: Vec<_> = whole
        .iter()
        .map(|event| (&*event.id, &*event.name, &*event.data))
        .collect();
    assert_eq!(seen, [("1", "a", "x\ny"), ("1", "message", "")]);
    let mut reader = EventReader::default();
    let mut events = Vec::new();
    for byte in text.bytes() {
        reader.feed(&[byte]);
        events.extend(std::iter::from_fn(|| reader.next_event()));
    }
    assert_eq!(events, whole);
}

#[test]
fn a_client_that_leaves_is_noticed_at_once() {
    let reply = Client::new(|_: Request| {
        Body::stream(|out| {
            out.send("a")?;
            unreachable!("a stream that waits for something would wait here")
        })
    });
    let by_itself = reply.get("/").leave_after(1).send();
    let told = reply.get("/").send_each(|_| ControlFlow::Break(()));
    for reply in [by_itself, told] {
        assert_eq!((reply.text().as_str(), reply.panic()), ("a", None));
        assert!(reply.error().unwrap().is_gone());
    }
}

#[test]
fn a_request_for_a_websocket_is_one() {
    let client = Client::new(|request: Request| {
        let field = |name| request.header(name).unwrap_or("none").to_owned();
        [
            field("upgrade"),
            field("connection"),
            field("sec-websocket-version"),
        ]
        .join(" ")
    });
    assert_eq!(client.websocket("/").send().text(), "websocket upgrade 13");
}
