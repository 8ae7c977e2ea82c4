//! Text in HTML.

use std::borrow::Cow;

/// Text as it may stand in HTML, between tags and within quotes: Bottle's `html_escape` and
/// `html_quote`, without the quotes around it. (Within `<script>` and `<style>`, in names, and where
/// an attribute is a URL or a script, no escaping is enough.)
///
/// ```
/// use greenway_app::{Html, Request, html_escape, testing::Client};
///
/// let app = |request: Request| {
///     let name = request.query("name").unwrap_or_default();
///     Html(format!("<p title=\"{0}\">{0}", html_escape(&name)))
/// };
/// let reply = Client::new(app).get("/?name=%3CA%20%26%20B%3E").send();
/// assert_eq!(reply.text(), "<p title=\"&lt;A &amp; B&gt;\">&lt;A &amp; B&gt;");
/// ```
#[must_use]
pub fn html_escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '>', '&', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_html_is_escaped() {
        let escaped = html_escape("<a href='x' title=\"&\">é");
        assert_eq!(
            escaped,
            "&lt;a href=&#39;x&#39; title=&quot;&amp;&quot;&gt;é"
        );
        assert!(matches!(html_escape("plain é"), Cow::Borrowed("plain é")));
    }
}
