//! Colours for the listings on the tour's pages: put in once, when the program starts, so that the
//! pages need no script for it and nothing from elsewhere.
//!
//! What must stay true: what is shown is the source and nothing else, escaped; a construct that is
//! not known here is shown without a colour.

/// Words that Rust keeps for itself, as far as listings use them.
const KEYWORDS: &[&str] = &[
    "as", "break", "const", "continue", "crate", "else", "enum", "false", "fn", "for", "if",
    "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "self",
    "Self", "static", "struct", "super", "trait", "true", "type", "use", "where", "while",
];

/// Rust as HTML. The classes are `c` (comment), `s` (string), `n` (number), `k` (keyword), `t`
/// (type), `f` (function or macro) and `a` (attribute or lifetime).
pub(crate) fn rust(source: &str) -> String {
    let mut out = String::with_capacity(source.len() * 2);
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (class, length) = token(rest, first);
        let (text, after) = rest.split_at(length);
        match class {
            "" => out += &escape(text),
            class => {
                let text = escape(text);
                out += &format!("<span class=\"{class}\">{text}</span>");
            }
        }
        rest = after;
    }
    out
}

/// The class of what `rest` begins with, and its length in bytes, which is not 0.
fn token(rest: &str, first: char) -> (&'static str, usize) {
    let end_of = |ends: fn(char) -> bool| rest.find(ends).unwrap_or(rest.len());
    match first {
        '/' if rest.starts_with("//") => ("c", end_of(|c| c == '\n')),
        '#' if rest.starts_with("#[") => ("a", rest.find(']').map_or(rest.len(), |at| at + 1)),
        '"' => ("s", quoted(rest, '"')),
        '\'' if is_character(rest) => ("s", quoted(rest, '\'')),
        '\'' => ("a", 1 + word(&rest[1..])),
        '0'..='9' => ("n", word(rest)),
        c if c.is_alphabetic() || c == '_' => {
            let (text, after) = rest.split_at(word(rest));
            (class_of(text, after), text.len())
        }
        c => ("", c.len_utf8()),
    }
}

fn class_of(text: &str, after: &str) -> &'static str {
    let call = after.starts_with('(') || after.starts_with("::<");
    let call_of_macro = after.starts_with('!') && !after.starts_with("!=");
    match text {
        _ if KEYWORDS.contains(&text) => "k",
        _ if text.starts_with(char::is_uppercase) => "t",
        _ if call || call_of_macro => "f",
        _ => "",
    }
}

fn word(rest: &str) -> usize {
    let ends = |c: char| !c.is_alphanumeric() && c != '_';
    rest.find(ends).unwrap_or(rest.len())
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn is_character(rest: &str) -> bool {
    let mut next = rest.chars().skip(1);
    let inside = next.next();
    inside == Some('\\') || next.next() == Some('\'')
}

/// The length of a literal, with both of its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::rust;

    /// The source, coloured and with the colours taken away again.
    fn plain(html: &str) -> String {
        let mut out = String::new();
        for part in html.split('<') {
            out += part.split_once('>').map_or(part, |(_tag, text)| text);
        }
        out.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    }

    #[test]
    fn nothing_is_added_or_lost() {
        let sources = [
            include_str!("chat.rs"),
            include_str!("tour.rs"),
            include_str!("highlight.rs"),
            "let unfinished = \"\\",
            "'",
            "ends in #[",
            "<script> && \u{263a} 'a: 'b'",
        ];
        for source in sources {
            assert_eq!(plain(&rust(source)), source);
        }
    }

    #[test]
    fn each_kind_has_its_class() {
        let html =
            rust("#[x]\nfn f<'a>(s: &'a str) -> Vec<u8> { say!(\"a\\\"<\", '\\'', 7) } // <b>");
        for piece in [
            "<span class=\"a\">#[x]</span>",
            "<span class=\"k\">fn</span> f&lt;",
            "&lt;<span class=\"a\">'a</span>&gt;",
            "<span class=\"t\">Vec</span>&lt;u8&gt;",
            "<span class=\"f\">say</span>!(<span class=\"s\">\"a\\\"&lt;\"</span>",
            "<span class=\"s\">'\\''</span>, <span class=\"n\">7</span>",
            "<span class=\"c\">// &lt;b&gt;</span>",
        ] {
            assert!(html.contains(piece), "{piece} in {html}");
        }
    }
}
