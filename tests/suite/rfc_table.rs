//! The tables in the book are true: the tests that they name exist and run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    // This package is a directory of the workspace.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Pages, and how many tests they name at least.
const PAGES: [(&str, usize); 5] = [
    ("http", 100),
    ("hazards", 20),
    ("gevent-tests", 90),
    ("faults", 60),
    ("soundness", 15),
];

/// The directories that the pages' prefixes stand for. The pages say so, too.
const PREFIXES: [(&str, &str); 7] = [
    ("green/", "runtime/green/src/tests"),
    ("http1/", "runtime/proto/src/http1"),
    ("connection/", "runtime/src/connection"),
    ("suite/", "tests/suite"),
    ("app/", "app-api/src"),
    ("room/", "runtime/src/room"),
    ("service/", "runtime/src/service"),
];

/// All tests that the page names, as (file without `.rs`, function).
fn named(page: &str) -> Vec<(&str, &str)> {
    let code = page.split('`').skip(1).step_by(2);
    let tests = code.filter_map(|text| text.split_once("::"));
    tests
        .filter(|(file, _)| PREFIXES.iter().any(|(prefix, _)| file.starts_with(prefix)))
        .collect()
}

fn source_of(file: &str) -> PathBuf {
    // `named` has let through only what has one of the prefixes.
    let (prefix, directory) = PREFIXES
        .iter()
        .find(|(prefix, _)| file.starts_with(prefix))
        .expect("a known prefix");
    root()
        .join(directory)
        .join(&file[prefix.len()..])
        .with_extension("rs")
}

/// Whether `source` has a function `name` that is run as a test: by the attribute, which other
/// attributes and comments may separate from it, or by one of the macros that take its name.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let start = format!("fn {name}(");
    let Some(at) = lines.iter().position(|line| line.starts_with(&start)) else {
        return false;
    };
    let above = lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with("//") || line.starts_with("#["));
    let attribute = above.into_iter().any(|line| *line == "#[test]");
    let listed =
        |line: &&str| line.trim_end_matches(',') == name || line.contains(&format!("!({name});"));
    attribute || (source.contains("on_green_and_threads!") && lines.iter().any(listed))
}

#[test]
fn every_test_that_a_table_names_exists() {
    for (name, least) in PAGES {
        let page = read(&root().join(format!("docs/src/evidence/{name}.md")));
        let tests = named(&page);
        assert!(
            tests.len() >= least,
            "{name}: only {} tests are named: is the page's form another?",
            tests.len()
        );
        let missing: Vec<_> = tests
            .iter()
            .filter(|(file, name)| !is_test(&read(&source_of(file)), name))
            .collect();
        assert!(
            missing.is_empty(),
            "docs/src/evidence/{name}.md names tests that do not exist: {missing:?}"
        );
    }
}

#[test]
fn every_row_says_what_holds_it() {
    let page = read(&root().join("docs/src/evidence/http.md"));
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| `"));
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "three cells: {row}");
        assert!(
            cells.iter().all(|cell| !cell.trim().is_empty()),
            "an empty cell: {row}"
        );
    }
}

/// What the RFC tests of this directory try is found in the table.
#[test]
fn every_rfc_test_is_in_the_table() {
    let page = read(&root().join("docs/src/evidence/http.md"));
    let named: BTreeSet<_> = named(&page).into_iter().collect();
    for file in ["rfc_body", "rfc_response", "rfc_target"] {
        let source = read(&root().join("tests/suite").join(file).with_extension("rs"));
        let functions = source
            .lines()
            .filter_map(|line| line.strip_prefix("fn ")?.split_once('('));
        for (name, _) in functions.filter(|(name, _)| is_test(&source, name)) {
            assert!(
                named.contains(&(format!("suite/{file}").as_str(), name)),
                "{file}::{name} is in no row"
            );
        }
    }
}

/// A macro or an attribute that is renamed must not turn the first test into one that cannot fail.
#[test]
fn a_test_is_told_from_a_function() {
    let source = "on_green_and_threads!(\n    listed,\n);\n#[test]\n#[should_panic]\n/// Why.\nfn marked() {}\n\
        fn listed(engine: Engine) {}\nfn helper() {}\n";
    assert!(is_test(source, "listed") && is_test(source, "marked"));
    assert!(!is_test(source, "helper") && !is_test(source, "absent"));
}
