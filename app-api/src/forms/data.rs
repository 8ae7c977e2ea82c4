//! A whole form, of either kind.

use super::multipart::{Multipart, Part};
use super::spool::{PIECE, Spool, Stored};
use super::upload::FileUpload;
use crate::input::input_error;
use crate::media_type::MediaType;
use crate::message::shortened;
use crate::{HttpError, Limits, Unblocker};
use http::StatusCode;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::{BufRead, Read};
use std::sync::Arc;

/// The fields and files of a form, in the order in which they were sent.
///
/// ```
/// use greenway_app::{HttpError, Request, testing::Client};
///
/// fn order(request: Request) -> Result<String, HttpError> {
///     let form = request.form()?;
///     let dish = form.get("dish").unwrap_or("soup");
///     let extra: Vec<&str> = form.get_all("extra").collect();
///     Ok(format!("{dish} with {}", extra.join(" and ")))
/// }
///
/// let client = Client::new(order);
/// let post = client.post("/").header("content-type", "application/x-www-form-urlencoded");
/// let reply = post.body("dish=fish+pie&extra=salt&extra=ice").send();
/// assert_eq!(reply.text(), "fish pie with salt and ice");
/// ```
#[derive(Debug, Clone, Default)]
pub struct FormData {
    fields: Vec<(String, String)>,
    files: Vec<FileUpload>,
}

impl FormData {
    #[cfg(feature = "templates")]
    pub(super) const fn empty() -> Self {
        Self {
            fields: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The first value of a text field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// All values of a text field.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// All text fields, as names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first file of a field.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&FileUpload> {
        self.files.iter().find(|file| file.name() == name)
    }

    /// All files. A field for a file in which the user has chosen none is not among them.
    #[must_use]
    pub fn files(&self) -> &[FileUpload] {
        &self.files
    }

    /// How many text fields and files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len() + self.files.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the text fields, each once, in the order of the form.
    fn names(&self) -> impl Iterator<Item = &str> {
        let is_first = |at: &usize| {
            self.fields[..*at]
                .iter()
                .all(|(name, _)| *name != self.fields[*at].0)
        };
        (0..self.fields.len())
            .filter(is_first)
            .map(|at| self.fields[at].0.as_str())
    }

    /// Reads a form that is sent with this Content-Type. `empty` says that there is no body.
    fn read(
        mut body: impl Read,
        content_type: Option<&str>,
        empty: bool,
        limits: &Limits,
        unblock: Unblocker,
    ) -> Result<Self, HttpError> {
        let Some(content_type) = content_type else {
            return match empty {
                true => Ok(Self::default()),
                false => Err(not_a_form()),
            };
        };
        let media_type = MediaType::parse(content_type);
        if media_type.is("multipart/form-data") {
            Self::multipart(Multipart::new(body, content_type, limits)?, limits, unblock)
        } else if media_type.is("application/x-www-form-urlencoded") {
            let mut text = Vec::new();
            let most = (limits.memory as u64).saturating_add(1);
            let mut body = body.by_ref().take(most);
            body.read_to_end(&mut text).map_err(input_error)?;
            if text.len() > limits.memory {
                return Err(too_large(limits));
            }
            Self::urlencoded(&text, limits)
        } else {
            Err(not_a_form())
        }
    }

    fn urlencoded(text: &[u8], limits: &Limits) -> Result<Self, HttpError> {
        let pairs = form_urlencoded::parse(text);
        let owned =
            |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
        let fields: Vec<_> = pairs
            .map(owned)
            .take(limits.parts.saturating_add(1))
            .collect();
        if fields.len() > limits.parts {
            return Err(HttpError::new(413, "the form has too many fields"));
        }
        Ok(Self {
            fields,
            files: Vec::new(),
        })
    }

    fn multipart(
        mut form: Multipart<impl Read>,
        limits: &Limits,
        unblock: Unblocker,
    ) -> Result<Self, HttpError> {
        let mut data = Self::default();
        let mut spool = Spool::new(unblock);
        let mut memory = limits.memory;
        while let Some(mut part) = form.next_part()? {
            let name = part.name().to_owned();
            let raw_filename = part.raw_filename().map(str::to_owned);
            let content_type = part.content_type().map(str::to_owned);
            let words = [Some(&name), raw_filename.as_ref(), content_type.as_ref()];
            let length: usize = words.into_iter().flatten().map(String::len).sum();
            memory = memory
                .checked_sub(length)
                .ok_or_else(|| too_large(limits))?;
            let Some(raw_filename) = raw_filename else {
                let value = part
                    .text(memory)
                    .map_err(|error| of_fields(error, &name, limits))?;
                // Its text may be longer than its bytes, where these are not UTF-8.
                let left = memory.checked_sub(value.len());
                memory = left.ok_or_else(|| too_large(limits))?;
                data.fields.push((name, value));
                continue;
            };
            let stored = store(&mut part, &mut spool, memory.min(limits.file_memory))?;
            if raw_filename.is_empty() && stored.length() == 0 {
                continue; // what browsers send where no file was chosen
            }
            if let Stored::Memory(bytes) = &stored {
                memory -= bytes.len();
            }
            data.files.push(FileUpload {
                name,
                raw_filename,
                content_type,
                stored,
                unblock,
            });
        }
        Ok(data)
    }
}

/// A map from names to values: a text, or a list of them for a field that was sent more than once.
impl Serialize for FormData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.names() {
            let values: Vec<&str> = self.get_all(name).collect();
            match values[..] {
                [value] => map.serialize_entry(name, value)?,
                _ => map.serialize_entry(name, &values)?,
            }
        }
        map.end()
    }
}

