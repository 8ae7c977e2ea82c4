//! Which part may know which: between crates, by their manifests; within a crate, by the paths in
//! its sources.
//!
//! Comments, strings and tests do not count. Paths are followed through `super`, imports and
//! re-exports (`greenway_tests::architecture`), so a rule cannot be evaded by another spelling.

use greenway_tests::architecture::{Arrow, Graph, Source, circles, largest_circle};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The arrows that may be between the rooms of `greenway`, which are the folders and files beside
/// its `lib.rs`. What is not here must not be in the sources.
const ARROWS: [(&str, &str, &str); 38] = [
    (
        "cli",
        "server",
        "the command line starts a server and stops it",
    ),
    (
        "cli",
        "service",
        "flags are made from the table of settings",
    ),
    (
        "cli",
        "processes",
        "a program leads processes, or is one of them",
    ),
    (
        "processes",
        "server",
        "sockets, metrics pages and the service manager of a master",
    ),
    (
        "processes",
        "service",
        "settings, and threads that must not die without a word",
    ),
    (
        "server",
        "engine",
        "the builder starts the engine, a stop ends it",
    ),
    (
        "server",
        "service",
        "it is built here, shown by the metrics, and ended by a stop",
    ),
    (
        "server",
        "lock",
        "the engine is taken out of a running server once",
    ),
    (
        "engine",
        "connection",
        "engines give connections their threads",
    ),
    ("engine", "http2", "whose streams get threads as well"),
    (
        "http2",
        "connection",
        "it begins on one, and each stream is the transport of one",
    ),
    ("http2", "service", "limits, clocks, the stop, the log"),
    (
        "http2",
        "lock",
        "the two directions of a stream, and who waits",
    ),
    (
        "engine",
        "service",
        "limits, lifecycle, counters and logs of those who wait",
    ),
    (
        "engine",
        "lock",
        "the spare descriptor; the lines of minihttp",
    ),
    (
        "connection",
        "service",
        "what a connection needs of its server",
    ),
    (
        "connection",
        "lock",
        "the list of those who watch for a departure",
    ),
    (
        "websocket",
        "connection",
        "a WebSocket stands on an upgraded connection",
    ),
    (
        "websocket",
        "service",
        "it is counted, and closed by a stop",
    ),
    ("websocket", "lock", "outboxes and clocks"),
    ("service", "lock", "registries, logs and counts"),
    (
        "server",
        "tls",
        "what the settings want of it, and files that change",
    ),
    ("service", "tls", "what a connection needs to speak it"),
    ("engine", "tls", "handshakes"),
    ("connection", "tls", "sockets whose bytes are encrypted"),
    ("websocket", "tls", "wss: addresses"),
    ("tls", "lock", "sessions, and what is read anew"),
    ("tls", "ticket_keys", "tickets are sealed with them"),
    (
        "processes",
        "ticket_keys",
        "a master hands them to its processes",
    ),
    (
        "service",
        "ticket_keys",
        "whose keys a server's connections have",
    ),
    ("ticket_keys", "lock", "keys change"),
    (
        "testing",
        "connection",
        "a test's connection in process is served as any other",
    ),
    ("testing", "service", "for which there has to be one"),
    ("testing", "server", "tests start servers"),
    ("testing", "websocket", "the client's end of one"),
    ("room", "websocket", "members that are WebSockets"),
    ("room", "sse", "members that are streams of events"),
    ("room", "lock", "queues and histories"),
    ("room", "redis", "a bus between processes"),
    (
        "room",
        "service",
        "the bus that the settings name, and what is counted of it",
    ),
    ("redis", "tls", "rediss: addresses"),
    ("server", "redis", "whether the setting is an address"),
];

/// How many files of a crate may reach each other in a circle.
const LARGEST_CIRCLES: [(&str, usize); 4] = [
    ("app-api/src", 3),
    ("runtime/proto/src", 6),
    ("runtime/green/src", 6),
    ("runtime/src", 6),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
        .to_owned()
}

fn sources(folder: &str) -> Vec<Source> {
    Source::under(&root(), folder)
}

/// The arrows within a crate.
fn arrows(src: &str) -> Vec<Arrow> {
    let sources: Vec<_> = sources(src)
        .into_iter()
        .filter(|source| !source.is_test())
        .collect();
    Graph::new(&sources, src).arrows()
}

/// The arrows between rooms, each with an example: the rooms that paths name, and those that have
/// what the paths lead to.
fn between_rooms(arrows: &[Arrow]) -> Vec<(&str, &str, &Arrow)> {
    let mut found = Vec::new();
    for arrow in arrows {
        let from = Arrow::room_of(&arrow.from);
        let leads = arrow.to.as_deref().map(Arrow::room_of);
        let rooms: BTreeSet<_> = leads.into_iter().chain([arrow.room_named()]).collect();
        // The root has re-exports only, which are followed; and it may know every room.
        let others = rooms.into_iter().filter(|to| !to.is_empty() && *to != from);
        found.extend(
            others
                .filter(|_| !from.is_empty())
                .map(|to| (from, to, arrow)),
        );
    }
    found
}

