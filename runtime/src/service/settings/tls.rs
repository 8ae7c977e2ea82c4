//! TLS: certificates, who may connect, and the way from http to https.

use super::setting::Setting;

pub(super) static TLS: &[Setting] = &[
    Setting::new(
        "certfile",
        "FILE",
        |all| &mut all.server.tls.certificates,
        "Speak TLS on all addresses, with the certificate and its chain in this file (PEM). May be \
         given several times: the client's hello says which server is meant (SNI), and the first \
         certificate is for those that name no other.",
    )
    .default("no TLS"),
    Setting::new(
        "keyfile",
        "FILE",
        |all| &mut all.server.tls.keys,
        "The private key of the certificate (PEM). Several in the order of the certificates.",
    )
    .default("it is in the file of the certificate"),
    Setting::new(
        "ca-certs",
        "FILE",
        |all| &mut all.server.tls.ca_certs,
        "The certificates of those who may sign the certificates of clients (PEM).",
    )
    .default("nobody"),
    Setting::new(
        "cert-reqs",
        "WHETHER",
        |all| &mut all.server.tls.cert_reqs,
        "Whether clients have to show certificates: none, optional or required (or gunicorn's 0, 1 \
         or 2).",
    ),
    Setting::new(
        "tls-min-version",
        "VERSION",
        |all| &mut all.server.tls.min_version,
        "The oldest version of TLS that is spoken: 1.2 or 1.3.",
    ),
    Setting::new(
        "handshake-timeout",
        "SECONDS",
        |all| &mut all.server.clocks.handshake,
        "Seconds that a TLS handshake may take, from the connection's beginning; 0 for no limit.",
    )
    .zero_is_none(),
    Setting::new(
        "limit-handshakes",
        "N",
        |all| &mut all.server.tls.handshakes,
        "TLS handshakes that may be under way at once; one more ends the oldest of them.",
    ),
    Setting::new(
        "tls-reload",
        "SECONDS",
        |all| &mut all.server.tls.reload,
        "How often to look whether the files of certificates and keys have changed, which are read \
         anew then; 0 for never. HUP has them read anew at once.",
    ),
    Setting::new(
        "redirect-bind",
        "ADDRESS",
        |all| &mut all.server.tls.redirect_bind,
        "Listen there for HTTP without TLS, and answer all of it with the way to https.",
    )
    .default("nowhere"),
];
