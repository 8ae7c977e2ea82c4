//! The listing of the builder in "Getting started", which starts a real server.

#[test]
fn the_builder_serves_and_stops() {
    let (address, stopped) = listing().unwrap();
    assert_eq!(stopped.cut, 0);
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
}

fn listing() -> std::io::Result<(std::net::SocketAddr, greenway::Stopped)> {
    // ANCHOR: builder
    use greenway::{App, Engine, Request, Server};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    let mut app = App::new();
    app.get("/hello/<name>", |req: Request| {
        format!("Hello {}!\n", req.param("name"))
    });

    let running = Server::new(app)
        .engine(Engine::Green)
        .bind("127.0.0.1:0") // a port that is free
        .keep_alive(Duration::from_secs(5))
        .graceful_timeout(Duration::from_secs(10))
        .start()?;
    let address = running.addrs()[0];
    println!("listening on {address}");

    // Whatever else the program does. This one asks itself for a page.
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    client.write_all(b"GET /hello/Ada HTTP/1.0\r\n\r\n")?;
    let mut reply = String::new();
    client.read_to_string(&mut reply)?;

    let stopped = running.stop();
    println!("{} requests had to be cut short", stopped.cut);
    // ANCHOR_END: builder
    assert!(reply.starts_with("HTTP/1.0 200 OK\r\n"), "{reply}");
    assert!(reply.ends_with("Hello Ada!\n"), "{reply}");
    Ok((address, stopped))
}

/// Compiled, and tried by the suite with a program of its own: it would not come back.
#[allow(dead_code)]
fn own_defaults(app: greenway::App) -> ! {
    use greenway::Server;

    // ANCHOR: defaults
    Server::new(app).limit_request_body(32 << 20).run()
    // ANCHOR_END: defaults
}
