//! The book's table of flags says what `--help` says, which is made from the server's own table of
//! settings: every flag and no other, with its value and its default.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What is told of a flag.
#[derive(Debug)]
struct Flag {
    /// With the short flag and the value's name: `-k, --engine <ENGINE>`.
    usage: String,
    meaning: String,
}

/// The flags of a help text, by name.
fn flags_of_help(help: &str) -> BTreeMap<String, Flag> {
    let mut flags = BTreeMap::new();
    let mut current: Option<(String, Flag)> = None;
    let (_, options) = help.split_once("Options:").expect("there are options");
    for line in options.lines() {
        let text = line.trim();
        if text.starts_with('-') && line.len() - line.trim_start().len() < 8 {
            flags.extend(current.take());
            let (usage, meaning) = text.split_once("  ").unwrap_or((text, ""));
            let (_, long) = usage.split_once("--").expect("each has a long name");
            let name = long
                .split([' ', '<', '['])
                .next()
                .unwrap_or_default()
                .to_owned();
            let flag = Flag {
                usage: usage.to_owned(),
                meaning: meaning.trim().to_owned(),
            };
            current = Some((name, flag));
        } else if let Some((_, flag)) = &mut current {
            flag.meaning = format!("{} {text}", flag.meaning).trim().to_owned();
        }
    }
    flags.extend(current);
    flags
}

/// What stands in brackets in a meaning: `[default: 2]`, `[aliases: --name]`.
fn bracketed<'a>(meaning: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = meaning.split_once(&format!("[{name}: "))?;
    rest.split_once(']').map(|(value, _)| value)
}

/// The default that a meaning ends with: as a value, or in words.
fn default_of(meaning: &str) -> &str {
    bracketed(meaning, "default").unwrap_or_else(|| {
        let words = meaning
            .split_once("Default: ")
            .map_or("", |(_, words)| words);
        words.split(" [").next().unwrap_or_default()
    })
}

/// The rows of the book's table of flags, wherever it is: flag, default, meaning.
fn rows() -> Vec<[String; 3]> {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src");
    let mut rows = Vec::new();
    for entry in fs::read_dir(book).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let chapter = fs::read_to_string(path).unwrap();
        let mut in_table = false;
        for line in chapter.lines() {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            in_table =
                cells.len() == 5 && (in_table || cells[1..4] == ["Flag", "Default", "Meaning"]);
            if in_table && cells[1].starts_with("`-") {
                rows.push([1, 2, 3].map(|cell: usize| cells[cell].replace('`', "")));
            }
        }
    }
    rows
}

#[test]
fn the_table_of_flags_says_what_the_help_says() {
    let help = Command::new(env!("CARGO_BIN_EXE_hello"))
        .args(["--help"])
        .output()
        .unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let mut flags = flags_of_help(&help);
    assert!(
        flags.remove("help").is_some() && flags.remove("version").is_some(),
        "{help}"
    );

    let rows = rows();
    assert!(!rows.is_empty(), "the book has no table of flags");
    for [name, default, meaning] in &rows {
        let (_, long) = name.split_once("--").expect("each has a long name");
        let long = long.split(' ').next().unwrap_or_default();
        let flag = flags
            .remove(long)
            .unwrap_or_else(|| panic!("--{long} does not exist, or is there twice"));
        // `-k, --engine ENGINE`, and in the help `-k, --engine <ENGINE>`.
        let plain = flag.usage.replace(['<', '>'], "");
        let value = |usage: &str| {
            usage
                .split_whitespace()
                .filter(|word| !word.starts_with('-'))
                .count()
        };
        assert_eq!(value(&plain), value(name), "--{long} takes a value, or not");
        assert_eq!(
            plain.starts_with("--"),
            name.starts_with("--"),
            "--{long} has a short name, or not"
        );
        let expected = default_of(&flag.meaning);
        assert!(
            !expected.is_empty() && default.starts_with(expected),
            "--{long}: {expected:?} is not {default:?}"
        );
        if let Some(alias) =
            bracketed(&flag.meaning, "aliases").or(bracketed(&flag.meaning, "alias"))
        {
            let alias = alias.trim_start_matches('-');
            assert!(
                meaning.contains(&format!("--{alias}")),
                "--{long} is also --{alias}"
            );
        }
        assert!(meaning.len() > 10, "--{long} has no meaning");
    }
    // Of a feature, which whoever builds all packages at once has; it has a section of its own.
    flags.remove("generate");
    assert!(flags.is_empty(), "not in the table: {:?}", flags.keys());
}
