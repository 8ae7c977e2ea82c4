//! Pages from templates, over sockets: rendered whole, and rendered while they are sent to clients
//! that are slow, or leave.

use greenway::templates::{Templates, Value, context};
use greenway::testing;
use greenway::{App, Engine, Request, Server};
use greenway_tests::request::get;
use greenway_tests::{Client, Drops, Gate, TestServer, Witness, on_green_and_threads};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

on_green_and_threads!(
    pages_are_rendered,
    what_is_flushed_arrives_before_the_next_row_is_made,
    pages_that_wait_do_not_meet,
    a_slow_client_stops_the_rendering_of_its_page_alone,
    a_client_that_leaves_ends_the_rendering,
    a_late_mistake_cuts_the_connection,
);

/// Rows of the endless page, which nobody reads to its end, and bytes of each.
const ROWS: usize = 10_000_000;
const ROW: usize = 100;

/// What lies in the buffers of both kernels when a client reads nothing, at most.
const BUFFERS: usize = 64 << 20;

/// Clients that do not read: more than there are workers, fewer than there are pool threads.
const STALLED: usize = 8;

fn serve(engine: Engine, define: impl FnOnce(&mut App)) -> TestServer {
    let mut app = App::new();
    app.templates(Templates::embedded([
        (
            "page.html",
            "<p>{{ name }} {{ url_for('page', name='x y') }}",
        ),
        (
            "rows.txt",
            "head{{ flush() }}{% for row in rows %}{{ row }}{{ flush() }}{% endfor %}end",
        ),
        ("endless.txt", "{% for row in rows %}{{ row }}{% endfor %}"),
        (
            "late.txt",
            "{% for n in range(9000) %}{{ n }}{% endfor %}{{ flush() }}{{ none.x.y }}",
        ),
    ]));
    define(&mut app);
    app.get("/<name>", |request: Request| {
        request.render("page.html", context! { name => request.param("name") })
    })
    .name("page");
    TestServer::start(Server::new(app).engine(engine))
}

fn pages_are_rendered(engine: Engine) {
    let server = serve(engine, |_| ());
    let mut client = server.connect();
    for name in ["a", "%3Cb%3E"] {
        let reply = client.send(get(&format!("/{name}"))).reply();
        assert_eq!(
            reply.head.field("content-type"),
            Some("text/html; charset=utf-8")
        );
        let name = name.replace("%3C", "&lt;").replace("%3E", "&gt;");
        assert_eq!(reply.text(), format!("<p>{name} /x%20y"));
    }
}

/// A route whose page has three rows, each of which waits at the gate.
fn gated(app: &mut App, gate: &Gate) {
    let gate = gate.clone();
    app.get("/rows/<name>", move |request: Request| {
        let (gate, name) = (gate.clone(), request.param("name").to_owned());
        let rows = Value::make_iterable(move || {
            let (gate, name) = (gate.clone(), name.clone());
            (0..3).map(move |row| {
                gate.pass();
                format!("{name}{row}")
            })
        });
        request.render_stream("rows.txt", context! { rows })
    });
}

fn what_is_flushed_arrives_before_the_next_row_is_made(engine: Engine) {
    let gate = Gate::new();
    let server = serve(engine, |app| gated(app, &gate));
    let mut client = server.connect();
    client.send(get("/rows/a")).head();
    assert_eq!(client.chunk(), "head\n");
    for row in 0..3 {
        gate.open();
        assert_eq!(client.chunk(), format!("a{row}\n"));
    }
    assert_eq!(client.chunk(), "end");
}

/// Renderings that wait in turn, several on each worker, keep apart.
fn pages_that_wait_do_not_meet(engine: Engine) {
    let gate = Gate::new();
    let server = serve(engine, |app| gated(app, &gate));
    let names: Vec<_> = (b'a'..=b'j').map(char::from).collect();
    let ask = |name: &char| {
        let mut client = server.connect();
        client.send(get(&format!("/rows/{name}"))).head();
        assert_eq!(client.chunk(), "head\n");
        client
    };
    let mut clients: Vec<Client> = names.iter().map(ask).collect();
    gate.open_for(3 * names.len());
    for (name, client) in names.iter().zip(&mut clients) {
        let mut page = String::new();
        while !page.ends_with("end") {
            page += &client.chunk();
        }
        assert_eq!(page, format!("{name}0\n{name}1\n{name}2\nend"));
    }
}

