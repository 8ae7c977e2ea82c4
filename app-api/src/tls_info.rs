//! What is known of the TLS of a connection.

use std::time::SystemTime;

/// The TLS of the connection that a request came on, where this server itself speaks it
/// ([`ConnectionInfo::tls`](crate::ConnectionInfo::tls)).
///
/// ```
/// use greenway_app::{Request, TlsInfo};
///
/// fn whoami(request: Request) -> String {
///     let tls = request.connection().tls.as_ref();
///     let client = tls.and_then(|tls| tls.client.as_ref());
///     client.map_or("nobody".to_owned(), |client| client.subject.clone())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `"TLSv1.3"` or `"TLSv1.2"`: `SSL_PROTOCOL`.
    pub version: &'static str,
    /// The cipher suite by its IANA name, such as `"TLS_AES_256_GCM_SHA384"`: `SSL_CIPHER`.
    pub cipher: &'static str,
    /// The server that the client has asked for (SNI), as it has written it: `SSL_TLS_SNI`.
    pub server_name: Option<Box<str>>,
    /// Whether an earlier session was resumed: `SSL_SESSION_RESUMED`.
    pub resumed: bool,
    /// The certificate that the client has shown, and that somebody whom the server trusts has
    /// signed.
    pub client: Option<Box<ClientCertificate>>,
}

/// A client's certificate, which was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// Whose it is, as RFC 4514 writes it (`CN=Ada,O=Example`): `SSL_CLIENT_S_DN`.
    pub subject: String,
    /// The common name in it: `SSL_CLIENT_S_DN_CN`.
    pub common_name: Option<String>,
    /// Who has signed it: `SSL_CLIENT_I_DN`.
    pub issuer: String,
    /// Its number, in hexadecimal: `SSL_CLIENT_M_SERIAL`.
    pub serial: String,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// The names of hosts in it: `SSL_CLIENT_SAN_DNS_0` and so on.
    pub dns_names: Vec<String>,
    /// The addresses of mail in it: `SSL_CLIENT_SAN_Email_0` and so on.
    pub emails: Vec<String>,
    /// The certificate itself, as text (PEM): `SSL_CLIENT_CERT`.
    pub pem: String,
}

impl TlsInfo {
    /// Of a connection without a client's certificate.
    #[must_use]
    pub fn new(version: &'static str, cipher: &'static str) -> Self {
        Self {
            version,
            cipher,
            server_name: None,
            resumed: false,
            client: None,
        }
    }

    /// The variables of mod_ssl, which applications behind Apache know.
    pub(crate) fn variables(&self, mut set: impl FnMut(&str, String)) {
        set("HTTPS", "on".to_owned());
        set("SSL_PROTOCOL", self.version.to_owned());
        set("SSL_CIPHER", self.cipher.to_owned());
        let resumed = if self.resumed { "Resumed" } else { "Initial" };
        set("SSL_SESSION_RESUMED", resumed.to_owned());
        if let Some(name) = &self.server_name {
            set("SSL_TLS_SNI", name.to_string());
        }
        let verified = if self.client.is_some() {
            "SUCCESS"
        } else {
            "NONE"
        };
        set("SSL_CLIENT_VERIFY", verified.to_owned());
        if let Some(client) = &self.client {
            client.variables(set);
        }
    }
}

impl ClientCertificate {
    /// One with a subject, an issuer and its PEM, and without anything else.
    #[must_use]
    pub fn new(subject: String, issuer: String, pem: String) -> Self {
        Self {
            subject,
            common_name: None,
            issuer,
            serial: String::new(),
            not_before: SystemTime::UNIX_EPOCH,
            not_after: SystemTime::UNIX_EPOCH,
            dns_names: Vec::new(),
            emails: Vec::new(),
            pem,
        }
    }

    fn variables(&self, mut set: impl FnMut(&str, String)) {
        set("SSL_CLIENT_S_DN", self.subject.clone());
        if let Some(name) = &self.common_name {
            set("SSL_CLIENT_S_DN_CN", name.clone());
        }
        set("SSL_CLIENT_I_DN", self.issuer.clone());
        set("SSL_CLIENT_M_SERIAL", self.serial.clone());
        set(
            "SSL_CLIENT_V_START",
            httpdate::fmt_http_date(self.not_before),
        );
        set("SSL_CLIENT_V_END", httpdate::fmt_http_date(self.not_after));
        set("SSL_CLIENT_CERT", self.pem.clone());
        for (at, name) in self.dns_names.iter().enumerate() {
            set(&format!("SSL_CLIENT_SAN_DNS_{at}"), name.clone());
        }
        for (at, address) in self.emails.iter().enumerate() {
            set(&format!("SSL_CLIENT_SAN_Email_{at}"), address.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Client;
    use crate::{ConnectionInfo, Request};

    fn show(request: Request) -> String {
        let environ = request.environ();
        let ours = environ
            .iter()
            .filter(|(name, _)| *name == "HTTPS" || name.starts_with("SSL_"));
        ours.map(|(name, value)| format!("{name}={value}\n"))
            .collect()
    }

    #[test]
    fn a_plain_connection_has_none_of_its_variables() {
        let client = Client::new(show);
        let request = client.get("/").header("https", "on");
        assert_eq!(
            request.header("ssl-client-verify", "SUCCESS").send().text(),
            ""
        );
    }

    #[test]
    fn the_environ_has_mod_ssls_names() {
        let mut tls = TlsInfo::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
        tls.server_name = Some("a.example".into());
        let shown = |tls: &TlsInfo| {
            let info = ConnectionInfo::default().with_scheme("https");
            let client = Client::new(show).with_connection(info.with_tls(tls.clone()));
            client.get("/").send().text()
        };
        let without = "HTTPS=on\nSSL_CIPHER=TLS_AES_256_GCM_SHA384\nSSL_CLIENT_VERIFY=NONE\n\
                       SSL_PROTOCOL=TLSv1.3\nSSL_SESSION_RESUMED=Initial\nSSL_TLS_SNI=a.example\n";
        assert_eq!(shown(&tls), without);
        let mut client =
            ClientCertificate::new("CN=Ada".into(), "CN=Authority".into(), "PEM".into());
        client.common_name = Some("Ada".into());
        client.serial = "0A".into();
        client.emails = vec!["ada@example.org".into()];
        tls.client = Some(Box::new(client));
        let with = shown(&tls);
        for line in [
            "SSL_CLIENT_VERIFY=SUCCESS",
            "SSL_CLIENT_S_DN=CN=Ada",
            "SSL_CLIENT_S_DN_CN=Ada",
            "SSL_CLIENT_I_DN=CN=Authority",
            "SSL_CLIENT_M_SERIAL=0A",
            "SSL_CLIENT_SAN_Email_0=ada@example.org",
            "SSL_CLIENT_CERT=PEM",
            "SSL_CLIENT_V_START=Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            assert!(with.lines().any(|shown| shown == line), "{line}: {with}");
        }
    }
}
