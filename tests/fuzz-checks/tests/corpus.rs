//! The inputs that the fuzzer has kept, without a fuzzer: what they once found stays found.

use greenway_fuzz_checks as checks;
use std::fs;
use std::path::Path;

/// Runs a fuzz target on its corpus.
fn replay(name: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name);
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut inputs = 0;
    for entry in entries {
        let path = entry.expect("the directory was read a moment ago").path();
        let input = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Shown if the target panics.
        println!("{}", path.display());
        target(&input);
        inputs += 1;
    }
    assert!(inputs > 10, "{name}: a corpus of {inputs} inputs");
}

#[test]
fn heads() {
    replay("head", checks::head);
}

#[test]
fn chunked_bodies() {
    replay("chunked", checks::chunked);
}

#[test]
fn connections() {
    replay("connection", checks::connection);
}

#[test]
fn websockets() {
    replay("websocket", checks::websocket);
}

#[test]
fn multipart_forms() {
    replay("multipart", checks::multipart);
}

#[test]
fn range_headers() {
    replay("ranges", checks::ranges);
}

#[test]
fn cookies() {
    replay("cookies", checks::cookies);
}
