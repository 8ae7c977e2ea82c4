//! Whose word about the client is taken.

use super::setting::Setting;

pub(super) static PROXIES: &[Setting] = &[
    Setting::new(
        "forwarded-allow-ips",
        "LIST",
        |all| &mut all.server.forwarded_allow,
        "Proxies whose X-Forwarded-For, -Proto, -Host, -Prefix and Forwarded fields are believed: addresses \
         and networks, with commas between them; * for everybody. Also from $FORWARDED_ALLOW_IPS.",
    )
    .other_variable("FORWARDED_ALLOW_IPS"),
    Setting::new(
        "proxy-protocol",
        "VERSION",
        |all| &mut all.server.proxy_protocol,
        "Connections from --proxy-allow-from begin with a header of the PROXY protocol: v1, v2 or \
         auto (either of them; the flag alone means that).",
    )
    .words(&["off", "v1", "v2", "auto"])
    .missing("auto"),
    Setting::new(
        "proxy-allow-from",
        "LIST",
        |all| &mut all.server.proxy_allow,
        "Load balancers that speak the PROXY protocol: a list as that of --forwarded-allow-ips.",
    ),
];
