//! The listing of the client in "Which crates are safe", which asks a real server.

use greenway::testing::Client;
use greenway::{App, HttpError, Request, Server, client};

#[test]
fn a_handler_asks_another_server() {
    let mut other = App::new();
    other.get("/London", |_: Request| "rain");
    let other = Server::new(other).bind("127.0.0.1:0").start().unwrap();
    let client = Client::new(listing(format!("http://{}", other.addrs()[0])));
    assert_eq!(client.get("/weather/London").send().text(), "rain");
    assert_eq!(client.get("/weather/Nowhere").send().status(), 502);
    other.stop();
}

fn listing(weather: String) -> App {
    // ANCHOR: client
    let agent = client::agent(); // one for all handlers: it keeps connections for the next request
    let mut app = App::new();
    app.get("/weather/<city>", move |req: Request| {
        let url = format!("{weather}/{}", req.param("city"));
        let asked = agent.get(&url).call();
        let text = asked.and_then(|mut reply| reply.body_mut().read_to_string());
        text.map_err(|error| HttpError::new(502, "no weather today").with_source(error))
    });
    // ANCHOR_END: client
    app
}
