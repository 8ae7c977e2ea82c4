//! What a handshake has agreed upon, as applications see it.

use super::certificate::Certificate;
use greenway_app::{ClientCertificate, TlsInfo};
use rustls::{CipherSuite, CommonState, HandshakeKind, ProtocolVersion};

/// Of a session whose handshake is over. `asked` is the name that the client has asked for.
pub(crate) fn info_of(state: &CommonState, asked: Option<Box<str>>) -> TlsInfo {
    let version = match state.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    let cipher = state.negotiated_cipher_suite();
    let cipher = cipher.map_or("", |suite| name_of(suite.suite()));
    let mut info = TlsInfo::new(version, cipher);
    info.server_name = asked;
    info.resumed = state.handshake_kind() == Some(HandshakeKind::Resumed);
    let client = state.peer_certificates().and_then(|chain| chain.first());
    info.client = client.and_then(|der| {
        let read = Certificate::read(der)?;
        let mut certificate = ClientCertificate::new(read.subject, read.issuer, pem(der));
        certificate.common_name = read.common_name;
        certificate.serial = read.serial;
        certificate.not_before = read.not_before;
        certificate.not_after = read.not_after;
        certificate.dns_names = read.dns_names;
        certificate.emails = read.emails;
        Some(Box::new(certificate))
    });
    info
}

/// The name that IANA has given it, and that other servers log. Those of TLS 1.3 are called
/// `TLS13_...` in rustls alone.
fn name_of(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or(""),
    }
}

fn pem(der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
