//! From the text of a rule to its parts.

use regex_lite::{Regex, RegexBuilder};

use super::filter::Filters;
use super::{End, Filter, Own, Rule, Wild};

/// Largest expression of a rule, in bytes of its program.
const EXPRESSION: usize = 1 << 20;

impl Rule {
    /// Parses a rule, or says what is wrong with it. `filters` are those of the program.
    pub(crate) fn parse(text: &str, filters: &Filters) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("it must start with a slash".to_owned());
        }
        if text.contains('\0') {
            return Err("it holds a NUL, which no path can".to_owned());
        }
        let (lead, mut rest) = split_plain(text)?;
        let mut wilds: Vec<Wild> = Vec::new();
        while let Some(inside) = rest {
            let (wild, after) = parse_wild(inside, filters)?;
            if wilds.iter().any(|other| other.name == wild.name) {
                return Err(format!("two wildcards are named `{}`", wild.name));
            }
            let (tail, next) = split_plain(after)?;
            wilds.push(Wild {
                tail: tail.into(),
                ..wild
            });
            rest = next;
        }
        let last = wilds.len().saturating_sub(1);
        for (at, wild) in wilds.iter_mut().enumerate() {
            wild.end = wild.find_end(at == last);
        }
        let expression = if wilds.iter().any(|wild| wild.filter == Filter::Re) {
            Some(expression(lead, &wilds)?)
        } else {
            None
        };
        let search = wilds.iter().any(|wild| matches!(wild.end, End::Table));
        let unclear = |wild: &&Wild| wild.filter == Filter::Own && matches!(wild.end, End::Table);
        if expression.is_none()
            && let Some(wild) = wilds.iter().find(unclear)
        {
            return Err(format!(
                "a wildcard with a filter of your own must be the last or be followed by a slash, \
                 so that its end is clear; `{}` is not",
                wild.name
            ));
        }
        Ok(Self {
            text: text.into(),
            lead: lead.into(),
            search,
            wilds: wilds.into(),
            expression: expression.map(Box::new),
        })
    }

    /// The rule of everything below a prefix, which ends with a slash.
    pub(crate) fn below(prefix: &str) -> Self {
        let rest = Wild {
            name: "".into(),
            filter: Filter::Rest,
            own: None,
            tail: "".into(),
            end: End::Last,
        };
        Self {
            text: prefix.into(),
            lead: prefix.into(),
            search: false,
            wilds: [rest].into(),
            expression: None,
        }
    }
}

/// The text before the next wildcard, and what is behind its `<`, if there is one.
fn split_plain(text: &str) -> Result<(&str, Option<&str>), String> {
    let (plain, rest) = match text.split_once('<') {
        Some((plain, rest)) => (plain, Some(rest)),
        None => (text, None),
    };
    if plain.contains('>') {
        return Err("a `>` without its `<`".to_owned());
    }
    Ok((plain, rest))
}

/// A wildcard without what follows it, and the text behind its `>`.
fn parse_wild<'a>(inside: &'a str, filters: &Filters) -> Result<(Wild, &'a str), String> {
    const OPEN: &str = "a `<` without its `>`";
    let expression = inside.split_once(":re:").filter(|(name, _)| is_name(name));
    let (name, filter, own, after) = if let Some((name, rest)) = expression {
        let end = unescaped_end(rest).ok_or(OPEN)?;
        let regex = compile(&rest[..end].replace("\\>", ">"), name)?;
        (name, Filter::Re, Some(regex), &rest[end + 1..])
    } else {
        let end = inside.find(['<', '>']).ok_or(OPEN)?;
        if inside.as_bytes()[end] == b'<' {
            return Err(OPEN.to_owned());
        }
        let (name, filter) = inside[..end]
            .split_once(':')
            .unwrap_or((&inside[..end], "str"));
        let own = filters.get(filter).map(|own| Own::Function(own.clone()));
        let filter = match &own {
            Some(_) => Filter::Own,
            None => Filter::parse(filter).ok_or_else(|| unknown(name, filter, filters))?,
        };
        (name, filter, own, &inside[end + 1..])
    };
    if !is_name(name) {
        return Err(format!("`{name}` is no name for a wildcard"));
    }
    let wild = Wild {
        name: name.into(),
        filter,
        own,
        tail: "".into(),
        end: End::Table,
    };
    Ok((wild, after))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn unknown(name: &str, filter: &str, filters: &Filters) -> String {
    // As Flask and Django have it.
    if (filters.contains_key(name) || Filter::parse(name).is_some()) && is_name(filter) {
        return format!("unknown filter `{filter}`: write the name first, `<{filter}:{name}>`");
    }
    let mut own: Vec<String> = filters.keys().map(|name| format!(", {name}")).collect();
    own.sort();
    format!(
        "unknown filter `{filter}` (str, int, float, path, re:EXPRESSION{} exist)",
        own.concat()
    )
}

/// Where an expression ends: at the first `>` that has no backslash before it.
fn unescaped_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let end = byte == b'>' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

/// The expression of one wildcard, for the whole of its text.
fn compile(expression: &str, name: &str) -> Result<Own, String> {
    let refuse = |problem| format!("the expression of `{name}`: {problem}");
    // Alone first: brackets that do not match could escape from those around them.
    build(expression).map_err(refuse)?;
    let whole = build(&format!("^(?:{expression})$")).map_err(refuse)?;
    Ok(Own::Expression {
        text: expression.into(),
        whole,
    })
}

fn build(expression: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(expression);
    let built = builder.size_limit(EXPRESSION).build();
    built.map_err(|problem| problem.to_string())
}

/// The name of a wildcard's group, which no expression of the program has.
pub(super) fn group(at: usize) -> String {
    format!("greenway_wild_{at}")
}

/// A whole rule as an expression, as Bottle makes one.
fn expression(lead: &str, wilds: &[Wild]) -> Result<Regex, String> {
    let mut all = format!("^{}", regex_lite::escape(lead));
    for (at, wild) in wilds.iter().enumerate() {
        let one = match (wild.filter, &wild.own) {
            (Filter::Int, _) => "-?[0-9]+",
            (Filter::Float, _) => "-?[0-9.]+",
            (Filter::Path | Filter::Rest, _) => "(?s:.+?)",
            (Filter::Re, Some(Own::Expression { text, .. })) => text,
            (Filter::Str | Filter::Own | Filter::Re, _) => "[^/]+",
        };
        let tail = regex_lite::escape(&wild.tail);
        all.push_str(&format!("(?P<{}>{one}){tail}", group(at)));
    }
    all.push('$');
    build(&all)
}

impl Wild {
    fn find_end(&self, last: bool) -> End {
        let first = self.tail.bytes().next();
        match (self.filter, self.tail.find('/')) {
            _ if last => End::Last,
            (Filter::Str | Filter::Own | Filter::Int | Filter::Float, Some(offset)) => {
                End::Slash(offset)
            }
            (Filter::Int | Filter::Float, None)
                if first.is_some_and(|b| !self.filter.continues(b)) =>
            {
                End::Run
            }
            _ => End::Table,
        }
    }
}
