//! Group 6: what is UTF-8, in how many pieces ever.

use super::*;

/// "kosme", with an accented letter of three bytes.
const GREEK: &str = "κ\u{1f79}σμε";

/// 6.1 to 6.4: text in all pieces, and failing fast.
pub(super) fn pieces() -> Vec<Case> {
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
pub(super) fn sequences() -> Vec<Case> {
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
