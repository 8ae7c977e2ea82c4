//! Uploaded files that stay: their names, and where they go.
//!
//! What must stay true: the name is one component of a path, so the file lands in the folder that
//! the application has named; a file that is there is not replaced unless the application says so;
//! and nobody finds a file that is not complete.

use crate::unblocker::{self, Unblocker};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

/// Bytes of a file's name that Linux takes.
const MAX_NAME: usize = 255;

/// What is to happen to a file of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Refuse,
    Replace,
}

/// Letters, digits, dots, dashes and underscores of the last component of `raw`, with dashes for
/// spaces. Never empty, `.` or `..`, nor a hidden file.
pub(super) fn safe_filename(raw: &str) -> String {
    // A client's path has the separators of its own system.
    let last = raw.rsplit(['/', '\\']).next().unwrap_or("");
    let mut name = String::new();
    for c in last.chars() {
        if c.is_alphanumeric() || matches!(c, '.' | '_') {
            name.push(c);
        } else if (c == '-' || c.is_whitespace()) && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_matches(['.', '-']);
    if name.is_empty() {
        return "empty".to_owned();
    }
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    // The extension is worth more than the end of the stem.
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if name.len() - dot <= 16 => name.split_at(dot),
        _ => (name, ""),
    };
    let stem = &stem[..stem.floor_char_boundary(MAX_NAME - extension.len())];
    format!("{}{extension}", stem.trim_end_matches(['.', '-']))
}

/// Refuses what is not the name of a file in a folder.
pub(super) fn check_name(name: &str) -> io::Result<()> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        // `a/` has one component, too.
        (Some(Component::Normal(only)), None) if only == name && !name.contains('\0') => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not the name of a file in a folder"),
        )),
    }
}

/// Written at once.
const PIECE: usize = 128 * 1024;

/// Writes what `source` brings to `dir/name`, under another name until it is complete. What is done
/// to the disk is done by `unblock`; `source` is read here.
pub(super) fn save(
    source: &mut dyn Read,
    dir: &Path,
    name: &str,
    existing: Existing,
    unblock: Unblocker,
) -> io::Result<PathBuf> {
    let (folder, path) = (dir.to_owned(), dir.join(name));
    let mut file = unblocker::by(unblock, move || {
        // Made here, as any new file of the process: `tempfile` would let nobody else read it.
        let create = |path: &Path| File::options().write(true).create_new(true).open(path);
        tempfile::Builder::new()
            .prefix(".upload-")
            .make_in(folder, create)
    })?;
    let mut piece = Vec::new();
    loop {
        let most = PIECE as u64;
        let read = (&mut *source).take(most).read_to_end(&mut piece)?;
        if read == 0 {
            break;
        }
        (file, piece) = unblocker::by(unblock, move || {
            file.as_file_mut().write_all(&piece)?;
            piece.clear();
            io::Result::Ok((file, piece))
        })?;
    }
    unblocker::by(unblock, move || {
        match existing {
            Existing::Refuse => file.persist_noclobber(&path)?,
            Existing::Replace => file.persist(&path)?,
        };
        Ok(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unblocker::here;

    #[test]
    fn names_are_safe() {
        for (raw, safe) in [
            ("photo.jpg", "photo.jpg"),
            ("C:\\dir\\photo.jpg", "photo.jpg"),
            ("/etc/passwd", "passwd"),
            ("../../x", "x"),
            ("..", "empty"),
            (".", "empty"),
            ("", "empty"),
            ("/", "empty"),
            (".htaccess", "htaccess"),
            ("..\\..", "empty"),
            ("a b \t c.txt", "a-b-c.txt"),
            ("Ünïcödé 図.txt", "Ünïcödé-図.txt"),
            ("a\0b\r\nc\"<>|:*?", "ab-c"),
            ("nul\u{202e}gpj.exe", "nulgpj.exe"),
            ("-rf", "rf"),
            ("%2e%2e%2fx", "2e2e2fx"),
        ] {
            assert_eq!(safe_filename(raw), safe, "{raw:?}");
        }
        let long = safe_filename(&format!("{}.jpeg", "ü".repeat(400)));
        assert!(long.len() <= MAX_NAME && long.ends_with("ü.jpeg"), "{long}");
        assert_eq!(safe_filename(&"a".repeat(300)).len(), MAX_NAME);
    }

    #[test]
    fn names_of_the_application_are_checked() {
        for bad in ["", ".", "..", "../x", "a/b", "/a", "a/", "./a", "a\0b"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in ["a", ".hidden", "a b", "..a", "図"] {
            check_name(good).unwrap();
        }
    }

    #[test]
    fn nothing_is_replaced_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let put =
            |text: &str, existing| save(&mut text.as_bytes(), dir.path(), "a", existing, here);
        let path = put("one", Existing::Refuse).unwrap();
        assert_eq!(path, dir.path().join("a"));
        let error = put("two", Existing::Refuse).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        put("three", Existing::Replace).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_source_that_fails_leaves_nothing() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let dir = tempfile::tempdir().unwrap();
        save(&mut Broken, dir.path(), "a", Existing::Replace, here).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
