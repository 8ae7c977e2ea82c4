//! What is said in a room, and what becomes of it: a [`Post`] becomes a [`Message`] with a place
//! in the room's history.

use super::cursor::Cursor;
use crate::sse::Event;
use crate::websocket::{self, Encoded};
use bytes::Bytes;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Something to be published: text or bytes.
///
/// ```
/// use greenway::room::{Post, Room};
///
/// let room = Room::new();
/// room.publish("all text is a post");
/// room.publish(Post::new("ada").name("typing").passing());
/// ```
#[derive(Debug, Clone)]
pub struct Post {
    data: websocket::Message,
    name: Option<String>,
    passing: bool,
}

impl Post {
    /// A text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self::from(websocket::Message::Text(text.into()))
    }

    /// Bytes, for WebSockets and queues. A stream of events cannot carry them and skips them.
    #[must_use]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::from(websocket::Message::Binary(bytes.into()))
    }

    /// What it is: the name of the event where it is sent as one, `message` by default. A
    /// WebSocket has no place for it.
    ///
    /// # Panics
    /// When it holds CR, LF or NUL, which an event's name cannot.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if let Err(error) = Event::default().try_name(&*name) {
            panic!("Post::name: {error}");
        }
        self.name = Some(name);
        self
    }

    /// As [`name`](Self::name), for one that comes from elsewhere; `None` if it is none.
    pub(super) fn try_name(mut self, name: &str) -> Option<Self> {
        Event::default().try_name(name).ok()?;
        self.name = Some(name.to_owned());
        Some(self)
    }

    /// The content, the name, and whether it is passing.
    pub(super) fn parts(&self) -> (&websocket::Message, Option<&str>, bool) {
        (&self.data, self.name.as_deref(), self.passing)
    }

    /// Of no interest later: it does not take the place of another message in the history, and
    /// who comes new does not get it. For "somebody is typing" and "somebody has come".
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.passing = true;
        self
    }
}

impl From<&str> for Post {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Post {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Bytes> for Post {
    fn from(bytes: Bytes) -> Self {
        Self::binary(bytes)
    }
}

impl From<websocket::Message> for Post {
    fn from(data: websocket::Message) -> Self {
        Self {
            data,
            name: None,
            passing: false,
        }
    }
}

/// What a room's members get. Clones are the same message.
#[derive(Clone)]
pub struct Message(Arc<Inner>);

struct Inner {
    cursor: Cursor,
    name: Option<String>,
    passing: bool,
    /// The content, and the frames made of it.
    data: Encoded,
    /// Made for the first member that needs it.
    event: OnceLock<Option<Bytes>>,
}

impl Message {
    pub(super) fn new(cursor: Cursor, post: Post) -> Self {
        let Post {
            data,
            name,
            passing,
        } = post;
        Self(Arc::new(Inner {
            cursor,
            name,
            passing,
            data: Encoded::new(data),
            event: OnceLock::new(),
        }))
    }

    /// Its place in the room.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.0.cursor
    }

    /// What it is; see [`Post::name`].
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// The text; `None` if it is binary.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.data.message().as_text()
    }

    /// The bytes, of a text as well.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.data.message().as_bytes()
    }

    /// As WebSockets get it.
    pub(super) fn encoded(&self) -> &Encoded {
        &self.0.data
    }

    pub(super) fn is_passing(&self) -> bool {
        self.0.passing
    }

    /// About the memory that it takes.
    pub(super) fn size(&self) -> usize {
        self.bytes().len() + self.name().map_or(0, str::len)
    }

    /// As an event on the wire, with its place as the id; `None` if it is binary.
    pub(super) fn event(&self) -> Option<Bytes> {
        let encode = || {
            let mut event = Event::new(self.text()?).id(self.cursor().to_string());
            if let Some(name) = self.name() {
                event = event.name(name); // `Post::name` has checked it
            }
            Some(event.encode())
        };
        self.0.event.get_or_init(encode).clone()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("number", &self.cursor().number())
            .field("name", &self.name())
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(post: Post) -> Message {
        let cursor = Cursor {
            epoch: 1,
            number: 2,
        };
        Message::new(cursor, post)
    }

    #[test]
    fn a_message_is_encoded_once_for_all_streams() {
        let text = message(Post::new("a\nb").name("n"));
        let event = text.event().unwrap();
        assert_eq!(
            event,
            "id: 0000000000000001-2\nevent: n\ndata: a\ndata: b\n\n"
        );
        let again = text.clone().event().unwrap();
        assert_eq!(event.as_ptr(), again.as_ptr(), "the same bytes");
        let bytes = message(Post::from(Bytes::from_static(b"\xff")));
        assert_eq!((bytes.text(), bytes.event()), (None, None));
        assert_eq!(bytes.bytes(), b"\xff");
    }

    #[test]
    #[should_panic(expected = "Post::name")]
    fn a_name_cannot_forge_an_event() {
        let _ = Post::new("").name("a\nb");
    }
}
