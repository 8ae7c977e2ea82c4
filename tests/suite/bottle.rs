//! The chapter for those who come from Bottle names everything that Bottle has, and only what
//! Greenway has.
//!
//! In its tables, the first column has names of Bottle's, of the class in the heading above; the
//! second one has names of ours: `Type::method`, `Type`, `function` or `--flag`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    // This package is a directory of the workspace.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Code within a line of Markdown.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Names of Bottle's and of ours, row by row, of the tables that hold for all of Bottle.
fn rows(chapter: &str) -> Vec<(BTreeSet<String>, Vec<&str>)> {
    let mut rows = Vec::new();
    let mut class = "";
    // What stands above the first heading of a class shows how programs look.
    let (_, tables) = chapter.split_once("\n## Functions").expect("it is there");
    for line in tables.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            class = code(heading).next().unwrap_or("");
        }
        let mut cells = line.split('|').skip(1);
        let is_row = line.starts_with("| `");
        let (true, Some(bottles), Some(ours)) = (is_row, cells.next(), cells.next()) else {
            continue;
        };
        let bottles = code(bottles).map(|name| (class, name));
        let qualified = |(class, name): (&str, &str)| {
            let stands_alone = class.is_empty() || name.contains('.') || starts_upper(name);
            match stands_alone || MODULE_LEVEL.contains(&name) {
                true => name.to_owned(),
                false => format!("{class}.{name}"),
            }
        };
        rows.push((bottles.map(qualified).collect(), code(ours).collect()));
    }
    rows
}

/// Functions and variables that stand in the table of a class.
const MODULE_LEVEL: [&str; 1] = ["server_names"];

/// Attributes of requests and responses that are written large.
const LARGE: [&str; 3] = ["GET", "POST", "MEMFILE_MAX"];

fn starts_upper(name: &str) -> bool {
    name.starts_with(char::is_uppercase) && !LARGE.contains(&name)
}

/// What the sources offer: types with their methods and fields, and functions under "".
fn offered() -> BTreeMap<String, BTreeSet<String>> {
    let mut offered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut put = |of: &str, name: &str| {
        let names = offered.entry(of.to_owned()).or_default();
        names.insert(name.to_owned());
    };
    for folder in ["app-api/src", "runtime/src", "runtime/green/src"] {
        for file in files(&root().join(folder)) {
            let source = fs::read_to_string(&file).expect("it was listed");
            let mut within = String::new();
            for line in source.lines() {
                if let Some(name) = item(line) {
                    put("", name);
                    within = name.to_owned();
                } else if line.starts_with("impl") {
                    within = implemented(line).to_owned();
                } else if line.starts_with('}') {
                    within.clear();
                } else if let Some(name) = member(line).filter(|_| !within.is_empty()) {
                    put(&within, name);
                }
            }
        }
    }
    // Of the crate `http`.
    put("", "HeaderMap");
    put("", "StatusCode");
    offered
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it is there").path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            files.push(path);
        }
    }
    files
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// A public item at the left margin.
fn item(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let rest = rest.strip_prefix("const ").unwrap_or(rest);
    let kinds = ["fn ", "struct ", "enum ", "trait ", "type ", "mod "];
    let name = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    Some(identifier(name))
}

/// The type that an `impl` is for, without parameters and paths.
fn implemented(line: &str) -> &str {
    let rest = line.trim_start_matches("impl");
    // The parameters of the `impl` itself.
    let rest = match rest.strip_prefix('<') {
        Some(rest) => rest.split_once("> ").map_or("", |(_, rest)| rest),
        None => rest.trim_start(),
    };
    let rest = rest.split_once(" for ").map_or(rest, |(_, rest)| rest);
    let path = rest.split(['<', ' ', '{']).next().unwrap_or("");
    path.rsplit("::").next().unwrap_or("")
}

/// A method, a field or a variant, one level in.
fn member(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("    ")?;
    let public = rest.strip_prefix("pub ");
    let plain = public.unwrap_or(rest);
    let plain = plain.strip_prefix("const ").unwrap_or(plain);
    if let Some(name) = plain.strip_prefix("fn ") {
        return Some(identifier(name)); // without `pub`: of a trait, or private
    }
    let is_variant = rest.starts_with(char::is_uppercase);
    (public.is_some() || is_variant).then(|| identifier(plain))
}

#[test]
fn every_name_of_bottles_is_in_the_chapter() {
    let chapter = read("docs/src/bottle.md");
    let names = read("tests/suite/bottle-names.txt");
    let names: BTreeSet<String> = names
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 300, "the list is short");
    let mut told: BTreeSet<String> = rows(&chapter).into_iter().flat_map(|row| row.0).collect();
    // A heading tells of its class.
    let headings = chapter.lines().filter(|line| line.starts_with("## "));
    told.extend(headings.flat_map(code).map(str::to_owned));
    // Other names for the same classes.
    told.extend(["Request", "Response"].map(str::to_owned));
    let missing: Vec<_> = names.difference(&told).collect();
    assert!(
        missing.is_empty(),
        "Bottle has, the chapter has not: {missing:?}"
    );
    let unknown: Vec<_> = told.difference(&names).collect();
    assert!(
        unknown.is_empty(),
        "the chapter has, Bottle has not: {unknown:?}"
    );
}

#[test]
fn every_name_of_ours_in_the_chapter_exists() {
    let chapter = read("docs/src/bottle.md");
    let offered = offered();
    let flags = read("docs/src/getting-started.md");
    let exists = |name: &str| {
        if name.starts_with("--") {
            let mut cells = flags.lines().filter_map(|line| line.split('|').nth(1));
            return cells.any(|cell| code(cell).any(|flag| flag == name));
        }
        let (of, last) = name.rsplit_once("::").unwrap_or(("", name));
        let of = of.rsplit("::").next().unwrap_or("");
        let of_type = offered.get(of).is_some_and(|names| names.contains(last));
        // `module::Type`
        let in_module = of.starts_with(char::is_lowercase) && offered[""].contains(last);
        of_type || in_module
    };
    let rows = rows(&chapter);
    let ours: BTreeSet<&str> = rows.iter().flat_map(|row| row.1.iter().copied()).collect();
    assert!(ours.len() > 100, "the tables were not found");
    let missing: Vec<_> = ours.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "not in the sources: {missing:?}");
}

/// A rule that looks at sources must see what is not there.
#[test]
fn what_is_not_there_is_noticed() {
    let offered = offered();
    assert!(offered["App"].contains("get") && offered["Body"].contains("from_reader"));
    assert!(offered["Engine"].contains("Threads") && offered[""].contains("serve"));
    assert!(!offered["App"].contains("gets") && !offered[""].contains("serves"));
}
