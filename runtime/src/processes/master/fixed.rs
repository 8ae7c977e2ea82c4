//! Settings that a master which runs cannot change.
//!
//! HUP reads the settings anew, for the processes that it starts. Sockets, and what else belongs to
//! the master, stay as they are; whoever has changed those is told, and would otherwise search.

use crate::service::settings::{self, Settings};

/// What HUP cannot change.
pub(super) const OF_MASTER: [&str; 10] = [
    "bind",
    "backlog",
    "redirect-bind",
    "metrics-bind",
    "pid",
    "user",
    "group",
    "master",
    "reload",
    "reload-build",
];
/// What USR2 cannot change, as the new master has the sockets of the one before.
pub(super) const OF_SOCKETS: [&str; 4] = ["bind", "backlog", "redirect-bind", "metrics-bind"];

/// Warns of those that have changed, which `signal` does not reach.
pub(super) fn warn(signal: &str, fixed: &[&str], before: &Settings, now: &Settings) {
    let changed = changed(fixed, before, now);
    if changed.is_empty() {
        return;
    }
    let (list, have) = (
        changed.join(" and "),
        if changed.len() == 1 { "has" } else { "have" },
    );
    log::warn!(
        "{list} {have} changed, and {signal} has no effect on that: it takes a stop and a start"
    );
}

fn changed(fixed: &[&str], before: &Settings, now: &Settings) -> Vec<&'static str> {
    let fixed = settings::all().filter(|setting| fixed.contains(&setting.flag));
    let changed = fixed.filter(|setting| setting.show(before) != setting.show(now));
    changed.map(|setting| setting.flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_named() {
        let known = |flag: &&str| settings::all().any(|setting| setting.flag == *flag);
        assert!(OF_MASTER.iter().all(known));
        assert!(OF_SOCKETS.iter().all(|flag| OF_MASTER.contains(flag)));
        let before = Settings::default();
        let mut now = before.clone();
        now.server.threads += 1;
        assert!(changed(&OF_MASTER, &before, &now).is_empty());
        now.server.bind.push("127.0.0.1:1".to_owned());
        now.processes.pid = Some("/x".to_owned());
        assert_eq!(changed(&OF_MASTER, &before, &now), ["bind", "pid"]);
        assert_eq!(changed(&OF_SOCKETS, &before, &now), ["bind"]);
    }
}
