//! TLS as clients of others see it: curl, and OpenSSL's `s_client` where it asks for what a server
//! should refuse.

use super::tls::{Served, serve};
use greenway::Engine;
use greenway_tests::{Program, on_green_and_threads};
use std::io::Write;
use std::process::{Command, Output, Stdio};

on_green_and_threads!(curl_is_served, curl_is_told_about_http);

fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (./test installs it)"))
}

fn curl_is_served(engine: Engine) {
    let served = serve(engine);
    let body = served.made.path("body");
    std::fs::write(&body, vec![b'x'; 5 << 20]).unwrap();
    let url = format!("https://localhost:{}/echo", served.server.addr().port());
    for version in ["1.2", "1.3"] {
        // Three requests on one connection.
        let output = run(Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--tlsv1.2"])
            .args([
                "--http1.1",
                "--tls-max",
                version,
                "--cacert",
                &served.made.root(),
            ])
            .args(["--header", "Expect:", "--data-binary", &format!("@{body}")])
            .args([&url, &url, &url]));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{version}: {complaint}");
        assert_eq!(output.stdout.len(), 3 * (5 << 20), "{version}");
    }
}

fn curl_is_told_about_http(engine: Engine) {
    let served = serve(engine);
    let url = format!("http://localhost:{}/echo", served.server.addr().port());
    let output = run(Command::new("curl").args(["--silent", "--max-time", "20", &url]));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("this port speaks HTTPS"), "{text}");
}

/// What `s_client` says of a connection that it was asked to make in this way.
fn s_client(served: &Served, how: &[&str]) -> String {
    let output = run(Command::new("openssl")
        .args(["s_client", "-connect", &served.server.addr().to_string()])
        .args(["-servername", "localhost", "-CAfile", &served.made.root()])
        .args(how));
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn what_is_weak_is_refused() {
    let served = serve(Engine::Green);
    // `SECLEVEL=0`, or OpenSSL itself would not ask for it.
    for how in [
        &["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:@SECLEVEL=0"], // no forward secrecy
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"], // MAC then encrypt
        &["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
        &["-tls1_2", "-curves", "secp521r1"],
    ] {
        let said = s_client(&served, how);
        assert!(said.contains("Cipher is (NONE)"), "{how:?}: {said}");
    }
    for how in [
        &["-tls1_3"][..],
        &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        &["-tls1_2"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    ] {
        let said = s_client(&served, how);
        assert!(said.contains("Verification: OK"), "{how:?}: {said}");
        assert!(!said.contains("Cipher is (NONE)"), "{how:?}: {said}");
        assert!(
            said.contains("Compression: NONE") || how.contains(&"-tls1_3"),
            "{said}"
        );
    }
}

/// RFC 5746 is spoken, and a client that asks for new keys in its way is refused.
#[test]
fn nobody_renegotiates() {
    let served = serve(Engine::Green);
    let mut command = Command::new("openssl");
    command
        .args([
            "s_client",
            "-tls1_2",
            "-connect",
            &served.server.addr().to_string(),
        ])
        .args(["-CAfile", &served.made.root()]);
    let (end, mut input) = std::io::pipe().unwrap();
    let program = Program::start_with_stdin(&mut command, end.into());
    program.wait_for_output("Secure Renegotiation IS supported");
    input.write_all(b"R\n").unwrap();
    program.wait_for_line("no renegotiation");
}
