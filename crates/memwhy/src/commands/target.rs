//! Which target is it, and how is it to be read?

use super::failure::Failure;
use super::output::ColorChoice;
use super::progress;
use crate::{CoreFiles, NativeDetail, OpenError, Options, Values};
use clap::{Args, ValueEnum};
use memwhy_model::{Case, Pause, ProblemKind, TargetKind};
use memwhy_report::Style;
use memwhy_target::progress::{Step, begin};
use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Where a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A running process.
    Process(u32),
    /// A core file, compressed or not.
    Core(PathBuf),
    /// A folder that memwhy wrote.
    Snapshot(PathBuf),
}

impl Place {
    /// Tells by what is there: digits are a process, also where a file has such a name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text
                .parse()
                .map(Self::Process)
                .map_err(|_| "no process has that number".into());
        }
        let path = PathBuf::from(text);
        let accepted = "a target is a pid, a core file, or a snapshot's folder";
        match path.metadata() {
            Ok(found) if found.is_dir() && is_snapshot(&path) => Ok(Self::Snapshot(path)),
            Ok(found) if found.is_dir() => {
                Err(format!("{accepted}; this folder has no manifest.json"))
            }
            Ok(_) => Ok(Self::Core(path)),
            Err(error) => Err(format!("{accepted}; as a file: {error}")),
        }
    }
}

/// Whether somebody meant a snapshot, whole or not: what is wrong with it is told by who reads it.
fn is_snapshot(folder: &Path) -> bool {
    folder.extension().is_some_and(|extension| extension == "memwhy")
        || ["manifest.json", "case.json"].iter().any(|name| folder.join(name).exists())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Core(path) => write!(f, "core {}", path.display()),
            Self::Snapshot(path) => write!(f, "snapshot {}", path.display()),
        }
    }
}

/// A target and how to read it: what all reading commands share.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// What to read: a process, a core file, a snapshot's folder
    #[arg(value_name = "TARGET", value_parser = Place::parse)]
    pub(super) place: Place,
    /// The program that wrote the core, where it is not at its path
    #[arg(long, value_name = "FILE")]
    exe: Option<PathBuf>,
    /// Where the files of another machine are: DIR/usr/lib/… is looked at before /usr/lib/…
    #[arg(long, value_name = "DIR")]
    lib_root: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    pub(super) json: bool,
    /// Stop the process while its memory is copied, or read it as it runs (inexact)
    #[arg(long, value_enum, default_value_t = PauseChoice::Auto)]
    pause: PauseChoice,
    /// Give up, and let the process go, when the copy takes longer: 200ms, 2s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    max_pause: Duration,
    /// Write to a file instead of the terminal
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// When to use colours
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    /// Print where the time went, on standard error
    #[arg(short, long)]
    verbose: bool,
}

impl Target {
    /// Observes the target. Where its memory is withheld, what `/proc` tells is returned, with the
    /// failure that the command ends with.
    pub(super) fn observe(&self) -> Result<(Case, Option<Failure>), Failure> {
        self.observe_by(&self.place, crate::capture, Options::default())
    }

    /// The same for commands that judge nothing: what only causes rest on is not looked into.
    pub(super) fn observe_plain(&self) -> Result<(Case, Option<Failure>), Failure> {
        self.observe_plain_at(&self.place)
    }

    /// The same of another place.
    pub(super) fn observe_plain_at(
        &self,
        place: &Place,
    ) -> Result<(Case, Option<Failure>), Failure> {
        let wanted = Options { causes: false, ..Options::default() };
        self.observe_by(place, crate::capture, wanted)
    }

    /// The same, with all that any command may ask of a snapshot that has `values` or not.
    pub(super) fn observe_to_keep(
        &self,
        values: Values,
    ) -> Result<(Case, Option<Failure>), Failure> {
        let kept = values == Values::Kept;
        let native = NativeDetail::Lines;
        let wanted = Options { native, previews: kept, sources: kept, ..Options::default() };
        self.observe_by(&self.place, crate::capture, wanted)
    }

    /// What [`Self::observe`] does of another place, read in the same way.
    pub(super) fn observe_at(&self, place: &Place) -> Result<(Case, Option<Failure>), Failure> {
        self.observe_by(place, crate::capture, Options::default())
    }

    /// Observes the threads of a target that has to be a Python process, and of a running one
    /// nothing else.
    pub(super) fn observe_threads(
        &self,
        wanted: Options,
    ) -> Result<(Case, Option<Failure>), Failure> {
        self.of_python(self.observe_by(&self.place, crate::look, wanted)?)
    }

