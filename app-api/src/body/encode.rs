//! Bodies whose bytes are rewritten on their way: compression, framing, ciphers.
//!
//! What must stay true: what an encoder makes of a chunk is sent before the next chunk is asked
//! for; an encoder sees the end of a body that ends well, and of no other; and the farewell that a
//! server keeps always continues the bytes that the client has, whatever was encoded since.

use std::fs::File;
use std::io;

use bytes::Bytes;

use super::Body;
use super::error::BodyError;
use super::sink::{Out, Sink};

/// Something that rewrites a body, for [`Body::encode`].
///
/// ```
/// use greenway_app::{Body, BodyEncoder, BodyError, Bytes, Request, testing::Client};
///
/// /// One JSON array of the chunks of a body, each of which is a value.
/// #[derive(Default)]
/// struct Array {
///     begun: bool,
/// }
///
/// impl BodyEncoder for Array {
///     fn encode(&mut self, chunk: Bytes) -> Result<Bytes, BodyError> {
///         let before = if std::mem::replace(&mut self.begun, true) { ", " } else { "[" };
///         Ok([before.as_bytes(), &chunk].concat().into())
///     }
///
///     fn finish(&mut self) -> Result<Bytes, BodyError> {
///         Ok(Bytes::from_static(if self.begun { b"]" } else { b"[]" }))
///     }
/// }
///
/// let app = |_: Request| Body::iter(["1", "2"]).encode(Array::default());
/// assert_eq!(Client::new(app).get("/").send().text(), "[1, 2]");
/// ```
pub trait BodyEncoder: 'static {
    /// What is sent for a chunk, which is never empty. Where it is empty, nothing is sent yet. An
    /// encoder that keeps bytes back keeps events and long polls from their clients.
    ///
    /// # Errors
    ///
    /// An error ends the body, as one of what feeds it.
    fn encode(&mut self, chunk: Bytes) -> Result<Bytes, BodyError>;

    /// What is sent at the end of a body that has ended well. It is the last call.
    ///
    /// # Errors
    ///
    /// As [`encode`](BodyEncoder::encode).
    fn finish(&mut self) -> Result<Bytes, BodyError>;

    /// What would be sent now if `last` were the body's last chunk: for streams that a server may
    /// end when it stops ([`Out::end_at_stop`]), by when the encoder is gone. It is asked for after
    /// each chunk of such a stream, and leaves the encoder as it is. `None` (the default) where
    /// that is not to be known: the body then ends without it.
    fn farewell(&mut self, last: &[u8]) -> Option<Bytes> {
        let _no_use_for_it = last;
        None
    }
}

impl<E: BodyEncoder + ?Sized> BodyEncoder for Box<E> {
    fn encode(&mut self, chunk: Bytes) -> Result<Bytes, BodyError> {
        (**self).encode(chunk)
    }

    fn finish(&mut self) -> Result<Bytes, BodyError> {
        (**self).finish()
    }

    fn farewell(&mut self, last: &[u8]) -> Option<Bytes> {
        (**self).farewell(last)
    }
}

impl Body {
    /// A body whose chunks pass through an encoder on their way, which learns of its end: for
    /// middleware that compresses or frames. Its length is unknown. For something without an end,
    /// [`map_chunks`](Body::map_chunks) is shorter.
    ///
    /// The head still waits for the first chunk; "nothing yet", early heads and farewells
    /// ([`Out::end_at_stop`]) are passed on. [`BodyEncoder`] has an example.
    #[must_use]
    pub fn encode(self, mut encoder: impl BodyEncoder) -> Self {
        Self::stream(move |out| {
            self.send_to(&mut Encoded {
                out,
                encoder: &mut encoder,
                farewell: None,
            })?;
            let last = encoder.finish()?;
            if last.is_empty() {
                return Ok(());
            }
            out.send(last)
        })
    }
}

/// The sink between an encoded body and the real one.
struct Encoded<'e, 'o, 'a, E> {
    out: &'o mut Out<'a>,
    encoder: &'e mut E,
    /// What the body has said for when the server stops, not encoded.
    farewell: Option<Bytes>,
}

impl<E: BodyEncoder> Encoded<'_, '_, '_, E> {
    /// Tells the server how the body may be ended after what has been sent.
    fn update_farewell(&mut self) -> Result<(), BodyError> {
        let Some(last) = &self.farewell else {
            return Ok(());
        };
        let encoded = self.encoder.farewell(last).unwrap_or_default();
        self.out.end_at_stop(encoded)
    }
}

