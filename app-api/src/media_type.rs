//! What a Content-Type header says (RFC 9110, 8.3.1).

/// A media type and its parameters, as they were sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MediaType<'a> {
    essence: &'a str,
    parameters: &'a str,
}

impl<'a> MediaType<'a> {
    pub(crate) fn parse(header: &'a str) -> Self {
        let (essence, parameters) = header.split_once(';').unwrap_or((header, ""));
        Self {
            essence: essence.trim_matches([' ', '\t']),
            parameters,
        }
    }

    /// Whether it is this one, parameters aside.
    pub(crate) fn is(self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// Whether it is JSON, or something else that is written in JSON (RFC 6839, 3.1).
    pub(crate) fn is_json(self) -> bool {
        let tail = self.essence.len().saturating_sub("+json".len());
        self.is("application/json")
            || self
                .essence
                .get(tail..)
                .is_some_and(|tail| tail.eq_ignore_ascii_case("+json"))
    }

    /// The value of a parameter whose characters need no escapes. `None` if it is not there or
    /// more than once, for two readers could then choose differently.
    pub(crate) fn parameter(self, name: &str) -> Option<&'a str> {
        let mut found = None;
        for parameter in self.parameters.split(';') {
            let Some((key, value)) = parameter.split_once('=') else {
                continue;
            };
            if key.trim_matches([' ', '\t']).eq_ignore_ascii_case(name) {
                let value = value.trim_matches([' ', '\t']);
                let quoted = value
                    .strip_prefix('"')
                    .and_then(|value| value.strip_suffix('"'));
                if found.replace(quoted.unwrap_or(value)).is_some() {
                    return None;
                }
            }
        }
        found
    }
}

/// The media type that the name of a file tells.
#[cfg(any(feature = "static-files", feature = "templates"))]
pub(crate) fn guess(name: &str) -> Option<&'static str> {
    match mime_guess::from_path(name).first_raw() {
        // As RFC 9239 calls it, whatever the suffix.
        Some("application/javascript") => Some("text/javascript"),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_andparameters() {
        for (header, essence, boundary) in [
            (
                "multipart/form-data; boundary=x",
                "multipart/form-data",
                Some("x"),
            ),
            (
                "Multipart/Form-Data ;BOUNDARY=\"a b\" ; q=1",
                "multipart/form-data",
                Some("a b"),
            ),
            (
                "multipart/form-data; charset=utf-8 ; boundary= x ",
                "multipart/form-data",
                Some("x"),
            ),
            ("multipart/form-data", "multipart/form-data", None),
            (
                "multipart/form-data; boundary=a; boundary=b",
                "multipart/form-data",
                None,
            ),
            ("", "", None),
        ] {
            let parsed = MediaType::parse(header);
            assert!(parsed.is(essence), "{header}");
            assert_eq!(parsed.parameter("boundary"), boundary, "{header}");
        }
        for (header, json) in [
            ("application/json", true),
            ("application/problem+JSON; charset=utf-8", true),
            ("text/plain", false),
            ("json", false),
            ("é", false),
        ] {
            assert_eq!(MediaType::parse(header).is_json(), json, "{header}");
        }
    }
}
