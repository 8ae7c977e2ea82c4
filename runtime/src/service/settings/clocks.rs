//! How long each part of an exchange may take, and a stop.

use super::setting::Setting;

pub(super) static CLOCKS: &[Setting] = &[
    Setting::new(
        "keep-alive",
        "SECONDS",
        |all| &mut all.server.clocks.keep_alive,
        "Seconds that a connection may wait for its next request; 0 for one request each. Behind a \
         proxy, more than the proxy waits.",
    ),
    Setting::new(
        "timeout",
        "SECONDS",
        |all| &mut all.server.clocks.handler,
        "Seconds that a handler may take for its response, or between two chunks of it; 0 for no \
         limit.",
    )
    .short('t')
    .zero_is_none(),
    Setting::new(
        "header-timeout",
        "SECONDS",
        |all| &mut all.server.clocks.head,
        "Seconds that a request's head may take to come; 0 for no limit.",
    )
    .zero_is_none(),
    Setting::new(
        "body-timeout",
        "SECONDS",
        |all| &mut all.server.clocks.body,
        "Seconds that a request's body may pause; 0 for no limit.",
    )
    .zero_is_none(),
    Setting::new(
        "write-timeout",
        "SECONDS",
        |all| &mut all.server.clocks.write,
        "Seconds that a client may take to accept a piece of a response; 0 for no limit.",
    )
    .zero_is_none(),
    Setting::new(
        "half-close",
        "MEANING",
        |all| &mut all.server.half_close,
        "What it means that a client ends its sending direction (a FIN) while it is being served: \
         auto (ask it with a 100 Continue; once a stream has begun, it has left), serve or leave.",
    )
    .words(&["auto", "serve", "leave"]),
    Setting::new(
        "graceful-timeout",
        "SECONDS",
        |all| &mut all.server.graceful_timeout,
        "Seconds that requests may go on after TERM, INT or QUIT. A second signal ends the process at once.",
    ),
];
