//! Where does a command print, and may it use colours?

use super::failure::Failure;
use super::target::Target;
use clap::ValueEnum;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

/// When to use colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    /// Whether to use colours on something that is a terminal, or is not; `NO_COLOR` with any
    /// value but the empty one forbids them where the user did not say `always`.
    pub(super) fn wanted(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }
}

/// Where a command prints: all at once, so that a failure leaves no half report.
#[derive(Debug)]
pub(super) struct Out {
    content: Vec<u8>,
    path: Option<PathBuf>,
}

impl Out {
    pub(super) fn new() -> Self {
        Self { content: Vec::new(), path: None }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.content.extend_from_slice(text.as_bytes());
        if !text.ends_with('\n') {
            self.content.push(b'\n');
        }
    }

    /// What is no text: a picture.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.content.extend_from_slice(bytes);
    }

    pub(super) fn json(&mut self, value: &serde_json::Value) {
        // Pretty: people read it too, and a machine does not mind.
        self.text(&format!("{value:#}"));
    }

    /// Writes what was printed so far.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let content = std::mem::take(&mut self.content);
        let path = self.path.clone();
        let written = if let Some(path) = &path {
            File::create(path).and_then(|mut file| file.write_all(&content))
        } else {
            let mut out = io::stdout().lock();
            out.write_all(&content).and_then(|()| out.flush())
        };
        written.map_err(|error| Failure::Write { path, error })
    }

    /// Prints to the file that the user named, if one was named.
    pub(super) fn redirect(&mut self, target: &Target) {
        self.path.clone_from(&target.output);
    }
}

/// Prints the case and ends with `failure`, if reading it had one.
pub(super) fn done(out: &mut Out, failure: Option<Failure>) -> Result<u8, Failure> {
    match failure {
        None => Ok(0),
        Some(failure) => {
            out.flush()?;
            Err(failure)
        }
    }
}
