//! What a peer may do and must not: the cases of the Autobahn testsuite, by its numbers, as data.
//!
//! Cases 1 to 7, 9 and 10 are lists of frames that go to a peer that echoes messages, and what it
//! has to do. Those on compression, 12 and 13, are sizes and parameters; their payloads are made
//! here, for Autobahn's own are files. The protocol's own tests run all of them over memory, the
//! package of integration tests over sockets. So this file uses nothing but std.

use std::iter::once;

pub(crate) const CONTINUE: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame of the client, as it pleases.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) last: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            last: true,
            rsv: 0,
            opcode,
            payload: payload.into(),
        }
    }

    /// More of the message follows.
    fn more(mut self) -> Self {
        self.last = false;
        self
    }

    fn rsv(mut self, bits: u8) -> Self {
        self.rsv = bits;
        self
    }

    /// The bytes on the wire, masked.
    pub(crate) fn wire(&self) -> Vec<u8> {
        let mut wire = vec![u8::from(self.last) << 7 | self.rsv << 4 | self.opcode];
        match self.payload.len() {
            length @ 0..126 => wire.push(0x80 | length as u8),
            length @ 126..65536 => {
                wire.push(0x80 | 126);
                wire.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                wire.push(0x80 | 127);
                wire.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        // A mask of zeros is a mask, and megabytes need not be masked byte by byte.
        let mask = match self.payload.len() {
            0..100_000 => [0x37, 0xfa, 0x21, 0x3d],
            _ => [0; 4],
        };
        wire.extend_from_slice(&mask);
        if mask == [0; 4] {
            wire.extend_from_slice(&self.payload);
        } else {
            let masked = self.payload.iter().zip(mask.iter().cycle());
            wire.extend(masked.map(|(byte, key)| byte ^ key));
        }
        wire
    }
}

/// How the stream is cut into writes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Together,
    Frames,
    Every(usize),
}

/// What comes back before the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
}

/// How it goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All is well: a close frame with 1000 is answered by the same.
    Open,
    /// The client's close frame is answered by one with this code, or with none.
    Closed(Option<u16>),
    /// The connection is failed, with this code.
    Failed(u16),
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Autobahn's number.
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) frames: Vec<Frame>,
    pub(crate) cut: Cut,
    /// So many bytes at the end of the stream are never sent: the failure may not wait for them.
    pub(crate) withheld: usize,
    pub(crate) replies: Vec<Reply>,
    pub(crate) end: End,
}

impl Case {
    fn new(id: impl Into<String>, what: impl Into<String>, frames: Vec<Frame>) -> Self {
        Self {
            id: id.into(),
            what: what.into(),
            frames,
            cut: Cut::Together,
            withheld: 0,
            replies: Vec::new(),
            end: End::Open,
        }
    }

    fn cut(mut self, cut: Cut) -> Self {
        self.cut = cut;
        self
    }

    fn gets(mut self, reply: Reply) -> Self {
        self.replies.push(reply);
        self
    }

    fn fails(mut self, code: u16) -> Self {
        self.end = End::Failed(code);
        self
    }

    fn closes(mut self, code: Option<u16>) -> Self {
        self.end = End::Closed(code);
        self
    }

    /// What is written, write by write.
    pub(crate) fn writes(&self) -> Vec<Vec<u8>> {
        let frames: Vec<_> = self.frames.iter().map(Frame::wire).collect();
        let mut whole = frames.concat();
        whole.truncate(whole.len() - self.withheld);
        match self.cut {
            Cut::Together => vec![whole],
            Cut::Frames if self.withheld == 0 => frames,
            Cut::Frames => panic!("{}: not both", self.id),
            Cut::Every(size) => whole.chunks(size).map(<[u8]>::to_vec).collect(),
        }
    }
}

/// The groups that are lists of frames.
pub(crate) const GROUPS: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 9, 10];

/// The cases of a group, in their order. Some are of many megabytes, so each is made when it is
/// asked for.
pub(crate) fn group(number: u8) -> Box<dyn Iterator<Item = Case>> {
    match number {
        1 => Box::new(framing().into_iter()),
        2 => Box::new(pings().into_iter()),
        3 => Box::new(reserved_bits().into_iter()),
        4 => Box::new(opcodes().into_iter()),
        5 => Box::new(fragmentation().into_iter()),
        6 => Box::new(utf8().into_iter().chain(utf8_sequences())),
        7 => Box::new(close().into_iter().chain(close_codes())),
        9 => Box::new(limits()),
        10 => Box::new(once(auto_fragmentation())),
        _ => panic!("no group {number}"),
    }
}

