//! What feeds a body is dropped exactly once, on the thread that served it, before the next
//! request of the connection is looked at: PEP 3333's `close()`.

use greenway::green::Queue;
use greenway::{
    Application, Body, BodyError, Engine, IntoResponse, Out, Request, Response, Server, green,
};
use greenway_tests::request::{get, with};
use greenway_tests::{
    Client, Drops, Gate, TestServer, Witness, linted, next, on_green_and_threads,
};
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

on_green_and_threads!(
    at_the_end,
    at_an_error,
    at_a_panic,
    when_the_client_is_gone,
    when_the_client_is_gone_during_a_queue,
    when_the_server_stops,
    when_it_is_not_wanted,
    when_the_handler_panics,
    when_middleware_replaces_it,
    an_iterator_is_dropped_as_well,
    a_captured_input_is_dropped_as_well,
);

/// With its Content-Type.
fn streamed(body: Body) -> Response {
    body.into_response()
}

/// A server whose bodies hold a witness, and what its drops looked like.
struct Watched {
    server: TestServer,
    drops: Drops,
    /// Which thread has called the application, for each request.
    threads: Queue<ThreadId>,
}

impl Watched {
    /// `/next` answers with how many witnesses are gone; all other paths with `produce`.
    fn start(
        engine: Engine,
        produce: impl Fn(&mut Out<'_>) -> Result<(), BodyError> + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(engine, move |witness| {
            let produce = produce.clone();
            streamed(Body::stream(move |out| {
                let _witness = &witness;
                produce(out)
            }))
        })
    }

    fn start_with(
        engine: Engine,
        respond: impl Fn(Witness) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::served_by(linted, engine, respond)
    }

    fn served_by(
        serve: fn(Arc<dyn Application>) -> Server,
        engine: Engine,
        respond: impl Fn(Witness) -> Response + Send + Sync + 'static,
    ) -> Self {
        let drops = Drops::new();
        let threads = Queue::new(1024);
        let (there, report) = (drops.clone(), threads.clone());
        let app = move |request: Request| {
            if request.path() == "/next" {
                return Response::new(there.pending().to_string());
            }
            report
                .try_put(std::thread::current().id())
                .expect("there is room for all tests ask for");
            respond(there.witness())
        };
        Self {
            server: TestServer::start(serve(Arc::new(app)).engine(engine)),
            drops,
            threads,
        }
    }

    /// One witness is gone, on the thread that has called the application; and no other.
    #[track_caller]
    fn one_is_gone(self) {
        let dropped = self.drops.wait();
        assert_eq!(
            dropped.thread,
            next(&self.threads),
            "dropped on the thread that served it"
        );
        self.server.stop();
        assert_eq!(self.drops.pending(), 0, "dropped once");
    }
}

fn at_the_end(engine: Engine) {
    let watched = Watched::start(engine, |out| {
        out.send("A")?;
        out.send("B")
    });
    let mut client = watched.server.connect();
    client.send(get("/") + &get("/next"));
    assert_eq!(client.reply().text(), "AB");
    assert_eq!(client.reply().text(), "1", "gone before the next request");
    watched.one_is_gone();
}

fn at_an_error(engine: Engine) {
    let early = Watched::start(engine, |_| Err(BodyError::new("early")));
    let mut client = early.server.connect();
    client.send(get("/") + &get("/next"));
    assert_eq!(client.reply().status(), 500);
    assert_eq!(client.reply().text(), "1", "gone before the next request");
    early.one_is_gone();

    let midway = Watched::start(engine, |out| {
        out.send("A")?;
        Err(BodyError::new("midway"))
    });
    midway.server.connect().send(get("/")).rest_or_reset();
    midway.one_is_gone();
}

fn at_a_panic(engine: Engine) {
    let early = Watched::start(engine, |_| panic!("early"));
    let mut client = early.server.connect();
    client.send(get("/") + &get("/next"));
    assert_eq!(client.reply().status(), 500);
    assert_eq!(client.reply().text(), "1", "gone before the next request");
    early.one_is_gone();

    let midway = Watched::start(engine, |out| {
        out.send("A")?;
        panic!("midway")
    });
    midway.server.connect().send(get("/")).rest_or_reset();
    midway.one_is_gone();
}

/// Sends for ever; only an error ends it.
fn endless(out: &mut Out<'_>, ends: &Queue<bool>) -> Result<(), BodyError> {
    loop {
        if let Err(error) = out.send(vec![b'x'; 64 * 1024]) {
            let _ = ends.try_put(error.is_gone());
            return Err(error);
        }
    }
}

