//! A request of the state machine's, as the application has it.

use greenway_proto::http1::{HeadLimits, Reject, RequestHead};
use greenway_proto::http2::{Fields, request_head};
use h2::RecvStream;
use h2::ext::Protocol;
use http::{Method, Request};

/// What the request is: its head, or why it has none that can be served.
pub(super) fn head_of(
    request: &Request<RecvStream>,
    limits: &HeadLimits,
) -> Result<RequestHead, Reject> {
    let uri = request.uri();
    let protocol = request.extensions().get::<Protocol>();
    // Another protocol than the one we know: the method stays CONNECT, and is answered with 501.
    let websocket = protocol.is_some_and(|protocol| protocol.as_str() == "websocket");
    let target = match uri.path_and_query() {
        Some(path) => path.as_str(),
        None => uri.authority().map_or("", |authority| authority.as_str()),
    };
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let fields = Fields {
        method: if websocket {
            Method::GET
        } else {
            request.method().clone()
        },
        target,
        authority: uri.authority().map(|authority| authority.as_str()),
        fields,
        ended: request.body().is_end_stream(),
        websocket,
    };
    request_head(fields, limits)
}
