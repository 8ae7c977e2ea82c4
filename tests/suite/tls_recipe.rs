//! The book's way to certificates for clients, as it stands there.

use super::processes::{PROGRAM, start_program};
use greenway_tests::tls::Certificates;
use greenway_tests::{Engine, Folder, on_green_and_threads};
use std::path::Path;
use std::process::{Command, Output};

on_green_and_threads!(clients_with_the_books_certificates_are_served);

const BOOK: &str = include_str!("../../docs/src/tls.md");

fn clients_with_the_books_certificates_are_served(engine: Engine) {
    let (_, lines) = BOOK
        .split_once("```sh\n")
        .expect("there are lines for a shell");
    let (lines, _) = lines.split_once("```").expect("they end");
    let folder = Folder::new(&format!("recipe-{}", engine.name()));
    let mut shell = Command::new("sh");
    shell.arg("-ec").arg(lines).current_dir(folder.path(""));
    let made = shell.output().expect("there is a shell");
    assert!(made.status.success(), "{made:?}");
    let own = Certificates::new();
    let server = own.make("server", &["localhost"]);
    let roots = folder.path("ca.pem").display().to_string();
    let args = ["--certfile", &server.cert, "--keyfile", &server.key];
    let more = ["--ca-certs", &roots, "--cert-reqs", "required"];
    let program = start_program(Path::new(PROGRAM), engine, &[args, more].concat());
    let line = program.wait_for_line("listening on https://");
    let (_, rest) = line
        .split_once("https://")
        .expect("the line was chosen by it");
    let (_, port) = rest
        .split(' ')
        .next()
        .and_then(|addr| addr.split_once(':'))
        .expect(rest);
    let ask = |more: &[&str]| -> Output {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--max-time", "20", "--cacert", &own.root()]);
        curl.args(more)
            .arg(format!("https://localhost:{port}/hello"));
        curl.current_dir(folder.path(""))
            .output()
            .expect("./test installs it")
    };
    let served = ask(&["--cert", "ada.pem", "--key", "ada.key"]);
    assert_eq!(
        String::from_utf8_lossy(&served.stdout),
        "Hello\n",
        "{served:?}"
    );
    let refused = ask(&[]);
    assert!(!refused.status.success(), "{refused:?}");
}
