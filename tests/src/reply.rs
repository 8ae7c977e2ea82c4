//! Responses as a client sees them.

use std::fmt;

/// A response's head.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    text: String,
}

impl Head {
    /// Takes a head apart; `text` is all of it, with the empty line.
    ///
    /// # Panics
    /// When it is not the head of an HTTP/1 response.
    #[track_caller]
    pub(crate) fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8(text.to_vec()).expect("a response's head is ASCII");
        let status = text
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("not an HTTP/1 response: {text:?}"));
        Self { status, text }
    }

    /// The first line.
    #[must_use]
    pub fn status_line(&self) -> &str {
        self.text.split("\r\n").next().unwrap_or("")
    }

    /// All values of a field, whose name is given in lower case.
    pub fn fields<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = name.to_owned();
        self.text.split("\r\n").skip(1).filter_map(move |line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(&name).then(|| value.trim())
        })
    }

    /// The value of a field.
    ///
    /// # Panics
    /// When the head has it more than once.
    #[track_caller]
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields(name);
        let value = values.next();
        assert_eq!(values.next(), None, "a second {name} in {self:?}");
        value
    }

    /// Whether the body comes in chunks.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        self.field("transfer-encoding") == Some("chunked")
    }

    /// The Content-Length.
    ///
    /// # Panics
    /// When it is not a number.
    #[must_use]
    pub fn content_length(&self) -> Option<usize> {
        self.field("content-length")
            .map(|value| value.parse().expect("Content-Length is a number"))
    }

    /// Whether it says that the connection ends with this response.
    #[must_use]
    pub fn says_close(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status and fields.
    pub head: Head,
    /// The body, without the framing.
    pub body: Vec<u8>,
}

impl Reply {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Status and text: what most tests compare.
    #[must_use]
    pub fn summary(&self) -> (u16, String) {
        (self.status(), self.text())
    }
}
