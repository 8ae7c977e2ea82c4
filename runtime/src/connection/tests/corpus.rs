//! The connections that the fuzzer has kept, served over memory: what they once found stays found,
//! whatever a socket's timing would make of them.

use super::memory::serve;
use greenway_fuzz_checks::{Cuts, check_connection_to_the_byte};
use std::fs;
use std::path::Path;

#[test]
fn connections() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/connection");
    let mut inputs = 0;
    for entry in fs::read_dir(&corpus).expect("the corpus is part of the repository") {
        let path = entry.expect("the directory was read a moment ago").path();
        let input = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Shown if a check fails.
        println!("{}", path.display());
        let (&cuts, stream) = input.split_first().expect("no input is empty");
        check_connection_to_the_byte(serve, stream, Cuts(cuts));
        inputs += 1;
    }
    assert!(inputs > 10, "a corpus of {inputs} inputs");
}
