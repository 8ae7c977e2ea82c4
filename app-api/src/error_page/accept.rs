//! Which page a client would like (RFC 9110, 12.5.1).

/// What an error can be shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Html,
    Json,
}

/// The kind that an Accept header likes best; of those that it likes equally, the first. What it
/// does not name is not chosen: programs that accept anything get text.
pub(super) fn kind(accept: &str) -> Kind {
    let mut best = (Kind::Text, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = match parts
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "text/html" | "application/xhtml+xml" => Kind::Html,
            "application/json" | "application/problem+json" => Kind::Json,
            "text/plain" => Kind::Text,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(1000, thousandths);
        if weight > best.1 {
            best = (kind, weight);
        }
    }
    best.0
}

/// A weight (RFC 9110, 12.4.2) in thousandths; 0 for what is none.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        // It is between 0 and 1000.
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0) as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_say() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, expected) in [
            (chromium, Kind::Html),
            ("*/*", Kind::Text),
            ("", Kind::Text),
            ("application/json, text/plain, */*", Kind::Json),
            ("application/problem+json", Kind::Json),
            ("text/html;q=0.5, application/json", Kind::Json),
            (
                "text/html;level=1;Q=0.5, application/json;q=0.4",
                Kind::Html,
            ),
            ("text/plain, text/html", Kind::Text),
            ("TEXT/HTML", Kind::Html),
            ("text/html;q=0", Kind::Text),
            ("text/html;q=9", Kind::Text),
            ("text/html;q=nan", Kind::Text),
            ("image/png", Kind::Text),
        ] {
            assert_eq!(kind(accept), expected, "{accept}");
        }
    }
}
