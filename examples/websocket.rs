//! The primer's last listing: a WebSocket that says what it was told, and its page.
//!
//! `/websocket` is the WebSocket, and `/websocket/page` a page that talks to it. A plain request to
//! `/websocket` is answered with 400:
//!
//! ```text
//! curl -i http://127.0.0.1:8000/websocket
//! ```

#![forbid(unsafe_code)]

// ANCHOR: program
use greenway::websocket::Upgrade;
use greenway::{App, Html, HttpError, Request, Response, abort};

pub(crate) fn routes(app: &mut App) {
    app.get("/websocket", handle_websocket);
    app.get("/websocket/page", |_: Request| {
        Html(include_str!("pages/websocket.html"))
    });
}

// ANCHOR: websocket
fn handle_websocket(request: Request) -> Result<(), HttpError> {
    let Some(ws) = request.websocket() else {
        abort(400, "Expected WebSocket request.");
    };
    while let Some(message) = ws.receive()? {
        let text = message.as_text().unwrap_or("(bytes)");
        ws.send(format!("Your message was: {text:?}"))?;
    }
    Ok(())
}
// ANCHOR_END: websocket
// ANCHOR_END: program

pub(crate) fn app() -> App {
    let mut app = App::new();
    app.get("/", |_: Request| Response::redirect("/websocket/page", 302));
    routes(&mut app);
    app
}

fn main() {
    greenway::serve(app())
}
