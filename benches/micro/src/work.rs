//! The benches: each does its thing so many times.

use std::hint::black_box;
use std::sync::Arc;

use greenway::green::{ConnectionPool, Queue, spawn, yield_now};
use greenway::testing::Client;
use greenway::{App, Application as _, ConnectionInfo, Head, Input, Request};

use crate::{protocol, web};

/// One thing that is counted.
pub struct Bench {
    /// Its name in `recorded.json`.
    pub name: &'static str,
    /// How often it is done: often enough that what it allocates now and then evens out.
    pub turns: usize,
    /// Does it so many times.
    pub run: fn(usize),
}

/// All of them.
pub const BENCHES: &[Bench] = &[
    bench("head-plain", 2_000, |n| {
        assert_eq!(protocol::heads(PLAIN, n), n);
    }),
    bench("head-browser", 1_000, |n| {
        assert_eq!(protocol::heads(BROWSER, n), n);
    }),
    bench("response-head", 2_000, |n| {
        assert!(protocol::responses(n) > 0);
    }),
    bench("chunk-out", 4_000, |n| {
        assert!(protocol::chunks_out(&[b'x'; 32], n) > 32);
    }),
    bench("chunk-in", 4_000, |n| {
        assert_eq!(protocol::chunks_in(&[b'x'; 32], n), 32 * n);
    }),
    // What a server has an application do for a request whose head it has read.
    bench("request-plain", 2_000, |n| requests(&["/"], n)),
    bench("request-routed", 2_000, |n| requests(&ROUTED, n)),
    // These two hold the request, the call and the response of the test client as well: the
    // routes are what is between them.
    bench("call-plain", 1_000, |n| call(&["/"], n)),
    bench("call-routed", 1_000, |n| {
        call(&ROUTED, n);
    }),
    // A thousand routes, and what axum's router takes to find the same paths among the same routes:
    // without the call that the first has around it, which is `call-plain`.
    bench("call-routed-1000", 1_000, call_among_1000),
    bench("matchit-1000", 1_000, matchit_among_1000),
    // What an application asks of a request, with the call around it as in `call-plain`.
    bench("cookie", 1_000, web::cookie),
    bench("form-fields", 1_000, web::form_fields),
    bench("form-file", 1_000, web::form_file),
    bench("json", 1_000, web::json),
    bench("static-304", 1_000, web::not_modified),
    bench("queue-put-get", 4_000, |n| {
        let queue = Queue::new(16);
        for turn in 0..n {
            queue.put(turn).expect("nobody closes it");
            assert_eq!(queue.get(), Some(turn));
        }
    }),
    bench("connection-pool", 4_000, |n| {
        let pool = ConnectionPool::builder(|| Ok::<_, String>(0_u64)).build();
        for _ in 0..n {
            *pool.get().expect("nobody closes it") += 1;
        }
        assert_eq!(*pool.get().expect("nobody closes it"), n as u64);
    }),
    bench("switch", 4_000, |n| {
        on_one_worker(move || {
            for _ in 0..n {
                yield_now();
            }
        });
    }),
    bench("queue-handover", 2_000, |n| {
        on_one_worker(move || {
            let (to, back) = (Queue::new(1), Queue::new(1));
            let (from, answer) = (to.clone(), back.clone());
            let other = greenway::green::spawn_local(move || {
                while let Some(turn) = from.get() {
                    answer.put(turn).expect("nobody closes it");
                }
            });
            for turn in 0..n {
                to.put(turn).expect("nobody closes it");
                assert_eq!(back.get(), Some(turn));
            }
            to.close();
            other.join().expect("it does not panic");
        });
    }),
];

/// By name.
pub fn find(name: &str) -> Option<&'static Bench> {
    BENCHES.iter().find(|bench| bench.name == name)
}

const fn bench(name: &'static str, turns: usize, run: fn(usize)) -> Bench {
    Bench { name, turns, run }
}

