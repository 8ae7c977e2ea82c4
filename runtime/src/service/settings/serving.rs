//! Where handlers run, where the server listens, and how many it serves at once.

use super::setting::Setting;

#[cfg(feature = "minihttp")]
const ENGINES: &str = "Where handlers run: green (a green thread for each connection), threads (a \
    fixed pool of OS threads) or minihttp (hosted by the crate may_minihttp).";
#[cfg(not(feature = "minihttp"))]
const ENGINES: &str = "Where handlers run: green (a green thread for each connection) or threads \
    (a fixed pool of OS threads).";

const ENGINE_NAMES: &[&str] = &[
    "green",
    "threads",
    #[cfg(feature = "minihttp")]
    "minihttp",
];

pub(super) static SERVING: &[Setting] = &[
    Setting::new("engine", "ENGINE", |all| &mut all.server.engine, ENGINES)
        .short('k')
        .words(ENGINE_NAMES)
        .alias("worker-class"),
    Setting::new(
        "bind",
        "ADDRESS",
        |all| &mut all.server.bind,
        "Listen on HOST:PORT, unix:PATH or fd://NUMBER; may be given several times.",
    )
    .short('b')
    .default(
        "the sockets of LISTEN_FDS (systemd); else 0.0.0.0:$PORT where PORT is set; else \
         127.0.0.1:8000",
    ),
    Setting::new(
        "cores",
        "N",
        |all| &mut all.server.green.workers,
        "OS threads that run green threads.",
    )
    .default("one for each core, divided among the processes of --workers"),
    Setting::new(
        "threads",
        "N",
        |all| &mut all.server.threads,
        "Requests that the threads engine serves at once.",
    ),
    Setting::new(
        "websocket-threads",
        "N",
        |all| &mut all.server.websocket_threads,
        "WebSockets that may be open at once on the threads engine, where each holds a thread; \
         more are answered with 503.",
    )
    .default("half of the threads"),
    Setting::new(
        "websocket-stop-code",
        "CODE",
        |all| &mut all.server.websocket_stop_code,
        "The close code that WebSockets are sent when the server stops, such as 1001 (going away) \
         or 1012 (restart).",
    ),
    Setting::new(
        "worker-connections",
        "N",
        |all| &mut all.server.connections,
        "Connections that may be open at once; more are answered with 503.",
    )
    .default("what the limits of the process allow"),
    Setting::new(
        "limit-handlers",
        "N",
        |all| &mut all.server.handlers,
        "Handlers that may run at once; more are answered with 503.",
    )
    .default("no limit"),
    Setting::new(
        "room-bus",
        "URL",
        |all| &mut all.server.room_bus,
        "The Redis over which rooms that have a name are one room in all processes, such as \
         redis://HOST:6379; in a build with greenway's feature redis.",
    )
    .default("the rooms of each process are its own"),
    Setting::new(
        "backlog",
        "N",
        |all| &mut all.server.backlog,
        "Connections that the kernel keeps until they are accepted.",
    ),
];
