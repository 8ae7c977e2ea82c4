//! Prints the shape of the workspace, for the table in CHANGELOG.md: lines of code by room, circles
//! of files, `unsafe` blocks and conditions of compilation.
//!
//! ```text
//! cargo run -p greenway-tests --bin shape             # of this workspace
//! cargo run -p greenway-tests --bin shape -- FOLDER   # of another checkout
//! ```

#![forbid(unsafe_code)]

use greenway_tests::architecture::{Arrow, Graph, Source, largest_circle};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Crates that may be there, in a checkout of whatever age.
const CRATES: [&str; 4] = [
    "app-api/src",
    "runtime/src",
    "runtime/proto/src",
    "runtime/green/src",
];

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = std::env::args_os().nth(1).map_or(workspace, PathBuf::from);
    for src in CRATES.iter().filter(|src| root.join(src).is_dir()) {
        let sources = Source::under(&root, src);
        let mut rooms: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
        for source in &sources {
            let (code, tests) = source.lines_of_code();
            let room = rooms.entry(Arrow::room_of(&source.path)).or_default();
            *room = (room.0 + 1, room.1 + code, room.2 + tests);
        }
        let unsafe_blocks: usize = sources.iter().map(Source::unsafe_blocks).sum();
        let conditions: usize = sources.iter().map(Source::conditions).sum();
        let product: Vec<_> = sources
            .iter()
            .filter(|source| !source.is_test())
            .cloned()
            .collect();
        let arrows = Graph::new(&product, src).arrows();
        let edges = arrows
            .iter()
            .filter_map(|arrow| Some((&*arrow.from, arrow.to.as_deref()?)));
        let circle = largest_circle(edges).len();
        println!("{src}: {} files, {} arrows", product.len(), arrows.len());
        println!(
            "  largest circle of files {circle}, unsafe blocks {unsafe_blocks}, cfgs {conditions}"
        );
        for (room, (files, code, tests)) in rooms {
            let room = if room.is_empty() { "(root)" } else { room };
            println!("  {room:<14} {files:>3} files {code:>6} lines of code {tests:>6} of tests");
        }
    }
}
