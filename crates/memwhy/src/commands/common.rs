//! How do commands read a target, print, and fail?

use super::Target;
use crate::{OpenError, Options};
use clap::ValueEnum;
use memwhy_model::{Case, Pause};
use memwhy_report::Style;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

/// Whether the target is stopped.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum PauseChoice {
    /// Stop it while its memory is copied
    Auto,
    /// The same
    Stop,
    /// Let it run: figures are marked, torn reads counted
    None,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// Why a command failed, with the exit status that says so.
#[derive(Debug)]
pub(super) enum Failure {
    /// The target could not be read.
    Open(OpenError),
    /// It is a process, but not one of Python.
    NotPython { pid: u32, why: String },
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::NotPython { pid, why } => write!(f, "process {pid}: {why}"),
            Self::Write { path: Some(path), error } => {
                write!(f, "cannot write {}: {error}", path.display())
            }
            Self::Write { path: None, error } => write!(f, "cannot write: {error}"),
            Self::Other { what, .. } => f.write_str(what),
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
            Self::NotPython { pid, .. } => format!(
                "`memwhy maps {pid}` and `memwhy malloc {pid}` read any process; `memwhy ps` lists \
                 the Python ones"
            ),
            Self::Write { .. } => "choose another file with -o, or none".into(),
            Self::Other { advice, .. } => advice.clone(),
        };
        eprintln!("memwhy: {self}");
        eprintln!("   try: {advice}");
        match self {
            Self::Open(error) => error.exit_status(),
            Self::NotPython { .. } => 3,
            Self::Write { .. } | Self::Other { .. } => 1,
        }
    }
}

/// Where a command prints: all at once, so that a failure leaves no half report.
#[derive(Debug)]
pub(super) struct Out {
    text: String,
    path: Option<PathBuf>,
}

impl Out {
    pub(super) fn new() -> Self {
        Self { text: String::new(), path: None }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    pub(super) fn json(&mut self, value: &serde_json::Value) {
        // Pretty: people read it too, and a machine does not mind.
        self.text(&format!("{value:#}"));
    }

    /// Writes what was printed so far.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        let path = self.path.clone();
        let written = if let Some(path) = &path { File::create(path).and_then(|mut file| file.write_all(text.as_bytes())) } else {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
        written.map_err(|error| Failure::Write { path, error })
    }

    /// Prints to the file that the user named, if one was named.
    pub(super) fn redirect(&mut self, target: &Target) {
        self.path.clone_from(&target.output);
    }
}

impl Target {
    /// Observes the target. Where its memory is withheld, what `/proc` tells is returned, with the
    /// failure that the command ends with.
    pub(super) fn observe(&self) -> Result<(Case, Option<Failure>), Failure> {
        let pause = match self.pause {
            PauseChoice::Auto | PauseChoice::Stop => Pause::Stop,
            PauseChoice::None => Pause::None,
        };
        let options = Options { pause, max_pause: self.max_pause };
        let observed = match crate::capture(self.pid, &options) {
            Ok(case) => (case, None),
            Err(error @ OpenError::NotPermitted { .. }) => {
                (crate::from_proc(self.pid)?, Some(Failure::Open(error)))
            }
            Err(error) => return Err(error.into()),
        };
        if self.verbose {
            let (used, peak) = memwhy_target::sys::resources::used_by_us();
            for timing in &observed.0.timings {
                eprintln!("{:>14} {:>9.1} ms", timing.phase, timing.ms);
            }
            eprintln!("{:>14} {:>9.1} ms", "CPU in all", used.as_secs_f64() * 1000.0);
            eprintln!("{:>14} {:>9.1} MiB", "peak memory", memwhy_model::Bytes(peak).as_mib());
        }
        Ok(observed)
    }

    /// Observes a target that has to be a Python process.
    pub(super) fn observe_python(&self) -> Result<(Case, Option<Failure>), Failure> {
        let (case, failure) = self.observe()?;
        if failure.is_none() && case.about.python.is_none() {
            let refusal = case.problems.iter().find_map(|(kind, _, examples)| {
                (kind == memwhy_model::ProblemKind::CalibrationFailed)
                    .then(|| examples.first().cloned())?
            });
            let why = refusal.unwrap_or_else(|| "it has no Python interpreter".into());
            return Err(Failure::NotPython { pid: self.pid, why });
        }
        Ok((case, failure))
    }

    /// How text is to be laid out.
    pub(super) fn style(&self) -> Style {
        let terminal = self.output.is_none() && io::stdout().is_terminal();
        let color = match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        };
        Style { color, width: width(terminal) }
    }
}

/// Columns of the terminal, 100 where there is none.
fn width(terminal: bool) -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || terminal.then(memwhy_target::sys::resources::terminal_columns).flatten();
    told.or_else(asked).unwrap_or(100).clamp(60, 200)
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

/// Parses `200ms`, `2s`, `1m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err("a time is written 200ms, 2s or 1m".into()),
    };
    let number: f64 = number.parse().map_err(|_| "a time begins with a number".to_owned())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert!(duration("7").is_err() && duration("s").is_err() && duration("9e9h").is_err());
    }
}
