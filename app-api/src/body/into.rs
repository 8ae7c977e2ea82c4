//! What may stand for a whole body.

use std::borrow::Cow;

use bytes::Bytes;

use super::Body;

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// Something that can be the body of a [`Response`](crate::Response).
pub trait IntoBody {
    /// What it is (RFC 9110, 8.3), as far as its type tells.
    const CONTENT_TYPE: Option<&'static str> = None;

    /// The body.
    fn into_body(self) -> Body;
}

macro_rules! bytes_like {
    ($content_type:ident: $($type:ty),*) => {$(
        impl IntoBody for $type {
            const CONTENT_TYPE: Option<&'static str> = Some($content_type);

            fn into_body(self) -> Body {
                Body::full(self)
            }
        }
    )*};
}

bytes_like!(TEXT: &'static str, String);
bytes_like!(BYTES: Bytes, Vec<u8>, &'static [u8]);

impl IntoBody for Cow<'static, str> {
    const CONTENT_TYPE: Option<&'static str> = Some(TEXT);

    fn into_body(self) -> Body {
        match self {
            Cow::Borrowed(text) => text.into_body(),
            Cow::Owned(text) => text.into_body(),
        }
    }
}

impl<const N: usize> IntoBody for &'static [u8; N] {
    const CONTENT_TYPE: Option<&'static str> = Some(BYTES);

    fn into_body(self) -> Body {
        Body::full(Bytes::from_static(self))
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
