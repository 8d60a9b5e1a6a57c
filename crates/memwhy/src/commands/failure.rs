//! Why did a command fail, what is said then, and which exit status is that?

use super::target::Place;
use crate::{OpenError, WriteError};
use memwhy_act::Refusal;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a command failed, with the exit status that says so.
#[derive(Debug)]
pub(super) enum Failure {
    /// The target could not be read.
    Open(OpenError),
    /// It could be read, but it is none of Python.
    NotPython { place: Place, why: String },
    /// It was not acted upon.
    Refused { pid: u32, refusal: Refusal },
    /// An argument is none that can be used.
    Usage(String),
    /// The user did not say `--allow-write`.
    NoConsent,
    /// There is a file of that name, and nobody said that it may go.
    Exists { path: PathBuf },
    /// We could not write.
    Write { path: Option<PathBuf>, error: io::Error },
    /// Something else of ours, with what to try.
    Other { what: String, advice: String },
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let what = error.to_string();
        match error {
            WriteError::Exists(_) => {
                Self::Other { what, advice: "another name with -o, or remove what is there".into() }
            }
            WriteError::TooLarge(_) => Self::Other {
                what,
                advice: "`memwhy core PID -o FILE`: a core has no such bound".into(),
            },
            WriteError::Io { .. } => Self::Other {
                what: format!("{what}; nothing was left there"),
                advice: "another place with -o: what is written is about a tenth of RSS".into(),
            },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::NotPython { place, why } => write!(f, "{place}: {why}"),
            Self::Refused { pid, refusal } => write!(f, "process {pid}: {refusal}"),
            Self::NoConsent => f.write_str("nothing was done: --allow-write was not given"),
            Self::Exists { path } => write!(f, "{} exists; nothing was written", path.display()),
            Self::Write { path: Some(path), error } => {
                write!(f, "cannot write {}: {error}", path.display())
            }
            Self::Write { path: None, error } => write!(f, "cannot write: {error}"),
            Self::Usage(what) | Self::Other { what, .. } => f.write_str(what),
        }
    }
}

impl Failure {
    /// Prints one sentence and one line of advice; returns the exit status.
    pub(super) fn report(&self) -> u8 {
        // Whoever closed our output early (`| head`) has seen enough.
        if let Self::Write { error, .. } = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return 0;
        }
        let advice = match self {
            Self::Open(error) => error.advice(),
            Self::NotPython { place: Place::Process(pid), .. } => format!(
                "`memwhy maps {pid}` and `memwhy malloc {pid}` read any process; `memwhy ps` lists \
                 the Python ones"
            ),
            Self::NotPython { place: Place::Core(path) | Place::Snapshot(path), .. } => format!(
                "`memwhy maps {0}` and `memwhy malloc {0}` need no Python; `--exe` and \
                 `--lib-root` say where the core's files are",
                path.display()
            ),
            Self::Refused { pid, refusal } => refusal.advice(*pid),
            Self::Usage(_) => "`memwhy COMMAND --help` says what there is".into(),
            Self::NoConsent => "the same command with --allow-write".into(),
            Self::Exists { .. } => "another name with -o, or --force to replace it".into(),
            Self::Write { .. } => "choose another file with -o, or none".into(),
            Self::Other { advice, .. } => advice.clone(),
        };
        eprintln!("memwhy: {self}");
        eprintln!("   try: {advice}");
        match self {
            Self::Open(error) => error.exit_status(),
            Self::NotPython { .. } | Self::Refused { refusal: Refusal::NotPython(_), .. } => 3,
            Self::Refused { refusal: Refusal::NotPermitted(_), .. } => 4,
            Self::Usage(_) | Self::NoConsent => 2,
            Self::Exists { .. }
            | Self::Refused { .. }
            | Self::Write { .. }
            | Self::Other { .. } => 1,
        }
    }
}
