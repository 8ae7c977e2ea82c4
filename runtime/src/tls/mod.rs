//! TLS, with the crate `rustls`.

mod certificate;
mod files;
mod handshake;
mod info;
mod line;
mod reload;
mod server;
mod session;
mod socket;

pub(crate) use files::Pair;
pub(crate) use handshake::{HandshakeError, accept};
pub(crate) use info::info_of;
pub(crate) use server::{ClientCertificates, Oldest, Reloaded, ServerTls, Wanted};
pub(crate) use socket::{TlsHandle, TlsSocket};