fn when_the_client_is_gone(engine: Engine) {
    let leave: [fn(Client); 2] = [Client::reset, drop];
    for leave in leave {
        let ends = Queue::new(1);
        let report = ends.clone();
        let watched = Watched::start(engine, move |out| endless(out, &report));
        let mut client = watched.server.connect();
        client.send(get("/"));
        client.head();
        leave(client); // with unread data, so that the kernel resets the connection in any case
        assert!(next(&ends), "the error says that the client is gone");
        watched.one_is_gone();
    }
}

fn when_the_client_is_gone_during_a_queue(engine: Engine) {
    let queues = Queue::new(1);
    let given = queues.clone();
    let app = move |_: Request| {
        let queue = Queue::new(1);
        given.try_put(queue.clone()).expect("one request");
        queue
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/"));
    let feed = next(&queues);
    feed.put("first").unwrap();
    client.head();
    client.reset();
    // The producer learns of it from the error of a `put`, after as many as fit into buffers.
    let refused =
        (0..100_000).find(|_| feed.put_timeout("more", greenway_tests::DEADLINE).is_err());
    assert!(refused.is_some());
    assert!(feed.is_closed(), "closed, not only full");
}

fn when_the_server_stops(engine: Engine) {
    let entered = Gate::new();
    let arrived = entered.clone();
    let watched = Watched::start(engine, move |out| {
        out.send("START")?;
        arrived.open();
        green::sleep(Duration::MAX);
        out.send("never")
    });
    let mut client = watched.server.connect();
    client.send(get("/"));
    entered.pass();
    watched.server.stop();
    client.head();
    assert_eq!(client.chunk(), "START");
    client.is_cut_short();
    watched.one_is_gone();
}

fn when_it_is_not_wanted(engine: Engine) {
    let head = Watched::start(engine, |_| panic!("nobody asks for chunks"));
    let mut client = head.server.connect();
    client.send(with("HEAD", "/", "", "") + &get("/next"));
    assert_eq!(client.reply_to_head().status(), 200);
    assert_eq!(client.reply().text(), "1", "gone before the next request");
    head.one_is_gone();

    // No lint: it would not let such a body pass.
    let no_content = Watched::served_by(Server::new, engine, |witness| {
        streamed(Body::stream(move |_| {
            let _witness = witness;
            panic!("nobody asks for chunks")
        }))
        .with_status(204)
    });
    let mut client = no_content.server.connect();
    client.send(get("/") + &get("/next"));
    assert_eq!(client.reply().status(), 204);
    assert_eq!(client.reply().text(), "1", "gone before the next request");
    no_content.one_is_gone();
}

fn when_the_handler_panics(engine: Engine) {
    let watched = Watched::start_with(engine, |witness| {
        let _body = Body::stream(move |_| {
            let _witness = witness;
            Ok(())
        });
        panic!("after the body was made")
    });
    assert_eq!(watched.server.get("/").status(), 500);
    watched.one_is_gone();
}

fn when_middleware_replaces_it(engine: Engine) {
    let watched = Watched::start_with(engine, |witness| {
        let mut response = streamed(Body::stream(move |_| {
            let _witness = witness;
            Ok(())
        }));
        *response.body_mut() = Body::full("another");
        response
    });
    assert_eq!(watched.server.get("/").text(), "another");
    watched.one_is_gone();
}

fn an_iterator_is_dropped_as_well(engine: Engine) {
    let watched = Watched::start_with(engine, |witness| {
        streamed(Body::iter(["A", "B"].into_iter().inspect(move |_| {
            let _witness = &witness;
        })))
    });
    let mut client = watched.server.connect();
    client.send(get("/") + &get("/next"));
    assert_eq!(client.reply().text(), "AB");
    assert_eq!(client.reply().text(), "1", "gone before the next request");
    watched.one_is_gone();
}

/// A body that owns the request's `Input` lets go of it, so that the connection can go on.
fn a_captured_input_is_dropped_as_well(engine: Engine) {
    let app = |mut request: Request| {
        let input = request.take_input();
        Body::stream(move |out| {
            let _input = input;
            out.send("unread")
        })
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(with("POST", "/", "Content-Length: 4\r\n", "body"));
        assert_eq!(client.reply().text(), "unread");
    }
}
