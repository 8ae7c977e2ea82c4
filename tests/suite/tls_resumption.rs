//! TLS sessions that are resumed by a process that did not make them: by any of several, after a
//! deploy, and by the processes of another master. And tickets that nobody of ours has sealed.

use super::processes::{Folder, PROGRAM, children, put, signal, start_program, until_gone};
use greenway::{Engine, Request};
use greenway_tests::request::get_close;
use greenway_tests::tls::rustls::version::{TLS12, TLS13};
use greenway_tests::tls::rustls::{ClientConfig, HandshakeKind};
use greenway_tests::tls::{Certificates, PairFiles};
use greenway_tests::{Client, Program, Signal, TestServer, linted, on_green_and_threads, until};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

on_green_and_threads!(
    any_process_resumes_and_so_do_those_of_the_next_deploy,
    processes_of_a_new_master_resume,
    whoever_is_believed_no_more_resumes_nothing,
);

fn start(path: &Path, engine: Engine, count: &str, files: &PairFiles, more: &[&str]) -> Program {
    let tls = [
        "-w",
        count,
        "--certfile",
        &files.cert,
        "--keyfile",
        &files.key,
    ];
    start_program(path, engine, &[&tls[..], more].concat())
}

fn addr_of(program: &Program) -> SocketAddr {
    let before = "listening on https://";
    let line = program.wait_for_line(before);
    let (_, rest) = line.split_once(before).expect("the line was chosen by it");
    let addr = rest.split(' ').next().unwrap_or(rest);
    addr.parse().expect(rest)
}

/// Which process has answered, and whether it has resumed the session that the client had last.
fn visit(addr: SocketAddr, config: &Arc<ClientConfig>) -> (u32, HandshakeKind) {
    let client = Client::connect(addr).secure(config, "localhost");
    let mut client = client.expect("a handshake, resumed or not");
    let pid = client.send(get_close("/pid")).reply();
    let pid = pid.text().parse().expect("a number");
    let kind = client.tls().handshake_kind();
    (pid, kind.expect("hands were shaken"))
}

/// Comes again and again, until `count` processes have answered, and twelve times at least. All but
/// the first visit, if that is of a client that comes for the first time, resume a session.
#[track_caller]
fn visit_all(addr: SocketAddr, config: &Arc<ClientConfig>, count: usize, not: &BTreeSet<u32>) {
    let (seen, visits) = (RefCell::new(BTreeSet::new()), Cell::new(0));
    until(&format!("{count} processes to answer"), || {
        let (pid, kind) = visit(addr, config);
        assert_eq!(kind, HandshakeKind::Resumed, "by process {pid}");
        assert!(!not.contains(&pid), "process {pid} was to go");
        seen.borrow_mut().insert(pid);
        visits.set(visits.get() + 1);
        seen.borrow().len() >= count && visits.get() >= 12
    });
}

fn any_process_resumes_and_so_do_those_of_the_next_deploy(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let folder = Folder::new(&format!("resumed-{}", engine.name()));
    let path = folder.path("app");
    put(PROGRAM, &path);
    let program = start(&path, engine, "4", &files, &[]);
    let addr = addr_of(&program);
    let clients = [&TLS12, &TLS13].map(|version| made.client_with(&[version], None));
    for config in &clients {
        assert_eq!(visit(addr, config).1, HandshakeKind::Full);
        visit_all(addr, config, 3, &BTreeSet::new());
    }
    let before = children(program.id());
    put(PROGRAM, &path);
    program.signal(Signal::HUP);
    until_gone(&before);
    for config in &clients {
        visit_all(addr, config, 3, &before);
    }
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code, Some(0));
}

fn processes_of_a_new_master_resume(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let folder = Folder::new(&format!("resumed-usr2-{}", engine.name()));
    let file = folder.path("app.pid");
    let more = ["--pid", file.to_str().expect("its name is text")];
    let program = start(Path::new(PROGRAM), engine, "2", &files, &more);
    let addr = addr_of(&program);
    let config = made.client();
    assert_eq!(visit(addr, &config).1, HandshakeKind::Full);
    let before = children(program.id());
    program.signal(Signal::USR2);
    program.wait_for_line("the new master serves");
    let next = fs::read_to_string(folder.path("app.pid.2"));
    let next = next.expect("it has a file of its own").trim().parse();
    let next = next.expect("a number");
    program.signal(Signal::TERM);
    until_gone(&before);
    visit_all(addr, &config, 2, &before);
    assert_eq!(program.wait_code(), Some(0));
    signal(next, Signal::TERM);
    until_gone(&BTreeSet::from([next]));
}

