//! RFC 9110, 13, as a table.

use super::Verdict::{Failed, Go, NotModified};
use super::*;

const EARLIER: &str = "Sat, 01 Nov 2025 10:00:00 GMT";
const DATE: &str = "Sat, 01 Nov 2025 10:00:01 GMT";
const LATER: &str = "Sat, 01 Nov 2025 10:00:02 GMT";
const STRONG: Option<&str> = Some("\"v1\"");
const WEAK: Option<&str> = Some("W/\"v1\"");

fn modified() -> SystemTime {
    // A file has a fraction of a second that no header can tell.
    httpdate::parse_http_date(DATE).unwrap() + Duration::from_millis(700)
}

fn conditions<'a>(fields: &[(&str, &'a str)]) -> Conditions<'a> {
    let mut conditions = Conditions::default();
    for (name, value) in fields {
        let field = match *name {
            "if-match" => &mut conditions.if_match,
            "if-none-match" => &mut conditions.if_none_match,
            "if-modified-since" => &mut conditions.if_modified_since,
            "if-unmodified-since" => &mut conditions.if_unmodified_since,
            "if-range" => &mut conditions.if_range,
            other => panic!("{other}"),
        };
        field.push(value.as_bytes());
    }
    conditions
}

fn known(etag: Option<&str>, dated: bool) -> Validators<'_> {
    Validators {
        etag: etag.map(str::as_bytes),
        modified: dated.then(modified),
    }
}

type Row<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Verdict, Verdict);

/// Fields, the representation's tag, the verdict for GET and HEAD, and the one for the others.
const ROWS: &[Row<'_>] = &[
    (&[], STRONG, Go, Go),
    // 13.1.1
    (&[("if-match", "\"v1\"")], STRONG, Go, Go),
    (&[("if-match", "\"v0\", \"v1\"")], STRONG, Go, Go),
    (
        &[("if-match", "\"v0\""), ("if-match", "\"v1\"")],
        STRONG,
        Go,
        Go,
    ),
    (&[("if-match", "\"v0\"")], STRONG, Failed, Failed),
    (&[("if-match", "*")], STRONG, Go, Go),
    (&[("if-match", "*")], None, Go, Go),
    (&[("if-match", "\"v1\"")], None, Failed, Failed),
    (&[("if-match", "W/\"v1\"")], STRONG, Failed, Failed),
    (&[("if-match", "W/\"v1\"")], WEAK, Failed, Failed),
    (&[("if-match", "\"v1\"")], WEAK, Failed, Failed),
    (&[("if-match", "v1")], STRONG, Failed, Failed),
    (&[("if-match", "")], STRONG, Failed, Failed),
    // 13.1.2
    (&[("if-none-match", "\"v1\"")], STRONG, NotModified, Failed),
    (
        &[("if-none-match", "W/\"v1\"")],
        STRONG,
        NotModified,
        Failed,
    ),
    (&[("if-none-match", "\"v1\"")], WEAK, NotModified, Failed),
    (
        &[("if-none-match", "\"v0\",\"v1\"")],
        STRONG,
        NotModified,
        Failed,
    ),
    (
        &[("if-none-match", "\"v0\""), ("if-none-match", "\"v1\"")],
        STRONG,
        NotModified,
        Failed,
    ),
    (&[("if-none-match", "\"v0\"")], STRONG, Go, Go),
    (&[("if-none-match", "*")], STRONG, NotModified, Failed),
    (&[("if-none-match", "*")], None, NotModified, Failed),
    (&[("if-none-match", "\"v1\"")], None, Go, Go),
    (&[("if-none-match", "v1")], STRONG, Go, Go),
    // 13.1.3
    (&[("if-modified-since", EARLIER)], STRONG, Go, Go),
    (&[("if-modified-since", DATE)], STRONG, NotModified, Go),
    (&[("if-modified-since", LATER)], STRONG, NotModified, Go),
    (
        &[("if-modified-since", "Saturday, 01-Nov-25 10:00:01 GMT")],
        STRONG,
        NotModified,
        Go,
    ),
    (
        &[("if-modified-since", "Sat Nov  1 10:00:01 2025")],
        STRONG,
        NotModified,
        Go,
    ),
    (&[("if-modified-since", "yesterday")], STRONG, Go, Go),
    (&[("if-modified-since", "")], STRONG, Go, Go),
    (
        &[("if-modified-since", LATER), ("if-modified-since", LATER)],
        STRONG,
        Go,
        Go,
    ),
    // 13.1.4
    (&[("if-unmodified-since", EARLIER)], STRONG, Failed, Failed),
    (&[("if-unmodified-since", DATE)], STRONG, Go, Go),
    (&[("if-unmodified-since", LATER)], STRONG, Go, Go),
    (&[("if-unmodified-since", "never")], STRONG, Go, Go),
    (
        &[
            ("if-unmodified-since", EARLIER),
            ("if-unmodified-since", EARLIER),
        ],
        STRONG,
        Go,
        Go,
    ),
    // 13.2.2: tags go before dates, and the first two steps before the others.
    (
        &[("if-match", "\"v1\""), ("if-unmodified-since", EARLIER)],
        STRONG,
        Go,
        Go,
    ),
    (
        &[("if-match", "\"v0\""), ("if-unmodified-since", LATER)],
        STRONG,
        Failed,
        Failed,
    ),
    (
        &[("if-none-match", "\"v0\""), ("if-modified-since", LATER)],
        STRONG,
        Go,
        Go,
    ),
    (
        &[("if-none-match", "\"v1\""), ("if-modified-since", EARLIER)],
        STRONG,
        NotModified,
        Failed,
    ),
    (
        &[("if-match", "\"v0\""), ("if-none-match", "\"v1\"")],
        STRONG,
        Failed,
        Failed,
    ),
    (
        &[("if-match", "\"v1\""), ("if-none-match", "\"v1\"")],
        STRONG,
        NotModified,
        Failed,
    ),
    (
        &[
            ("if-unmodified-since", EARLIER),
            ("if-none-match", "\"v1\""),
        ],
        STRONG,
        Failed,
        Failed,
    ),
    (
        &[("if-unmodified-since", LATER), ("if-modified-since", LATER)],
        STRONG,
        NotModified,
        Go,
    ),
    // If-Range is no condition of its own.
    (&[("if-range", "\"v0\"")], STRONG, Go, Go),
];

