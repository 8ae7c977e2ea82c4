//! Circles of a graph: sets of nodes that all reach each other.

use std::collections::{BTreeMap, BTreeSet};

type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The sets of more than one node that all reach each other, the largest first.
#[must_use]
pub fn circles<'a>(edges: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<BTreeSet<&'a str>> {
    let (mut forward, mut backward) = (Edges::new(), Edges::new());
    for (from, to) in edges {
        forward.entry(from).or_default().insert(to);
        backward.entry(to).or_default().insert(from);
    }
    let mut circles: Vec<BTreeSet<&str>> = Vec::new();
    for node in forward.keys() {
        if circles.iter().any(|circle| circle.contains(node)) {
            continue;
        }
        let reached = reach(&forward, node);
        let circle: BTreeSet<_> = reach(&backward, node)
            .intersection(&reached)
            .copied()
            .collect();
        if circle.len() > 1 {
            circles.push(circle);
        }
    }
    circles.sort_by_key(|circle| usize::MAX - circle.len());
    circles
}

/// The largest of the [`circles`]; empty if there is none.
#[must_use]
pub fn largest_circle<'a>(
    edges: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> BTreeSet<&'a str> {
    circles(edges).into_iter().next().unwrap_or_default()
}

/// All that can be reached from `start`, which is among it.
fn reach<'a>(edges: &Edges<'a>, start: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::from([start]);
    let mut next = vec![start];
    while let Some(node) = next.pop() {
        for to in edges.get(node).into_iter().flatten() {
            if reached.insert(to) {
                next.push(to);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found() {
        let edges = [
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("c", "d"),
            ("d", "e"),
            ("e", "d"),
            ("e", "f"),
        ];
        let found = circles(edges);
        assert_eq!(
            found,
            [BTreeSet::from(["a", "b", "c"]), BTreeSet::from(["d", "e"])]
        );
        assert!(largest_circle([("a", "b"), ("b", "c"), ("a", "a")]).is_empty());
    }
}
