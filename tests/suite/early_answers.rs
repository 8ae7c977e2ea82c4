//! Answers before the upload is over, as other people's clients and nginx get them: compared with
//! Node's server, which reads on whatever it has answered.

use crate::behind_nginx::{Bodies, nginx_for};
use crate::real_clients::{finish, script};
use greenway_tests::{Engine, Folder, Program, on_green_and_threads};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

on_green_and_threads!(early_answers_arrive);

/// What is uploaded, and what it is answered: too large, nowhere, not allowed.
const UPLOADS: [(&str, &str); 6] = [
    ("/echo 20000000 length", "413"),
    ("/nowhere 16000000 chunked", "404"),
    ("/hello 16000000 chunked", "405"),
    ("/nowhere 10000000 length", "404"),
    ("/hello 10000000 length", "405"),
    ("/nowhere 10000000 chunked", "404"),
];

/// Uploads of each kind, by each client and each of three ways: 108 for each engine.
const TRIES: usize = 3;

/// The answers that did not arrive, in the words of the client.
#[track_caller]
fn lost(client: &str, folder: &Folder, server: SocketAddr) -> Vec<String> {
    let uploads = folder.path("uploads");
    let mut file = File::create(&uploads).expect("the folder is ours");
    for (upload, _) in UPLOADS {
        writeln!(file, "{upload}").expect("there is room for a few lines");
    }
    let mut command = match client {
        "python" => Command::new("python3"),
        _ => Command::new("node"),
    };
    let name = match client {
        "python" => "early_answers.py",
        _ => "early_answers.mjs",
    };
    let program = Program::start_with_stdin(
        command
            .arg(script(name))
            .args([server.ip().to_string(), server.port().to_string()])
            .arg(TRIES.to_string()),
        Stdio::from(File::open(&uploads).expect("it was made above")),
    );
    let answers = finish(program).stdout;
    assert_eq!(answers.len(), UPLOADS.len() * TRIES, "{answers:?}");
    let wanted = UPLOADS
        .iter()
        .flat_map(|upload| std::iter::repeat_n(upload, TRIES));
    answers
        .into_iter()
        .zip(wanted)
        .filter(|(answer, (_, wanted))| answer != wanted)
        .map(|(answer, (upload, _))| format!("{client}: {upload}: {answer}"))
        .collect()
}

/// Of a server, asked directly and through nginx, which buffers or does not.
#[track_caller]
fn lost_of(name: &str, server: &Program, clients: &[&str]) -> Vec<String> {
    let app = server.wait_for_addr();
    let mut all = Vec::new();
    for bodies in [None, Some(Bodies::Buffered), Some(Bodies::Unbuffered)] {
        let name = format!("early-{name}-{bodies:?}");
        let folder = Folder::new(&name);
        let (_nginx, front) = match bodies {
            None => (None, app),
            Some(bodies) => {
                let (nginx, front) = nginx_for(&folder, &name, app, bodies);
                (Some(nginx), front)
            }
        };
        for client in clients {
            let lost = lost(client, &folder, front);
            all.extend(lost.into_iter().map(|lost| format!("{bodies:?}: {lost}")));
        }
    }
    all
}

fn early_answers_arrive(engine: Engine) {
    let ours = Program::start(
        env!("CARGO_BIN_EXE_longpoll"),
        &["--bind", "127.0.0.1:0", "--engine", engine.name()],
    );
    let lost = lost_of(engine.name(), &ours, &["python", "node"]);
    let nodes = Program::start_command(Command::new("node").arg(script("early_server.mjs")));
    let lost_by_node = lost_of(&format!("node-{}", engine.name()), &nodes, &["python"]);
    assert_eq!(
        lost,
        Vec::<String>::new(),
        "of uploads of which Node's server loses {}",
        lost_by_node.len()
    );
}
