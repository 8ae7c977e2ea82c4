//! From a rule and values for its wildcards back to a path.

use std::fmt::Display;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Filter, Rule};

/// What cannot stand in a path (RFC 3986, 3.3).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What cannot stand in a segment, as a slash is data there.
const SEGMENT: &AsciiSet = &PATH.add(b'/');

impl Rule {
    /// The path that this rule matches with these values, percent-encoded; values that belong to no
    /// wildcard become a query string. Says what is wrong where there is none.
    pub(crate) fn url(&self, values: &[(&str, &dyn Display)]) -> Result<String, String> {
        let mut url = utf8_percent_encode(&self.lead, PATH).to_string();
        for wild in &self.wilds {
            let given = values.iter().find(|(name, _)| *name == &*wild.name);
            let Some((name, value)) = given else {
                return Err(format!("<{}> has no value", wild.name));
            };
            let text = value.to_string();
            // In a segment a slash will be encoded, which is none to the filter.
            let crosses = wild.filter.crosses_slashes();
            let seen = if crosses {
                text.clone()
            } else {
                text.replace('/', "\0")
            };
            if text.contains('\0') || !wild.accepts(&seen) {
                return Err(match wild.filter {
                    Filter::Own | Filter::Re => format!("{text:?} is nothing for <{name}>"),
                    filter => format!("{text:?} is nothing for <{name}:{filter}>"),
                });
            }
            let set = if crosses { PATH } else { SEGMENT };
            url.extend(utf8_percent_encode(&text, set));
            url.extend(utf8_percent_encode(&wild.tail, PATH));
        }
        if url.starts_with("//") {
            // A browser would take what follows for a host. As data the slash is the same to the
            // wildcard; one that the rule itself has cannot be written otherwise.
            if self.lead.starts_with("//") {
                return Err("the path would begin with two slashes, as a host does".to_owned());
            }
            url.replace_range(1..2, "%2F");
        }
        let of_the_rule = |name: &str| self.wilds.iter().any(|wild| &*wild.name == name);
        let others = values.iter().filter(|(name, _)| !of_the_rule(name));
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in others {
            query.append_pair(name, &value.to_string());
        }
        let query = query.finish();
        if !query.is_empty() {
            url.push('?');
            url.push_str(&query);
        }
        Ok(url)
    }
}
