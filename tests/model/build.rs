//! Takes the sources of the waits as they are, and puts a std and a `may` under them whose steps
//! the model checker chooses.
//!
//! `GREENWAY_MUTANT=name` breaks them in one place, to see whether anybody notices.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What is taken, from runtime/green/src.
const SOURCES: [&str; 17] = [
    "errand.rs",
    "event.rs",
    "line.rs",
    "permits.rs",
    "timeout.rs",
    "wait.rs",
    "queue/channel.rs",
    "queue/core.rs",
    "queue/errors.rs",
    "queue/joinable.rs",
    "queue/mod.rs",
    "queue/peer.rs",
    "thread/awaited.rs",
    "thread/block.rs",
    "thread/guards.rs",
    "thread/interrupt.rs",
    "thread/mod.rs",
];

/// What stands for something else there.
const UNDER: [(&str, &str); 10] = [
    ("crate::", "crate::green::"),
    (
        "use std::panic::resume_unwind;",
        "use crate::shim::thread::resume_unwind;",
    ),
    ("std::sync::", "crate::shim::sync::"),
    ("std::thread::", "crate::shim::thread::"),
    ("std::os::fd::", "crate::shim::fd::"),
    (
        "std::time::{Duration, Instant}",
        "crate::shim::time::{Duration, Instant}",
    ),
    ("std::time::Instant", "crate::shim::time::Instant"),
    ("may::coroutine_local!", "shuttle::thread_local!"),
    ("may::", "crate::may::"),
    ("#[cfg(test)]", "#[cfg(any())]"),
];

/// Faults that somebody could make: name, file, what stands there, what would stand there.
const MUTANTS: [(&str, &str, &str, &str); 8] = [
    (
        "a wake from elsewhere does not go through the mailbox",
        "thread/mod.rs",
        "home.post(worker::Message::Wake(self.clone()));",
        "self.posted.store(false, Ordering::Release);
         if !self.token.swap(true, Ordering::AcqRel)
             && let Kind::Green { co, .. } = &self.kind
             && matches!(unsafe { &self.own().waiting }, Waiting::Parked)
         {
             co.unpark();
         }",
    ),
    (
        "a message is thought to be on its way for ever",
        "thread/mod.rs",
        "self.posted.store(false, Ordering::Release);",
        "",
    ),
    (
        "an OS thread does not look for a wake before it polls",
        "thread/block.rs",
        "            if !self.token.load(Ordering::SeqCst) {\n                sys::poll",
        "            {\n                sys::poll",
    ),
    (
        "an OS thread says too late that it polls",
        "thread/block.rs",
        "            polling.store(true, Ordering::SeqCst);\n            if !self.token.load(Ordering::SeqCst) {",
        "            if !self.token.load(Ordering::SeqCst) {\n                polling.store(true, Ordering::SeqCst);",
    ),
    (
        "one who gives up takes the item along",
        "queue/core.rs",
        "Side::Get if state.getters.leave(ticket) => state.promise_items(),",
        "Side::Get if state.getters.leave(ticket) => {}",
    ),
    (
        "one who gives up takes the place along",
        "queue/core.rs",
        "Side::Put if state.putters.leave(ticket) => state.promise_room(),",
        "Side::Put if state.putters.leave(ticket) => {}",
    ),
    (
        "an event that is cleared at once is missed",
        "event.rs",
        "(state.set || state.times != before).then_some(())",
        "{ let _ = before; state.set.then_some(()) }",
    ),
    (
        "one who waits looks before it is in the line",
        "line.rs",
        "let found = check(&mut state);\n        if found.is_none()",
        "let found = check(&mut state);\n        drop(state);\n        crate::shim::step();\n        let mut state = lock(shared);\n        if found.is_none()",
    ),
];

fn main() {
    println!("cargo:rerun-if-env-changed=GREENWAY_MUTANT");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("green");
    let green = Path::new("../../runtime/green/src");
    let mutant = env::var("GREENWAY_MUTANT").ok();
    let mutant = mutant.map(|name| {
        let known = MUTANTS.iter().find(|mutant| mutant.0 == name);
        known.unwrap_or_else(|| panic!("there is no mutant {name:?}"))
    });
    for (_, file, before, _) in MUTANTS {
        let text = fs::read_to_string(green.join(file)).expect("a source");
        assert_eq!(text.matches(before).count(), 1, "{file}: {before}");
    }
    for file in SOURCES {
        let source = green.join(file);
        println!("cargo:rerun-if-changed={}", source.display());
        let mut text = fs::read_to_string(&source)
            .unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        if let Some((_, at, before, after)) = mutant.filter(|mutant| mutant.1 == file) {
            assert_eq!(&file, at);
            text = text.replacen(before, after, 1);
        }
        for (real, model) in UNDER {
            text = text.replace(real, model);
        }
        let place = out.join(file);
        fs::create_dir_all(place.parent().expect("it lies in a folder")).expect("OUT_DIR is ours");
        fs::write(place, text).expect("OUT_DIR is ours");
    }
    fs::write(
        out.join("thread/os.rs"),
        "//! Nobody serves here.\n\
         #[derive(Debug)]\npub(crate) struct OsSight;\n\
         pub(crate) fn os_errands() -> Vec<OsSight> { Vec::new() }\n",
    )
    .expect("OUT_DIR is ours");
    let modules: String = [
        "errand", "event", "line", "permits", "queue", "thread", "timeout", "wait",
    ]
    .iter()
    .map(|name| {
        let file = [format!("{name}.rs"), format!("{name}/mod.rs")]
            .into_iter()
            .map(|file| out.join(file))
            .find(|file| file.exists())
            .expect("written above");
        format!("#[path = {file:?}]\npub mod {name};\n")
    })
    .collect();
    let names: String = MUTANTS
        .iter()
        .map(|mutant| format!("    {:?},\n", mutant.0))
        .collect();
    fs::write(out.join("modules.rs"), modules).expect("OUT_DIR is ours");
    fs::write(out.join("mutants.rs"), format!("&[\n{names}]\n")).expect("OUT_DIR is ours");
}