impl<E: BodyEncoder> Sink for Encoded<'_, '_, '_, E> {
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        let encoded = self.encoder.encode(chunk)?;
        if !encoded.is_empty() {
            self.out.send(encoded)?;
        }
        // Not before: a server that ends the body instead of sending the chunk is still to know
        // the farewell that continues the chunk before.
        self.update_farewell()
    }

    fn nothing_yet(&mut self) -> Result<(), BodyError> {
        self.out.send(Bytes::new())
    }

    fn start(&mut self) -> Result<(), BodyError> {
        self.out.start()
    }

    fn flush(&mut self) -> Result<(), BodyError> {
        self.out.flush()
    }

    fn read_file(&mut self, file: &File, buf: &mut [u8]) -> io::Result<usize> {
        self.out.read_file(file, buf)
    }

    fn end_at_stop(&mut self, farewell: Bytes) {
        self.farewell = Some(farewell);
        // It fails where the client has left, which the next chunk will tell.
        let _ = self.update_farewell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;
    use crate::{HttpError, Request};

    /// Brackets around chunks, an end that counts them, and a farewell that tells where it is.
    #[derive(Default)]
    struct Brackets(u32);

    impl BodyEncoder for Brackets {
        fn encode(&mut self, chunk: Bytes) -> Result<Bytes, BodyError> {
            self.0 += 1;
            if chunk == "keep" {
                return Ok(Bytes::new());
            }
            Ok([b"[", &chunk[..], b"]"].concat().into())
        }

        fn finish(&mut self) -> Result<Bytes, BodyError> {
            Ok(format!("end {}", self.0).into())
        }

        fn farewell(&mut self, last: &[u8]) -> Option<Bytes> {
            Some(
                [format!("after {}: ", self.0).as_bytes(), last]
                    .concat()
                    .into(),
            )
        }
    }

    fn chunks(body: impl Fn() -> Body + Send + Sync + 'static) -> Vec<Bytes> {
        let client = Client::new(move |_: Request| body().encode(Brackets::default()));
        client.get("/").send().chunks().to_vec()
    }

    #[test]
    fn an_end_follows_the_chunks() {
        assert_eq!(
            chunks(|| Body::iter(["a", "", "b"])),
            ["[a]", "[b]", "end 2"]
        );
        assert_eq!(chunks(|| Body::iter(["keep", "b"])), ["[b]", "end 2"]);
        assert_eq!(chunks(|| Body::full("abc")), ["[abc]", "end 1"]);
        assert_eq!(chunks(Body::empty), ["end 0"]);
        assert_eq!(Body::full("a").encode(Brackets::default()).length(), None);
    }

    #[test]
    fn a_body_that_fails_has_no_end() {
        let late = |_: Request| {
            let fails = Body::stream(|out| {
                out.send("a")?;
                Err(BodyError::new("late"))
            });
            fails.encode(Brackets::default())
        };
        let reply = Client::new(late).get("/").send();
        assert_eq!(reply.chunks(), ["[a]"]);
        assert!(reply.error().is_some());

        let early = |_: Request| {
            let fails = Body::stream(|_| Err(HttpError::new(409, "no").into()));
            fails.encode(Brackets::default())
        };
        assert_eq!(Client::new(early).get("/").send().status(), 409);
    }

    #[test]
    fn a_client_that_leaves_ends_it() {
        let endless = |_: Request| Body::iter(std::iter::repeat("x")).encode(Brackets::default());
        let reply = Client::new(endless).get("/").leave_after(3).send();
        assert_eq!(reply.chunks().len(), 3);
        assert!(reply.error().is_some_and(BodyError::is_gone));
    }

    #[test]
    fn farewells_follow_what_was_sent() {
        /// Notes what it is told, and fails at its third chunk.
        #[derive(Default)]
        struct Notes(Vec<String>, usize);

        impl Sink for Notes {
            fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
                self.1 += 1;
                if self.1 == 3 {
                    return Err(BodyError::gone());
                }
                self.0.push(String::from_utf8_lossy(&chunk).into_owned());
                Ok(())
            }

            fn start(&mut self) -> Result<(), BodyError> {
                Ok(())
            }

            fn end_at_stop(&mut self, farewell: Bytes) {
                self.0.push(String::from_utf8_lossy(&farewell).into_owned());
            }
        }

        let body = Body::stream(|out| {
            out.end_at_stop("bye")?;
            for chunk in ["a", "b", "c"] {
                out.send(chunk)?;
            }
            Ok(())
        });
        let mut notes = Notes::default();
        let result = body.encode(Brackets::default()).send_to(&mut notes);
        assert!(result.unwrap_err().is_gone());
        // The third was encoded and not sent, so that the farewell is that of the second.
        let expected = ["after 0: bye", "[a]", "after 1: bye", "[b]", "after 2: bye"];
        assert_eq!(notes.0, expected);
    }
}
