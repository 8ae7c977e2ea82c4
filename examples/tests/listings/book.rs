//! What the book shows is what runs.
//!
//! A comment `<!-- listing: FILE#ANCHOR -->` in front of a block of Rust says where the block comes
//! from: from between `// ANCHOR: …` and `// ANCHOR_END: …` in a file below `examples/`, or in
//! `../tests/`, where listings run that take a database. Anchors may be nested; their marks, and
//! `pub(crate)`, which only the tour needs, are left out. Every block of Rust in the book and in the
//! README has one. In front of a block of HTML, `<!-- listing: FILE -->` stands for the whole file.
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

fn root() -> PathBuf {
    examples().join("..")
}

/// The chapters of the book in `folder` and in the folders below it.
fn chapters_in(folder: &Path) -> Vec<PathBuf> {
    let mut chapters = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            chapters.extend(chapters_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            chapters.push(path);
        }
    }
    chapters.sort();
    chapters
}

fn chapters() -> Vec<PathBuf> {
    let mut chapters = chapters_in(&root().join("docs/src"));
    chapters.push(root().join("README.md"));
    chapters
}

/// What else is read beside the book. A crate's README compiles with the crate's own tests.
fn other_pages() -> Vec<PathBuf> {
    [
        "SECURITY.md",
        "CHANGELOG.md",
        "benches/README.md",
        "app-api/README.md",
        "runtime/README.md",
        "runtime/proto/README.md",
        "runtime/green/README.md",
        "runtime/monkey/README.md",
    ]
    .map(|page| root().join(page))
    .into()
}

/// The text between the marks of an anchor, without the indentation that its lines share.
fn excerpt(reference: &str) -> String {
    let (file, anchor) = reference.split_once('#').unwrap_or((reference, ""));
    let source = fs::read_to_string(examples().join(file)).expect(reference);
    if anchor.is_empty() {
        return source;
    }
    let mut lines = source.lines();
    lines
        .find(|line| line.trim() == format!("// ANCHOR: {anchor}"))
        .unwrap_or_else(|| panic!("{reference}: there is no such anchor"));
    let lines: Vec<_> = lines
        .take_while(|line| line.trim() != format!("// ANCHOR_END: {anchor}"))
        .filter(|line| !line.trim_start().starts_with("// ANCHOR"))
        .map(|line| line.replacen("pub(crate) ", "", 1))
        .collect();
    let indent = |line: &String| line.len() - line.trim_start().len();
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
        } else if line == "```rust" || (line == "```html" && reference.is_some()) {
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
        "limits.rs#program",
        "stream.rs#program",
        "fetch.rs#program",
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
    for chapter in chapters().into_iter().chain(other_pages()) {
        let text = fs::read_to_string(&chapter).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            if path.contains("://") {
                continue;
            }
            let target = match path {
                "" => chapter.clone(),
                path => chapter.parent().unwrap().join(path),
            };
            let there = if heading.is_empty() {
                target.exists()
            } else {
                headings(&target).contains(heading)
            };
            assert!(there, "{}: {link} leads nowhere", chapter.display());
            checked += 1;
        }
    }
    assert!(checked > 10, "links were found");
}

/// The names under which links reach the headings of a page.
fn headings(page: &Path) -> HashSet<String> {
    let text = fs::read_to_string(page).unwrap_or_default();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// What is not in the summary is not in the book.
#[test]
fn the_summary_lists_every_chapter() {
    let source = root().join("docs/src");
    let summary = fs::read_to_string(source.join("SUMMARY.md")).unwrap();
    for chapter in chapters_in(&source) {
        let name = chapter.strip_prefix(&source).unwrap().to_str().unwrap();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("]({name})")),
            "{name} is not in the summary"
        );
    }
}

/// The map in README leads to what there is.
#[test]
fn the_layout_names_what_exists() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, layout) = readme.split_once("## Layout\n").expect("there is one");
    let (layout, _) = layout.split_once("\n## ").expect("another section follows");
    let (floors, places) = layout
        .split_once("### Where is ...?\n")
        .expect("there is one");
    let mut checked = 0;
    let mut check = |path: &str| {
        assert!(root().join(path).exists(), "README: {path} does not exist");
        checked += 1;
    };
    for row in floors.lines().filter(|line| line.starts_with("| `")) {
        check(row.split('`').nth(1).unwrap());
    }
    for row in places.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cell = row.trim_matches('|').rsplit(" | ").next().unwrap();
        let mut folder = String::new();
        for path in cell.split('`').skip(1).step_by(2) {
            let whole = if path.contains("src/") || path.starts_with('.') {
                path.to_owned()
            } else {
                format!("{folder}{path}")
            };
            if let Some(at) = whole.find("src/") {
                folder = whole[..at + "src/".len()].to_owned();
            }
            check(&whole);
        }
    }
    assert!(checked > 20, "paths were found");
}
