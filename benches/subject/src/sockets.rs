//! WebSockets: an echo, and a room whose members all hear of each publish. The room is a list of
//! senders, to whom a message goes that is encoded once; nobody waits for a slow member.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenway::websocket::{Encoded, Sender, Upgrade, WebSocket, WebSocketError};
use greenway::{App, Request, abort};

pub(crate) fn mount(app: &mut App) {
    app.get("/ws", |request: Request| -> Result<(), WebSocketError> {
        let socket = opened(&request);
        while let Some(message) = socket.receive()? {
            socket.send(message)?;
        }
        Ok(())
    });
    let room = Arc::new(Room::default());
    let (joined, told, counted) = (room.clone(), room.clone(), room);
    app.get(
        "/room",
        move |request: Request| -> Result<(), WebSocketError> {
            let socket = opened(&request);
            let _member = Member::join(&joined, socket.sender());
            while socket.receive()?.is_some() {}
            Ok(())
        },
    );
    app.get("/room/publish", move |_: Request| {
        let message = Encoded::new(crate::tick());
        for member in told.lock().values() {
            // Who is too far behind misses it; who has gone is on the way out.
            let _ = member.try_send(&message);
        }
        "Hello, World!"
    });
    app.get("/room/members", move |_: Request| {
        counted.lock().len().to_string()
    });
}

fn opened(request: &Request) -> WebSocket {
    match request.websocket() {
        Some(socket) => socket,
        None => abort(400, "Expected a WebSocket request."),
    }
}

#[derive(Debug, Default)]
struct Room {
    members: Mutex<HashMap<u64, Sender>>,
    next: AtomicU64,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Sender>> {
        // Nothing panics while it holds the lock.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Member<'a>(&'a Room, u64);

impl<'a> Member<'a> {
    fn join(room: &'a Room, sender: Sender) -> Self {
        let number = room.next.fetch_add(1, Ordering::Relaxed);
        room.lock().insert(number, sender);
        Self(room, number)
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
