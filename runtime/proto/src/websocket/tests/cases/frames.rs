//! Groups 1 to 5 and 10: frames, and messages that are cut into them.

use super::*;

/// 1: messages around the limits of the three length formats.
pub(super) fn framing() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, opcode, byte) in [(1, TEXT, b'*'), (2, BINARY, 0xfe)] {
        let lengths = [0, 125, 126, 127, 128, 65535, 65536, 65536];
        for (at, length) in lengths.into_iter().enumerate() {
            let what = format!("{} of {length} bytes", name(opcode));
            let id = format!("1.{kind}.{}", at + 1);
            let case = echo(id, what, opcode, vec![byte; length]);
            cases.push(if at == 7 {
                let what = format!("{}, in writes of 997", case.what);
                Case { what, ..case }.cut(Cut::Every(997))
            } else {
                case
            });
        }
    }
    cases
}

/// 2: pings are answered, pongs are not.
pub(super) fn pings() -> Vec<Case> {
    let pinged = |id: &str, what: &str, payload: &[u8]| {
        Case::new(id, what, vec![ping(payload)]).gets(pong(payload))
    };
    let unsolicited = || Frame::new(PONG, "unsolicited pong payload");
    let ten = |id: &str, what: &str| {
        let payloads: Vec<_> = (0..10).map(|i| format!("payload-{i}")).collect();
        let frames = payloads.iter().map(|payload| ping(payload.as_str()));
        let mut case = Case::new(id, what, frames.collect());
        case.replies = payloads.into_iter().map(pong).collect();
        case
    };
    let bytes = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    vec![
        pinged("2.1", "ping without payload", b""),
        pinged("2.2", "ping with text", b"Hello, world!"),
        pinged("2.3", "ping with bytes that are not UTF-8", &bytes),
        pinged("2.4", "ping of 125 bytes", &[0xfe; 125]),
        Case::new("2.5", "ping of 126 bytes", vec![ping([0xfe; 126])]).fails(1002),
        pinged("2.6", "ping of 125 bytes, byte by byte", &[0xfe; 125]).cut(Cut::Every(1)),
        Case::new(
            "2.7",
            "unsolicited pong without payload",
            vec![Frame::new(PONG, "")],
        ),
        Case::new("2.8", "unsolicited pong with payload", vec![unsolicited()]),
        Case::new(
            "2.9",
            "unsolicited pong, then ping",
            vec![unsolicited(), ping("ping payload")],
        )
        .gets(pong("ping payload")),
        ten("2.10", "ten pings"),
        ten("2.11", "ten pings, byte by byte").cut(Cut::Every(1)),
    ]
}

/// 3: reserved bits without an extension that gives them a meaning.
pub(super) fn reserved_bits() -> Vec<Case> {
    let hello = "Hello, world!";
    let after_hello = |id: &str, bits, cut| {
        let what = format!("text, then text with RSV {bits}, then ping");
        let frames = vec![text(hello), text(hello).rsv(bits), ping("")];
        let case = Case::new(id, what, frames).cut(cut);
        case.gets(said(hello)).fails(1002)
    };
    let bytes = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    vec![
        Case::new("3.1", "text with RSV 1", vec![text(hello).rsv(1)]).fails(1002),
        after_hello("3.2", 2, Cut::Together),
        after_hello("3.3", 3, Cut::Frames),
        after_hello("3.4", 4, Cut::Every(1)),
        Case::new(
            "3.5",
            "binary with RSV 5",
            vec![Frame::new(BINARY, bytes).rsv(5)],
        )
        .fails(1002),
        Case::new("3.6", "ping with RSV 6", vec![ping(hello).rsv(6)]).fails(1002),
        Case::new(
            "3.7",
            "close with RSV 7",
            vec![Frame::new(CLOSE, "").rsv(7)],
        )
        .fails(1002),
    ]
}

