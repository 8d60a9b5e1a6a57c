//! What can go wrong between a case and a folder?

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A snapshot could not be written; nothing was left on the disk.
#[derive(Debug)]
pub enum WriteError {
    /// There is something of that name already.
    Exists(PathBuf),
    /// More objects than a table can number.
    TooLarge(usize),
    /// The disk is full, the folder may not be written, …
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl WriteError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.into(), error }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => write!(f, "{} is there already", path.display()),
            Self::TooLarge(objects) => {
                write!(f, "{objects} objects are more than a snapshot can number")
            }
            Self::Io { path, error } => write!(f, "cannot write {}: {error}", path.display()),
        }
    }
}

/// A folder is not a snapshot that can be read.
#[derive(Debug)]
pub struct ReadError {
    /// Which file of it is to blame.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

impl ReadError {
    pub(crate) fn new(file: &str, why: impl fmt::Display) -> Self {
        Self { file: file.into(), why: why.to_string() }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}
