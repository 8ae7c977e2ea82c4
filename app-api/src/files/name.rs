//! Which names can be files below a root, before any file is looked for.
//!
//! The root is not held by this alone: see [`super`]. But what can be told from the text is told
//! from the text, on every system alike.

/// A path below a root: segments with a slash between them, none of which is `.`, `..` or empty,
/// and none of which another system would take for more than one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// Empty for the root itself.
    pub(super) path: String,
    /// What may be done if it is a directory.
    pub(super) directory: Directory,
}

/// What a directory is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directory {
    /// Nothing: a file was asked for.
    No,
    /// The same with a slash, if there is an index.
    Redirect,
    /// Its index. A file is not what was asked for.
    Index,
}

impl Name {
    /// The name of a file. Slashes before it do not count, as in Bottle.
    pub(super) fn of_file(name: &str, dot_files: bool) -> Option<Self> {
        let path = name.trim_start_matches('/');
        (!path.is_empty() && is_proper(path, dot_files)).then(|| Self {
            path: path.to_owned(),
            directory: Directory::No,
        })
    }

    /// What a URL's decoded path asks for: `/a/b` or `/a/`; also nothing at all, where the slash
    /// behind a prefix is missing.
    pub(super) fn of_path(full: &str, dot_files: bool) -> Option<Self> {
        let path = full.strip_prefix('/').unwrap_or(full);
        let (path, directory) = match path.strip_suffix('/') {
            Some(path) => (path, Directory::Index),
            None if full == "/" => (path, Directory::Index),
            None => (path, Directory::Redirect),
        };
        let is_root = matches!(full, "" | "/");
        (is_root || is_proper(path, dot_files)).then(|| Self {
            path: path.to_owned(),
            directory,
        })
    }
}

fn is_proper(path: &str, dot_files: bool) -> bool {
    // A NUL would end the name for the kernel. A backslash separates on Windows, where a colon
    // names a drive or a stream of the file.
    if path.contains(['\0', '\\']) || (cfg!(windows) && path.contains(':')) {
        return false;
    }
    let mut segments = path.split('/').enumerate();
    segments.all(|(at, segment)| match segment {
        "" | "." | ".." => false,
        ".well-known" if at == 0 => true,
        _ => dot_files || !segment.starts_with('.'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name() {
        for bad in [
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a/../../b",
            ".",
            "./a",
            "a/./b",
            "a//b",
            "a\0",
            "a\\b",
            "..\\a",
            "\\a",
            "a\\..\\b",
            "a/..\\b",
            ".env",
            ".git/config",
            "a/.hidden",
            "...",
            "a/.well-known/b",
            ".well-known/.env",
            "/../a",
            "//../a",
            "a/\0/b",
        ] {
            assert_eq!(Name::of_file(bad, false), None, "{bad:?}");
            assert_eq!(Name::of_path(&format!("/{bad}"), false), None, "{bad:?}");
        }
        assert_eq!(Name::of_file("", false), None);
        assert_eq!(Name::of_file("/", false), None);
        assert_eq!(Name::of_path("//", false), None);
        assert_eq!(Name::of_path("//a", false), None);
        assert_eq!(Name::of_path("/a//", false), None);
        for bad in ["..", "../a", "a/../b", ".", "a/./b", "a//b", "a\0", "a\\b"] {
            assert_eq!(Name::of_file(bad, true), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_one() {
        for good in [
            "a",
            "a.txt",
            "a/b/c",
            "a..b",
            "a...",
            "a b",
            "é",
            "%2e%2e",
            "a/b.",
            "~",
            "-",
            "a\nb",
            ".well-known/acme",
            "..a..b/c",
        ] {
            let dots = good.starts_with("..");
            let name = Name::of_file(good, dots).unwrap_or_else(|| panic!("{good:?}"));
            assert_eq!((name.path.as_str(), name.directory), (good, Directory::No));
        }
        let of_path = |path| Name::of_path(path, true).map(|name| (name.path, name.directory));
        for (path, expected, directory) in [
            ("", "", Directory::Redirect),
            ("/", "", Directory::Index),
            ("/a", "a", Directory::Redirect),
            ("/a/", "a", Directory::Index),
            ("/a/b/", "a/b", Directory::Index),
            ("/.env", ".env", Directory::Redirect),
        ] {
            assert_eq!(
                of_path(path),
                Some((expected.to_owned(), directory)),
                "{path:?}"
            );
        }
        assert_eq!(
            Name::of_file("///a", false).map(|name| name.path),
            Some("a".to_owned())
        );
    }
}