/// A form as templates have it: `form.title` is the first value of a field, `form.get_all("tag")` is
/// the list of all.
#[cfg(feature = "templates")]
impl From<&FormData> for minijinja::Value {
    fn from(form: &FormData) -> Self {
        minijinja::Value::from_object(Fields(FormData {
            fields: form.fields.clone(),
            files: Vec::new(),
        }))
    }
}

/// The text fields of a form in a template.
#[cfg(feature = "templates")]
#[derive(Debug)]
struct Fields(FormData);

#[cfg(feature = "templates")]
impl minijinja::value::Object for Fields {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        self.0.get(key.as_str()?).map(minijinja::Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        let names = self.0.names().map(minijinja::Value::from);
        minijinja::value::Enumerator::Values(names.collect())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut minijinja::State<'_, '_>,
        method: &str,
        args: &[minijinja::Value],
    ) -> Result<minijinja::Value, minijinja::Error> {
        match (method, args) {
            ("get_all", [name]) => {
                let all = self.0.get_all(name.as_str().unwrap_or_default());
                Ok(all.map(minijinja::Value::from).collect())
            }
            ("get", [name]) => Ok(self.get_value(name).unwrap_or(minijinja::Value::UNDEFINED)),
            _ => Err(minijinja::ErrorKind::UnknownMethod.into()),
        }
    }
}

/// Takes in a file: into `memory` bytes of memory if that is enough, else into the spool.
fn store(
    part: &mut Part<'_, impl Read>,
    spool: &mut Spool,
    memory: usize,
) -> Result<Stored, HttpError> {
    let mut piece = Vec::new();
    loop {
        let chunk = part.fill_buf().map_err(input_error)?;
        if chunk.is_empty() {
            return Ok(Stored::Memory(piece.into()));
        }
        if chunk.len() > memory - piece.len() {
            break;
        }
        piece.extend_from_slice(chunk);
        let taken = chunk.len();
        part.consume(taken);
    }
    let from = spool.length();
    loop {
        let chunk = part.fill_buf().map_err(input_error)?;
        let taken = chunk.len();
        piece.extend_from_slice(chunk);
        if taken == 0 || piece.len() >= PIECE {
            piece = spool.write(piece)?;
        }
        if taken == 0 {
            return Ok(spool.since(from));
        }
        part.consume(taken);
    }
}

fn not_a_form() -> HttpError {
    HttpError::new(415, "a form is expected")
}

fn too_large(limits: &Limits) -> HttpError {
    let most = limits.memory;
    HttpError::new(413, format!("the form exceeds {most} bytes"))
}

/// Which field it was that has exceeded what all fields of a form may have together.
#[cold]
fn of_fields(error: HttpError, name: &str, limits: &Limits) -> HttpError {
    if error.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return error;
    }
    let (name, most) = (shortened(name), limits.memory);
    HttpError::new(
        413,
        format!("the fields of the form exceed {most} bytes with `{name}`"),
    )
}

/// The form of a request, once it was read; or why it cannot be. As small as a pointer, as most
/// requests carry it for nothing; shared with nobody, but an `Arc` that is not there is dropped without a
/// call.
#[derive(Default)]
pub(crate) struct FormCell(OnceCell<Arc<Outcome>>);

type Outcome = Result<FormData, (StatusCode, String)>;

impl FormCell {
    /// The form, if it was read and is one.
    #[cfg(feature = "templates")]
    pub(crate) fn get(&self) -> Option<&FormData> {
        let outcome: &Outcome = self.0.get()?;
        outcome.as_ref().ok()
    }

    /// The form, which is read from `body` the first time.
    pub(super) fn get_or_read(
        &self,
        body: impl Read,
        content_type: Option<&str>,
        empty: bool,
        limits: &Limits,
        unblock: Unblocker,
    ) -> Result<&FormData, HttpError> {
        if self.0.get().is_none() {
            let read = FormData::read(body, content_type, empty, limits, unblock);
            let (outcome, failure) = match read {
                Ok(data) => (Ok(data), None),
                // What is left of the body is no form, so the next call must fail, too.
                Err(error) => {
                    let again = (error.status(), error.message().to_owned());
                    (Err(again), Some(error))
                }
            };
            // Another green thread may have filled it meanwhile, to whom this one is an intruder.
            let _ = self.0.set(Arc::new(outcome));
            if let Some(error) = failure {
                return Err(error);
            }
        }
        match self.0.get().map(|outcome| &**outcome) {
            Some(Ok(data)) => Ok(data),
            Some(Err((status, message))) => Err(HttpError::new(*status, message.clone())),
            None => Err(HttpError::new(500, "")),
        }
    }
}
