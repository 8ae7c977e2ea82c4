//! What the router found out about a request: its rule and the wildcards.

use std::sync::Arc;

use super::head::{Head, Span};
use crate::route::rule::Filter;
use crate::route::{AppInfo, Route};

/// The route that a request has found, and the text of each wildcard of its rule.
#[derive(Clone)]
pub(crate) struct Matched {
    pub(crate) app: Arc<AppInfo>,
    /// The place of the route among the application's; `None` before it is known, and where there
    /// is none.
    pub(crate) at: Option<u32>,
    /// One per wildcard of the rule, in its order.
    pub(crate) captures: Box<[Capture]>,
    /// How much of the request's script name leads to this application, in bytes.
    pub(crate) script: u32,
    /// The application that this one is mounted in.
    pub(crate) outer: Option<Box<Matched>>,
}

/// The text of one wildcard. Where nothing had to be decoded it stays in the
/// head.
#[derive(Debug, Clone)]
pub(crate) enum Capture {
    Wire(Span),
    Decoded(Box<str>),
}

impl Capture {
    fn text<'a>(&'a self, head: &'a Head) -> &'a str {
        match self {
            Capture::Wire(span) => head.text(*span),
            Capture::Decoded(text) => text,
        }
    }
}

impl Matched {
    /// In an application that is mounted nowhere, before the route is known.
    pub(super) fn new(app: &Arc<AppInfo>) -> Self {
        Self {
            app: Arc::clone(app),
            at: None,
            captures: Box::default(),
            script: 0,
            outer: None,
        }
    }

    pub(super) fn route(&self) -> Option<&Route> {
        self.app.routes.get(self.at? as usize)
    }

    /// This application and those that it is mounted in, from the inside out.
    pub(super) fn and_outer(&self) -> impl Iterator<Item = &Matched> {
        std::iter::successors(Some(self), |matched| matched.outer.as_deref())
    }

    pub(super) fn iter<'a>(&'a self, head: &'a Head) -> impl Iterator<Item = (&'a str, &'a str)> {
        let wilds = self.route().map(|route| route.rule.wilds());
        let names = wilds.into_iter().flatten().map(|(name, _)| name);
        names.zip(self.captures.iter().map(|capture| capture.text(head)))
    }
}

/// The text of the wildcard `name`, whose filter must be `filter` if given.
///
/// Panics with a message for the author of the handler, who has confused two
/// rules or misspelt a name.
pub(super) fn find<'a>(
    matched: Option<&'a Matched>,
    head: &'a Head,
    name: &str,
    filter: Option<Filter>,
) -> &'a str {
    let route = matched.and_then(|matched| Some((matched, matched.route()?)));
    let Some((matched, Route { rule, .. })) = route else {
        panic!("no wildcard <{name}>: the request did not come through a route");
    };
    let Some(at) = rule.wilds().position(|(wild, _)| wild == name) else {
        let names: Vec<String> = rule.wilds().map(|(name, _)| format!("<{name}>")).collect();
        let has = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        panic!(
            "the route \"{}\" has no wildcard <{name}>; it has {has}",
            rule.text()
        );
    };
    if let (Some(filter), Some((_, actual))) = (filter, rule.wilds().nth(at))
        && actual != filter
    {
        panic!(
            "the wildcard <{name}> of the route \"{}\" is not <{name}:{filter}>",
            rule.text()
        );
    }
    // The router makes one capture per wildcard.
    matched
        .captures
        .get(at)
        .map_or("", |capture| capture.text(head))
}
