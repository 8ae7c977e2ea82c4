//! The streams of the protocol's own tests, compiled for this package: what is in a stream is told
//! by the same events there and here, and none of them is part of the crate that servers use.

use greenway_proto::http1::{
    BodyLength, Decoder, HeadLimits, HeadReader, Reject, RequestHead, Step,
};
use greenway_proto::websocket::{Event, Failure, Receiver};

#[path = "../../../runtime/proto/src/http1/tests/stream.rs"]
pub(crate) mod http1;
#[path = "../../../runtime/proto/src/websocket/tests/stream.rs"]
pub(crate) mod websocket;
