//! What is counted apart: the fixed sets that labels have their values from.

/// Why a client was sent away with 503 unheard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are as many connections as there may be.
    Connections,
    /// As many handlers run as may.
    Handlers,
    /// The process, or the machine, is out of descriptors.
    Descriptors,
}

impl Refused {
    pub(crate) const ALL: [(Self, &'static str); 3] = [
        (Self::Connections, "connections"),
        (Self::Handlers, "handlers"),
        (Self::Descriptors, "descriptors"),
    ];
}

/// A version of HTTP that a request has come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http10,
    Http11,
    Http2,
}

impl Protocol {
    pub(crate) const ALL: [(Self, &'static str); 3] = [
        (Self::Http10, "HTTP/1.0"),
        (Self::Http11, "HTTP/1.1"),
        (Self::Http2, "HTTP/2"),
    ];
}

/// What has become of a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    Full,
    /// An earlier session was resumed.
    Resumed,
    /// It took too long, by itself or while others waited.
    Slow,
    Failed,
    /// HTTP without TLS has come.
    Plain,
}

impl Handshake {
    pub(crate) const ALL: [(Self, &'static str); 5] = [
        (Self::Full, "full"),
        (Self::Resumed, "resumed"),
        (Self::Slow, "slow"),
        (Self::Failed, "failed"),
        (Self::Plain, "plain"),
    ];
}

/// Why a TLS handshake has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeFailure {
    /// The client speaks no version that the server does.
    Version,
    /// They have no cipher suite, group or signature in common.
    Cipher,
    /// They have no protocol in common (ALPN).
    Protocol,
    /// The client's certificate is not good enough, or missing.
    Certificate,
    /// The client has sent an alert: it does not like the server, most often its certificate.
    Alert,
    /// What has come is not what it should be.
    Malformed,
    /// The connection was lost.
    Lost,
    Other,
}

impl HandshakeFailure {
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::Version, "version"),
        (Self::Cipher, "cipher"),
        (Self::Protocol, "protocol"),
        (Self::Certificate, "certificate"),
        (Self::Alert, "alert"),
        (Self::Malformed, "malformed"),
        (Self::Lost, "lost"),
        (Self::Other, "other"),
    ];
}

/// Versions of TLS, as they are called in the environ.
pub(crate) const TLS_VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// What happens to connections of HTTP/2 that costs somebody something.
#[cfg(feature = "http2")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http2Event {
    /// A connection has begun.
    Connection,
    /// A request has begun.
    Stream,
    /// The client has reset a stream before it was answered.
    ResetByClient,
    /// A stream was reset here: its handler has failed when its response had begun.
    ResetByServer,
    /// A connection was ended because its client does too much of something.
    Flood,
}

#[cfg(feature = "http2")]
impl Http2Event {
    pub(super) const COUNT: usize = 5;
}
