//! The forms of a request.

use super::{FileUpload, FormData, Multipart};
#[cfg(feature = "sessions")]
use crate::media_type::MediaType;
use crate::{HttpError, Request};
use std::io::{self, Read};

impl Request {
    /// The form that was sent: URL-encoded or multipart, the fields and the files of it. It is
    /// read at the first call and kept. Empty where the request has no body.
    ///
    /// Large files are written to disk as they come; [`multipart`](Request::multipart) gives them
    /// to the handler instead. What a form may take is in [`Limits`](crate::Limits).
    ///
    /// ```
    /// use greenway_app::{HttpError, Request, testing::Client};
    ///
    /// fn hello(request: Request) -> Result<String, HttpError> {
    ///     Ok(format!("Hello {}!", request.form()?.get("name").unwrap_or("you")))
    /// }
    ///
    /// let client = Client::new(hello);
    /// let post = client.post("/").header("content-type", "application/x-www-form-urlencoded");
    /// assert_eq!(post.body("name=Ada+L.").send().text(), "Hello Ada L.!");
    /// ```
    ///
    /// # Errors
    ///
    /// 415 for a body that is no form, 400 for a malformed one, 413 and 431 beyond a limit, 500
    /// where the disk cannot be written; and as [`body`](Request::body). Every further call fails
    /// as well.
    pub fn form(&self) -> Result<&FormData, HttpError> {
        let empty = self.borrow_input()?.is_empty();
        let content_type = self.content_type();
        self.form_cell().get_or_read(
            SharedBody(self),
            content_type,
            empty,
            self.limits(),
            self.unblocker(),
        )
    }

    /// The form, as far as it was read: empty if it was not, or is none.
    #[cfg(feature = "templates")]
    pub(crate) fn form_so_far(&self) -> &FormData {
        static NONE: FormData = FormData::empty();
        self.form_cell().get().unwrap_or(&NONE)
    }

    /// Whether the Content-Type is that of a form.
    #[cfg(feature = "sessions")]
    pub(crate) fn is_form(&self) -> bool {
        let media_type = MediaType::parse(self.content_type().unwrap_or(""));
        media_type.is("multipart/form-data") || media_type.is("application/x-www-form-urlencoded")
    }

    /// The files of the form. A field in which the user has chosen no file has none.
    ///
    /// # Errors
    ///
    /// As [`form`](Request::form).
    pub fn files(&self) -> Result<&[FileUpload], HttpError> {
        Ok(self.form()?.files())
    }

    /// The first file of a field of the form.
    ///
    /// # Errors
    ///
    /// As [`form`](Request::form).
    pub fn file(&self, name: &str) -> Result<Option<&FileUpload>, HttpError> {
        Ok(self.form()?.file(name))
    }

    /// The parts of a multipart form, each a reader, as they arrive. Nothing is kept.
    ///
    /// ```
    /// use std::io;
    /// use greenway_app::{HttpError, Request, testing::Client};
    ///
    /// fn lengths(request: Request) -> Result<String, HttpError> {
    ///     let mut form = request.multipart()?;
    ///     let mut text = String::new();
    ///     while let Some(mut part) = form.next_part()? {
    ///         let length = io::copy(&mut part, &mut io::sink())?;
    ///         text += &format!("{}: {length}\n", part.name());
    ///     }
    ///     Ok(text)
    /// }
    ///
    /// let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nxyz\r\n--b--\r\n";
    /// let client = Client::new(lengths);
    /// let post = client.post("/").header("content-type", "multipart/form-data; boundary=b");
    /// assert_eq!(post.body(body).send().text(), "a: 3\n");
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Multipart::new`].
    pub fn multipart(&self) -> Result<Multipart<impl Read + use<'_>>, HttpError> {
        let content_type = self.content_type().unwrap_or("");
        let form = Multipart::new(SharedBody(self), content_type, self.limits())?;
        Ok(form.with_unblocker(self.unblocker()))
    }
}

/// The body of a request, which nothing keeps borrowed between two reads.
struct SharedBody<'a>(&'a Request);

impl Read for SharedBody<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_input()?.read(out)
    }
}
