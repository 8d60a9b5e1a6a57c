//! How does a folder appear whole or not at all, and what becomes of one whose writer was killed?
//!
//! It is filled under the name `.NAME.unfinished-PID` beside its own, and renamed. The kernel lets the
//! writer's lock of it go whatever ends the writer, so that the next one knows which are left over:
//! also where another container writes to the same disk, whose numbers of processes mean nothing here.

use crate::WriteError;
use crate::manifest::{CASE, MANIFEST};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, DirEntry, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Only its owner may look into the folder.
const MODE: u32 = 0o700;
/// Between the name and the number of the process.
const MARK: &str = ".unfinished-";

/// A folder that is removed again unless it becomes whole.
#[derive(Debug)]
pub(crate) struct Unfinished {
    folder: PathBuf,
    whole: bool,
    /// Says that somebody is at work on it, as long as we live.
    _lock: Option<File>,
}

impl Unfinished {
    /// Makes one in the same folder as `path`, so that renaming it does not copy, and removes what is
    /// left over there.
    pub(crate) fn beside(path: &Path) -> Result<Self, WriteError> {
        let name = path.file_name().ok_or_else(|| {
            WriteError::io(path)(io::Error::new(io::ErrorKind::InvalidInput, "it has no name"))
        })?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!("{MARK}{}", std::process::id()));
        let folder = path.with_file_name(hidden);
        DirBuilder::new().mode(MODE).create(&folder).map_err(WriteError::io(path))?;
        // Where there are no locks nothing is ever taken for left over.
        let lock = File::open(&folder).ok().filter(|folder| folder.try_lock().is_ok());
        let unfinished = Self { folder, whole: false, _lock: lock };
        // That others cannot be removed is no reason not to write.
        let _ = remove_left_over(&unfinished.folder);
        Ok(unfinished)
    }

    /// Where to write.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives it its name.
    pub(crate) fn become_whole(mut self, path: &Path) -> Result<(), WriteError> {
        fs::rename(&self.folder, path).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                WriteError::Exists(path.into())
            }
            _ => WriteError::io(path)(error),
        })?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.whole {
            // What made us give up is told; that this fails too says nothing more.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Removes what writers that are gone have left beside `ours`, of the same user.
fn remove_left_over(ours: &Path) -> io::Result<()> {
    let user = ours.metadata()?.uid();
    let parent = ours.parent().filter(|parent| !parent.as_os_str().is_empty());
    for entry in fs::read_dir(parent.unwrap_or_else(|| Path::new(".")))? {
        let entry = entry?;
        if is_left_over(&entry, user).unwrap_or(false) {
            // Somebody else may have removed it just now.
            let _ = remove(&entry.path());
        }
    }
    Ok(())
}

/// Whether that is a folder that nobody will make whole any more.
fn is_left_over(entry: &DirEntry, user: u32) -> io::Result<bool> {
    let Some(writer) = writer_of(&entry.file_name()) else { return Ok(false) };
    let gone = !Path::new(&format!("/proc/{writer}")).exists() && Path::new("/proc/self").exists();
    if !gone || !entry.file_type()?.is_dir() || entry.metadata()?.uid() != user {
        return Ok(false);
    }
    Ok(File::open(entry.path())?.try_lock().is_ok())
}

/// The process that made a folder of that name, if it is one of ours.
fn writer_of(name: &OsStr) -> Option<u32> {
    let (name, number) = name.to_str()?.strip_prefix('.')?.rsplit_once(MARK)?;
    let pid: u32 = number.parse().ok()?;
    // As we write it, and in no other way.
    (!name.is_empty() && pid > 0 && pid.to_string() == number).then_some(pid)
}

/// Removes a folder if there is nothing in it but files of a snapshot.
fn remove(folder: &Path) -> io::Result<()> {
    let files: Vec<DirEntry> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    let is_ours = |file: &DirEntry| {
        let name = file.file_name();
        let table = Path::new(&name).extension() == Some(OsStr::new("parquet"));
        let known = table || [CASE, MANIFEST].map(OsStr::new).contains(&name.as_os_str());
        known && file.file_type().is_ok_and(|kind| kind.is_file())
    };
    if !files.iter().all(is_ours) {
        return Ok(());
    }
    for file in files {
        fs::remove_file(file.path())?;
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::{Unfinished, writer_of};
    use std::fs::{self, File};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// The number of a process that is gone.
    fn gone() -> u32 {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    fn made(folder: &Path, name: &str, file: &str) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join(file), "cut off").unwrap();
        path
    }

    #[test]
    fn what_a_killed_writer_left_goes_and_nothing_else() {
        let here = std::env::temp_dir().join(format!("memwhy-{}-left-over", std::process::id()));
        fs::create_dir(&here).unwrap();
        let dead = gone();
        let of = |pid: u32, name: &str| format!(".{name}.unfinished-{pid}");
        let left = [
            made(&here, &of(dead, "a.memwhy"), "objects.parquet"),
            made(&here, &of(dead, "b.memwhy"), "case.json"),
        ];
        let at_work = made(&here, &of(dead, "c.memwhy"), "objects.parquet");
        let lock = File::open(&at_work).unwrap();
        lock.try_lock().unwrap();
        let kept = [
            at_work,
            made(&here, &of(1, "a.memwhy"), "objects.parquet"),
            made(&here, &of(dead, "d.memwhy"), "diary.txt"),
            made(&here, &format!("e.unfinished-{dead}"), "objects.parquet"),
            made(&here, &format!(".f.unfinished-0{dead}"), "objects.parquet"),
        ];
        let unfinished = Unfinished::beside(&here.join("new.memwhy")).unwrap();
        assert!(unfinished.folder().is_dir());
        assert!(left.iter().all(|path| !path.exists()), "{left:?}");
        assert!(kept.iter().all(|path| path.exists()), "{kept:?}");
        unfinished.become_whole(&here.join("new.memwhy")).unwrap();
        drop(Unfinished::beside(&here.join("other.memwhy")).unwrap());
        let names = fs::read_dir(&here).unwrap().count();
        assert_eq!(names, kept.len() + 1, "the new one, and no unfinished one");
        drop(lock);
        fs::remove_dir_all(here).unwrap();
    }

    #[test]
    fn only_names_as_we_write_them_are_ours() {
        let pid = |name: &str| writer_of(name.as_ref());
        assert_eq!(pid(".a.unfinished-b.unfinished-7"), Some(7));
        for other in ["a.unfinished-7", "..unfinished-7", ".a.unfinished-", ".a.unfinished-+7"] {
            assert_eq!(pid(other), None, "{other}");
        }
    }
}