/// 4: reserved opcodes.
pub(super) fn opcodes() -> Vec<Case> {
    let hello = "Hello, world!";
    let mut cases = Vec::new();
    for (group, first) in [(1, 3), (2, 11)] {
        for at in 0..5 {
            let opcode = first + at;
            let payload = ["", "reserved opcode payload", "", hello, hello][usize::from(at)];
            let id = format!("4.{group}.{}", at + 1);
            let reserved = Frame::new(opcode, payload);
            let case = if at < 2 {
                Case::new(id, format!("opcode {opcode}"), vec![reserved])
            } else {
                let what = format!("text, then opcode {opcode}, then ping");
                let frames = vec![text(hello), reserved, ping("")];
                Case::new(id, what, frames).gets(said(hello))
            };
            let cut = if at == 4 {
                Cut::Every(1)
            } else {
                Cut::Together
            };
            cases.push(case.cut(cut).fails(1002));
        }
    }
    cases
}

/// 5: fragments, and control frames between them.
pub(super) fn fragmentation() -> Vec<Case> {
    let cuts = [
        (Cut::Together, ""),
        (Cut::Frames, ", frame by frame"),
        (Cut::Every(1), ", byte by byte"),
    ];
    let in_two = |opcode, what: &str, id: &str| {
        let frames = vec![Frame::new(opcode, "fragment1").more(), rest("fragment2")];
        Case::new(id, what, frames)
    };
    let mut cases = vec![
        in_two(PING, "ping in two fragments", "5.1").fails(1002),
        in_two(PONG, "pong in two fragments", "5.2").fails(1002),
    ];
    let mut number = 3;
    let mut in_all_cuts = |what: &str, case: &dyn Fn() -> Case| {
        for (cut, how) in cuts {
            let case = case().cut(cut);
            let (id, what) = (format!("5.{number}"), format!("{what}{how}"));
            cases.push(Case { id, what, ..case });
            number += 1;
        }
    };
    in_all_cuts("text in two fragments", &|| {
        in_two(TEXT, "", "").gets(said("fragment1fragment2"))
    });
    in_all_cuts("a ping between two fragments", &|| {
        let frames = vec![
            text("fragment1").more(),
            ping("ping payload"),
            rest("fragment2"),
        ];
        let case = Case::new("", "", frames).gets(pong("ping payload"));
        case.gets(said("fragment1fragment2"))
    });
    for (last, how) in [(true, "FIN"), (false, "no FIN")] {
        let what = format!("nothing to continue, {how}, then text");
        in_all_cuts(&what, &|| {
            let mut lost = rest("non-continuation payload");
            lost.last = last;
            Case::new("", "", vec![lost, text("Hello, world!")]).fails(1002)
        });
    }
    let lost_after = vec![
        text("fragment1").more(),
        rest("fragment2"),
        rest("fragment3").more(),
        text("fragment4"),
    ];
    let twice = |last| {
        let mut lost = rest("fragment1");
        lost.last = last;
        let round = [lost, text("fragment2").more(), rest("fragment3")];
        [round.clone(), round].concat()
    };
    let two_starts = vec![text("fragment1").more(), text("fragment2")];
    let five = || {
        let frames = vec![
            text("fragment1").more(),
            rest("fragment2").more(),
            ping("pongme 1!"),
            rest("fragment3").more(),
            rest("fragment4").more(),
            ping("pongme 2!"),
            rest("fragment5"),
        ];
        let case = Case::new("5.19", "five fragments with two pings between them", frames);
        let case = case.gets(pong("pongme 1!")).gets(pong("pongme 2!"));
        case.gets(said("fragment1fragment2fragment3fragment4fragment5"))
    };
    cases.extend([
        Case::new("5.15", "text in two, then nothing to continue", lost_after)
            .gets(said("fragment1fragment2"))
            .fails(1002),
        Case::new(
            "5.16",
            "twice: nothing to continue, no FIN, then text in two",
            twice(false),
        )
        .fails(1002),
        Case::new(
            "5.17",
            "twice: nothing to continue, FIN, then text in two",
            twice(true),
        )
        .fails(1002),
        Case::new("5.18", "a second text inside of a text", two_starts).fails(1002),
        five(),
        Case {
            id: "5.20".into(),
            what: "the same, frame by frame".into(),
            ..five().cut(Cut::Frames)
        },
    ]);
    cases
}

/// 10: Autobahn's one case of "misc".
pub(super) fn auto_fragmentation() -> Case {
    let payload = vec![b'*'; 65536];
    let what = "text of 64 KiB in fragments of 1300 bytes";
    let frames = fragments(TEXT, &payload, 1300);
    let case = echo("10.1.1".into(), what.into(), TEXT, payload);
    Case { frames, ..case }
}
