//! Bodies of requests that browsers and programs send: forms, files, JSON.

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header;

use super::RequestBuilder;

/// Between the parts of a form. No test has it in a file.
const BOUNDARY: &str = "----greenway-test-8f14e45fceea167a";

impl RequestBuilder<'_> {
    /// Sets the body to a URL-encoded form, with its Content-Type.
    ///
    /// ```
    /// use greenway_app::{HttpError, Request, testing::Client};
    ///
    /// let client = Client::new(|request: Request| Ok(request.body(99)?));
    /// let reply = client.post("/").form([("name", "Zoë"), ("age", "7")]).send();
    /// assert_eq!(reply.text(), "name=Zo%C3%AB&age=7");
    /// ```
    pub fn form<K: AsRef<str>, V: AsRef<str>>(
        self,
        fields: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        self.content_type("application/x-www-form-urlencoded")
            .body(body)
    }

    /// Adds a text field to a form with files (`multipart/form-data`).
    pub fn field(self, name: &str, value: &str) -> Self {
        self.part(name, "", value.as_bytes())
    }

    /// Adds a file to a form (`multipart/form-data`).
    ///
    /// ```
    /// # #[cfg(feature = "forms")] {
    /// use greenway_app::{Request, testing::Client};
    ///
    /// let client = Client::new(|request: Request| {
    ///     let form = request.form()?;
    ///     let file = form.file("picture").unwrap();
    ///     Ok(format!("{}: {} bytes", form.get("title").unwrap(), file.len()))
    /// });
    /// let post = client.post("/").field("title", "Cat").file("picture", "cat.png", "image/png", b"1234");
    /// assert_eq!(post.send().text(), "Cat: 4 bytes");
    /// # }
    /// ```
    pub fn file(
        self,
        name: &str,
        filename: &str,
        content_type: &str,
        bytes: impl AsRef<[u8]>,
    ) -> Self {
        let filename = quoted(filename);
        let more = format!("; filename=\"{filename}\"\r\nContent-Type: {content_type}");
        self.part(name, &more, bytes.as_ref())
    }

    fn part(mut self, name: &str, more: &str, content: &[u8]) -> Self {
        let name = quoted(name);
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n"
        );
        self.parts.extend_from_slice(head.as_bytes());
        self.parts.extend_from_slice(content);
        self.parts.extend_from_slice(b"\r\n");
        self
    }

    /// The request with the parts of its form as its body, if it has any.
    pub(super) fn with_parts(mut self) -> Self {
        if self.parts.is_empty() {
            return self;
        }
        let mut body = std::mem::take(&mut self.parts);
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.content_type(&format!("multipart/form-data; boundary={BOUNDARY}"))
            .body(Bytes::from(body))
    }

    /// Sets the body to a value as JSON, with its Content-Type.
    ///
    /// ```
    /// use greenway_app::{Json, Request, testing::Client};
    ///
    /// let client = Client::new(|request: Request| {
    ///     let numbers: Vec<i32> = request.json()?;
    ///     Ok(Json(numbers.iter().sum::<i32>()))
    /// });
    /// assert_eq!(client.post("/").json(&[1, 2, 3]).send().json::<i32>(), 6);
    /// ```
    ///
    /// # Panics
    ///
    /// When the value cannot be written as JSON.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => self.content_type("application/json").body(text),
            Err(error) => panic!("RequestBuilder::json: {error}"),
        }
    }

    fn content_type(mut self, value: &str) -> Self {
        self.headers.remove(header::CONTENT_TYPE);
        self.header(header::CONTENT_TYPE, value)
    }
}

/// A name as browsers write it between quotes (WHATWG HTML, 4.10.21.8).
fn quoted(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}