    fn observe_by(
        &self,
        place: &Place,
        process: impl FnOnce(u32, &Options) -> Result<Case, OpenError>,
        wanted: Options,
    ) -> Result<(Case, Option<Failure>), Failure> {
        let pause = match self.pause {
            PauseChoice::Auto | PauseChoice::Stop => Pause::Stop,
            PauseChoice::None => Pause::None,
        };
        let options = Options { pause, max_pause: self.max_pause, ..wanted };
        let _bar = progress::Cleared;
        let files = CoreFiles { exe: self.exe.clone(), lib_root: self.lib_root.clone() };
        let observed = match place {
            Place::Process(pid) => match process(*pid, &options) {
                Ok(case) => (case, None),
                Err(error @ OpenError::NotPermitted { .. }) => {
                    (crate::from_proc(*pid)?, Some(Failure::Open(error)))
                }
                Err(error) => return Err(error.into()),
            },
            Place::Core(path) => (crate::open_core(path, &files, &options)?, None),
            Place::Snapshot(path) => (crate::open_snapshot(path)?, None),
        };
        if self.verbose {
            for timing in &observed.0.timings {
                eprintln!("{:>14} {:>9.1} ms", timing.phase, timing.ms);
            }
            VERBOSE.store(true, Ordering::Relaxed);
        }
        Ok(observed)
    }

    /// Observes the objects of a target that has to be a Python process.
    pub(super) fn observe_objects(&self) -> Result<(Case, Option<Failure>), Failure> {
        self.of_python(self.observe_plain()?)
    }

    /// Observes a target that has to be a Python process.
    pub(super) fn observe_python(&self) -> Result<(Case, Option<Failure>), Failure> {
        self.of_python(self.observe()?)
    }

    fn of_python(
        &self,
        (case, failure): (Case, Option<Failure>),
    ) -> Result<(Case, Option<Failure>), Failure> {
        if failure.is_none() && case.about.python.is_none() {
            let refusal = case.problems.iter().find_map(|(kind, _, examples)| {
                (kind == ProblemKind::CalibrationFailed).then(|| examples.first().cloned())?
            });
            let why = refusal.unwrap_or_else(|| "it has no Python interpreter".into());
            let why = match case.about.kind {
                TargetKind::Core => without(&case, why),
                TargetKind::Process | TargetKind::Snapshot => why,
            };
            return Err(Failure::NotPython { place: self.place.clone(), why });
        }
        if failure.is_none() {
            begin(Step::Answering, 0);
        }
        Ok((case, failure))
    }

    /// How text is to be laid out.
    pub(super) fn style(&self) -> Style {
        let terminal = self.output.is_none() && io::stdout().is_terminal();
        Style { color: self.color.wanted(terminal), width: width(terminal) }
    }
}

/// Why no interpreter was found in a core: most often something is not there that would lead to it.
fn without(case: &Case, why: String) -> String {
    let first = |wanted| {
        let mut problems = case.problems.iter().filter(|(kind, ..)| *kind == wanted);
        problems.find_map(|(_, _, examples)| examples.first().cloned())
    };
    if let Some(missing) = first(ProblemKind::FileNotFound) {
        return format!("no Python interpreter is found without its files ({missing})");
    }
    match first(ProblemKind::CoreIncomplete) {
        Some(what) => format!("{why}, and memory is missing that would lead to it ({what})"),
        None => why,
    }
}

/// Whether somebody asked where the time goes.
static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Says at the end what we have used ourselves, if somebody asked.
pub(super) fn tell_what_was_used() {
    if VERBOSE.load(Ordering::Relaxed) {
        let (used, peak) = memwhy_target::sys::resources::used_by_us();
        eprintln!("{:>14} {:>9.1} ms", "CPU in all", used.as_secs_f64() * 1000.0);
        eprintln!("{:>14} {:>9.1} MiB", "peak memory", memwhy_model::Bytes(peak).as_mib());
    }
}

/// Columns of the terminal, 100 where there is none.
fn width(terminal: bool) -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || terminal.then(memwhy_target::sys::resources::terminal_columns).flatten();
    told.or_else(asked).unwrap_or(100).clamp(60, 200)
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
    use super::{Place, duration};
    use std::path::PathBuf;
    use std::time::Duration;

    #[test]
    fn a_target_is_told_by_what_is_there() {
        assert_eq!(Place::parse("4711"), Ok(Place::Process(4711)));
        assert!(Place::parse("99999999999").is_err());
        let here = env!("CARGO_MANIFEST_DIR");
        let file = format!("{here}/Cargo.toml");
        assert_eq!(Place::parse(&file), Ok(Place::Core(PathBuf::from(&file))));
        let folder = Place::parse(here).expect_err("no snapshot");
        assert!(folder.contains("manifest.json"), "{folder}");
        let nothing = Place::parse("no/such/file").expect_err("nothing there");
        assert!(nothing.contains("a pid, a core file, or a snapshot's folder"), "{nothing}");
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert!(duration("7").is_err() && duration("s").is_err() && duration("9e9h").is_err());
    }
}