fn text(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(TEXT, payload)
}

fn ping(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(PING, payload)
}

fn rest(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(CONTINUE, payload)
}

fn close_frame(code: u16, reason: &[u8]) -> Frame {
    Frame::new(CLOSE, [&code.to_be_bytes(), reason].concat())
}

fn said(text: impl Into<Vec<u8>>) -> Reply {
    Reply::Text(text.into())
}

fn pong(payload: impl Into<Vec<u8>>) -> Reply {
    Reply::Pong(payload.into())
}

/// One message, echoed.
fn echo(id: String, what: String, opcode: u8, payload: Vec<u8>) -> Case {
    let reply = match opcode {
        TEXT => Reply::Text(payload.clone()),
        _ => Reply::Binary(payload.clone()),
    };
    Case::new(id, what, vec![Frame::new(opcode, payload)]).gets(reply)
}

/// A message in frames of so many bytes.
pub(crate) fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<Frame> {
    let count = payload.len().div_ceil(size);
    let pieces = payload.chunks(size).enumerate();
    let frames = pieces.map(|(at, piece)| Frame {
        last: at + 1 == count,
        rsv: 0,
        opcode: if at == 0 { opcode } else { CONTINUE },
        payload: piece.to_vec(),
    });
    frames.collect()
}

fn name(opcode: u8) -> &'static str {
    if opcode == TEXT { "text" } else { "binary" }
}

