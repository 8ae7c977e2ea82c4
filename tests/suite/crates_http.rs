//! An HTTP client over green sockets: `ureq`, as `greenway::client` has it.

use super::crates::{everywhere, serve};
use greenway::client::{self, ureq};
use greenway::green::net::TcpStream;
use greenway::green::sleep;
use greenway_tests::DEADLINE;
use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;
use ureq::{Agent, Error};

fn agent(limit: Duration) -> Agent {
    let config = Agent::config_builder().timeout_global(Some(limit)).build();
    client::agent_with(config)
}

/// Reads requests, and answers each with its path; takes its time.
fn answer(stream: TcpStream, count: usize) {
    let mut reader = BufReader::new(&stream);
    for _ in 0..count {
        let (mut first, mut line) = (String::new(), String::new());
        reader.read_line(&mut first).unwrap();
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0);
        }
        let path = first.split(' ').nth(1).unwrap();
        let length = path.len();
        sleep(Duration::from_millis(5));
        write!(
            &stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
        )
        .unwrap();
        sleep(Duration::from_millis(5));
        (&stream).write_all(path.as_bytes()).unwrap();
    }
}

#[test]
fn ureq_over_one_connection() {
    everywhere(|| {
        let (addr, server) = serve(|stream| answer(stream, 2));
        let agent = agent(DEADLINE);
        for path in ["/first", "/second"] {
            let url = format!("http://localhost:{}{path}", addr.port());
            let mut response = agent.get(&url).call().unwrap();
            assert_eq!(response.body_mut().read_to_string().unwrap(), path);
        }
        server.join().unwrap();
    });
}

#[test]
fn ureq_gives_up_in_time() {
    everywhere(|| {
        let (addr, server) = serve(|mut stream| {
            let read = stream.read_to_end(&mut Vec::new());
            assert!(read.is_ok(), "the client goes, and says so");
        });
        let agent = agent(Duration::from_millis(50));
        let error = agent.get(&format!("http://{addr}/")).call().unwrap_err();
        assert!(matches!(error, Error::Timeout(_)), "{error}");
        drop(agent);
        server.join().unwrap();
    });
}
