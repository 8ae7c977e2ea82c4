//! WebSockets as axum's docs and examples have them: a broadcast channel is the room, and
//! each member has a sending and a receiving half.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::broadcast::Sender;

/// A member that is so many messages behind misses some.
const BEHIND: usize = 16;

static ROOM: LazyLock<Sender<Utf8Bytes>> = LazyLock::new(|| Sender::new(BEHIND));

/// `/ws` and the room.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/ws", get(async |up| small(up).on_upgrade(echo)))
        .route("/room", get(async |up| small(up).on_upgrade(listen)))
        .route("/room/publish", get(publish))
        .route(
            "/room/members",
            get(async || ROOM.receiver_count().to_string()),
        )
}

/// tungstenite has a buffer of 128 KiB for each socket, and advises less where there are many.
fn small(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.read_buffer_size(4 * 1024)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_))
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}

async fn listen(socket: WebSocket) {
    let mut news = ROOM.subscribe();
    let (mut to, mut from) = socket.split();
    let mut sending = tokio::spawn(async move {
        while let Ok(message) = news.recv().await {
            if to.send(Message::Text(message)).await.is_err() {
                return;
            }
        }
    });
    let mut receiving = tokio::spawn(async move { while let Some(Ok(_)) = from.next().await {} });
    tokio::select! {
        _ = &mut sending => receiving.abort(),
        _ = &mut receiving => sending.abort(),
    }
}

async fn publish() -> &'static str {
    // Nobody listens: nobody to tell.
    let _ = ROOM.send(peer_common::tick().into());
    peer_common::HELLO
}
