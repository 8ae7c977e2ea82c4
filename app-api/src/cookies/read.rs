//! The cookies of a request.
//!
//! What must stay true: a semicolon always ends a cookie, also between quotes, so that no value
//! swallows the cookies behind it; and names are taken as they are, since a decoded one could claim
//! a prefix (`__Host-`) that the browser has not seen.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::Request;

impl Request {
    /// The value of a cookie, decoded as [`Cookie`](crate::Cookie) encodes it. Of several with this
    /// name, the first: browsers send that of the longest path first.
    ///
    /// Names are compared with their case. What is not UTF-8, or has no name, is skipped.
    ///
    /// ```
    /// use greenway_app::{Request, testing::Client};
    ///
    /// let app = |request: Request| request.cookie("theme").unwrap_or_default().into_owned();
    /// let client = Client::new(app);
    /// assert_eq!(client.get("/").header("cookie", "a=1; theme=dark%21").send().text(), "dark!");
    /// assert_eq!(client.get("/").send().text(), "");
    /// ```
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.raw_cookies()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| decode(value))
    }

    /// All cookies in their order, as names and values, which are decoded as by
    /// [`cookie`](Request::cookie).
    pub fn cookies(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.raw_cookies()
            .map(|(name, value)| (name, decode(value)))
    }

    /// All cookies with their values as sent, without quotes.
    fn raw_cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        // HTTP/2 splits the header, and proxies hand it on in pieces.
        self.head()
            .values("cookie")
            .flat_map(|line| line.split(|&byte| byte == b';'))
            .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
            .map(|(name, value)| {
                (
                    name.trim_matches(BLANK),
                    unquoted(value.trim_matches(BLANK)),
                )
            })
            .filter(|(name, _)| !name.is_empty())
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// The value without the quotes around it, which some clients add and browsers keep.
fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"');
    inner
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value)
}

/// The text of a value; as it is, where it was not encoded by us.
fn decode(value: &str) -> Cow<'_, str> {
    percent_decode_str(value)
        .decode_utf8()
        .unwrap_or(Cow::Borrowed(value))
}
