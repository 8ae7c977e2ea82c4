//! How large the parts of a request may be.

use super::setting::Setting;

/// No head as a whole may be larger, whatever was asked for.
const LARGEST_HEAD: usize = 1 << 30;

pub(super) static LIMITS: &[Setting] = &[
    Setting::new(
        "limit-request-line",
        "BYTES",
        |all| &mut all.server.head_limits.line,
        "Bytes of a request line; more is 414. 0 for no limit.",
    )
    .most(LARGEST_HEAD)
    .zero_is_none(),
    Setting::new(
        "limit-request-fields",
        "N",
        |all| &mut all.server.head_limits.fields,
        "Header fields of a request; more is 431. 0 for no limit.",
    )
    .most(LARGEST_HEAD)
    .zero_is_none(),
    Setting::new(
        "limit-request-field-size",
        "BYTES",
        |all| &mut all.server.head_limits.field_size,
        "Bytes of a header field; more is 431. 0 for no limit.",
    )
    .most(LARGEST_HEAD)
    .zero_is_none()
    .alias("limit-request-field_size"),
    Setting::new(
        "limit-request-body",
        "BYTES",
        |all| &mut all.server.body_limit,
        "Bytes of a request's body; more is 413.",
    ),
];