/// A session that is resumed shows no certificate again. So a deploy that believes another authority
/// must not resume the sessions of those whom the one before has signed.
fn whoever_is_believed_no_more_resumes_nothing(engine: Engine) {
    let (made, others) = (Certificates::new(), Certificates::new());
    let files = made.make("server", &["localhost"]);
    let believed = made.path("believed.pem");
    fs::copy(made.root(), &believed).expect("the folder can be written");
    let more = ["--ca-certs", &believed, "--cert-reqs", "required"];
    let program = start(Path::new(PROGRAM), engine, "2", &files, &more);
    let addr = addr_of(&program);
    let ada = made.make("ada", &["ada"]);
    // The client of 1.2 learns of a refusal during the handshake.
    let config = made.client_with(&[&TLS12], Some(&ada));
    assert_eq!(visit(addr, &config).1, HandshakeKind::Full);
    visit_all(addr, &config, 2, &BTreeSet::new());
    let deploy = || {
        let before = children(program.id());
        program.signal(Signal::HUP);
        until_gone(&before);
    };
    deploy();
    visit_all(addr, &config, 2, &BTreeSet::new());
    fs::copy(others.root(), &believed).expect("the folder can be written");
    deploy();
    for _ in 0..4 {
        let refused = Client::connect(addr).secure(&config, "localhost");
        assert!(refused.is_err(), "{refused:?}");
    }
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code, Some(0));
}

/// Has OpenSSL ask for `/` with a session from a file, and keep what it gets in another one. What it
/// says of the session.
fn s_client(addr: SocketAddr, version: &str, from: Option<&str>, to: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &addr.to_string(), version]);
    command.args(["-servername", "localhost", "-ign_eof", "-sess_out", to]);
    if let Some(from) = from {
        command.args(["-sess_in", from]);
    }
    let (input, output) = (Stdio::piped(), Stdio::piped());
    let started = command.stdin(input).stdout(output).stderr(Stdio::null());
    let mut child = started
        .spawn()
        .expect("openssl is there (./test installs it)");
    let request = b"GET / HTTP/1.0\r\n\r\n";
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(request).expect("it reads");
    let output = child
        .wait_with_output()
        .expect("it ends with the connection");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Hello"), "{said}");
    let first = said.lines().find(|line| line.contains(", Cipher is "));
    first.expect("it says so").to_owned()
}

/// Turns a session of OpenSSL's from one form into another.
fn convert(from: &str, from_form: &str, to: &str, to_form: &str) {
    let mut command = Command::new("openssl");
    command.args(["sess_id", "-in", from, "-inform", from_form]);
    let status = command.args(["-out", to, "-outform", to_form]).status();
    assert!(status.expect("openssl is there").success());
}

/// Where the ticket is in a session in DER: the field with the tag 10, an octet string.
fn ticket_in(der: &[u8]) -> std::ops::Range<usize> {
    fn length(der: &[u8]) -> (usize, usize) {
        match der {
            [0x81, n, ..] => (2, usize::from(*n)),
            [0x82, a, b, ..] => (3, usize::from(*a) << 8 | usize::from(*b)),
            [n, ..] => (1, usize::from(*n)),
            [] => panic!("the session ends early"),
        }
    }
    let mut at = 1;
    at += length(&der[at..]).0;
    while der[at] != 0xaa {
        let (bytes, content) = length(&der[at + 1..]);
        at += 1 + bytes + content;
    }
    at += 1 + length(&der[at + 1..]).0;
    assert_eq!(der[at], 0x04, "an octet string");
    let (bytes, content) = length(&der[at + 1..]);
    let start = at + 1 + bytes;
    start..start + content
}

#[test]
fn tickets_that_were_altered_lead_to_a_full_handshake() {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = linted(|_: Request| "Hello\n").engine(Engine::Green);
    let server = TestServer::start(server.certfile(files.cert).keyfile(files.key));
    let addr = server.addr();
    let [whole, der, other, out] = ["a.pem", "a.der", "b.pem", "c.pem"].map(|name| made.path(name));
    for version in ["-tls1_2", "-tls1_3"] {
        let said = s_client(addr, version, None, &whole);
        assert!(said.starts_with("New"), "{said}");
        let said = s_client(addr, version, Some(&whole), &out);
        assert!(said.starts_with("Reused"), "{version}: {said}");
        convert(&whole, "PEM", &der, "DER");
        let session = fs::read(&der).expect("it was written");
        let ticket = ticket_in(&session);
        // The key's name, the nonce, what is sealed, and the tag.
        let length = ticket.len();
        for place in [0, 15, 16, 27, 28, length / 2, length - 1] {
            let mut altered = session.clone();
            altered[ticket.start + place] ^= 0x10;
            fs::write(&der, altered).expect("the folder can be written");
            convert(&der, "DER", &other, "PEM");
            let said = s_client(addr, version, Some(&other), &out);
            assert!(said.starts_with("New"), "{version}, byte {place}: {said}");
        }
    }
}
