//! The query string.

use super::Request;
use std::borrow::Cow;

impl Request {
    /// The first value of `name` in the query string, decoded: `+` is a space,
    /// and what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// All pairs of the query string in their order, decoded as by
    /// [`query`](Request::query).
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query_string().as_bytes())
    }

    /// All values of `name` in the query string, in their order, decoded as by
    /// [`query`](Request::query).
    ///
    /// ```
    /// use greenway_app::{Request, testing::Client};
    ///
    /// let app = |request: Request| {
    ///     request.query_all("tag").collect::<Vec<_>>().join("+")
    /// };
    /// assert_eq!(Client::new(app).get("/?tag=a&x=1&tag=b").send().text(), "a+b");
    /// ```
    pub fn query_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        self.query_pairs()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Head, Input, Method, Request, Version};
    use std::sync::Arc;

    fn request(target: &str) -> Request {
        let head = Head::build(Method::GET, target, Version::HTTP_11, std::iter::empty());
        Request::new(head, Input::empty(), Arc::default()).unwrap()
    }

    #[test]
    fn queries() {
        let request = request("/?a=1&b=x+y%26z&a=2&c&=d&%C3%A9=%ff");
        assert_eq!(request.query("a").as_deref(), Some("1"));
        assert_eq!(request.query("b").as_deref(), Some("x y&z"));
        assert_eq!(request.query("c").as_deref(), Some(""));
        assert_eq!(request.query("").as_deref(), Some("d"));
        assert_eq!(request.query("é").as_deref(), Some("\u{fffd}"));
        assert_eq!(request.query("z"), None);
        assert_eq!(request.query_pairs().count(), 6);
        assert_eq!(request.query_all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(request.query_all("z").count(), 0);
        let none = self::request("/");
        assert_eq!((none.query_string(), none.query("a")), ("", None));
    }
}
