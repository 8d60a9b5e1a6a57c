//! Which interpreters are there to test with?

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The minor versions of Python 3 that are tested.
const MINORS: std::ops::RangeInclusive<u32> = 6..=15;

/// Asks an interpreter for its version and build.
const ASKED: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3] + \
                     ('t' if 't' in getattr(sys, 'abiflags', '') else '') + \
                     ('d' if hasattr(sys, 'gettotalrefcount') else ''))";

/// Where `scripts/debian-pythons` puts what is to be run, below `.cache`.
const DEBIAN_FOLDERS: [&str; 5] =
    ["debian", "debian-bullseye", "debian-3.13.18", "debian-3.14.4", "debian-debug"];

/// Where `scripts/free-threaded-pythons` does.
const FREE_THREADED_FOLDER: &str = "free-threaded";

/// Where `scripts/musl-python` does.
const MUSL_FOLDER: &str = "musl";

/// Labels of the interpreters that Debian built begin so.
const DEBIAN: &str = "debian-";
/// Labels of those on musl, which the tests ask for that are about it.
const MUSL: &str = "musl-";

/// Names the interpreters to use instead of those found: paths, separated by colons.
pub const PYTHONS_VARIABLE: &str = "MEMWHY_PYTHONS";

/// The builds that have to be under test: rows of the README's support table.
pub const BUILDS: [&str; 25] = [
    "2.7.18",
    "3.6.15",
    "3.7.16",
    "3.8.18",
    "3.9.18",
    "3.10.13",
    "3.11.7",
    "3.12.1",
    "3.13.0",
    "3.13t",
    "3.14t",
    "debian-2.7",
    "debian-3.9",
    "debian-3.11",
    "debian-3.13",
    "debian-3.13.18",
    "debian-3.14",
    "debian-3.14.4",
    "debian-3.15",
    "debian-2.7d",
    "debian-3.9d",
    "debian-3.11d",
    "debian-3.13d",
    "debian-3.14d",
    "debian-3.15d",
];

/// Of [`BUILDS`] the ordinary ones, by series.
pub const ORDINARY: [&str; 13] = [
    "2.7",
    "3.6",
    "3.7",
    "3.8",
    "3.9",
    "3.10",
    "3.11",
    "3.12",
    "3.13",
    "debian-3.11",
    "debian-3.13",
    "debian-3.14",
    "debian-3.15",
];

/// Of [`BUILDS`] those that are laid out otherwise: without GIL, with `Py_DEBUG`, old ones of Debian,
/// single releases.
#[must_use]
pub fn others() -> Vec<&'static str> {
    BUILDS.into_iter().filter(|label| !is_ordinary(label)).collect()
}

/// An interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// `3.11.7`; `3.13.5t` without GIL, `3.13.5d` with `Py_DEBUG`; `debian-` in front of one that
    /// Debian built, `musl-` of one on musl.
    pub label: String,
    /// The program itself, not a shim that would start it.
    pub path: PathBuf,
    /// Major, minor and micro version.
    pub version: (u32, u32, u32),
}

/// The interpreters of [`interpreters`] that every part of memwhy is tested with: not those of
/// Debian's 2.7 and 3.9, not single releases, not the builds with `Py_DEBUG` or without GIL, which
/// the oracle, the demo and `tests/builds.rs` are for.
pub fn ordinary() -> impl Iterator<Item = &'static Interpreter> {
    interpreters().iter().filter(|one| is_ordinary(&one.label))
}

fn is_ordinary(label: &str) -> bool {
    !label.ends_with(['d', 't'])
        && !is_single(label)
        && !["debian-2.", "debian-3.9"].iter().any(|old| label.starts_with(old))
}

/// Whether that is a release that is there for its own sake: the folder of it has its label.
fn is_single(label: &str) -> bool {
    DEBIAN_FOLDERS.contains(&label)
}

impl Interpreter {
    /// Asks the program at `path` for its version; `None` if it is not a CPython that runs.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        // Not -I, which 2.7 does not know.
        let output = Command::new(path).args(["-E", "-s", "-S", "-c", ASKED]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let build = text.trim();
        let version = parse_version(build.trim_end_matches(['t', 'd']))?;
        // The folder may be a link, and the path lead through it or not.
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        let is_in = |name: &&str| cached(name).canonicalize().ok() == folder;
        let fetched = folder.is_some() && DEBIAN_FOLDERS.iter().any(is_in);
        let debian = path.starts_with("/usr/bin") || fetched;
        let musl = folder.is_some() && is_in(&MUSL_FOLDER);
        let of = if debian {
            DEBIAN
        } else if musl {
            MUSL
        } else {
            ""
        };
        let label = format!("{of}{build}");
        Some(Self { label, path: path.to_owned(), version })
    }

    /// Whether it is the same program: a script may say its path through a link, and the search not.
    fn is_the_program(&self, other: &Self) -> bool {
        let real = |one: &Self| one.path.canonicalize().unwrap_or_else(|_| one.path.clone());
        self.label == other.label && real(self) == real(other)
    }

