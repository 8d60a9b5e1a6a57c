//! Which interpreters are there to test with?

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The minor versions of Python 3 that are tested.
const MINORS: std::ops::RangeInclusive<u32> = 6..=15;

/// Labels of the interpreters that Debian built begin so.
const DEBIAN: &str = "debian-";

/// Names the interpreters to use instead of those found: paths, separated by colons.
pub const PYTHONS_VARIABLE: &str = "MEMWHY_PYTHONS";

/// An interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// `3.11.7`, or `debian-3.11.2` for one that Debian built.
    pub label: String,
    /// The program itself, not a shim that would start it.
    pub path: PathBuf,
    /// Major, minor and micro version.
    pub version: (u32, u32, u32),
}

impl Interpreter {
    /// Asks the program at `path` for its version; `None` if it is not a CPython that runs.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let asked = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
        // Not -I, which 2.7 does not know.
        let output = Command::new(path).args(["-E", "-s", "-S", "-c", asked]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let version = parse_version(text.trim())?;
        let debian = path.starts_with("/usr/bin") || path.starts_with(fetched_to());
        let label = format!("{}{}", if debian { DEBIAN } else { "" }, text.trim());
        Some(Self { label, path: path.to_owned(), version })
    }

    /// Whether a test that asks for `wanted` means this one: its label, or the part of it that
    /// ends before a dot (`3.11`).
    #[must_use]
    pub fn answers_to(&self, wanted: &str) -> bool {
        self.label.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// The interpreters of this machine, oldest first, looked for once.
///
/// # Panics
/// If `MEMWHY_PYTHONS` names something that is not a Python.
#[must_use]
pub fn interpreters() -> &'static [Interpreter] {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found = match std::env::var_os(PYTHONS_VARIABLE) {
            Some(paths) => std::env::split_paths(&paths)
                .filter(|path| !path.as_os_str().is_empty())
                .map(|path| {
                    let found = Interpreter::at(&path);
                    found.unwrap_or_else(|| {
                        panic!("{PYTHONS_VARIABLE}: no Python at {}", path.display())
                    })
                })
                .collect(),
            None => search(),
        };
        found.sort_by(|a, b| (a.version, &a.label).cmp(&(b.version, &b.label)));
        found
    })
}

/// The interpreters that answer to `labels`, for a test to run on each.
///
/// One that is missing is skipped with a line on stderr. In CI that would hide that nothing is
/// tested, so there it is a failure; those of Debian's newer releases are fetched there.
///
/// # Panics
/// With `CI=true`, if nothing answers to one of `labels`.
#[must_use]
pub fn require(labels: &[&str]) -> Vec<&'static Interpreter> {
    let strict = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    let mut from: Vec<_> = interpreters().iter().collect();
    let is_here = |label: &&str| from.iter().any(|one| one.answers_to(label));
    let missing = labels.iter().any(|label| label.starts_with(DEBIAN) && !is_here(label));
    if strict && missing && std::env::var_os(PYTHONS_VARIABLE).is_none() {
        from.extend(fetched());
    }
    choose(&from, labels, strict).unwrap_or_else(|missing| panic!("{missing}"))
}

/// The interpreters that `scripts/debian-pythons` makes run here: by it, in this checkout, once.
fn fetched() -> &'static [Interpreter] {
    static FETCHED: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FETCHED.get_or_init(|| {
        let fail =
            |path: &Path, error: std::io::Error| -> ! { panic!("{}: {error}", path.display()) };
        let cache = root().join(".cache");
        std::fs::create_dir_all(&cache).unwrap_or_else(|error| fail(&cache, error));
        let lock = cache.join("debian.lock");
        // Other test programs wait here, and then find that it is done.
        let file = File::create(&lock).unwrap_or_else(|error| fail(&lock, error));
        file.lock().unwrap_or_else(|error| fail(&lock, error));
        let script = root().join("scripts/debian-pythons");
        let output = Command::new(&script).stderr(Stdio::inherit()).output();
        let output = output.unwrap_or_else(|error| fail(&script, error));
        assert!(output.status.success(), "{}: {}", script.display(), output.status);
        let paths = String::from_utf8_lossy(&output.stdout).into_owned();
        paths.lines().filter_map(|path| Interpreter::at(Path::new(path))).collect()
    })
}

/// This checkout.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// Where `scripts/debian-pythons` puts what is to be run.
fn fetched_to() -> PathBuf {
    root().join(".cache/debian/bin")
}

fn choose<'a>(
    from: &[&'a Interpreter],
    labels: &[&str],
    strict: bool,
) -> Result<Vec<&'a Interpreter>, String> {
    let mut chosen: Vec<&Interpreter> = Vec::new();
    for label in labels {
        let mut missing = true;
        for one in from.iter().copied().filter(|one| one.answers_to(label)) {
            missing = false;
            if !chosen.contains(&one) {
                chosen.push(one);
            }
        }
        if missing {
            let have: Vec<_> = from.iter().map(|one| one.label.as_str()).collect();
            let message = format!("no interpreter {label} here, only: {}", have.join(", "));
            if strict {
                return Err(message);
            }
            eprintln!("SKIPPED: {message}");
        }
    }
    Ok(chosen)
}

fn search() -> Vec<Interpreter> {
    let mut paths = vec![PathBuf::from("/usr/bin/python3.11")];
    for entry in std::fs::read_dir(fetched_to()).into_iter().flatten().flatten() {
        paths.push(entry.path());
    }
    if let Some(home) = std::env::var_os("HOME") {
        let versions = Path::new(&home).join(".pyenv/versions");
        for entry in std::fs::read_dir(versions).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if parse_version(&name).is_some_and(|(major, minor, _)| is_tested(major, minor)) {
                paths.push(entry.path().join("bin/python"));
            }
        }
    }
    paths.iter().filter_map(|path| Interpreter::at(path)).collect()
}

fn is_tested(major: u32, minor: u32) -> bool {
    (major == 3 && MINORS.contains(&minor)) || (major, minor) == (2, 7)
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(str::parse::<u32>);
    let mut next = || parts.next()?.ok();
    Some((next()?, next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::{Interpreter, choose, is_tested, parse_version};

    fn made(label: &str) -> Interpreter {
        Interpreter { label: label.into(), path: label.into(), version: (3, 11, 0) }
    }

    #[test]
    fn a_label_is_answered_up_to_a_dot() {
        assert!(made("3.11.7").answers_to("3.11.7"));
        assert!(made("3.11.7").answers_to("3.11"));
        assert!(!made("3.11.7").answers_to("3.1"));
        assert!(!made("debian-3.11.2").answers_to("3.11"));
    }

    #[test]
    fn what_is_missing_is_skipped_here_and_fails_in_ci() {
        let here = [made("3.11.7"), made("3.13.0")];
        let here: Vec<_> = here.iter().collect();
        let chosen = choose(&here, &["3.13", "3.9"], false);
        assert_eq!(chosen, Ok(vec![here[1]]));
        assert!(choose(&here, &["3.13", "3.9"], true).is_err());
    }

    #[test]
    fn an_interpreter_is_chosen_once() {
        let here = made("3.11.7");
        assert_eq!(choose(&[&here], &["3.11", "3.11.7"], true).map(|c| c.len()), Ok(1));
    }

    #[test]
    fn only_supported_versions_are_tested() {
        assert_eq!(parse_version("3.13.0"), Some((3, 13, 0)));
        assert_eq!(parse_version("pypy3.9-7.3"), None);
        assert!(is_tested(2, 7) && is_tested(3, 6) && is_tested(3, 13));
        assert!(!is_tested(3, 5) && !is_tested(2, 6));
    }
}
