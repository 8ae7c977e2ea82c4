//! Server-sent events as a browser reads them.

use bytes::{Buf, BytesMut};

use super::Reply;

/// One event of a stream, as a browser's `EventSource` gives it (WHATWG HTML, 9.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedEvent {
    /// The last id that was sent until then; empty if none was.
    pub id: String,
    /// The event's name; `message` if it has none.
    pub name: String,
    /// Its data, without the last line end.
    pub data: String,
}

impl Reply {
    /// The server-sent events in the body. One that is not complete is not among them, as with
    /// browsers.
    ///
    /// ```
    /// use greenway_app::{Body, Request, sse::Event, testing::Client};
    ///
    /// let client = Client::new(|_: Request| {
    ///     Body::iter([Event::new("a").id("1"), Event::new("b\nc").name("news")])
    /// });
    /// let events = client.get("/").send().events();
    /// assert_eq!((&*events[0].name, &*events[0].data), ("message", "a"));
    /// assert_eq!((&*events[1].name, &*events[1].data), ("news", "b\nc"));
    /// assert_eq!(events[1].id, "1");
    /// ```
    #[must_use]
    pub fn events(&self) -> Vec<ReceivedEvent> {
        let mut reader = EventReader::default();
        reader.feed(&self.bytes());
        std::iter::from_fn(|| reader.next_event()).collect()
    }
}

/// Makes events of the bytes of a stream, in whatever pieces they come.
///
/// ```
/// use greenway_app::testing::EventReader;
///
/// let mut reader = EventReader::default();
/// reader.feed(b"data: a\n");
/// assert_eq!(reader.next_event(), None);
/// reader.feed(b"\n");
/// assert_eq!(reader.next_event().unwrap().data, "a");
/// ```
#[derive(Debug, Clone, Default)]
pub struct EventReader {
    come: BytesMut,
    /// A line has ended in CR: an LF behind it belongs to that end.
    after_cr: bool,
    id: String,
    name: String,
    data: String,
}

impl EventReader {
    /// Takes a piece of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.come.extend_from_slice(bytes);
    }

    /// The next event, if all of it has come.
    pub fn next_event(&mut self) -> Option<ReceivedEvent> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.take_field(&line);
                continue;
            }
            let name = std::mem::take(&mut self.name);
            if self.data.pop().is_some() {
                let name = if name.is_empty() {
                    "message".to_owned()
                } else {
                    name
                };
                let data = std::mem::take(&mut self.data);
                let id = self.id.clone();
                return Some(ReceivedEvent { id, name, data });
            }
        }
        None
    }

    fn next_line(&mut self) -> Option<String> {
        if self.after_cr && !self.come.is_empty() {
            self.after_cr = false;
            if self.come.starts_with(b"\n") {
                self.come.advance(1);
            }
        }
        let end = self.come.iter().position(|byte| b"\r\n".contains(byte))?;
        self.after_cr = self.come[end] == b'\r';
        let line = self.come.split_to(end + 1);
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn take_field(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "event" => value.clone_into(&mut self.name),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            _ => {}
        }
    }
}
