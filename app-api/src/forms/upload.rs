//! An uploaded file, as a handler gets it with the whole form.

use super::save::{self, Existing, safe_filename};
use super::spool::{FileReader, Stored};
use crate::unblocker::{self, Unblocker};
use crate::{Bytes, HttpError};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file that was uploaded with a form: Bottle's `FileUpload`.
///
/// A small one is in memory, a larger one on disk, where it vanishes with the last of its readers,
/// unless it is [`save`](FileUpload::save)d.
///
/// ```
/// use greenway_app::{App, HttpError, Request, testing::Client};
///
/// fn upload(request: Request) -> Result<String, HttpError> {
///     let file = request.file("picture")?.ok_or_else(|| HttpError::new(400, "no picture"))?;
///     Ok(format!("{} has {} bytes", file.filename(), file.len()))
/// }
///
/// let body = "--b\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"../a b.png\"\r\n\
///             \r\nPNG\r\n--b--\r\n";
/// let client = Client::new(upload);
/// let post = client.post("/").header("content-type", "multipart/form-data; boundary=b");
/// assert_eq!(post.body(body).send().text(), "a-b.png has 3 bytes");
/// ```
#[derive(Clone)]
pub struct FileUpload {
    pub(super) name: String,
    pub(super) raw_filename: String,
    pub(super) content_type: Option<String>,
    pub(super) stored: Stored,
    /// For what [`save`](FileUpload::save) does to a disk.
    pub(super) unblock: Unblocker,
}

impl FileUpload {
    /// The name of the field in the form.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A name that is safe to use on disk and in HTML: of the last component of
    /// [`raw_filename`](FileUpload::raw_filename) the letters and digits of all scripts, dots,
    /// dashes and underscores, with dashes for spaces; no dot in front; 255 bytes at most;
    /// `"empty"` if nothing is left.
    ///
    /// It is still the client's choice: `index.html` and `x.php` are safe in this sense.
    #[must_use]
    pub fn filename(&self) -> String {
        safe_filename(&self.raw_filename)
    }

    /// The name as the client has sent it: anything at all, a path for example.
    #[must_use]
    pub fn raw_filename(&self) -> &str {
        &self.raw_filename
    }

    /// The Content-Type that the client claims.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.stored.length()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads it from its start; may be called several times.
    #[must_use]
    pub fn reader(&self) -> FileReader {
        FileReader::new(self.stored.clone())
    }

    /// All of it, if that is at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// 413 beyond `limit`, 500 if the disk cannot be read.
    pub fn read_all(&self, limit: usize) -> Result<Bytes, HttpError> {
        if self.len() > limit as u64 {
            return Err(HttpError::new(413, "an uploaded file is too large"));
        }
        if let Stored::Memory(bytes) = &self.stored {
            return Ok(bytes.clone());
        }
        let mut all = Vec::new();
        self.reader().read_to_end(&mut all)?;
        Ok(all.into())
    }

    /// Writes it into a new file of the folder `dir`, named [`filename`](FileUpload::filename),
    /// and gives its path. The file is there once it is complete.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if there is a file of this name; otherwise
    /// as the disk says.
    pub fn save(&self, dir: impl AsRef<Path>) -> io::Result<PathBuf> {
        self.put(dir.as_ref(), self.filename(), Existing::Refuse)
    }

    /// As [`save`](FileUpload::save), under a name of the application's choice.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `name` is not a plain name of a file, as
    /// `../x` is not; otherwise as [`save`](FileUpload::save).
    pub fn save_as(&self, dir: impl AsRef<Path>, name: &str) -> io::Result<PathBuf> {
        save::check_name(name)?;
        self.put(dir.as_ref(), name.to_owned(), Existing::Refuse)
    }

    /// As [`save_as`](FileUpload::save_as), but a file of this name is replaced, at once and as a
    /// whole.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `name` is not a plain name of a file, and
    /// whatever the disk says.
    pub fn replace(&self, dir: impl AsRef<Path>, name: &str) -> io::Result<PathBuf> {
        save::check_name(name)?;
        self.put(dir.as_ref(), name.to_owned(), Existing::Replace)
    }

    /// Writes it where a slow disk holds up no worker.
    fn put(&self, dir: &Path, name: String, existing: Existing) -> io::Result<PathBuf> {
        let (mut reader, dir) = (self.reader(), dir.to_owned());
        unblocker::by(self.unblock, move || {
            // All at once, and not bit by bit: what is read is on the disk as well.
            save::save(&mut reader, &dir, &name, existing, unblocker::here)
        })
    }
}

impl fmt::Debug for FileUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileUpload")
            .field("name", &self.name)
            .field("raw_filename", &self.raw_filename)
            .field("content_type", &self.content_type)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
