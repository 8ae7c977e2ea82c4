//! WebSocket clients that other people have written, with compression and without: Python's
//! websockets, Node's ws, and a browser.
//!
//! The first two are no packages of the system. The script `test` at the root installs them,
//! below the folder of the build; without them these tests fail.

use crate::real_clients::{finish, script, start};
use greenway_tests::webdriver::Browser;
use greenway_tests::{Engine, Program, on_green_and_threads};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

on_green_and_threads!(pythons_websockets, nodes_ws, chromium);

fn server(engine: Engine) -> Program {
    let args = ["--bind", "127.0.0.1:0", "--engine", engine.name()];
    Program::start(env!("CARGO_BIN_EXE_sockets"), &args)
}

/// Where the script `test` has put something.
#[track_caller]
pub(crate) fn installed(path: &str) -> PathBuf {
    // target/debug/sockets
    let target = Path::new(env!("CARGO_BIN_EXE_sockets")).ancestors().nth(2);
    let path = target.expect("it lies there").join("clients").join(path);
    assert!(
        path.exists(),
        "{} is missing: run the script `test` at the root, which installs it",
        path.display()
    );
    path
}

fn pythons_websockets(engine: Engine) {
    let server = server(engine);
    let ended = finish(start(
        Command::new(installed("python/bin/python"))
            .arg(script("websockets_client.py"))
            .arg(server.wait_for_addr().to_string()),
    ));
    assert_eq!(ended.stdout, ["ok"]);
}

fn nodes_ws(engine: Engine) {
    let server = server(engine);
    let modules = installed("node/node_modules/ws");
    let folder = modules.ancestors().nth(2).expect("it lies there");
    let ended = finish(start(
        Command::new("node")
            .arg(script("ws.mjs"))
            .arg(server.wait_for_addr().to_string())
            .arg(folder),
    ));
    assert_eq!(ended.stdout, ["ok"]);
}

/// A browser always offers compression; whether it is used is the server's choice.
fn chromium(engine: Engine) {
    let server = server(engine);
    let browser = Browser::start();
    browser.open(&format!("http://{}/", server.wait_for_addr()));
    let script = std::fs::read_to_string(script("browser.js")).expect("it is in the repository");
    let _begun = browser.eval(&format!("(() => {{ {script} }})()"));
    browser.wait_until("document.title !== 'sockets'");
    assert_eq!(browser.eval("document.title"), json!("ok"));
    assert_eq!(browser.console_errors(), Vec::<String>::new());
}
