//! How does a file appear under its name only when it is complete?
//!
//! It is written without a name (`O_TMPFILE`) and named at the end: whatever ends us before, nothing
//! is left. Where the file system has no such files it has a name of its own until then, which is
//! removed unless we are killed.

use crate::sys::files::{name, rename_new};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What is to happen to a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is written.
    Keep,
    /// It is replaced at once by the complete new one.
    Replace,
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) file: File,
    path: PathBuf,
    /// Its name until it is complete, where it needs one.
    interim: Option<PathBuf>,
}

impl Draft {
    /// Begins a file that is to be called `path`.
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let folder = folder(path);
        let mut options = OpenOptions::new();
        // What a process had in memory is nobody else's business.
        options.read(true).write(true).mode(0o600);
        match options.clone().custom_flags(libc::O_TMPFILE).open(&folder) {
            Ok(file) => Ok(Self { file, path: path.to_owned(), interim: None }),
            Err(error) if no_nameless_files(&error) => Self::named(path),
            Err(error) => Err(error),
        }
    }

    /// The same where files have to have a name.
    fn named(path: &Path) -> io::Result<Self> {
        let interim = beside(path);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).mode(0o600).create_new(true).open(&interim)?;
        Ok(Self { file, path: path.to_owned(), interim: Some(interim) })
    }

    /// Gives it its name.
    pub(super) fn publish(mut self, existing: Existing) -> io::Result<()> {
        match (existing, self.interim.take()) {
            (Existing::Keep, None) => name(&self.file, &self.path),
            (Existing::Keep, Some(interim)) => match fs::hard_link(&interim, &self.path) {
                Err(error) if no_links(&error) => rename_new(&interim, &self.path)
                    .inspect_err(|_| drop(fs::remove_file(&interim))),
                named => {
                    fs::remove_file(&interim)?;
                    named
                }
            },
            (Existing::Replace, interim) => {
                let interim = if let Some(interim) = interim {
                    interim
                } else {
                    let interim = beside(&self.path);
                    name(&self.file, &interim)?;
                    interim
                };
                fs::rename(&interim, &self.path).inspect_err(|_| drop(fs::remove_file(&interim)))
            }
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(interim) = &self.interim {
            // If that fails too, the name says what it is.
            let _ = fs::remove_file(interim);
        }
    }
}

/// Whether the file system does not know files without a name; old kernels answer with `EISDIR`.
fn no_nameless_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL))
}

/// Whether a file cannot have two names there, as on FAT.
fn no_links(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EOPNOTSUPP | libc::ENOSYS))
}

/// The folder of `path`.
pub(super) fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn beside(path: &Path) -> PathBuf {
    let own = path.file_name().unwrap_or_default().to_string_lossy();
    folder(path).join(format!(".{own}.memwhy-{}-unfinished", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::{Draft, Existing, rename_new};
    use std::fs;
    use std::io::Write as _;
    use std::path::PathBuf;

    fn empty_folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("memwhy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn nothing_is_there_until_all_is_there() {
        let folder = empty_folder("draft");
        let path = folder.join("core");
        let mut draft = Draft::begin(&path).expect("a writable folder");
        draft.file.write_all(b"half").expect("room");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
        drop(draft);
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
        let mut draft = Draft::begin(&path).expect("a writable folder");
        draft.file.write_all(b"whole").expect("room");
        draft.publish(Existing::Keep).expect("a free name");
        assert_eq!(fs::read(&path).expect("it is there"), b"whole");
        fs::remove_dir_all(&folder).expect("ours");
    }

    #[test]
    fn where_files_have_to_have_names_nothing_else_is_different() {
        let folder = empty_folder("named");
        let path = folder.join("core");
        let count = || fs::read_dir(&folder).expect("a folder").count();
        drop(Draft::named(&path).expect("a writable folder"));
        assert_eq!(count(), 0);
        let mut draft = Draft::named(&path).expect("a writable folder");
        draft.file.write_all(b"whole").expect("room");
        assert!(count() == 1 && !path.exists());
        draft.publish(Existing::Keep).expect("a free name");
        assert_eq!((count(), fs::read(&path).expect("it is there")), (1, b"whole".to_vec()));
        let kept = Draft::named(&path).expect("a writable folder").publish(Existing::Keep);
        assert!(kept.is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists));
        assert_eq!((count(), fs::read(&path).expect("it is there")), (1, b"whole".to_vec()));
        let mut draft = Draft::named(&path).expect("a writable folder");
        draft.file.write_all(b"new").expect("room");
        draft.publish(Existing::Replace).expect("it may be replaced");
        assert_eq!((count(), fs::read(&path).expect("it is there")), (1, b"new".to_vec()));
        // And where a file cannot have two names.
        let (one, other) = (folder.join("one"), folder.join("other"));
        fs::write(&one, b"one").expect("room");
        assert!(rename_new(&one, &path).is_err());
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
        rename_new(&one, &other).expect("a free name");
        assert!(!one.exists() && other.exists());
        fs::remove_dir_all(&folder).expect("ours");
    }

    #[test]
    fn what_has_the_name_stays_unless_it_is_to_be_replaced() {
        let folder = empty_folder("existing");
        let path = folder.join("core");
        fs::write(&path, b"old").expect("room");
        let kept = Draft::begin(&path).expect("a writable folder").publish(Existing::Keep);
        assert!(kept.is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
        let mut draft = Draft::begin(&path).expect("a writable folder");
        draft.file.write_all(b"new").expect("room");
        draft.publish(Existing::Replace).expect("it may be replaced");
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1);
        fs::remove_dir_all(&folder).expect("ours");
    }
}
