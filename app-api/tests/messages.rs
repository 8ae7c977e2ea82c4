//! What the compiler says of handlers that return the wrong thing.
//!
//! The sources below must not compile, and what is said of them must name the way out. They are
//! compiled by `rustc` itself, against the library that was built for this very test: that takes a
//! part of a second each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The library beside this test's program, with the folder that it is in. Others of its name lie
/// there where it was built with other features; the newest that has those of this test is as good as
/// its own.
fn library() -> (PathBuf, PathBuf) {
    let program = std::env::current_exe().expect("it runs");
    let deps = program.parent().expect("it lies in a directory").to_owned();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libgreenway_app-") && name.ends_with(".rlib")
    };
    let files = std::fs::read_dir(&deps).expect("it can be read");
    let mut ours: Vec<PathBuf> = files
        .flatten()
        .map(|file| file.path())
        .filter(is_ours)
        .collect();
    ours.sort_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    let mut features = String::new();
    if cfg!(feature = "json") {
        features += "pub use greenway_app::Json;";
    }
    if cfg!(feature = "templates") {
        features += "pub use greenway_app::Templates;";
    }
    let has_all = |library: &PathBuf| compile("features", &features, library, &deps).is_empty();
    let own = ours.into_iter().rev().find(has_all);
    (own.expect("cargo has built the library"), deps)
}

/// What the compiler says of a program with this handler.
fn complaint(name: &str, handler: &str) -> String {
    let (library, deps) = library();
    let program = format!(
        "use greenway_app::*;\n{handler}\npub fn app() {{ App::new().get(\"/\", handler); }}\n"
    );
    compile(name, &program, &library, &deps)
}

/// What the compiler says of a program: nothing if it is right.
fn compile(name: &str, program: &str, library: &Path, deps: &Path) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let (process, number) = (
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed), // the tests of this process run at once
    );
    let source = std::env::temp_dir().join(format!("greenway-{name}-{process}-{number}.rs"));
    std::fs::write(&source, program).expect("there is room");
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .arg("-o")
        .arg(source.with_extension("rmeta"))
        .arg("-L")
        .arg(format!("dependency={}", deps.display()))
        .arg("--extern")
        .arg(format!("greenway_app={}", library.display()))
        .arg(&source)
        .output()
        .expect("there is a compiler");
    let _cleaned = std::fs::remove_file(&source);
    let _cleaned = std::fs::remove_file(source.with_extension("rmeta"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.is_empty() || !output.status.success(),
        "warnings only: {text}"
    );
    text
}

#[test]
fn a_handler_as_it_should_be_compiles() {
    let good = "fn handler(_: Request) -> Result<&'static str, HttpError> { Ok(\"a\") }";
    assert_eq!(complaint("good", good), "");
}

#[test]
fn a_future_is_told_to_lose_its_async() {
    let text = complaint(
        "future",
        "async fn handler(_: Request) -> &'static str { \"a\" }",
    );
    assert!(
        text.contains("is no response: a handler cannot return it"),
        "{text}"
    );
    assert!(text.contains("leave out `async` and `.await`"), "{text}");
}

#[test]
fn a_value_is_told_of_json() {
    let value = "#[derive(Debug)] pub struct Point(i32);
                 pub fn handler(_: Request) -> Point { Point(1) }";
    let text = complaint("value", value);
    assert!(
        text.contains("`Point` is no response: a handler cannot return it"),
        "{text}"
    );
    assert!(text.contains("wrap it in `Json(...)`"), "{text}");
}

#[test]
fn another_error_is_told_of_ours() {
    let foreign = "fn handler(_: Request) -> std::io::Result<String> { Ok(String::new()) }";
    let text = complaint("foreign", foreign);
    assert!(
        text.contains("let the handler return `Result<_, HttpError>`"),
        "{text}"
    );
    assert!(text.contains(".or_status(404"), "{text}");
}

#[test]
fn an_option_is_told_to_say_what_nothing_is() {
    let text = complaint(
        "option",
        "fn handler(_: Request) -> Option<&'static str> { None }",
    );
    assert!(text.contains(".ok_or_else("), "{text}");
}

#[cfg(feature = "templates")]
#[test]
fn the_values_of_a_template_are_told_of_serde() {
    let values = "pub struct Note;
                  pub fn handler(request: Request) -> Result<Response, HttpError> {
                      request.render(\"note.html\", Note)
                  }";
    let text = complaint("values", values);
    assert!(
        text.contains("`Note` are no values for a template"),
        "{text}"
    );
    assert!(text.contains("`Serde(value)`"), "{text}");
}
