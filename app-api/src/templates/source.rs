//! Where templates come from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Texts by their names.
pub(super) type Sources = BTreeMap<String, String>;

/// How deep directories may lie in one another. More is a link that leads back.
const DEPTH: usize = 16;

#[derive(Debug, Clone)]
pub(super) enum Source {
    Directory(PathBuf),
    Embedded(Arc<Sources>),
}

impl Source {
    /// All that is there now, or what is in the way.
    pub(super) fn read(&self) -> Result<Sources, String> {
        match self {
            Source::Embedded(sources) => Ok(Sources::clone(sources)),
            Source::Directory(directory) => {
                let mut sources = Sources::new();
                read_into(&mut sources, directory, "", DEPTH)?;
                Ok(sources)
            }
        }
    }
}

fn read_into(
    sources: &mut Sources,
    directory: &Path,
    prefix: &str,
    depth: usize,
) -> Result<(), String> {
    let problem = |path: &Path, error| format!("{}: {error}", path.display());
    if depth == 0 {
        return Err(format!(
            "{}: directories lie too deep in one another",
            directory.display()
        ));
    }
    let entries = fs::read_dir(directory).map_err(|error| problem(directory, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| problem(directory, error))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue; // nobody can write it in a program
        };
        if name.starts_with('.') {
            continue;
        }
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        // Follows links: whoever has made one wants it.
        let kind = fs::metadata(&path).map_err(|error| problem(&path, error))?;
        if kind.is_dir() {
            read_into(sources, &path, &format!("{name}/"), depth - 1)?;
        } else if kind.is_file() {
            let bytes = fs::read(&path).map_err(|error| problem(&path, error))?;
            if let Ok(text) = String::from_utf8(bytes) {
                sources.insert(name, text);
            }
        }
    }
    Ok(())
}
