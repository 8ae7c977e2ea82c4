//! Group 7: how a connection is closed.

use super::*;

/// 7.1 to 7.5: close frames.
pub(super) fn frames() -> Vec<Case> {
    let normal = || close_frame(1000, b"");
    let hello = "Hello World!";
    let closed = |id: &str, what: &str, frames, code| Case::new(id, what, frames).closes(code);
    let large = b"BAsd7&jh23".repeat((256 << 10) / 10 + 1);
    let large = &large[..256 << 10];
    let invalid = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    vec![
        Case::new("7.1.1", "text, then close", vec![text(hello)]).gets(said(hello)),
        closed(
            "7.1.2",
            "two close frames",
            vec![normal(), Frame::new(CLOSE, "")],
            Some(1000),
        ),
        closed(
            "7.1.3",
            "ping behind close",
            vec![normal(), ping("")],
            Some(1000),
        ),
        closed(
            "7.1.4",
            "text behind close",
            vec![normal(), text(hello)],
            Some(1000),
        ),
        closed(
            "7.1.5",
            "close between two fragments",
            vec![text("fragment1").more(), normal(), rest("fragment2")],
            Some(1000),
        ),
        closed(
            "7.1.6",
            "text of 256 KiB, text, close, ping",
            vec![text(large), text(hello), normal(), ping("")],
            Some(1000),
        )
        .gets(said(large))
        .gets(said(hello)),
        closed(
            "7.3.1",
            "close without payload",
            vec![Frame::new(CLOSE, "")],
            None,
        ),
        Case::new(
            "7.3.2",
            "close with half a code",
            vec![Frame::new(CLOSE, "a")],
        )
        .fails(1002),
        closed("7.3.3", "close with a code", vec![normal()], Some(1000)),
        closed(
            "7.3.4",
            "close with a reason",
            vec![close_frame(1000, hello.as_bytes())],
            Some(1000),
        ),
        closed(
            "7.3.5",
            "close with a reason of 123 bytes",
            vec![close_frame(1000, &[b'*'; 123])],
            Some(1000),
        ),
        Case::new(
            "7.3.6",
            "close with a reason of 124 bytes",
            vec![close_frame(1000, &[b'*'; 124])],
        )
        .fails(1002),
        Case::new(
            "7.5.1",
            "close with a reason that is not UTF-8",
            vec![close_frame(1000, invalid)],
        )
        .fails(1007),
    ]
}

/// 7.7 to 7.13: close codes.
pub(super) fn codes() -> Vec<Case> {
    let valid = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ];
    let invalid = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    // Autobahn leaves these two open; they are refused as the others are.
    let undefined = [5000, 65535];
    let case = |id: String, code: u16| {
        Case::new(
            id,
            format!("close with code {code}"),
            vec![close_frame(code, b"")],
        )
    };
    let valid = valid
        .into_iter()
        .zip(1..)
        .map(|(code, number)| case(format!("7.7.{number}"), code).closes(Some(code)));
    let invalid = invalid
        .into_iter()
        .zip(1..)
        .map(|(code, number)| case(format!("7.9.{number}"), code).fails(1002));
    let undefined = undefined
        .into_iter()
        .zip(1..)
        .map(|(code, number)| case(format!("7.13.{number}"), code).fails(1002));
    valid.chain(invalid).chain(undefined).collect()
}
