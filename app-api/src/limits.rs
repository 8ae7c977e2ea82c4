//! How much of a client's input is taken.
//!
//! What must stay true: everything that a client sends and that is kept, in memory or on disk,
//! counts towards one of these, and each has a default that a server can bear.

/// Bounds of the input that [`Request`](crate::Request) reads for a handler.
///
/// They hold beside the server's own bound of the whole request body, which comes first.
///
/// ```
/// use greenway_app::Limits;
///
/// let limits = Limits { file: 1 << 30, total: 1 << 30, ..Limits::default() };
/// assert_eq!(limits.parts, 1000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory that one form or one JSON value may take: those of the body where that is
    /// JSON or URL-encoded; of a multipart form the names, the text fields and the small files
    /// together. More is 413, but files go to disk first. Default: 1 MiB.
    pub memory: usize,
    /// Fields and files in one form. More is 413. Default: 1,000.
    pub parts: usize,
    /// Bytes of the headers of one part of a multipart form. More is 431. Default: 8 KiB.
    pub part_header: usize,
    /// Bytes of one text field of a multipart form. More is 413. Default: 1 MiB.
    pub field: u64,
    /// Bytes of one uploaded file. More is 413. Default: 64 MiB.
    pub file: u64,
    /// Bytes of a whole multipart form. More is 413. Default: 64 MiB.
    pub total: u64,
    /// Bytes up to which an uploaded file stays in memory; a larger one is written to disk, where
    /// it vanishes with the request. Default: 64 KiB.
    pub file_memory: usize,
}

impl Limits {
    /// The defaults, as a constant.
    pub const DEFAULT: Limits = Limits {
        memory: 1 << 20,
        parts: 1000,
        part_header: 8 << 10,
        field: 1 << 20,
        file: 64 << 20,
        total: 64 << 20,
        file_memory: 64 << 10,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