#[test]
fn the_order_of_evaluation() {
    for (row, (fields, etag, reads, writes)) in ROWS.iter().enumerate() {
        let conditions = conditions(fields);
        let known = known(*etag, true);
        for (method, expected) in [
            (Method::GET, reads),
            (Method::HEAD, reads),
            (Method::PUT, writes),
            (Method::DELETE, writes),
        ] {
            let got = conditions.verdict(&method, known);
            assert_eq!(got, *expected, "row {row}: {method} {fields:?} {etag:?}");
        }
    }
}

#[test]
fn without_a_date_the_conditions_on_dates_say_nothing() {
    for name in ["if-modified-since", "if-unmodified-since"] {
        for date in [EARLIER, LATER] {
            let fields = [(name, date)];
            let verdict = conditions(&fields).verdict(&Method::GET, known(STRONG, false));
            assert_eq!(verdict, Go, "{name}: {date}");
        }
    }
}

#[test]
fn if_range_wants_the_very_same() {
    for (fields, etag, dated, expected) in [
        (&[][..], STRONG, true, true),
        (&[("if-range", "\"v1\"")], STRONG, true, true),
        (&[("if-range", "\"v0\"")], STRONG, true, false),
        (&[("if-range", "W/\"v1\"")], WEAK, true, false),
        (&[("if-range", "W/\"v1\"")], STRONG, true, false),
        (&[("if-range", "\"v1\"")], WEAK, true, false),
        (&[("if-range", "\"v1\"")], None, true, false),
        (&[("if-range", "\"v1\", \"v0\"")], STRONG, true, false),
        (&[("if-range", DATE)], STRONG, true, true),
        (&[("if-range", EARLIER)], STRONG, true, false),
        (&[("if-range", LATER)], STRONG, true, false),
        (&[("if-range", DATE)], STRONG, false, false),
        (&[("if-range", "v1")], STRONG, true, false),
        (&[("if-range", "*")], STRONG, true, false),
        (
            &[("if-range", "\"v1\""), ("if-range", "\"v1\"")],
            STRONG,
            true,
            false,
        ),
    ] {
        let got = conditions(fields).range_counts(known(etag, dated));
        assert_eq!(got, expected, "{fields:?} {etag:?} {dated}");
    }
}

#[test]
fn they_are_found_in_any_case() {
    let fields = [
        ("IF-NONE-MATCH", "\"a\""),
        ("If-None-Match", "\"b\""),
        ("if-range", "\"c\""),
        ("If-Match", "*"),
        ("If-Modified-Since", DATE),
        ("If-Unmodified-Since", DATE),
        ("If", "x"),
        ("X-If-Match", "x"),
    ];
    let fields = fields.map(|(name, value)| (name, value.as_bytes()));
    let head = Head::build(Method::GET, "/", http::Version::HTTP_11, fields.into_iter());
    let found = Conditions::of(&head);
    assert_eq!(found.if_none_match.as_slice(), [b"\"a\"", b"\"b\""]);
    assert_eq!(found.if_range.as_slice(), [b"\"c\""]);
    assert_eq!(found.if_match.as_slice(), [b"*"]);
    assert_eq!(found.if_modified_since.as_slice(), [DATE.as_bytes()]);
    assert_eq!(found.if_unmodified_since.as_slice(), [DATE.as_bytes()]);
}

#[test]
fn times_before_1970_are_1970() {
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(whole_seconds(before), SystemTime::UNIX_EPOCH);
}
