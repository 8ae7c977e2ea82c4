//! The crate `lettre` over SMTP, to a small server that takes what comes.

use greenway::green::spawn;
use greenway_monkey_tests::{at_once, begin};
use lettre::transport::smtp::PoolConfig;
use lettre::{Message, SmtpTransport, Transport};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const SLOW: Duration = Duration::from_millis(200);

type Mails = Arc<Mutex<Vec<String>>>;

/// Starts a server that takes its time for each mail.
fn server() -> (SocketAddr, Mails) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mails = Mails::default();
    let taken = mails.clone();
    spawn(move || {
        for stream in listener.incoming() {
            let taken = taken.clone();
            // An error is the end of a connection that a client has left.
            spawn(move || converse(stream?, &taken));
        }
    });
    (addr, mails)
}

fn converse(stream: TcpStream, taken: &Mails) -> std::io::Result<()> {
    let mut to = stream.try_clone()?;
    let mut from = BufReader::new(stream);
    to.write_all(b"220 a fake server\r\n")?;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match line.get(..4).unwrap_or_default() {
            "DATA" => {
                to.write_all(b"354 go on\r\n")?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    from.read_line(&mut mail)?;
                }
                taken.lock().unwrap().push(mail);
                thread::sleep(SLOW);
                b"250 taken\r\n"
            }
            "QUIT" => return to.write_all(b"221 bye\r\n"),
            _ => b"250 all right\r\n",
        };
        to.write_all(reply)?;
    }
}

fn mail(n: usize) -> Message {
    let message = Message::builder()
        .from("greenway@example.com".parse().unwrap())
        .to(format!("reader{n}@example.com").parse().unwrap())
        .subject("News");
    message.body(format!("Number {n}.")).unwrap()
}

#[test]
fn two_hundred_mails_at_once() {
    begin();
    let (addr, mails) = server();
    at_once(200, SLOW, move |n| {
        let smtp = SmtpTransport::builder_dangerous(addr.ip().to_string()).port(addr.port());
        let smtp = smtp.build();
        assert!(smtp.send(&mail(n)).unwrap().is_positive());
    });
    let mails = mails.lock().unwrap();
    assert_eq!(mails.len(), 200);
    for n in 0..200 {
        let text = format!("Number {n}.");
        assert!(mails.iter().any(|mail| mail.contains(&text)));
    }
}

/// Its pool of connections hands them on under locks of std's.
#[test]
fn its_own_pool_is_shared_by_many() {
    begin();
    let (addr, mails) = server();
    let smtp = SmtpTransport::builder_dangerous(addr.ip().to_string())
        .port(addr.port())
        .pool_config(PoolConfig::new().max_size(50))
        .build();
    at_once(200, SLOW, move |n| {
        assert!(smtp.send(&mail(n)).unwrap().is_positive());
    });
    assert_eq!(mails.lock().unwrap().len(), 200);
}
