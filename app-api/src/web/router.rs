//! From method and path to a handler.
//!
//! What must stay true: the order is Bottle's. For the method itself, then GET
//! if it is HEAD, then "any": first the rule without wildcards that is the path,
//! then the rules with wildcards in the order of their definition.
//!
//! # Implementation
//!
//! Static rules are a hash table by path. Rules with wildcards hang in a tree of segments: from each
//! node one way for each text that rules have there (a hash table), and one for all that have a
//! wildcard there. A path goes down the ways that fit, and asks only the rules at whose end it
//! arrives; of those that match, the earliest is taken. A thousand routes cost as much as the few
//! that look alike.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use http::Method;
use rustc_hash::FxHashMap;

use crate::route::rule::{Found, Rule, Segment};

/// The table of an [`App`](super::App).
#[derive(Default)]
pub(super) struct Router {
    // The keys are the program's own, so a hash that strangers could collide does no harm.
    statics: FxHashMap<Box<str>, Vec<Route>>,
    /// In the order of definition.
    dynamics: Vec<Route>,
    tree: Node,
}

/// Where the rules are whose segments begin alike; positions in `dynamics`, ascending.
#[derive(Default)]
struct Node {
    fixed: FxHashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    /// Rules that end here.
    here: Vec<usize>,
    /// Rules that take all the rest.
    rest: Vec<usize>,
}

/// One endpoint for one method, or for any.
pub(super) struct Route {
    rule: Arc<Rule>,
    method: Option<Method>,
    /// Its place among the application's endpoints.
    pub(super) endpoint: u32,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_ref().map_or("ANY", Method::as_str);
        write!(f, "{method} {}", self.rule.text())
    }
}

impl Router {
    /// Adds a route, or says why it cannot be.
    pub(super) fn add(
        &mut self,
        method: Option<Method>,
        rule: &Arc<Rule>,
        endpoint: u32,
    ) -> Result<(), String> {
        let route = Route {
            rule: Arc::clone(rule),
            method,
            endpoint,
        };
        let same = |old: &Route| old.rule.text() == rule.text() && old.method == route.method;
        if rule.is_static() {
            let routes = self.statics.entry(rule.text().into()).or_default();
            if routes.iter().any(same) {
                return Err(twice(&route));
            }
            routes.push(route);
            return Ok(());
        }
        let positions = self.tree.place(rule);
        if positions.iter().any(|&at| same(&self.dynamics[at])) {
            return Err(twice(&route));
        }
        positions.push(self.dynamics.len());
        self.dynamics.push(route);
        Ok(())
    }

    /// The route for a request. `path` is decoded but for encoded slashes;
    /// `found`, which is empty, receives where the wildcards stand in it.
    pub(super) fn find(&self, method: &Method, path: &str, found: &mut Found) -> Option<&Route> {
        let fixed = self.statics.get(path).map_or(&[][..], Vec::as_slice);
        let mut find = |wanted: Option<&Method>| {
            let serves = |route: &Route| route.method.as_ref() == wanted;
            let route = fixed.iter().find(|route| serves(route));
            route.or_else(|| self.first(path, found, serves))
        };
        let mut route = find(Some(method));
        if route.is_none() && method == Method::HEAD {
            route = find(Some(&Method::GET));
        }
        route.or_else(|| find(None))
    }

    /// The earliest rule with wildcards that matches and is wanted.
    fn first(
        &self,
        path: &str,
        found: &mut Found,
        wanted: impl Fn(&Route) -> bool,
    ) -> Option<&Route> {
        let mut best = self.dynamics.len();
        let mut scratch = Found::new();
        self.tree.walk(path, &mut |positions| {
            for &at in positions.iter().take_while(|&&at| at < best) {
                let route = &self.dynamics[at];
                if wanted(route) && route.rule.matches(path, &mut scratch) {
                    best = at;
                    std::mem::swap(found, &mut scratch);
                    break;
                }
            }
        });
        self.dynamics.get(best)
    }

    /// The methods that a path has routes for, as an Allow header names them;
    /// `None` if there are none. Sorted; with HEAD where there is GET, and
    /// OPTIONS, which is always answered.
    pub(super) fn allowed(&self, path: &str) -> Option<String> {
        let mut scratch = Found::new();
        let fixed = self.statics.get(path).into_iter().flatten();
        let mut matching = Vec::new();
        self.tree.walk(path, &mut |positions| {
            let routes = positions.iter().map(|&at| &self.dynamics[at]);
            matching.extend(routes.filter(|route| route.rule.matches(path, &mut scratch)));
        });
        allow(fixed.chain(matching))
    }

    /// The same for the whole application: `OPTIONS *`.
    pub(super) fn allowed_anywhere(&self) -> String {
        let all = self.statics.values().flatten().chain(&self.dynamics);
        allow(all).unwrap_or_else(|| Method::OPTIONS.to_string())
    }
}

impl Node {
    /// The list that a rule belongs to.
    fn place(&mut self, rule: &Rule) -> &mut Vec<usize> {
        let mut node = self;
        for segment in rule.segments() {
            node = match segment {
                Segment::Fixed(text) => node.fixed.entry(text.into()).or_default(),
                Segment::Any => node.any.get_or_insert_default(),
                Segment::Rest => return &mut node.rest,
            };
        }
        &mut node.here
    }

    /// Gives the lists of rules that a path may match.
    fn walk<'a>(&'a self, path: &str, give: &mut dyn FnMut(&'a [usize])) {
        // What is no path, such as `*`, matches no rule.
        if let Some(segments) = path.strip_prefix('/') {
            self.down(Some(segments), give);
        }
    }

    /// As [`walk`](Node::walk), for what is left of the path; `None` at its end.
    fn down<'a>(&'a self, segments: Option<&str>, give: &mut dyn FnMut(&'a [usize])) {
        let Some(segments) = segments else {
            return give(&self.here);
        };
        give(&self.rest);
        let (segment, rest) = match memchr::memchr(b'/', segments.as_bytes()) {
            Some(at) => (&segments[..at], Some(&segments[at + 1..])),
            None => (segments, None),
        };
        if let Some(node) = self.fixed.get(segment) {
            node.down(rest, give);
        }
        if let Some(node) = &self.any
            && !segment.is_empty()
        {
            node.down(rest, give);
        }
    }
}

fn twice(route: &Route) -> String {
    let method = route.method.as_ref().map_or("any method", Method::as_str);
    format!("it is there already for {method}")
}

fn allow<'a>(routes: impl Iterator<Item = &'a Route>) -> Option<String> {
    let mut methods = BTreeSet::new();
    for method in routes.filter_map(|route| route.method.as_ref()) {
        methods.insert(method.as_str());
        if method == Method::GET {
            methods.insert("HEAD");
        }
    }
    if methods.is_empty() {
        return None;
    }
    methods.insert("OPTIONS");
    Some(methods.into_iter().collect::<Vec<_>>().join(", "))
}
