//! What may stand for a chunk. Whatever is in this list can be a whole body too (`into.rs`), so that
//! what can be sent can also be returned.

use std::borrow::Cow;

use bytes::Bytes;

use super::error::BodyError;

/// Something that can be sent as one chunk: text, bytes, or a result of one.
pub trait IntoChunk {
    /// The bytes to send; empty means "nothing yet".
    ///
    /// # Errors
    ///
    /// The error of a `Result` item, which ends the body.
    fn into_chunk(self) -> Result<Bytes, BodyError>;
}

macro_rules! bytes_like {
    ($($type:ty => $convert:expr;)*) => {$(
        impl IntoChunk for $type {
            fn into_chunk(self) -> Result<Bytes, BodyError> {
                Ok($convert(self))
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

impl<T: IntoChunk, E: Into<BodyError>> IntoChunk for Result<T, E> {
    fn into_chunk(self) -> Result<Bytes, BodyError> {
        self.map_err(Into::into)?.into_chunk()
    }
}
