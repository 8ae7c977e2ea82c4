//! Forms and uploaded files.
//!
//! [`Request::form`](crate::Request::form) reads a form of either kind, URL-encoded or multipart,
//! and is what most handlers want. [`Request::multipart`](crate::Request::multipart) gives the
//! parts of an upload as they arrive, for what shall go elsewhere than to memory or a temporary
//! file.
//!
//! What must stay true: a form never takes more than its [`Limits`](crate::Limits); an uploaded
//! file on disk has no name there, so that it is gone however the request or the process ends
//! (saving one is another matter: [`Part::save`] writes a file `.upload-...` beside the target, that
//! takes the target's name when it is complete, and stays if the process is killed before);
//! and no name that a client has chosen becomes a path.

pub(crate) mod check;
mod data;
pub(crate) mod errors;
mod multipart;
mod read;
mod save;
mod spool;
#[cfg(test)]
mod tests;
mod upload;

pub(crate) use self::data::FormCell;
pub use self::data::FormData;
pub use self::errors::FormErrors;
pub use self::multipart::{Multipart, Part};
pub use self::spool::FileReader;
pub use self::upload::FileUpload;
