//! Finding and opening a file below a root. All of it may block.

use super::Settings;
use super::name::{Directory, Name};
use crate::semantics::codings::{Coding, is_compressible};
use bytes::Bytes;
use cap_fs_ext::OpenOptionsSyncExt;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions};
use std::fs::File;
use std::io::{self, Read};
use std::time::SystemTime;

/// A file of at most this many bytes is read at once, where it is wanted whole: the head and the
/// body then go out in one write.
const SMALL: u64 = 64 * 1024;

/// What a name leads to.
#[derive(Debug)]
pub(super) enum Found {
    File(Opened),
    /// A directory with an index, which was asked for without its slash.
    Directory,
}

/// A file to be sent.
#[derive(Debug)]
pub(super) struct Opened {
    /// The name that tells its media type.
    pub(super) name: String,
    pub(super) file: File,
    /// In bytes.
    pub(super) length: u64,
    pub(super) modified: Option<SystemTime>,
    /// If it is a compressed neighbour of the one that was asked for.
    pub(super) coding: Option<Coding>,
    /// Other clients may get another file.
    pub(super) varies: bool,
    /// All of it, if it was to be read at once and is small.
    pub(super) whole: Option<Bytes>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Missing {
    /// No such file, or none that is to be seen.
    NotFound,
    /// It must not be read.
    Forbidden,
    /// The root cannot be opened.
    Root(io::Error),
    /// The disk, or a limit of the process.
    Failed(io::Error),
}

/// What the client would like.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    /// Codings that it accepts, the best first.
    pub(super) codings: Vec<Coding>,
    /// A small file is sent whole, whatever is found out about it.
    pub(super) whole: bool,
}

/// Finds the file for `name`.
pub(super) fn find(settings: &Settings, name: &Name, wish: &Wish) -> Result<Found, Missing> {
    let root = Dir::open_ambient_dir(&settings.root, ambient_authority()).map_err(Missing::Root)?;
    let named = if name.path.is_empty() {
        None
    } else {
        Some(open(&root, &name.path)?)
    };
    match (named, &settings.index, name.directory) {
        (Some((file, known)), _, Directory::No | Directory::Redirect) if known.is_file() => {
            choose(&root, settings, &name.path, (file, known), wish).map(Found::File)
        }
        (Some((_, known)), _, _) if !known.is_dir() => Err(Missing::NotFound),
        (_, Some(index), Directory::Redirect | Directory::Index) => {
            let path = if name.path.is_empty() {
                index.clone()
            } else {
                format!("{}/{index}", name.path)
            };
            let (file, known) = open(&root, &path)?;
            if !known.is_file() {
                return Err(Missing::NotFound);
            }
            if name.directory == Directory::Redirect {
                return Ok(Found::Directory);
            }
            choose(&root, settings, &path, (file, known), wish).map(Found::File)
        }
        _ => Err(Missing::NotFound),
    }
}

/// Opens what is there, whatever it is.
fn open(root: &Dir, path: &str) -> Result<(File, Metadata), Missing> {
    let mut options = OpenOptions::new();
    // A pipe without a writer would otherwise be waited for.
    options.read(true).nonblock(true);
    let file = match root.open_with(path, &options) {
        Ok(file) => file,
        // A socket or a device says so in a way of its own when it cannot be opened.
        Err(_) if root.metadata(path).is_ok_and(|known| is_special(&known)) => {
            return Err(Missing::NotFound);
        }
        Err(error) => return Err(missing(error)),
    };
    let known = file.metadata().map_err(missing)?;
    Ok((file.into_std(), known))
}

fn is_special(known: &Metadata) -> bool {
    !known.is_file() && !known.is_dir()
}

fn missing(error: io::Error) -> Missing {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound | Kind::NotADirectory | Kind::InvalidFilename | Kind::InvalidInput => {
            Missing::NotFound
        }
        // A path that leads out of the root is refused by cap-std, not by the kernel. Whoever
        // asks for it is not to learn whether there is anything.
        Kind::PermissionDenied if error.raw_os_error().is_none() => Missing::NotFound,
        Kind::PermissionDenied => Missing::Forbidden,
        _ => Missing::Failed(error),
    }
}

/// The file itself, or its best neighbour.
fn choose(
    root: &Dir,
    settings: &Settings,
    path: &str,
    (file, known): (File, Metadata),
    wish: &Wish,
) -> Result<Opened, Missing> {
    let mut opened = Opened {
        name: path.to_owned(),
        length: known.len(),
        modified: known
            .modified()
            .ok()
            .map(cap_std::time::SystemTime::into_std),
        file,
        coding: None,
        varies: false,
        whole: None,
    };
    if settings.precompressed && crate::media_type::guess(path).is_some_and(is_compressible) {
        seek_neighbour(root, path, wish, &mut opened);
    }
    if wish.whole && opened.length <= SMALL {
        let mut bytes = Vec::with_capacity(opened.length as usize); // at most SMALL
        let mut reader = (&opened.file).take(opened.length);
        reader.read_to_end(&mut bytes).map_err(Missing::Failed)?;
        opened.length = bytes.len() as u64;
        opened.whole = Some(bytes.into());
    }
    Ok(opened)
}

/// Takes the first neighbour that the client accepts in place of the file. What cannot be opened
/// is no neighbour: the file itself is there for everyone.
fn seek_neighbour(root: &Dir, path: &str, wish: &Wish, opened: &mut Opened) {
    let rest = Coding::ALL
        .into_iter()
        .filter(|coding| !wish.codings.contains(coding));
    for coding in wish.codings.iter().copied().chain(rest) {
        let Ok((file, known)) = open(root, &format!("{path}{}", coding.suffix())) else {
            continue;
        };
        let modified = known
            .modified()
            .ok()
            .map(cap_std::time::SystemTime::into_std);
        if !known.is_file() || modified < opened.modified {
            continue;
        }
        opened.varies = true;
        if wish.codings.contains(&coding) {
            opened.file = file;
            opened.length = known.len();
            opened.modified = modified;
            opened.coding = Some(coding);
        }
        return;
    }
}
