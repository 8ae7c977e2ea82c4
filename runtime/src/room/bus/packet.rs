//! A [`Post`] as bytes, as it is in the log of a bus.
//!
//! One byte says what it is, four tell how long its name is, then come the name and the content.
//! What must stay true: a process of the next version reads what one of this version has written,
//! and what it does not know is an error, not a guess.

use super::super::post::Post;
use bytes::Bytes;

/// The first version; the bits below say what the post is.
const VERSION: u8 = 0x10;
const BINARY: u8 = 1;
const PASSING: u8 = 2;
const NAMED: u8 = 4;

/// The bytes of a post.
pub(super) fn encode(post: &Post) -> Vec<u8> {
    let (data, name, passing) = post.parts();
    let (content, binary) = (data.as_bytes(), data.as_text().is_none());
    let mut kind = VERSION;
    for (bit, is_set) in [
        (BINARY, binary),
        (PASSING, passing),
        (NAMED, name.is_some()),
    ] {
        kind |= if is_set { bit } else { 0 };
    }
    let name = name.unwrap_or("").as_bytes();
    // A name of more than 4 GiB is in no memory beside its post.
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(5 + name.len() + content.len());
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(content);
    bytes
}

/// The post in these bytes; `None` if they are not those of one.
pub(super) fn decode(bytes: &Bytes) -> Option<Post> {
    let (&kind, rest) = bytes.split_first()?;
    if kind & !(BINARY | PASSING | NAMED) != VERSION {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (name, content) = rest.split_at_checked(length)?;
    let mut post = if kind & BINARY != 0 {
        Post::binary(bytes.slice(bytes.len() - content.len()..))
    } else {
        Post::new(std::str::from_utf8(content).ok()?)
    };
    if kind & NAMED != 0 {
        post = post.try_name(std::str::from_utf8(name).ok()?)?;
    }
    Some(if kind & PASSING != 0 {
        post.passing()
    } else {
        post
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_bytes_that_come_back() {
        for post in [
            Post::new(""),
            Post::new("grüße").name("n"),
            Post::new("typing").name("").passing(),
            Post::binary(vec![0xff, 0]).name("blob"),
        ] {
            let back = decode(&encode(&post).into()).expect("it was encoded");
            assert_eq!(format!("{back:?}"), format!("{post:?}"));
        }
    }

    #[test]
    fn what_is_no_post_is_none() {
        for bad in [
            &b""[..],
            b"\x10",
            b"\x10\0\0\0",
            b"\x20\0\0\0\0text",
            b"\x18\0\0\0\0text",
            b"\x14\0\0\0\x09name",
            b"\x14\0\0\0\x02a\nx",
            b"\x10\0\0\0\0\xff",
        ] {
            assert!(decode(&Bytes::from_static(bad)).is_none(), "{bad:?}");
        }
    }
}
