//! Server-sent events as a browser reads them.

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
        let text = self.text().replace("\r\n", "\n").replace('\r', "\n");
        let (mut id, mut name, mut data) = (String::new(), String::new(), String::new());
        let mut events = Vec::new();
        for line in text.split_inclusive('\n') {
            let Some(line) = line.strip_suffix('\n') else {
                break;
            };
            if line.is_empty() {
                if data.pop().is_some() {
                    let name = match name.as_str() {
                        "" => "message".to_owned(),
                        own => own.to_owned(),
                    };
                    let data = std::mem::take(&mut data);
                    let id = id.clone();
                    events.push(ReceivedEvent { id, name, data });
                }
                name.clear();
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => {
                    data.push_str(value);
                    data.push('\n');
                }
                "event" => value.clone_into(&mut name),
                "id" if !value.contains('\0') => value.clone_into(&mut id),
                _ => {}
            }
        }
        events
    }
}
