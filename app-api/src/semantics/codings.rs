//! Which content coding a client prefers: RFC 9110, 12.5.3.

/// A content coding that we know how to make, or that a file beside another one may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// All, the one that compresses best first.
    pub(crate) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// As Accept-Encoding and Content-Encoding call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of a file with this coding ends with.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// Those of `offered` that the client accepts, the one it likes best first. Among those that it
/// likes as well, and where it names none with `*` alone, the order is that of `offered`.
///
/// `fields` are the values of Accept-Encoding. Without any the client has said nothing, and gets
/// nothing that it might not understand.
pub(crate) fn accepted(fields: &[&[u8]], offered: &[Coding]) -> Vec<Coding> {
    let quality = |coding: Coding| {
        let mut any = 0;
        for element in fields.iter().flat_map(|value| super::elements(value)) {
            let (name, quality) = weighed(element);
            let name = name.strip_prefix(b"x-").unwrap_or(name); // RFC 9110, 8.4.1.3: x-gzip
            if name.eq_ignore_ascii_case(coding.name().as_bytes()) {
                return quality;
            }
            if name == b"*" {
                any = quality;
            }
        }
        any
    };
    let mut liked: Vec<_> = offered
        .iter()
        .map(|&coding| (quality(coding), coding))
        .filter(|(quality, _)| *quality > 0)
        .collect();
    // Stable: ties stay as they were offered.
    liked.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    liked.into_iter().map(|(_, coding)| coding).collect()
}

/// An element and its weight, in thousandths (RFC 9110, 12.4.2). A weight that is none is 0: what
/// we do not understand, we had better not rely on.
pub(crate) fn weighed(element: &[u8]) -> (&[u8], u16) {
    let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")));
    (
        name,
        weight.map_or(1000, |weight| thousandths(weight).unwrap_or(0)),
    )
}

fn thousandths(weight: &[u8]) -> Option<u16> {
    let (whole, fraction) = match weight {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    if !matches!(whole, b'0' | b'1') || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut value = u16::from(whole - b'0');
    for at in 0..3 {
        value = value * 10 + fraction.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    }
    (value <= 1000).then_some(value)
}

/// Whether bytes of this media type become fewer when they are compressed. Text and what is
/// written like text do; pictures, sounds, films and archives are compressed already.
pub(crate) fn is_compressible(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let Some((kind, rest)) = essence.split_once('/') else {
        return false;
    };
    match kind {
        "text" => true,
        "application" => {
            [
                "javascript",
                "ecmascript",
                "json",
                "xml",
                "wasm",
                "rtf",
                "manifest+json",
                "sql",
                "x-javascript",
                "yaml",
                "toml",
                "vnd.ms-fontobject",
                "x-ndjson",
                "graphql",
            ]
            .contains(&rest)
                || rest.ends_with("+json")
                || rest.ends_with("+xml")
        }
        "image" => ["svg+xml", "bmp", "x-icon", "vnd.microsoft.icon"].contains(&rest),
        "font" => ["ttf", "otf", "collection"].contains(&rest),
        "model" => true,
        "message" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;

    #[test]
    fn accept_encoding() {
        for (fields, expected) in [
            (&[][..], &[][..]),
            (&[""], &[]),
            (&["gzip"], &[Gzip]),
            (&["GZIP"], &[Gzip]),
            (&["x-gzip"], &[Gzip]),
            (&["gzip, deflate, br, zstd"], &[Brotli, Zstd, Gzip]),
            (&["gzip", "br"], &[Brotli, Gzip]),
            (&["gzip;q=1.0, br;q=0.5"], &[Gzip, Brotli]),
            (
                &["gzip ; q=0.2 , br ;q=0.3,zstd; q=0.25"],
                &[Brotli, Zstd, Gzip],
            ),
            (&["gzip;q=0"], &[]),
            (&["gzip;q=0.000"], &[]),
            (&["gzip;q=0.001"], &[Gzip]),
            (&["*"], &[Brotli, Zstd, Gzip]),
            (&["*;q=0"], &[]),
            (&["*;q=0, gzip"], &[Gzip]),
            (&["br;q=0, *"], &[Zstd, Gzip]),
            (&["*, br;q=0"], &[Zstd, Gzip]),
            (&["gzip;q=0.5, *;q=0.1"], &[Gzip, Brotli, Zstd]),
            (&["identity"], &[]),
            (&["deflate, compress"], &[]),
            (&["gzip;q=2"], &[]),
            (&["gzip;q=1.001"], &[]),
            (&["gzip;q=0.0001"], &[]),
            (&["gzip;q="], &[]),
            (&["gzip;q=-1"], &[]),
            (&["gzip;q=one"], &[]),
            (&["gzip;level=9"], &[Gzip]),
            (&["gzip;level=9;Q=0"], &[]),
            (&[";;,,;"], &[]),
        ] {
            let lines: Vec<_> = fields.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(accepted(&lines, &Coding::ALL), expected, "{fields:?}");
        }
    }

    #[test]
    fn media_types() {
        for yes in [
            "text/html; charset=utf-8",
            "TEXT/CSS",
            "application/json",
            "application/problem+json",
            "application/atom+xml",
            "image/svg+xml",
            "text/event-stream",
            "font/ttf",
            "application/wasm",
        ] {
            assert!(is_compressible(yes), "{yes}");
        }
        for no in [
            "image/png",
            "video/mp4",
            "application/zip",
            "application/octet-stream",
            "font/woff2",
            "application/gzip",
            "audio/ogg",
            "multipart/byteranges; boundary=x",
            "",
            "text",
        ] {
            assert!(!is_compressible(no), "{no}");
        }
    }
}
