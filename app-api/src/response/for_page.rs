//! What middleware leaves for the page of an error.

use http::Extensions;
use std::sync::Arc;

/// In the extensions of a response that is made of an error, and of the request that its page is made
/// for: what that request is to have in its extensions as well.
#[derive(Clone)]
pub(crate) struct ForPage {
    pub(crate) extensions: Extensions,
    /// Whether the page depends on it, as far as it was looked at.
    pub(crate) is_used: Arc<dyn Fn() -> bool + Send + Sync>,
}