    /// Whether a test that asks for `wanted` means this one: its label, or the part of it that
    /// ends before a dot, with the letters of its build (`3.11`, `3.13t`). A single release is not
    /// meant by its series.
    #[must_use]
    pub fn answers_to(&self, wanted: &str) -> bool {
        if is_single(&self.label) {
            return self.label == wanted;
        }
        let (number, build) = split_build(&self.label);
        let (wanted, wanted_build) = split_build(wanted);
        let rest = number.strip_prefix(wanted);
        build == wanted_build && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
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
/// tested, so there it is a failure; those that scripts fetch or build are fetched there.
///
/// # Panics
/// With `CI=true`, if nothing answers to one of `labels`, unless its script said that it is not to
/// be had.
#[must_use]
pub fn require(labels: &[&str]) -> Vec<&'static Interpreter> {
    let strict = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    let mut from: Vec<_> = interpreters().iter().collect();
    let is_here = |label: &&str| from.iter().any(|one| one.answers_to(label));
    let missing: Vec<&str> = labels.iter().copied().filter(|label| !is_here(label)).collect();
    if strict && std::env::var_os(PYTHONS_VARIABLE).is_none() {
        if missing.iter().any(|label| label.starts_with(DEBIAN)) {
            static FETCHED: OnceLock<Vec<Interpreter>> = OnceLock::new();
            from.extend(FETCHED.get_or_init(|| run("debian-pythons")));
        }
        if missing.iter().any(|label| split_build(label).1.contains('t')) {
            static BUILT: OnceLock<Vec<Interpreter>> = OnceLock::new();
            from.extend(BUILT.get_or_init(|| run("free-threaded-pythons")));
        }
    }
    if std::env::var_os(PYTHONS_VARIABLE).is_none() && labels.iter().any(|l| l.starts_with(MUSL)) {
        static ON_MUSL: OnceLock<Vec<Interpreter>> = OnceLock::new();
        from.extend(ON_MUSL.get_or_init(|| if strict { run("musl-python") } else { on_musl() }));
    }
    let left_out: Vec<&str> = missing.into_iter().filter(|label| cannot_be_had(label)).collect();
    let labels: Vec<&str> =
        labels.iter().copied().filter(|label| !left_out.contains(label)).collect();
    for label in left_out {
        eprintln!("SKIPPED: no interpreter {label} here: nothing to make it of is to be had");
    }
    choose(&from, &labels, strict).unwrap_or_else(|missing| panic!("{missing}"))
}

/// Those that `scripts/musl-python` has built: not among [`interpreters`], of which most tests need
/// glibc.
fn on_musl() -> Vec<Interpreter> {
    let built = std::fs::read_dir(cached(MUSL_FOLDER)).into_iter().flatten().flatten();
    built.filter_map(|entry| Interpreter::at(&entry.path())).collect()
}

/// Whether the script that makes `label` run here found that nobody can have it: a mirror may lack
/// what it is made of, and then nobody can test it.
fn cannot_be_had(label: &str) -> bool {
    let mut folders = DEBIAN_FOLDERS.iter().chain([&FREE_THREADED_FOLDER]);
    folders.any(|folder| root().join(".cache").join(folder).join(format!("{label}.none")).exists())
}

/// The interpreters that a script of this checkout makes run here.
fn run(script: &str) -> Vec<Interpreter> {
    let fail = |path: &Path, error: std::io::Error| -> ! { panic!("{}: {error}", path.display()) };
    let cache = root().join(".cache");
    std::fs::create_dir_all(&cache).unwrap_or_else(|error| fail(&cache, error));
    let lock = cache.join(format!("{script}.lock"));
    // Other test programs wait here, and then find that it is done.
    let file = File::create(&lock).unwrap_or_else(|error| fail(&lock, error));
    file.lock().unwrap_or_else(|error| fail(&lock, error));
    let script = root().join("scripts").join(script);
    let output = Command::new(&script).stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| fail(&script, error));
    assert!(output.status.success(), "{}: {}", script.display(), output.status);
    let paths = String::from_utf8_lossy(&output.stdout).into_owned();
    paths.lines().filter_map(|path| Interpreter::at(Path::new(path))).collect()
}

/// This checkout.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// Where the interpreters of a folder below `.cache` are.
fn cached(folder: &str) -> PathBuf {
    root().join(".cache").join(folder).join("bin")
}

/// The number of a label, and the letters behind it.
fn split_build(label: &str) -> (&str, &str) {
    label.split_at(label.trim_end_matches(['t', 'd']).len())
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
            if !chosen.iter().any(|known| known.is_the_program(one)) {
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
    for folder in DEBIAN_FOLDERS.into_iter().chain([FREE_THREADED_FOLDER]) {
        for entry in std::fs::read_dir(cached(folder)).into_iter().flatten().flatten() {
            paths.push(entry.path());
        }
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
    use super::{BUILDS, Interpreter, ORDINARY, choose, is_tested, others, parse_version};

    fn made(label: &str) -> Interpreter {
        Interpreter { label: label.into(), path: label.into(), version: (3, 11, 0) }
    }

    #[test]
    fn a_label_is_answered_up_to_a_dot() {
        assert!(made("3.11.7").answers_to("3.11.7"));
        assert!(made("3.11.7").answers_to("3.11"));
        assert!(!made("3.11.7").answers_to("3.1"));
        assert!(!made("debian-3.11.2").answers_to("3.11"));
        assert!(
            made("musl-3.13.5").answers_to("musl-3.13") && !made("musl-3.13.5").answers_to("3.13")
        );
        assert!(made("3.13.5t").answers_to("3.13t") && made("3.13.5t").answers_to("3.13.5t"));
        assert!(!made("3.13.5t").answers_to("3.13") && !made("3.13.5").answers_to("3.13t"));
        assert!(made("debian-2.7.18d").answers_to("debian-2.7d"));
        assert!(made("debian-3.14.4").answers_to("debian-3.14.4"));
        assert!(!made("debian-3.14.4").answers_to("debian-3.14"));
    }

    #[test]
    fn every_build_is_an_ordinary_one_or_another() {
        let others = others();
        let series =
            |build: &str| ORDINARY.iter().filter(|one| made(build).answers_to(one)).count();
        for build in BUILDS {
            assert_eq!(usize::from(others.contains(&build)) + series(build), 1, "{build}");
        }
        assert_eq!(others.len() + ORDINARY.len(), BUILDS.len());
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
