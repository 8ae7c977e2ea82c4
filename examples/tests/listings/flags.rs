//! The table of flags in "Getting started" has every flag, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// The long flags that a text mentions.
fn flags(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
        .filter(|word| {
            word.strip_prefix("--")
                .is_some_and(|name| name.starts_with(char::is_alphabetic))
        })
        .collect()
}

#[test]
fn every_flag_is_in_the_table() {
    let help = Command::new(env!("CARGO_BIN_EXE_hello"))
        .arg("--help")
        .output()
        .unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let mut known = flags(&help);
    assert!(
        known.remove("--help") && known.remove("--version"),
        "{help}"
    );

    let chapter = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/src/getting-started.md"
    );
    let chapter = fs::read_to_string(chapter).unwrap();
    let rows: Vec<_> = chapter
        .lines()
        .filter(|line| line.starts_with("| `-"))
        .collect();
    let rows = rows.join("\n");
    assert_eq!(flags(&rows), known);
}
