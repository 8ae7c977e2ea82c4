//! The modules of a crate, and where the paths in them lead.

use super::source::{Source, is_word, path_at, tokens, use_tree};
use std::collections::{BTreeMap, BTreeSet};

type Path = Vec<String>;

/// Re-exports of re-exports are followed so far.
const MOST_STEPS: usize = 16;

/// That one file names something of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// The file that names it, as the path in [`Source::path`].
    pub from: String,
    /// The module that the path names, from the root of the crate: `service::config`.
    pub through: String,
    /// The file that has it, where that is in this crate. What a re-export leads to counts, not
    /// where the re-export is.
    pub to: Option<String>,
}

impl Arrow {
    /// The first part of a file's module path: its room. Empty for the crate's root.
    #[must_use]
    pub fn room_of(file: &str) -> &str {
        let (_, below) = file.rsplit_once("src/").unwrap_or(("", file));
        let room = below.split(['/', '.']).next().unwrap_or_default();
        if room == "lib" { "" } else { room }
    }

    /// The room that the path names; empty for the crate's root.
    #[must_use]
    pub fn room_named(&self) -> &str {
        self.through.split("::").next().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Module {
    file: String,
    /// What its `use` items bring in, by the name here.
    imports: BTreeMap<String, Target>,
    globs: Vec<Path>,
    defined: BTreeSet<String>,
}

#[derive(Debug, Clone)]
enum Target {
    /// From the root of this crate.
    Here(Path),
    Elsewhere,
}

/// A path in a module.
#[derive(Debug)]
struct Mention {
    module: Path,
    file: String,
    path: Path,
}

/// A crate's modules, without its tests.
#[derive(Debug, Default)]
pub struct Graph {
    modules: BTreeMap<Path, Module>,
    mentions: Vec<Mention>,
}

impl Graph {
    /// The graph of a crate, whose `lib.rs` lies in the folder `src`.
    #[must_use]
    pub fn new(sources: &[Source], src: &str) -> Self {
        let mut graph = Self::default();
        let mut readers = Vec::new();
        let mut of_tests = BTreeSet::new();
        for source in sources {
            let Some(below) = source.path.strip_prefix(src) else {
                continue;
            };
            let below = below.trim_start_matches('/').trim_end_matches(".rs");
            let mut module: Path = below.split('/').map(str::to_owned).collect();
            if module
                .last()
                .is_some_and(|name| name == "mod" || name == "lib")
            {
                module.pop();
            }
            let reader = Reader::read(source, &module, &mut of_tests);
            readers.push(reader);
        }
        let is_test =
            |module: &Path| (1..=module.len()).any(|length| of_tests.contains(&module[..length]));
        for mut reader in readers {
            reader.modules.retain(|path, _| !is_test(path));
            reader.uses.retain(|one| !is_test(&one.module));
            reader.mentions.retain(|one| !is_test(&one.module));
            graph.modules.extend(reader.modules);
            graph.mentions.extend(reader.mentions);
            for one in reader.uses {
                graph.readers_use(one);
            }
        }
        graph.resolve_imports();
        graph
    }

    fn readers_use(&mut self, one: Use) {
        let module = self.modules.get_mut(&one.module).expect("it was read");
        let target = Target::Here(one.path.clone()); // resolved when all modules are known
        if one.glob {
            module.globs.push(one.path.clone());
        } else if let Some(name) = &one.name {
            module.imports.insert(name.clone(), target);
        }
        // A re-export alone makes the module depend on nothing: it is a sign at the door.
        if !one.public || one.used {
            let file = module.file.clone();
            self.mentions.push(Mention {
                module: one.module,
                file,
                path: one.path,
            });
        }
    }

    /// Makes paths of imports absolute.
    fn resolve_imports(&mut self) {
        let known: Vec<_> = self.modules.keys().cloned().collect();
        for at in known {
            let module = &self.modules[&at];
            let resolve = |path: &Path| self.absolute(&at, path, false);
            let imports: BTreeMap<_, _> = module
                .imports
                .iter()
                .map(|(name, target)| {
                    let Target::Here(path) = target else {
                        return (name.clone(), target.clone());
                    };
                    let absolute = resolve(path).map_or(Target::Elsewhere, Target::Here);
                    (name.clone(), absolute)
                })
                .collect();
            let globs = module.globs.iter().filter_map(resolve).collect();
            let module = self.modules.get_mut(&at).expect("it is known");
            module.imports = imports;
            module.globs = globs;
        }
    }

    /// A path from the root of the crate; `None` if it leads out of the crate, or nowhere.
    fn absolute(&self, module: &Path, path: &Path, by_import: bool) -> Option<Path> {
        let mut base = module.clone();
        let mut rest = path.as_slice();
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                let mut child = base.clone();
                child.push(first.to_owned());
                let here = &self.modules[module];
                let imported = by_import && here.imports.contains_key(first);
                if !imported && !self.modules.contains_key(&child) {
                    return None;
                }
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The module that a path names as far as it is written, and the module that has what it leads
    /// to (`None` if that is another crate's).
    fn lead(&self, path: &Path) -> (Path, Option<Path>) {
        let mut through = None;
        let mut path = path.clone();
        for _ in 0..MOST_STEPS {
            let mut known = 0;
            while known < path.len() && self.modules.contains_key(&path[..=known]) {
                known += 1;
            }
            let module = path[..known].to_vec();
            let named = through.get_or_insert_with(|| module.clone()).clone();
            let Some(name) = path.get(known) else {
                return (named, Some(module));
            };
            let here = &self.modules[&module];
            match here.imports.get(name) {
                Some(Target::Elsewhere) => return (named, None),
                Some(Target::Here(target)) if target[..] != path[..=known] => {
                    let rest = path[known + 1..].to_vec();
                    path = target.iter().cloned().chain(rest).collect();
                    continue;
                }
                _ => {}
            }
            if !here.defined.contains(name) {
                let has = |glob: &&Path| {
                    let module = self.modules.get(*glob);
                    module.is_some_and(|m| m.defined.contains(name) || m.imports.contains_key(name))
                };
                if let Some(glob) = here.globs.iter().find(has) {
                    path = glob.iter().chain(&path[known..]).cloned().collect();
                    continue;
                }
            }
            return (named, Some(module));
        }
        (through.unwrap_or_default(), None)
    }

    /// All arrows from one file to another, sorted.
    #[must_use]
    pub fn arrows(&self) -> Vec<Arrow> {
        let mut arrows = BTreeSet::new();
        for mention in &self.mentions {
            let Some(path) = self.absolute(&mention.module, &mention.path, true) else {
                continue;
            };
            let (through, target) = self.lead(&path);
            let to = target.map(|module| self.modules[&module].file.clone());
            if to.as_ref() == Some(&mention.file) {
                continue;
            }
            arrows.insert(Arrow {
                from: mention.file.clone(),
                through: through.join("::"),
                to,
            });
        }
        arrows.into_iter().collect()
    }
}

/// A `use` item's one import.
#[derive(Debug)]
struct Use {
    module: Path,
    path: Path,
    name: Option<String>,
    glob: bool,
    public: bool,
    /// Whether the file uses the name beyond this item.
    used: bool,
}

/// Reads one file.
#[derive(Debug, Default)]
struct Reader {
    modules: BTreeMap<Path, Module>,
    uses: Vec<Use>,
    mentions: Vec<Mention>,
}

impl Reader {
    fn read(source: &Source, module: &Path, of_tests: &mut BTreeSet<Path>) -> Self {
        let mut reader = Self::default();
        let tokens = tokens(&source.code);
        let new = || Module {
            file: source.path.clone(),
            ..Module::default()
        };
        reader.modules.insert(module.clone(), new());
        let mut here = module.clone();
        let mut inline = Vec::new(); // the depths at which inline modules end
        let (mut depth, mut at) = (0, 0);
        let is = |at: usize, token: &str| tokens.get(at) == Some(&token);
        while at < tokens.len() {
            match tokens[at] {
                "#" => {
                    let end = bracket_end(&tokens, at);
                    let is_test = tokens[at..end].contains(&"cfg")
                        && tokens[at..end].contains(&"test")
                        && !tokens[at..end].contains(&"not");
                    at = end;
                    if is_test {
                        let end = item_end(&tokens, at);
                        let name = tokens[at..end].iter().position(|token| *token == "mod");
                        if let Some(name) = name.map(|mod_at| at + mod_at + 1)
                            && is(name + 1, ";")
                        {
                            of_tests.insert([&here[..], &[tokens[name].to_owned()]].concat());
                        }
                        at = end;
                    }
                    continue;
                }
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if inline.last() == Some(&depth) {
                        inline.pop();
                        here.pop();
                    }
                }
                "mod" if is(at + 2, "{") => {
                    here.push(tokens[at + 1].to_owned());
                    reader.modules.insert(here.clone(), new());
                    inline.push(depth);
                    depth += 1;
                    at += 3;
                    continue;
                }
                "use" if at == 0 || !is(at - 1, "+") => {
                    let public = at > 0 && (is(at - 1, "pub") || is(at - 1, ")"));
                    let (imports, end) = use_tree(&tokens, at + 1);
                    for import in imports {
                        let name = import.name.as_deref();
                        let uses = tokens.iter().filter(|token| Some(**token) == name).count();
                        reader.uses.push(Use {
                            module: here.clone(),
                            used: uses > 1,
                            path: import.path,
                            name: import.name,
                            glob: import.glob,
                            public,
                        });
                    }
                    at = end;
                    continue;
                }
                "struct" | "enum" | "union" | "trait" | "type" | "fn" | "const" | "static"
                | "mod" | "macro_rules" => {
                    let name = at + 1 + usize::from(is(at + 1, "!"));
                    if depth == inline.len() as i32
                        && let Some(name) = tokens.get(name)
                        && let Some(module) = reader.modules.get_mut(&here)
                    {
                        module.defined.insert((*name).to_owned());
                    }
                }
                word if is_word(word) && is(at + 1, "::") && (at == 0 || !is(at - 1, "::")) => {
                    let (path, end) = path_at(&tokens, at);
                    let (module, file) = (here.clone(), source.path.clone());
                    reader.mentions.push(Mention { module, file, path });
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        reader
    }
}

/// Where an attribute ends that begins at `at`.
fn bracket_end(tokens: &[&str], at: usize) -> usize {
    let mut depth = 0;
    for (end, token) in tokens.iter().enumerate().skip(at) {
        match *token {
            "[" => depth += 1,
            "]" if depth == 1 => return end + 1,
            "]" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Where an item ends that begins at `at`: with its block, or with a semicolon.
fn item_end(tokens: &[&str], at: usize) -> usize {
    let mut depth = 0;
    for (end, token) in tokens.iter().enumerate().skip(at) {
        match *token {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth <= 0 {
                    return end + 1;
                }
            }
            ";" if depth == 0 => return end + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(files: &[(&str, &str)]) -> Vec<(String, String, Option<String>)> {
        let sources: Vec<_> = files
            .iter()
            .map(|(path, text)| Source::new(&format!("x/src/{path}"), text))
            .collect();
        let short = |path: String| path.trim_start_matches("x/src/").to_owned();
        let arrows = Graph::new(&sources, "x/src").arrows();
        arrows
            .into_iter()
            .map(|arrow| (short(arrow.from), arrow.through, arrow.to.map(short)))
            .collect()
    }

    /// Files that a path may lead to.
    const ROOMS: [(&str, &str); 4] = [
        ("lib.rs", "mod low; mod high; pub use low::Thing;"),
        (
            "low/mod.rs",
            "mod thing; pub(crate) mod deep; pub(crate) use thing::Thing; pub(crate) fn f() {}",
        ),
        ("low/thing.rs", "pub struct Thing;"),
        (
            "low/deep.rs",
            "pub(crate) use std::fmt; pub(crate) struct Deep;",
        ),
    ];

    #[track_caller]
    fn leads(code: &str, through: &str, to: Option<&str>) {
        let files = [
            &ROOMS[..],
            &[("high/mod.rs", "mod a;"), ("high/a.rs", code)],
        ]
        .concat();
        let found = arrows(&files);
        let expected = (
            "high/a.rs".to_owned(),
            through.to_owned(),
            to.map(str::to_owned),
        );
        assert_eq!(found, [expected], "{code}");
    }

    #[test]
    fn a_planted_arrow_is_found_however_it_is_written() {
        let thing = Some("low/thing.rs");
        leads("use crate::low::Thing;", "low", thing);
        leads("use crate::{low::{Thing as T}};", "low", thing);
        leads("use super::super::low::Thing;", "low", thing);
        leads("fn f() { crate::low::Thing::new() }", "low", thing);
        leads("fn f() -> super::super::low::Thing {}", "low", thing);
        leads("use crate::Thing;", "", thing);
        leads("use crate::low::deep;", "low::deep", Some("low/deep.rs"));
        leads(
            "mod inner { use super::super::super::low::f; }",
            "low",
            Some("low/mod.rs"),
        );
        leads("use crate::low::deep::fmt;", "low::deep", None);
        leads(
            "pub(crate) use crate::low::f; fn g() { f() }",
            "low",
            Some("low/mod.rs"),
        );
    }

    #[test]
    fn an_import_is_followed_where_its_name_is_used() {
        let files = [
            &ROOMS[..],
            &[(
                "high/mod.rs",
                "use crate::low::deep as d; fn f() { d::Deep }",
            )],
        ]
        .concat();
        let found = arrows(&files);
        assert!(
            found
                .iter()
                .all(|(_, _, to)| to.as_deref() == Some("low/deep.rs")),
            "{found:?}"
        );
        assert!(!found.is_empty());
    }

    #[test]
    fn tests_reexports_comments_and_other_crates_are_no_arrows() {
        for code in [
            "#[cfg(test)] mod tests { use crate::low::Thing; }",
            "#[cfg(any(test, fuzzing))] fn f() { crate::low::f() }",
            "pub(crate) use crate::low::Thing;",
            "// crate::low::Thing\nconst S: &str = \"crate::low::Thing\";",
            "use std::low::Thing; fn f() { low::Thing }",
            "use super::a::g; fn g() {}",
        ] {
            let files = [
                &ROOMS[..],
                &[("high/mod.rs", "mod a;"), ("high/a.rs", code)],
            ]
            .concat();
            assert_eq!(arrows(&files), [], "{code}");
        }
    }

    #[test]
    fn a_file_of_tests_is_left_out() {
        let files = [
            &ROOMS[..],
            &[
                ("high/mod.rs", "#[cfg(test)] mod checks;"),
                ("high/checks.rs", "use crate::low::Thing;"),
            ],
        ]
        .concat();
        assert_eq!(arrows(&files), []);
    }
}