/// A route with an endless page, that counts the rows which were made.
fn endless(app: &mut App, made: &Arc<AtomicUsize>, drops: &Drops) {
    let (made, drops) = (Arc::clone(made), drops.clone());
    app.get("/endless/", move |request: Request| {
        let (made, witness) = (Arc::clone(&made), Arc::new(drops.witness()));
        let rows = Value::make_iterable(move || {
            let (made, witness): (_, Arc<Witness>) = (Arc::clone(&made), Arc::clone(&witness));
            (0..ROWS).map(move |_| {
                let _is_held = &witness;
                made.fetch_add(1, Ordering::Relaxed);
                "x".repeat(ROW)
            })
        });
        request.render_stream("endless.txt", context! { rows })
    });
}

fn a_slow_client_stops_the_rendering_of_its_page_alone(engine: Engine) {
    let (made, drops) = (Arc::default(), Drops::new());
    let server = serve(engine, |app| endless(app, &made, &drops));
    let ask = |_| {
        let mut client = server.connect();
        client.send(get("/endless/"));
        client.take(1); // it has begun
        client
    };
    let stalled: Vec<Client> = (0..STALLED).map(ask).collect();
    for _ in 0..100 {
        assert_eq!(server.get("/a").status(), 200);
    }
    let bytes = made.load(Ordering::Relaxed) * ROW;
    assert!(bytes < STALLED * BUFFERS, "{bytes} bytes were rendered");
    drop(stalled);
    for _ in 0..STALLED {
        drops.wait();
    }
}

fn a_client_that_leaves_ends_the_rendering(engine: Engine) {
    let (made, drops) = (Arc::default(), Drops::new());
    let server = serve(engine, |app| endless(app, &made, &drops));
    let mut client = server.connect();
    client.send(get("/endless/"));
    client.take(100_000);
    drop(client);
    drops.wait();
    assert_eq!(server.get("/a").status(), 200);
    assert_eq!(drops.pending(), 0);
}

fn a_late_mistake_cuts_the_connection(engine: Engine) {
    let server = serve(engine, |app| {
        app.get("/late/", |request: Request| {
            request.render_stream("late.txt", context! {})
        });
    });
    let mut client = server.connect();
    client.send(get("/late/"));
    assert_eq!(client.head().status_line(), "HTTP/1.1 200 OK");
    let (rest, _) = client.rest_or_reset();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("8999"), "what came before is there: {rest}");
    assert!(!rest.ends_with("0\r\n\r\n"), "it looks whole: {rest}");
}

/// Bytes of a green thread's stack in a release build, of which a part lies below the renderer.
const STACK: usize = (256 << 10) - (64 << 10);

/// Templates that lie in one another without end are a mistake with a message, and no overflow.
#[test]
fn what_has_no_end_ends_before_the_stack_does() {
    let render = || {
        let mut app = App::new();
        app.templates(Templates::embedded([
            ("include.html", "{% include 'include.html' %}"),
            ("macro.html", "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}"),
            (
                "both.html",
                "{% macro m(x) %}{% set y %}{% include 'both.html' %}{% endset %}{% endmacro %}\
                 {% call m(1) %}{% endcall %}{{ m(1) }}",
            ),
            ("loop.html", "{% for x in [[1]] recursive %}{{ loop([[x]]) }}{% endfor %}"),
            ("caller.html", "{% macro m() %}{{ caller() }}{% call m() %}{% endcall %}{% endmacro %}{% call m() %}{% endcall %}"),
        ]));
        app.get("/<name>", |request: Request| {
            request.render(request.param("name"), context! {})
        });
        let client = testing::Client::new(app);
        for name in ["include", "macro", "both", "loop", "caller"] {
            let reply = client.get(&format!("/{name}.html")).send();
            assert_eq!(reply.status(), 500, "{name}");
            assert_eq!(reply.panic(), None, "{name}");
        }
    };
    let thread = thread::Builder::new().stack_size(STACK).spawn(render);
    thread
        .expect("there is room")
        .join()
        .expect("it does not panic");
}