const PLAIN: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// What a browser sends on a plain navigation.
const BROWSER: &[u8] = b"GET /a/page?of=2 HTTP/1.1\r\nHost: 127.0.0.1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/143.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cache-Control: no-cache\r\nConnection: keep-alive\r\n\
    Cookie: session=Zm9vYmFyYmF6cXV4MDEyMzQ1Njc4OWFiY2RlZg; theme=dark; consent=2026-01-01\r\n\
    Referer: http://127.0.0.1/start\r\n\
    Sec-Ch-Ua: \"Chromium\";v=\"143\", \"Not_A Brand\";v=\"24\"\r\nSec-Ch-Ua-Mobile: ?0\r\n\
    Sec-Ch-Ua-Platform: \"Linux\"\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\
    Upgrade-Insecure-Requests: 1\r\n\r\n";

const ROUTED: [&str; 4] = ["/r00/7/ada", "/r50/7/ada", "/r99/7/ada", "/r25/7/ada"];

/// Has an application answer, as servers do: from a head that stands in memory to a response that is to
/// be written.
fn requests(targets: &[&str], n: usize) {
    let app = application();
    let connection = Arc::new(ConnectionInfo::new(None, None));
    let heads: Vec<Head> = targets
        .iter()
        .map(|target| {
            let request = http::Request::get(*target).header("host", "127.0.0.1");
            let request = request.body(()).expect("it is well-formed");
            Head::from_http(&request.into_parts().0)
        })
        .collect();
    for turn in 0..n {
        let head = heads[turn % heads.len()].clone();
        let request = Request::new(head, Input::empty(), Arc::clone(&connection));
        let mut response = app.call(request.expect("its path is text"));
        response.fit_to(&connection);
        assert_eq!(black_box(response.into_wire()).status, 200);
    }
}

/// Calls an application with 100 routes of two wildcards each and a plain one.
fn call(targets: &[&str], n: usize) {
    let client = Client::new(application());
    for turn in 0..n {
        let reply = client.get(targets[turn % targets.len()]).send();
        assert_eq!(reply.status(), 200);
    }
}

fn application() -> App {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello, World!");
    for index in 0..100 {
        app.get(
            &format!("/r{index:02}/<id:int>/<name>"),
            |request: Request| {
                black_box(request.param("name"));
                "Hello, World!"
            },
        );
    }
    app
}

/// Rules that share their beginnings, as those of large interfaces do.
fn rules(open: char, close: char) -> impl Iterator<Item = String> {
    let wild = move |name: &str| format!("{open}{name}{close}");
    (0..250).flat_map(move |n| {
        [
            format!("/api/v1/thing{n}"),
            format!("/api/v1/thing{n}/{}", wild("id")),
            format!("/users/{}/thing{n}", wild("user")),
            format!("/users/{}/thing{n}/{}", wild("user"), wild("id")),
        ]
    })
}

const AMONG_1000: [&str; 4] = [
    "/api/v1/thing7",
    "/api/v1/thing99/123",
    "/users/ada/thing200",
    "/users/ada/thing249/123",
];

fn call_among_1000(n: usize) {
    let mut app = App::new();
    for rule in rules('<', '>') {
        app.get(&rule, |_: Request| "Hello, World!");
    }
    let client = Client::new(app);
    for turn in 0..n {
        let reply = client.get(AMONG_1000[turn % AMONG_1000.len()]).send();
        assert_eq!(reply.status(), 200);
    }
}

fn matchit_among_1000(n: usize) {
    let mut router = matchit::Router::new();
    for rule in rules('{', '}') {
        router.insert(rule, ()).expect("the rules differ");
    }
    for turn in 0..n {
        let found = router.at(AMONG_1000[turn % AMONG_1000.len()]);
        black_box(found.expect("it is there").params.len());
    }
}

/// Runs `work` in a green thread, whose waits stay on its worker.
fn on_one_worker(work: impl FnOnce() + Send + 'static) {
    spawn(work).join().expect("it does not panic");
}