#[test]
fn rooms_know_only_what_lies_below_them() {
    let arrows = arrows("runtime/src");
    let allowed = |from: &str, to: &str| ARROWS.iter().any(|(a, b, _)| (*a, *b) == (from, to));
    let wrong: Vec<_> = between_rooms(&arrows)
        .into_iter()
        .filter(|(from, to, _)| !allowed(from, to))
        .map(|(from, to, arrow)| format!("{from} > {to}: {} names {}", arrow.from, arrow.through))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(arrows.len() > 100, "the sources were not found");
}

#[test]
fn the_rules_have_no_circle() {
    let rules = ARROWS.iter().map(|(from, to, _)| (*from, *to));
    assert_eq!(circles(rules), [] as [BTreeSet<&str>; 0]);
}

/// The rules would notice a wrong arrow, whichever way it is written.
#[test]
fn a_planted_arrow_is_noticed() {
    for planted in [
        "use crate::server::Server;",
        "use super::super::server::Server;",
        "use crate::Server;",
        "fn f() { crate::server::listen() }",
        "use crate::{service::Service, server};",
    ] {
        let mut sources = sources("runtime/src");
        let planted = Source::new("runtime/src/connection/planted.rs", planted);
        sources.push(planted);
        sources.retain(|source| !source.is_test());
        let arrows = Graph::new(&sources, "runtime/src").arrows();
        let found = between_rooms(&arrows);
        let is_it = |(from, to, _): &(&str, &str, &Arrow)| (*from, *to) == ("connection", "server");
        assert!(
            found.iter().any(is_it),
            "{:?}",
            sources.last().map(|s| &s.text)
        );
    }
}

#[test]
fn circles_of_files_are_small() {
    for (src, most) in LARGEST_CIRCLES {
        let arrows = arrows(src);
        let edges = arrows
            .iter()
            .filter_map(|arrow| Some((&*arrow.from, arrow.to.as_deref()?)));
        let circle = largest_circle(edges);
        assert!(
            circle.len() <= most,
            "{src}: {} files know each other: {circle:#?}",
            circle.len()
        );
    }
}

/// What a package is built with, its tests included.
fn dependencies(folder: &str) -> Vec<String> {
    dependencies_in(folder, &["[dependencies]", "[dev-dependencies]"])
}

/// The dependencies of a package, in the sections with these names.
fn dependencies_in(folder: &str, sections: &[&str]) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml"))
        .expect("each package has a manifest");
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = sections.contains(&line);
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.extend(line.split(['.', '=', ' ']).next().map(str::to_owned));
        }
    }
    assert!(!names.is_empty(), "{folder} depends on nothing");
    names
}

#[track_caller]
fn nobody(sources: &[Source], what: &str, does: impl Fn(&Source) -> bool) {
    let guilty: Vec<_> = sources
        .iter()
        .filter(|source| does(source))
        .map(|source| &source.path)
        .collect();
    assert!(guilty.is_empty(), "{what}: {guilty:#?}");
}

#[test]
fn the_contract_knows_no_server() {
    let allowed = dependencies("app-api");
    for forbidden in [
        "greenway",
        "may",
        "may_minihttp",
        "mio",
        "socket2",
        "libc",
        "rustix",
        "tokio",
        "crossbeam-channel",
    ] {
        assert!(
            !allowed.iter().any(|name| name == forbidden),
            "greenway-app depends on {forbidden}"
        );
    }
    let sources = sources("app-api/src");
    nobody(&sources, "app-api starts threads", |source| {
        source.names("std::thread") || source.names("thread::spawn")
    });
    nobody(&sources, "app-api opens sockets", |source| {
        source.words().any(|word| {
            [
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "UnixStream",
                "UnixListener",
            ]
            .contains(&word)
        })
    });
    nobody(&sources, "app-api is for one system only", |source| {
        source.names("std::os")
    });
    nobody(&sources, "app-api has unsafe code", |source| {
        source.has_word("unsafe")
    });
    let lib = fs::read_to_string(root().join("app-api/src/lib.rs")).unwrap();
    assert!(lib.contains("#![forbid(unsafe_code)]"));
}

/// Which of our crates each may depend on.
const CRATES: [(&str, &[&str]); 5] = [
    ("app-api", &[]),
    ("runtime/proto", &["greenway-app"]),
    ("runtime/green", &["greenway-app"]),
    ("runtime/monkey", &["greenway-green"]),
    (
        "runtime",
        &[
            "greenway-app",
            "greenway-proto",
            "greenway-green",
            "greenway-monkey",
        ],
    ),
];

#[test]
fn crates_depend_downwards_and_one_knows_may() {
    for (folder, allowed) in CRATES {
        for name in &dependencies_in(folder, &["[dependencies]"]) {
            let ours = name.starts_with("greenway");
            assert!(
                !ours || allowed.contains(&name.as_str()),
                "{folder} depends on {name}"
            );
            assert!(
                name != "may" || folder == "runtime/green",
                "{folder} depends on `may`"
            );
        }
        let lib = fs::read_to_string(root().join(folder).join("src/lib.rs")).unwrap();
        let forbids = lib.contains("#![forbid(unsafe_code)]");
        let may_not = !["runtime/green", "runtime/monkey"].contains(&folder);
        assert_eq!(forbids, may_not, "{folder}: unsafe code");
    }
}