/// 1: messages around the limits of the three length formats.
fn framing() -> Vec<Case> {
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
fn pings() -> Vec<Case> {
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
fn reserved_bits() -> Vec<Case> {
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
fn opcodes() -> Vec<Case> {
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
fn fragmentation() -> Vec<Case> {
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

/// "kosme", with an accented letter of three bytes.
const GREEK: &str = "κ\u{1f79}σμε";

/// 6.1 to 6.4: text in all pieces, and failing fast.
fn utf8() -> Vec<Case> {
    let greek = GREEK.as_bytes();
    let umlauts = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes();
    let middle = "middle frame payload";
    let surrogate = [greek, b"\xed\xa0\x80edited"].concat();
    let out_of_range = [greek, b"\xf4\x90\x80\x80edited"].concat();
    let valid = |id: &str, what: &str, frames, expected: &[u8]| {
        Case::new(id, what, frames).gets(said(expected))
    };
    let fails_in = |id: &str, what: &str, at: &[usize], withheld| {
        let mut frames: Vec<_> = at
            .windows(2)
            .map(|at| rest(&out_of_range[at[0]..at[1]]).more())
            .collect();
        frames[0].opcode = TEXT;
        let case = Case::new(id, what, frames).fails(1007);
        Case { withheld, ..case }
    };
    let end = out_of_range.len();
    let (boundary, bad) = (greek.len(), greek.len() + 2);
    vec![
        valid("6.1.1", "empty text", vec![text("")], b""),
        valid(
            "6.1.2",
            "text in three empty fragments",
            vec![text("").more(), rest("").more(), rest("")],
            b"",
        ),
        valid(
            "6.1.3",
            "text between two empty fragments",
            vec![text("").more(), rest(middle).more(), rest("")],
            middle.as_bytes(),
        ),
        valid("6.2.1", "text in one frame", vec![text(umlauts)], umlauts),
        valid(
            "6.2.2",
            "text in two, cut between characters",
            vec![text("Hello-µ@ßöä").more(), rest("üàá-UTF-8!!")],
            umlauts,
        ),
        valid(
            "6.2.3",
            "text in frames of one byte",
            fragments(TEXT, umlauts, 1),
            umlauts,
        ),
        valid(
            "6.2.4",
            "the same in Greek",
            fragments(TEXT, greek, 1),
            greek,
        ),
        Case::new("6.3.1", "a surrogate in one frame", vec![text(&*surrogate)]).fails(1007),
        Case::new(
            "6.3.2",
            "the same in frames of one byte",
            fragments(TEXT, &surrogate, 1),
        )
        .fails(1007),
        fails_in(
            "6.4.1",
            "fails with the frame that has the fault",
            &[0, boundary, boundary + 4],
            0,
        ),
        fails_in("6.4.2", "fails with the byte", &[0, bad - 1, bad], 0),
        fails_in(
            "6.4.3",
            "fails inside of the frame",
            &[0, end],
            end - boundary - 4,
        ),
        fails_in(
            "6.4.4",
            "fails inside of the frame with the byte",
            &[0, end],
            end - bad,
        ),
    ]
}

/// Whether it is valid, and the bytes.
type Sequence = (bool, Vec<u8>);

/// 6.5 to 6.23, from Markus Kuhn's test of decoders. Which are valid is said here, and by
/// std for the prefixes only.
fn utf8_sequences() -> Vec<Case> {
    let greek = GREEK.as_bytes();
    let mut groups: Vec<(&str, Vec<Sequence>)> = Vec::new();
    let mut group = |what, valid: &[&[u8]], invalid: &[&[u8]]| {
        let valid = valid.iter().map(|bytes| (true, bytes.to_vec()));
        let invalid = invalid.iter().map(|bytes| (false, bytes.to_vec()));
        groups.push((what, valid.chain(invalid).collect()));
    };
    group(
        "valid UTF-8",
        &[
            b"hello\x24world",
            b"hello\xC2\xA2world",
            b"hello\xE2\x82\xACworld",
            b"hello\xF0\xA4\xAD\xA2world",
            greek,
        ],
        &[],
    );
    group("prefixes of valid UTF-8", &[], &[]);
    group(
        "first sequences of each length",
        &[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
        &[],
    );
    group(
        "first sequences of five and six bytes",
        &[],
        &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    );
    group(
        "last sequences of each length",
        &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
        &[],
    );
    group(
        "last sequences of four to six bytes",
        &[],
        &[
            b"\xf7\xbf\xbf\xbf",
            b"\xfb\xbf\xbf\xbf\xbf",
            b"\xfd\xbf\xbf\xbf\xbf\xbf",
        ],
    );
    group(
        "other boundaries",
        &[
            b"\xed\x9f\xbf",
            b"\xee\x80\x80",
            b"\xef\xbf\xbd",
            b"\xf4\x8f\xbf\xbf",
        ],
        &[b"\xf4\x90\x80\x80"],
    );
    let continuations: Vec<u8> = (0x80..0xbf).collect();
    group(
        "unexpected continuation bytes",
        &[],
        &[
            b"\x80",
            b"\xbf",
            b"\x80\xbf",
            b"\x80\xbf\x80",
            b"\x80\xbf\x80\xbf",
            b"\x80\xbf\x80\xbf\x80",
            b"\x80\xbf\x80\xbf\x80\xbf",
            &continuations,
        ],
    );
    let lonely = |from, to| (from..to).flat_map(|b| [b, b' ']).collect::<Vec<u8>>();
    group(
        "start bytes alone",
        &[],
        &[
            &lonely(0xc0, 0xdf),
            &lonely(0xe0, 0xef),
            &lonely(0xf0, 0xf7),
            &lonely(0xf8, 0xfb),
            &lonely(0xfc, 0xfd),
        ],
    );
    let incomplete: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    group("the last continuation byte missing", &[], &incomplete);
    group(
        "incomplete sequences in a row",
        &[],
        &[&incomplete.concat()],
    );
    group(
        "impossible bytes",
        &[],
        &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    );
    group(
        "overlong ASCII",
        &[],
        &[
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x80\x80\x80\xaf",
            b"\xfc\x80\x80\x80\x80\xaf",
        ],
    );
    group(
        "the longest overlong sequences",
        &[],
        &[
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf8\x87\xbf\xbf\xbf",
            b"\xfc\x83\xbf\xbf\xbf\xbf",
        ],
    );
    group(
        "overlong NUL",
        &[],
        &[
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80\x80",
        ],
    );
    group(
        "surrogates alone",
        &[],
        &[
            b"\xed\xa0\x80",
            b"\xed\xad\xbf",
            b"\xed\xae\x80",
            b"\xed\xaf\xbf",
            b"\xed\xb0\x80",
            b"\xed\xbe\x80",
            b"\xed\xbf\xbf",
        ],
    );
    group(
        "surrogates in pairs",
        &[],
        &[
            b"\xed\xa0\x80\xed\xb0\x80",
            b"\xed\xa0\x80\xed\xbf\xbf",
            b"\xed\xad\xbf\xed\xb0\x80",
            b"\xed\xad\xbf\xed\xbf\xbf",
            b"\xed\xae\x80\xed\xb0\x80",
            b"\xed\xae\x80\xed\xbf\xbf",
            b"\xed\xaf\xbf\xed\xb0\x80",
            b"\xed\xaf\xbf\xed\xbf\xbf",
        ],
    );
    // The last two of each plane.
    let nonchars: Vec<_> = (0..=16u32)
        .flat_map(|plane| [0xfffe, 0xffff].map(|last| plane << 16 | last))
        .filter_map(char::from_u32)
        .map(|c| c.to_string().into_bytes())
        .collect();
    let nonchars: Vec<_> = nonchars.iter().map(Vec::as_slice).collect();
    group("codes that are no characters", &nonchars, &[]);
    let specials = ["\u{fff9}", "\u{fffa}", "\u{fffb}", "\u{fffc}", "\u{fffd}"];
    let specials = specials.map(str::as_bytes);
    let specials: Vec<_> = specials
        .into_iter()
        .chain([&b"\xef\xbf\xbe"[..], b"\xef\xbf\xbf"])
        .collect();
    group("specials", &specials, &[]);
    groups[1].1 = (1..=greek.len())
        .map(|end| (str::from_utf8(&greek[..end]).is_ok(), greek[..end].to_vec()))
        .collect();

    let groups = groups.into_iter().zip(5..);
    groups
        .flat_map(|((what, sequences), group)| {
            let sequences = sequences.into_iter().zip(1..);
            sequences.map(move |((valid, bytes), number)| {
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                let what = match hex.len() {
                    0..=48 => format!("{what}: {hex}"),
                    _ => format!("{what}: {}...", &hex[..40]),
                };
                let case = Case::new(
                    format!("6.{group}.{number}"),
                    what,
                    vec![text(bytes.clone())],
                );
                if valid {
                    case.gets(said(bytes))
                } else {
                    case.fails(1007)
                }
            })
        })
        .collect()
}

/// 7.1 to 7.5: close frames.
fn close() -> Vec<Case> {
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
fn close_codes() -> Vec<Case> {
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

/// Messages of the cases 9.1 to 9.6 are larger than the default limit: the peer has to allow so
/// many bytes.
pub(crate) const LARGEST: usize = 16 << 20;

/// 9: large messages, many fragments, many writes.
fn limits() -> impl Iterator<Item = Case> {
    fn pattern(opcode: u8, length: usize) -> Vec<u8> {
        let pattern: &[u8] = match opcode {
            TEXT => b"BAsd7&jh23",
            _ => b"\x00\xfe\x23\xfa\xf0",
        };
        let mut payload = pattern.repeat(length / pattern.len() + 1);
        payload.truncate(length);
        payload
    }
    fn byte(opcode: u8) -> u8 {
        if opcode == TEXT { b'*' } else { 0xfe }
    }
    /// Two groups that differ in the kind of message, of so many cases each.
    fn both(
        first: u8,
        count: u32,
        case: impl Fn(String, u8, u32) -> Case + Copy,
    ) -> impl Iterator<Item = Case> {
        [(first, TEXT), (first + 1, BINARY)]
            .into_iter()
            .flat_map(move |(group, opcode)| {
                (1..=count).map(move |at| case(format!("9.{group}.{at}"), opcode, at))
            })
    }
    let large = both(1, 6, |id, opcode, at| {
        let length = [64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10][at as usize - 1];
        let what = format!("{} of {length} KiB", name(opcode));
        echo(id, what, opcode, pattern(opcode, length << 10))
    });
    let fragmented = both(3, 9, |id, opcode, at| {
        let (size, payload) = (16 << (2 * at), vec![byte(opcode); 4 << 20]);
        let what = format!("{} of 4 MiB in fragments of {size} bytes", name(opcode));
        let frames = fragments(opcode, &payload, size);
        let case = echo(id, what, opcode, payload);
        Case { frames, ..case }
    });
    let chopped = both(5, 6, |id, opcode, at| {
        let size = 32 << at;
        let what = format!("{} of 1 MiB in writes of {size} bytes", name(opcode));
        echo(id, what, opcode, pattern(opcode, 1 << 20)).cut(Cut::Every(size))
    });
    let rounds = both(7, 6, |id, opcode, at| {
        let length = [0, 16, 64, 256, 1024, 4096][at as usize - 1];
        let what = format!("{ROUNDS} messages of {length} bytes, {}", name(opcode));
        let one = echo(id, what, opcode, vec![byte(opcode); length]);
        Case {
            frames: vec![one.frames[0].clone(); ROUNDS],
            replies: vec![one.replies[0].clone(); ROUNDS],
            ..one
        }
    });
    let endless = once(()).map(|()| {
        let more = vec![rest([b'*'; 4096]).more(); LARGEST / 4096];
        let frames = once(text([b'*'; 4096]).more()).chain(more).collect();
        Case::new("9.9.1", "a text without an end", frames).fails(1009)
    });
    large
        .chain(fragmented)
        .chain(chopped)
        .chain(rounds)
        .chain(endless)
}

/// 10: Autobahn's one case of "misc".
fn auto_fragmentation() -> Case {
    let payload = vec![b'*'; 65536];
    let what = "text of 64 KiB in fragments of 1300 bytes";
    let frames = fragments(TEXT, &payload, 1300);
    let case = echo("10.1.1".into(), what.into(), TEXT, payload);
    Case { frames, ..case }
}

/// How many messages a case of many has; Autobahn has 1000.
pub(crate) const ROUNDS: usize = 100;

/// The sizes of the messages of each group of 12 and 13, and the size of their fragments, 0 for
/// none.
pub(crate) const COMPRESSED: [(usize, usize); 18] = [
    (16, 0),
    (64, 0),
    (256, 0),
    (1024, 0),
    (4096, 0),
    (8192, 0),
    (16384, 0),
    (32768, 0),
    (65536, 0),
    (131_072, 0),
    (8192, 256),
    (16384, 256),
    (32768, 256),
    (65536, 256),
    (131_072, 256),
    (131_072, 1024),
    (131_072, 4096),
    (131_072, 32768),
];

/// The kinds of content of 12.1 to 12.5: as much to compress as in JSON, in a picture, in prose,
/// in HTML and in a file that is compressed already.
pub(crate) const CONTENTS: [(&str, u8); 5] = [
    ("JSON", TEXT),
    ("a picture", BINARY),
    ("prose", BINARY),
    ("HTML", TEXT),
    ("a compressed file", BINARY),
];

/// So many bytes of a kind of content; ASCII where it is text.
pub(crate) fn content(kind: usize, length: usize) -> Vec<u8> {
    // Marsaglia's xorshift: the same on each run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words = [
        "Faust", "Geist", "und", "der", "nicht", "Teufel", "Welt", "ich",
    ];
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        let random = next();
        let word = words[random as usize % words.len()];
        match kind {
            0 => bytes.extend_from_slice(
                format!("{{\"id\": {}, \"name\": \"{word}\"}},\n", random % 1000).as_bytes(),
            ),
            1 => bytes.extend((0..16).map(|at| 100 + ((random >> at) as u8 & 3))),
            2 => bytes.extend_from_slice(format!("{word} ").as_bytes()),
            3 => bytes.extend_from_slice(format!("<li class=\"{word}\">{word}</li>\n").as_bytes()),
            _ => bytes.extend_from_slice(&random.to_le_bytes()),
        }
    }
    bytes.truncate(length);
    bytes
}

/// The offers of 13.1 to 13.7, as Autobahn's client makes them, and the settings of a server that
/// takes them as its counterpart does: whether it asks for windows without context, and for which
/// size.
pub(crate) const OFFERS: [(&str, bool, u8); 7] = [
    ("permessage-deflate; client_max_window_bits", false, 15),
    (
        "permessage-deflate; client_max_window_bits; server_no_context_takeover",
        true,
        15,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_max_window_bits=9",
        false,
        9,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_max_window_bits=15",
        false,
        15,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=9",
        true,
        9,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=15",
        true,
        15,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=9, \
         permessage-deflate; client_max_window_bits; server_no_context_takeover, \
         permessage-deflate; client_max_window_bits",
        true,
        9,
    ),
];
