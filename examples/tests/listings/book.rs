//! What the book shows is what runs.
//!
//! A comment `<!-- listing: FILE#ANCHOR -->` in front of a block of Rust says where the block comes
//! from: from between `// ANCHOR: …` and `// ANCHOR_END: …` in a file below `examples/`. Every
//! block of Rust in the book and in the README has one.
//!
//! After a change of a listing, `GREENWAY_UPDATE_BOOK=1 cargo test -p greenway-examples book`
//! writes it into the chapters.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn examples() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chapters() -> Vec<PathBuf> {
    let mut chapters: Vec<_> = fs::read_dir(examples().join("../docs/src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    chapters.sort();
    chapters.push(examples().join("../README.md"));
    chapters
}

/// The text between the marks of an anchor, without the indentation that its lines share.
fn excerpt(reference: &str) -> String {
    let (file, anchor) = reference
        .split_once('#')
        .expect("a reference is FILE#ANCHOR");
    let source = fs::read_to_string(examples().join(file)).expect(reference);
    let mut lines = source.lines();
    lines
        .find(|line| line.trim() == format!("// ANCHOR: {anchor}"))
        .unwrap_or_else(|| panic!("{reference}: there is no such anchor"));
    let lines: Vec<_> = lines
        .take_while(|line| line.trim() != format!("// ANCHOR_END: {anchor}"))
        .collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let shared = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(indent)
        .min()
        .unwrap_or_default();
    lines.iter().fold(String::new(), |mut text, line| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.get(shared..).unwrap_or_default());
        text
    })
}

/// A chapter with its listings as the programs have them, and where they come from.
fn refreshed(chapter: &Path, text: &str) -> (String, Vec<String>) {
    let (mut out, mut references) = (String::new(), Vec::new());
    let mut lines = text.lines();
    let mut reference = None;
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if let Some(mark) = line.strip_prefix("<!-- listing: ") {
            reference = Some(mark.strip_suffix(" -->").expect(line).to_owned());
        } else if line == "```rust" {
            let reference: String = reference
                .take()
                .unwrap_or_else(|| panic!("{}: Rust that is not tested", chapter.display()));
            lines
                .find(|line| *line == "```")
                .expect("a block has an end");
            out.push_str(&excerpt(&reference));
            out.push_str("```\n");
            references.push(reference);
        } else {
            assert!(
                reference.is_none(),
                "{}: `{line}` follows a mark",
                chapter.display()
            );
        }
    }
    (out, references)
}

#[test]
fn book_shows_the_listings_that_run() {
    let update = std::env::var_os("GREENWAY_UPDATE_BOOK").is_some();
    let mut shown = HashSet::new();
    for chapter in chapters() {
        let text = fs::read_to_string(&chapter).unwrap();
        let (expected, references) = refreshed(&chapter, &text);
        shown.extend(references);
        if update && text != expected {
            fs::write(&chapter, &expected).unwrap();
        } else {
            assert!(
                text == expected,
                "{} differs from the programs; see the head of this file",
                chapter.display()
            );
        }
    }
    for listing in [
        "limits.rs#gate",
        "stream.rs#stream",
        "fetch.rs#fetch",
        "chat.rs#room",
    ] {
        assert!(shown.contains(listing), "the primer shows {listing}");
    }
    assert!(
        shown.contains("readme.rs#readme"),
        "the README shows a program"
    );
}

#[test]
fn book_links_lead_somewhere() {
    let mut checked = 0;
    for chapter in chapters() {
        let text = fs::read_to_string(&chapter).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let target = chapter.parent().unwrap().join(path);
            assert!(
                target.exists(),
                "{}: {link} leads nowhere",
                chapter.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 10, "links were found");
}
