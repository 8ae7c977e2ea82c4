//! What may stand for a whole body.

use std::borrow::Cow;

use bytes::Bytes;

use super::Body;

/// Something that can be the body of a [`Response`](crate::Response).
pub trait IntoBody {
    /// The body.
    fn into_body(self) -> Body;
}

macro_rules! bytes_like {
    ($($type:ty),*) => {$(
        impl IntoBody for $type {
            fn into_body(self) -> Body {
                Body::full(self)
            }
        }
    )*};
}

bytes_like!(Bytes, &'static str, String, Vec<u8>, &'static [u8]);

impl IntoBody for Cow<'static, str> {
    fn into_body(self) -> Body {
        match self {
            Cow::Borrowed(text) => text.into_body(),
            Cow::Owned(text) => text.into_body(),
        }
    }
}

impl<const N: usize> IntoBody for &'static [u8; N] {
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
