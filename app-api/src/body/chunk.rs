//! What may stand for a chunk, and what for a whole body.
//!
//! One list for both, so that what can be returned can also be sent.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Body, BodyError};

/// Something that can be sent as one chunk: text, bytes, or a result of one.
pub trait IntoChunk {
    /// The bytes to send; empty means "nothing yet".
    ///
    /// # Errors
    ///
    /// The error of a `Result` item, which ends the body.
    fn into_chunk(self) -> Result<Bytes, BodyError>;
}

/// Something that can be the body of a [`Response`](crate::Response).
pub trait IntoBody {
    /// The body.
    fn into_body(self) -> Body;
}

macro_rules! bytes_like {
    ($($type:ty => $convert:expr;)*) => {$(
        impl IntoChunk for $type {
            fn into_chunk(self) -> Result<Bytes, BodyError> {
                Ok($convert(self))
            }
        }

        impl IntoBody for $type {
            fn into_body(self) -> Body {
                Body::full($convert(self))
            }
        }
    )*};
}

bytes_like! {
    Bytes => std::convert::identity;
    &'static str => Bytes::from;
    String => Bytes::from;
    Vec<u8> => Bytes::from;
    &'static [u8] => Bytes::from;
    Cow<'static, str> => |text| match text {
        Cow::Borrowed(text) => Bytes::from(text),
        Cow::Owned(text) => Bytes::from(text),
    };
}

/// Byte string literals: `b"..."`.
impl<const N: usize> IntoChunk for &'static [u8; N] {
    fn into_chunk(self) -> Result<Bytes, BodyError> {
        Ok(Bytes::from_static(self))
    }
}

impl<const N: usize> IntoBody for &'static [u8; N] {
    fn into_body(self) -> Body {
        Body::full(Bytes::from_static(self))
    }
}

impl<T: IntoChunk, E: Into<BodyError>> IntoChunk for Result<T, E> {
    fn into_chunk(self) -> Result<Bytes, BodyError> {
        self.map_err(Into::into)?.into_chunk()
    }
}

impl IntoBody for Body {
    fn into_body(self) -> Body {
        self
    }
}

impl IntoBody for () {
    fn into_body(self) -> Body {
        Body::empty()
    }
}
