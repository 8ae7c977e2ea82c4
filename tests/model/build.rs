//! Says where the sources of the waits lie, which are compiled as they are.
//!
//! `GREENWAY_MUTANT=name` has a copy of them compiled instead that is broken in one place, to see
//! whether anybody notices.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The modules that are compiled, by room: what the room is called here, where it lies, what of it.
const ROOMS: [(&str, &str, &[&str]); 3] = [
    (
        "scheduler",
        "green/src/scheduler",
        &[
            "discard.rs",
            "home_cell.rs",
            "line.rs",
            "lock.rs",
            "task_context.rs",
            "thread/mod.rs",
            "timed_out.rs",
        ],
    ),
    (
        "sync",
        "green/src/sync",
        &["event.rs", "permits.rs", "queue/mod.rs", "wait.rs"],
    ),
    ("locks", "monkey/src/locks", &["table.rs"]),
];

/// Faults that somebody could make: name, file, what stands there, what would stand there.
const MUTANTS: [(&str, &str, &str, &str); 10] = [
    (
        "a wake from elsewhere does not go through the mailbox",
        "green/src/scheduler/thread/control_block.rs",
        "home.post(Message::Wake(self.clone()));",
        "self.posted.store(false, Ordering::Release);
         if !self.token.swap(true, Ordering::AcqRel)
             && let Kind::Green { co, .. } = &self.kind
             && matches!(*unsafe { self.own() }.waiting.borrow(), Waiting::Parked)
         {
             co.unpark();
         }",
    ),
    (
        "a message is thought to be on its way for ever",
        "green/src/scheduler/thread/control_block.rs",
        "self.posted.store(false, Ordering::Release);",
        "",
    ),
    (
        "an OS thread does not look for a wake before it polls",
        "green/src/scheduler/thread/block.rs",
        "            if !self.token.load(Ordering::SeqCst) {\n                sys::poll",
        "            {\n                sys::poll",
    ),
    (
        "an OS thread says too late that it polls",
        "green/src/scheduler/thread/block.rs",
        "            polling.store(true, Ordering::SeqCst);\n            if !self.token.load(Ordering::SeqCst) {",
        "            if !self.token.load(Ordering::SeqCst) {\n                polling.store(true, Ordering::SeqCst);",
    ),
    (
        "one who gives up takes the item along",
        "green/src/sync/queue/core.rs",
        "Side::Get if state.getters.leave(ticket) => state.promise_items(),",
        "Side::Get if state.getters.leave(ticket) => {}",
    ),
    (
        "one who gives up takes the place along",
        "green/src/sync/queue/core.rs",
        "Side::Put if state.putters.leave(ticket) => state.promise_places(),",
        "Side::Put if state.putters.leave(ticket) => {}",
    ),
    (
        "an event that is cleared at once is missed",
        "green/src/sync/event.rs",
        "(state.set || state.times != before).then_some(())",
        "{ let _ = before; state.set.then_some(()) }",
    ),
    (
        "one who waits looks before it is in the line",
        "green/src/scheduler/line.rs",
        "let found = check(&mut state);\n        if found.is_none()",
        "let found = check(&mut state);\n        drop(state);\n        crate::platform::step();\n        let mut state = lock(shared);\n        if found.is_none()",
    ),
    (
        "one who looks at its word is not in the table yet",
        "monkey/src/locks/table.rs",
        "        if !holds() {\n            drop(shard);",
        "        drop(shard);
         let holds = holds();
         crate::platform::step();
         let mut shard = lock(self::shard(address));
         if !holds {
             drop(shard);",
    ),
    (
        "one who gives up takes the wake along",
        "monkey/src/locks/table.rs",
        "Err(_) if !self.leave() => Outcome::Woken,",
        "Err(_) if { self.leave(); false } => Outcome::Woken,",
    ),
];

fn main() {
    println!("cargo:rerun-if-env-changed=GREENWAY_MUTANT");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let runtime = Path::new("../../runtime")
        .canonicalize()
        .expect("the sources of the crates");
    for (_, folder, _) in ROOMS {
        println!("cargo:rerun-if-changed={}", runtime.join(folder).display());
    }
    for (_, file, before, _) in MUTANTS {
        let text = fs::read_to_string(runtime.join(file)).expect("a source");
        assert_eq!(text.matches(before).count(), 1, "{file}: {before}");
    }
    let sources = match env::var("GREENWAY_MUTANT") {
        Ok(name) => mutate(&name, &runtime, &out.join("mutant")),
        Err(_) => runtime,
    };
    for (room, folder, files) in ROOMS {
        let modules: String = files
            .iter()
            .map(|file| module(&sources.join(folder), file))
            .collect();
        fs::write(out.join(room).with_extension("rs"), modules).expect("OUT_DIR is ours");
    }
    let names: String = MUTANTS
        .iter()
        .map(|mutant| format!("    {:?},\n", mutant.0))
        .collect();
    fs::write(out.join("mutants.rs"), format!("&[\n{names}]\n")).expect("OUT_DIR is ours");
}

/// The declaration of a module that lies in a file of a room.
fn module(room: &Path, file: &str) -> String {
    let name = file.strip_suffix("/mod.rs").or(file.strip_suffix(".rs"));
    let name = name.expect("a source of Rust");
    format!("#[path = {:?}]\npub mod {name};\n", room.join(file))
}

/// Copies the sources, breaks them in one place, and says where they are.
fn mutate(name: &str, runtime: &Path, to: &Path) -> PathBuf {
    let known = MUTANTS.iter().find(|mutant| mutant.0 == name);
    let (_, file, before, after) = known.unwrap_or_else(|| panic!("there is no mutant {name:?}"));
    for (_, folder, _) in ROOMS {
        copy(&runtime.join(folder), &to.join(folder));
    }
    let text = fs::read_to_string(to.join(file)).expect("copied above");
    fs::write(to.join(file), text.replacen(before, after, 1)).expect("OUT_DIR is ours");
    to.to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("OUT_DIR is ours");
    for entry in fs::read_dir(from).expect("a folder of sources") {
        let entry = entry.expect("a source");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("OUT_DIR is ours");
        }
    }
}