#[test]
fn protocol_code_does_no_io() {
    for forbidden in [
        "may",
        "mio",
        "socket2",
        "libc",
        "rustix",
        "crossbeam-channel",
        "signal-hook",
    ] {
        let dependencies = dependencies("runtime/proto");
        assert!(
            !dependencies.iter().any(|name| name == forbidden),
            "it depends on {forbidden}"
        );
    }
    let mut sources = sources("runtime/proto/src");
    // Tests hold the protocol against others, which read and write.
    sources.retain(|source| !source.is_test());
    nobody(&sources, "protocol code reads or writes", |source| {
        let io = ["BufRead", "TcpStream", "UnixStream", "File", "Transport"];
        source.names("io::Read") || source.words().any(|word| io.contains(&word))
    });
    nobody(&sources, "protocol code waits", |source| {
        source.names("std::thread") || source.names("std::sync")
    });
    nobody(
        &sources,
        "protocol code looks at a clock (only http1's date.rs may)",
        |source| {
            !source.path.ends_with("http1/date.rs")
                && (source.names("Instant::now") || source.has_word("SystemTime"))
        },
    );
}

#[test]
fn one_crate_knows_may() {
    let mut others = sources("runtime/src");
    others.extend(sources("runtime/proto/src"));
    others.extend(sources("runtime/monkey/src"));
    nobody(&others, "`may` is named outside of green", |source| {
        source.uses_crate("may")
    });
    nobody(
        &others,
        "`may_minihttp` is named outside of its engine",
        |source| {
            source.path != "runtime/src/engine/minihttp.rs" && source.uses_crate("may_minihttp")
        },
    );
    for folder in ["examples", "tests", "benches"] {
        assert!(
            !dependencies(folder).iter().any(|name| name == "may"),
            "{folder} depends on `may`"
        );
    }
}

/// `green` and `monkey`, whose functions are C's. `forbid(unsafe_code)` holds it for the other crates; this is for programs and tests. `tests/poison` is in no program: it is the
/// allocator that finds faults of `green`'s, and an allocator cannot be written otherwise.
#[test]
fn two_crates_have_unsafe_code() {
    let mut others = sources("runtime/src");
    others.extend(sources("runtime/proto/src"));
    nobody(
        &others,
        "unsafe code outside of green and monkey",
        |source| source.has_word("unsafe"),
    );
    for folder in ["examples", "tests/src", "tests/suite"] {
        nobody(&sources(folder), "unsafe code", |source| {
            source.has_word("unsafe")
        });
    }
}

#[test]
fn green_threads_know_no_server() {
    let sources = sources("runtime/green/src");
    nobody(&sources, "green knows a server", |source| {
        source.names("greenway_proto") || source.names("greenway")
    });
}

#[test]
fn engines_know_no_applications() {
    let sources: Vec<_> = sources("runtime/src/engine")
        .into_iter()
        .filter(|source| !source.path.ends_with("minihttp.rs"))
        .collect();
    nobody(&sources, "an engine knows applications", |source| {
        source
            .words()
            .any(|word| ["Application", "IntoResponse", "HttpError"].contains(&word))
    });
}

/// Cargo unifies features, so any crate of the workspace could turn `work_steal` on for all of
/// them, and green threads would begin to move.
#[test]
fn work_stealing_is_off() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--offline",
            "--edges",
            "features",
            "--prefix",
            "none",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs this test");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && tree.contains("may v"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let guilty: Vec<_> = tree
        .lines()
        .filter(|line| line.starts_with("may feature") || line.starts_with("may_minihttp feature"))
        .filter(|line| line.contains("\"work_steal\"") || line.contains("\"default\""))
        .collect();
    assert!(guilty.is_empty(), "{guilty:#?}");
}

/// A handler that is ended unwinds. The compiler alone is asked, which sees that message before it misses
/// the crates that these depend on.
#[test]
fn a_build_that_aborts_on_panics_is_refused() {
    let rustc = std::path::Path::new(env!("CARGO")).with_file_name("rustc");
    for source in ["runtime/src/lib.rs", "runtime/green/src/lib.rs"] {
        let refused = |panic: &str| {
            let mut rustc = std::process::Command::new(&rustc);
            rustc.current_dir(root()).arg(source).args(["-C", panic]);
            rustc.args([
                "--edition",
                "2024",
                "--crate-type",
                "lib",
                "--emit",
                "metadata=/dev/null",
            ]);
            let output = rustc.output().expect("cargo has a compiler beside it");
            String::from_utf8_lossy(&output.stderr).contains("build with `panic = \"unwind\"`")
        };
        assert!(refused("panic=abort"), "{source}");
        assert!(!refused("panic=unwind"), "{source}");
    }
}
