//! Conditional requests: RFC 9110, 13.
//!
//! The order of evaluation is that of section 13.2.2, whose steps have their numbers here.

use super::etag;
use crate::Head;
use http::Method;
use smallvec::SmallVec;
use std::time::{Duration, SystemTime};

/// The values of a field that is a list, and is seldom sent.
type Lines<'a> = SmallVec<[&'a [u8]; 1]>;

/// The conditions of a request. Fields that were not sent are empty.
#[derive(Debug, Default, Clone)]
pub(crate) struct Conditions<'a> {
    pub(crate) if_match: Lines<'a>,
    pub(crate) if_none_match: Lines<'a>,
    pub(crate) if_modified_since: Lines<'a>,
    pub(crate) if_unmodified_since: Lines<'a>,
    pub(crate) if_range: Lines<'a>,
}

/// What is known of the representation that would be sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Validators<'a> {
    /// As it stands in the header ETag.
    pub(crate) etag: Option<&'a [u8]>,
    /// What stands in Last-Modified.
    pub(crate) modified: Option<SystemTime>,
}

/// What the conditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answer as if there were none.
    Go,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl<'a> Conditions<'a> {
    /// Those of a request.
    pub(crate) fn of(head: &'a Head) -> Self {
        let mut found = Self::default();
        for (name, value) in head.fields() {
            // All names begin like this, and most requests have none of them.
            if !name
                .get(..3)
                .is_some_and(|start| start.eq_ignore_ascii_case("if-"))
            {
                continue;
            }
            let field = match name.to_ascii_lowercase().as_str() {
                "if-match" => &mut found.if_match,
                "if-none-match" => &mut found.if_none_match,
                "if-modified-since" => &mut found.if_modified_since,
                "if-unmodified-since" => &mut found.if_unmodified_since,
                "if-range" => &mut found.if_range,
                _ => continue,
            };
            field.push(value);
        }
        found
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        let all = [
            &self.if_match,
            &self.if_none_match,
            &self.if_modified_since,
            &self.if_unmodified_since,
            &self.if_range,
        ];
        all.into_iter().all(SmallVec::is_empty)
    }

    /// Evaluates all but If-Range for a resource that exists.
    pub(crate) fn verdict(&self, method: &Method, known: Validators<'_>) -> Verdict {
        let reads = method == Method::GET || method == Method::HEAD;
        // 1 and 2.
        if !self.if_match.is_empty() {
            if !matches(&self.if_match, known.etag, etag::is_same_strongly) {
                return Verdict::Failed;
            }
        } else if let (Some(date), Some(modified)) =
            (date(&self.if_unmodified_since), known.modified)
            && whole_seconds(modified) > date
        {
            return Verdict::Failed;
        }
        // 3 and 4.
        if !self.if_none_match.is_empty() {
            if matches(&self.if_none_match, known.etag, etag::is_same_weakly) {
                return if reads {
                    Verdict::NotModified
                } else {
                    Verdict::Failed
                };
            }
        } else if reads
            && let (Some(date), Some(modified)) = (date(&self.if_modified_since), known.modified)
            && whole_seconds(modified) <= date
        {
            return Verdict::NotModified;
        }
        Verdict::Go
    }

    /// Step 5: whether a Range is to be followed; otherwise all is sent.
    pub(crate) fn range_counts(&self, known: Validators<'_>) -> bool {
        match self.if_range.as_slice() {
            [] => true,
            [value] if etag::is_tag(value) => known
                .etag
                .is_some_and(|etag| etag::is_same_strongly(value, etag)),
            // The date is no "earlier than", it is the name of one representation: it must be the
            // very one (13.1.5).
            [_] => match (date(&self.if_range), known.modified) {
                (Some(date), Some(modified)) => date == whole_seconds(modified),
                _ => false,
            },
            // Two are none that could be understood.
            _ => false,
        }
    }
}

/// Whether the list of an If-Match or If-None-Match names the representation.
fn matches(fields: &[&[u8]], known: Option<&[u8]>, is_same: fn(&[u8], &[u8]) -> bool) -> bool {
    etag::is_any(fields)
        || known.is_some_and(|known| {
            let mut tags = fields.iter().flat_map(|value| etag::list(value));
            tags.any(|tag| is_same(tag, known))
        })
}

/// The date of a field. One that is sent twice or is no date counts as not sent (13.1.3).
fn date(fields: &[&[u8]]) -> Option<SystemTime> {
    let [value] = fields else { return None };
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?.trim()).ok()
}

/// Dates of HTTP have no fractions.
pub(crate) fn whole_seconds(time: SystemTime) -> SystemTime {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests;
