//! A body that may go to another thread.

use std::sync::Arc;

use bytes::Bytes;

use crate::HttpError;

/// A body whose bytes are all there, on its way from one thread to another: made by
/// [`Body::into_whole`](super::Body::into_whole), and a [`Body`](super::Body) again by `into`. For
/// servers.
#[derive(Debug, Clone, Default)]
pub struct WholeBody {
    pub(super) bytes: Bytes,
    /// What the bytes are the text of.
    pub(super) error: Option<Arc<HttpError>>,
}
