//! Files and directories through the pool.

use super::super::fs::{self, File, OpenOptions};
use super::super::{Event, ThreadPool, TimedOut, Timeout, sleep, spawn, threadpool};
use super::{SHORT, everywhere, ms, on_worker};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of one's own, removed when dropped.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "greenway-files-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn whole_files_and_their_limits() {
    everywhere(|| {
        let dir = Dir::new();
        fs::write(dir.at("a"), "12345").unwrap();
        assert_eq!(fs::read(dir.at("a"), 5).unwrap(), b"12345");
        assert_eq!(fs::read_to_string(dir.at("a"), 100).unwrap(), "12345");
        let error = fs::read(dir.at("a"), 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert!(error.to_string().contains("limit of 4 bytes"), "{error}");
        // A file without a length.
        assert!(!fs::read("/proc/self/stat", 10_000).unwrap().is_empty());
        assert_eq!(
            fs::read("/dev/zero", 10_000).unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
        fs::write(dir.at("a"), b"\xff").unwrap();
        let error = fs::read_to_string(dir.at("a"), 100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let error = fs::read(dir.at("none"), 100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn names_and_directories() {
    everywhere(|| {
        let dir = Dir::new();
        fs::create_dir(dir.at("d")).unwrap();
        fs::create_dir_all(dir.at("e/f/g")).unwrap();
        fs::write(dir.at("one"), "1").unwrap();
        assert_eq!(fs::copy(dir.at("one"), dir.at("two")).unwrap(), 1);
        fs::rename(dir.at("two"), dir.at("three")).unwrap();
        fs::hard_link(dir.at("three"), dir.at("four")).unwrap();
        assert!(fs::exists(dir.at("four")).unwrap());
        assert!(!fs::exists(dir.at("two")).unwrap());
        assert!(fs::metadata(dir.at("d")).unwrap().is_dir());
        assert!(fs::symlink_metadata(dir.at("one")).unwrap().is_file());
        std::os::unix::fs::symlink("one", dir.at("link")).unwrap();
        assert_eq!(fs::read_link(dir.at("link")).unwrap(), PathBuf::from("one"));
        let real = fs::canonicalize(dir.at("link")).unwrap();
        assert_eq!(real, fs::canonicalize(dir.at("one")).unwrap());

        let mut names: Vec<_> = fs::read_dir(&dir.0, 6)
            .unwrap()
            .into_iter()
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["d", "e", "four", "link", "one", "three"]);
        let error = fs::read_dir(&dir.0, 5).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);

        let mut permissions = fs::metadata(dir.at("one")).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(dir.at("one"), permissions).unwrap();
        assert!(
            fs::metadata(dir.at("one"))
                .unwrap()
                .permissions()
                .readonly()
        );
        fs::remove_file(dir.at("one")).unwrap();
        fs::remove_dir(dir.at("d")).unwrap();
        fs::remove_dir_all(dir.at("e")).unwrap();
        assert_eq!(fs::read_dir(&dir.0, 10).unwrap().len(), 3);
    });
}

#[test]
fn an_open_file_reads_writes_and_seeks() {
    everywhere(|| {
        let dir = Dir::new();
        let mut file = File::create_new(dir.at("f")).unwrap();
        // More than one piece.
        let long: Vec<u8> = (0..700_000_u32).map(|n| n as u8).collect();
        file.write_all(&long).unwrap();
        file.sync_data().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut back = Vec::new();
        file.read_to_end(&mut back).unwrap();
        assert!(back == long);
        file.seek(SeekFrom::End(-3)).unwrap();
        let mut tail = [0; 3];
        (&file.try_clone().unwrap()).read_exact(&mut tail).unwrap();
        assert_eq!(tail, long[long.len() - 3..]);
        assert_eq!(file.read(&mut tail).unwrap(), 0);
        file.set_len(7).unwrap();
        file.sync_all().unwrap();
        assert_eq!(file.metadata().unwrap().len(), 7);

        let append = File::open_with(OpenOptions::new().append(true), dir.at("f"));
        append.unwrap().write_all(b"!").unwrap();
        assert_eq!(fs::read(dir.at("f"), 8).unwrap()[7], b'!');
        let again = File::create_new(dir.at("f")).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        let mut read_only = File::open(dir.at("f")).unwrap();
        assert!(read_only.write(b"x").is_err());
        assert!(File::create(dir.at("f")).unwrap().read(&mut tail).is_err());
    });
}

#[test]
fn what_is_not_in_the_cache_is_read_by_the_pool() {
    // A pipe can be read at once or not at all, so the first attempt fails and the second waits.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let file = File::from(std::fs::File::from(std::os::fd::OwnedFd::from(reader)));
    let others_ran = Event::new();
    let tell = others_ran.clone();
    let before = threadpool().stats().completed;
    let read = on_worker(0, move || {
        let mut buf = [0; 4];
        (&file).read_exact(&mut buf).unwrap();
        buf
    });
    on_worker(0, move || tell.set()).join().unwrap();
    assert!(others_ran.is_set());
    writer.write_all(b"late").unwrap();
    assert_eq!(&read.join().unwrap(), b"late");
    assert!(threadpool().stats().completed > before);
}

#[test]
fn a_call_that_waits_for_the_pool_can_be_given_up_without_effect() {
    // The same queue in small: one thread, which is busy.
    let pool = ThreadPool::new(1, 1);
    let go = Event::new();
    let wait = go.clone();
    let busy = pool.spawn(move || wait.wait());
    let dir = Dir::new();
    let path = dir.at("f");
    let waiting = {
        let (pool, path) = (pool.clone(), path.clone());
        spawn(move || {
            Timeout::run(SHORT, || {
                pool.apply(move || std::fs::write(path, "written"))
            })
            .map(drop)
        })
    };
    assert_eq!(waiting.join().unwrap(), Err(TimedOut));
    go.set();
    busy.join().unwrap();
    while pool.stats().queued > 0 {
        sleep(ms(1));
    }
    assert!(!path.exists());
}

#[test]
fn files_of_std_are_read_with_and_without_the_cache() {
    use crate::embed::{prepare_file, read_file};
    everywhere(|| {
        let dir = Dir::new();
        let bytes: Vec<u8> = (0..300_000_usize).map(|at| (at / 251 + at) as u8).collect();
        std::fs::write(dir.at("a"), &bytes).unwrap();
        let mut file = std::fs::File::open(dir.at("a")).unwrap();
        file.sync_all().unwrap();
        for cached in [true, false] {
            if !cached {
                let forget = rustix::fs::Advice::DontNeed;
                rustix::fs::fadvise(&file, 0, None, forget).unwrap();
            }
            file.seek(SeekFrom::Start(0)).unwrap();
            assert!(prepare_file(&file, 200_000));
            assert_eq!(file.stream_position().unwrap(), 0);
            let mut read = Vec::new();
            let mut piece = [0; 70_000];
            loop {
                let n = read_file(&file, &mut piece).unwrap();
                if n == 0 {
                    break;
                }
                read.extend_from_slice(&piece[..n]);
            }
            assert!(read == bytes, "cached: {cached}");
        }
        // There is nothing to prepare: behind the end, of no length, of what is no file.
        assert!(!prepare_file(&file, 1000));
        assert!(!prepare_file(&file, 0));
        assert!(!prepare_file(&std::fs::File::open(&dir.0).unwrap(), 1000));
        let directory = std::fs::File::open(&dir.0).unwrap();
        let error = read_file(&directory, &mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
    });
}
