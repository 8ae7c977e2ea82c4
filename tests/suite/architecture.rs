//! Which room may know what: the design's table, held against manifests and sources.
//!
//! Words in comments and strings do not count; what is left is looked at word by word, so a rule
//! cannot be evaded by a path that is written in full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
        .to_owned()
}

/// A source file: its path from the root, and its code without comments and strings.
struct Source {
    path: String,
    code: String,
}

impl Source {
    /// All sources under a folder of the workspace.
    fn under(folder: &str) -> Vec<Self> {
        let root = root();
        let mut folders = vec![root.join(folder)];
        let mut sources = Vec::new();
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder)
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            for entry in entries {
                let path = entry.expect("a folder can be read to its end").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).expect("sources are UTF-8");
                    let path = path
                        .strip_prefix(&root)
                        .expect("it lies below")
                        .display()
                        .to_string();
                    sources.push(Self {
                        path,
                        code: strip(&text),
                    });
                }
            }
        }
        assert!(!sources.is_empty(), "no sources under {folder}");
        sources
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.code
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
    }

    fn has_word(&self, word: &str) -> bool {
        self.words().any(|found| found == word)
    }

    /// Whether it names a path such as `std::net`, or one below it: in full, or in a `use` with
    /// braces.
    fn names(&self, path: &str) -> bool {
        let code = tight(&self.code);
        let items = code.split(';').filter_map(|item| item.rsplit_once("use "));
        let mut imports = items.flat_map(|(_, tree)| expand("", tree));
        imports.any(|import| has_path(&import, path)) || has_path(&code, path)
    }
}

/// Code without white space around `::`, and with single spaces elsewhere.
fn tight(code: &str) -> String {
    let words: Vec<_> = code.split_whitespace().collect();
    words.join(" ").replace(" ::", "::").replace(":: ", "::")
}

fn has_path(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + path.len()..].chars().next();
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !joins(before) && !joins(after)
    })
}

/// `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn expand(prefix: &str, tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        return vec![format!("{prefix}{tree}")];
    };
    let prefix = format!("{prefix}{head}");
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                paths.extend(expand(&prefix, &inner[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    paths
}

/// Code without comments, strings and character literals.
fn strip(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            1 + string_end(&rest[1..])
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            start
                + rest[start..]
                    .find(&end)
                    .map_or(rest.len() - start, |at| at + end.len())
        } else if first == '\'' {
            char_literal(rest)
        } else {
            0
        };
        if skipped > 0 {
            code.push(' ');
            rest = &rest[skipped..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// Where a string ends whose opening quote has been taken off.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// How many `#` a raw string has that starts here.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a character literal; 0 for a lifetime.
fn char_literal(text: &str) -> usize {
    let inner = &text[1..];
    if let Some(escape) = inner.strip_prefix('\\') {
        let mut chars = escape.char_indices().skip(1);
        return chars.find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 3);
    }
    let mut chars = inner.chars();
    match (chars.next(), chars.next()) {
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 0,
    }
}

#[test]
fn the_reader_of_sources_can_read() {
    let code =
        strip("a // b\n/* c */ d \"e \\\" f\" r#\"g \" h\"# 'i' '\\'' '\\u{1f}' &'j k \"l\nm\" n");
    let words: Vec<_> = code.split_whitespace().collect();
    assert_eq!(words, ["a", "d", "&'j", "k", "n"]);
    let code =
        "use std ::\n net::TcpStream; fn mayor() { x::may::y } use crate::{a, b::{c, d as e}};";
    let source = Source {
        path: String::new(),
        code: strip(code),
    };
    for path in [
        "std::net",
        "std::net::TcpStream",
        "may",
        "crate::a",
        "crate::b",
        "crate::b::d",
    ] {
        assert!(source.names(path), "{path}");
    }
    for path in ["std::ne", "crate::c", "crate::d", "mayo"] {
        assert!(!source.names(path), "{path}");
    }
    assert!(source.has_word("mayor") && !source.has_word("mayo"));
}

/// The `[dependencies]` and `[dev-dependencies]` of a package.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml"))
        .expect("each package has a manifest");
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
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
    let sources = Source::under("app-api/src");
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

#[test]
fn protocol_code_does_no_io() {
    for folder in [
        "runtime/proto/src/http1",
        "runtime/proto/src/websocket/protocol",
    ] {
        let mut sources = Source::under(folder);
        // Tests hold the protocol against others, which read and write.
        sources.retain(|source| !source.path.contains("/tests/"));
        for room in ["green", "engine", "server", "connection", "config", "cli"] {
            nobody(&sources, &format!("{folder} knows {room}"), |source| {
                source.names(&format!("crate::{room}"))
            });
        }
        nobody(&sources, &format!("{folder} reads or writes"), |source| {
            source.words().any(|word| {
                [
                    "Read",
                    "BufRead",
                    "TcpStream",
                    "UnixStream",
                    "File",
                    "Transport",
                ]
                .contains(&word)
            })
        });
        nobody(&sources, &format!("{folder} waits"), |source| {
            source.names("std::thread") || source.names("std::sync")
        });
        nobody(
            &sources,
            &format!("{folder} looks at a clock (only http1's date.rs may)"),
            |source| {
                !source.path.ends_with("http1/date.rs")
                    && (source.names("Instant::now") || source.has_word("SystemTime"))
            },
        );
    }
}

#[test]
fn one_room_knows_may() {
    let mut others = Source::under("runtime/src");
    others.extend(Source::under("runtime/proto/src"));
    nobody(&others, "`may` is named outside of green", |source| {
        source.has_word("may")
    });
    nobody(
        &others,
        "`may_minihttp` is named outside of its engine",
        |source| source.path != "runtime/src/engine/minihttp.rs" && source.has_word("may_minihttp"),
    );
    for folder in ["examples", "tests", "benches"] {
        assert!(
            !dependencies(folder).iter().any(|name| name == "may"),
            "{folder} depends on `may`"
        );
    }
}

/// `green` is the only one; `monkey`, when it comes, will be the second.
#[test]
fn one_room_has_unsafe_code() {
    let mut others = Source::under("runtime/src");
    others.extend(Source::under("runtime/proto/src"));
    nobody(&others, "unsafe code outside of green", |source| {
        source.has_word("unsafe")
    });
    for folder in ["examples", "tests/src", "tests/suite"] {
        nobody(&Source::under(folder), "unsafe code", |source| {
            source.has_word("unsafe")
        });
    }
}

#[test]
fn green_threads_know_no_server() {
    let sources = Source::under("runtime/green/src");
    for room in [
        "http1",
        "connection",
        "engine",
        "server",
        "config",
        "cli",
        "room",
        "sse",
    ] {
        nobody(&sources, &format!("green knows {room}"), |source| {
            source.names(&format!("crate::{room}"))
        });
    }
}

#[test]
fn engines_know_no_applications() {
    let sources: Vec<_> = Source::under("runtime/src/engine")
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
