//! What is written at the lines where frames are?
//!
//! Files are read through `/proc/PID/root`, as the process would find them now. Nothing says that
//! they are what was compiled: one that was changed since the process started is marked.

use memwhy_model::{SourceFile, ThreadFacts};
use memwhy_target::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// No file is read beyond.
const LONGEST_FILE: u64 = 16 << 20;
/// Lines are cut here.
const LONGEST_LINE: usize = 300;
/// Files that are read at most.
const MOST_FILES: usize = 1000;

/// Where the source of a target is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Below which absolute paths are.
    root: PathBuf,
    /// Below which relative ones are.
    folder: PathBuf,
    /// When the process started, for one that runs.
    started: Option<SystemTime>,
}

impl Place {
    /// That of a process.
    pub(crate) fn of(process: &Process) -> Self {
        let up = std::time::Duration::try_from_secs_f64(process.uptime_s()).unwrap_or_default();
        Self {
            root: process.path("root"),
            folder: process.path("cwd"),
            started: SystemTime::now().checked_sub(up),
        }
    }

    /// The lines around each frame of `threads`.
    pub(crate) fn read(&self, threads: &[ThreadFacts]) -> BTreeMap<String, SourceFile> {
        let mut wanted: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for frame in threads.iter().flat_map(|thread| &thread.frames) {
            // Code that was not compiled from a file has a name in angle brackets.
            if let Some(line) = frame.line.filter(|_| !frame.file.starts_with('<')) {
                let around = SourceFile::AROUND;
                let lines = line.saturating_sub(around)..=line.saturating_add(around);
                wanted.entry(&frame.file).or_default().extend(lines);
            }
        }
        let files = wanted.into_iter().take(MOST_FILES);
        files.map(|(file, lines)| (file.to_owned(), self.file(file, &lines))).collect()
    }

    fn file(&self, name: &str, lines: &BTreeSet<u32>) -> SourceFile {
        let path = match name.strip_prefix('/') {
            Some(absolute) => self.root.join(absolute),
            None => self.folder.join(name),
        };
        match read(&path) {
            Ok(text) => {
                let numbered = (1..).zip(text.lines());
                let chosen = numbered.filter(|(number, _)| lines.contains(number));
                let cut = |line: &str| line.chars().take(LONGEST_LINE).collect();
                let lines = chosen.map(|(number, line)| (number, cut(line))).collect();
                SourceFile { lines, note: self.newer(&path) }
            }
            Err(why) => {
                SourceFile { note: Some(format!("source: {why}")), ..SourceFile::default() }
            }
        }
    }

    fn newer(&self, path: &Path) -> Option<String> {
        let changed = fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
        (changed > self.started?).then(|| {
            "source: the file was changed after the process started; these may not be the lines \
             that run"
                .into()
        })
    }
}

fn read(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let meta = file.metadata().map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("not a file".into());
    }
    let mut bytes = Vec::new();
    let read = file.take(LONGEST_FILE).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::Place;
    use memwhy_model::{Frame, ThreadFacts};
    use memwhy_target::Process;

    #[test]
    fn lines_around_a_frame_are_read_and_no_others() {
        let us = Process::open(std::process::id()).expect("we are alive");
        let frame =
            |file: &str, line| Frame { file: file.into(), line: Some(line), ..Frame::default() };
        let here = format!("{}/src/sources.rs", env!("CARGO_MANIFEST_DIR"));
        let frames = vec![
            frame(&here, 1),
            frame("src/sources.rs", 6),
            frame("<string>", 1),
            frame("/no/such", 1),
            frame("/dev/zero", 1),
        ];
        let thread = ThreadFacts { frames, ..ThreadFacts::default() };
        let read = Place::of(&us).read(&[thread]);
        assert_eq!(read.len(), 4);
        let lines = &read[&here].lines;
        assert!(lines[&1].starts_with("//! What is written"));
        assert_eq!(lines.keys().copied().collect::<Vec<u32>>(), [1, 2, 3, 4]);
        assert!(read["src/sources.rs"].lines.contains_key(&6));
        assert!(read["/no/such"].note.as_deref().is_some_and(|note| note.contains("No such file")));
        assert_eq!(read["/dev/zero"].note.as_deref(), Some("source: not a file"));
    }
}
