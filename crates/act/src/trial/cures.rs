//! Which cures can be tried, and are they installed?

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// A cure. One a line of [`CURES`]; those that need no library come first.
#[derive(Clone, Copy, Debug)]
pub struct Cure {
    /// How it is named in `--with`; `=N` behind it replaces the number.
    pub id: &'static str,
    /// What it is, for help.
    pub what: &'static str,
    /// Variables of the environment; `{}` stands for the number.
    environment: &'static [(&'static str, &'static str)],
    /// The number, where it has one.
    number: Option<u64>,
    /// The library to be preloaded: how its file name begins, newest first, and Debian's package.
    library: Option<(&'static [&'static str], &'static str)>,
    /// Whether it is trimmed every second.
    trims: bool,
}

const fn setting(
    id: &'static str,
    what: &'static str,
    environment: &'static [(&'static str, &'static str)],
    number: Option<u64>,
) -> Cure {
    Cure { id, what, environment, number, library: None, trims: false }
}

const fn library(
    id: &'static str,
    what: &'static str,
    environment: &'static [(&'static str, &'static str)],
    library: (&'static [&'static str], &'static str),
) -> Cure {
    Cure { id, what, environment, number: None, library: Some(library), trims: false }
}

const TCMALLOC: (&[&str], &str) = (
    &["libtcmalloc_minimal.so.4", "libtcmalloc.so.4"],
    "libtcmalloc-minimal4 (or libgoogle-perftools4)",
);
const MIMALLOC: (&[&str], &str) = (&["libmimalloc.so.3", "libmimalloc.so.2"], "libmimalloc2.0");

/// Every cure, the program as it is first.
pub const CURES: &[Cure] = &[
    setting("glibc", "the program as it is", &[], None),
    Cure { trims: true, ..setting("trim", "malloc_trim(0) every second, from outside", &[], None) },
    setting("arena-max", "fewer arenas", &[("MALLOC_ARENA_MAX", "{}")], Some(2)),
    setting(
        "trim-threshold",
        "gives the end of the heap back earlier",
        &[("MALLOC_TRIM_THRESHOLD_", "{}")],
        Some(131_072),
    ),
    setting(
        "mmap-threshold",
        "maps large buffers one by one",
        &[("MALLOC_MMAP_THRESHOLD_", "{}")],
        Some(65_536),
    ),
    setting(
        "python-malloc",
        "no allocator of Python's own for small objects",
        &[("PYTHONMALLOC", "malloc")],
        None,
    ),
    library("tcmalloc", "tcmalloc as it is", &[], TCMALLOC),
    library(
        "tcmalloc-decommit",
        "tcmalloc, giving back at once",
        &[("TCMALLOC_AGGRESSIVE_DECOMMIT", "1")],
        TCMALLOC,
    ),
    library(
        "jemalloc",
        "jemalloc with a background thread",
        &[("MALLOC_CONF", "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0")],
        (&["libjemalloc.so.2"], "libjemalloc2"),
    ),
    library("mimalloc", "mimalloc as it is", &[], MIMALLOC),
];

/// A cure that can be tried here.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its id, with its number.
    pub id: String,
    /// How a person sets it.
    pub setting: String,
    /// What is added to the environment.
    pub(super) environment: Vec<(String, OsString)>,
    /// Whether it is trimmed every second.
    pub(super) trims: bool,
}

/// A cure that cannot be tried here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is none of that name.
    Unknown(String),
    /// Its number is none.
    BadNumber(String),
    /// Its library is not installed: the cure, Debian's package.
    NotInstalled(&'static str, &'static str),
}

/// Finds out whether a cure can be tried: `jemalloc`, `arena-max=2`.
///
/// # Errors
/// [`Missing`], which says what to install.
pub fn ready(wanted: &str) -> Result<Ready, Missing> {
    let (id, given) = wanted.split_once('=').map_or((wanted, None), |(id, n)| (id, Some(n)));
    let cure = CURES.iter().find(|cure| cure.id == id);
    cure.ok_or_else(|| Missing::Unknown(wanted.to_owned()))?.ready(wanted, given)
}

impl Cure {
    fn ready(&self, wanted: &str, given: Option<&str>) -> Result<Ready, Missing> {
        let bad = || Missing::BadNumber(wanted.to_owned());
        let number = match (given, self.number) {
            (Some(given), Some(_)) => Some(given.parse::<u64>().map_err(|_| bad())?),
            (Some(_), None) => return Err(bad()),
            (None, usual) => usual,
        };
        let value =
            |text: &str| number.map_or(text.to_owned(), |n| text.replace("{}", &n.to_string()));
        let mut environment: Vec<(String, OsString)> = Vec::new();
        let mut setting = Vec::new();
        if let Some((names, package)) = self.library {
            let path = find(names).ok_or(Missing::NotInstalled(self.id, package))?;
            setting.push(format!("LD_PRELOAD={}", path.display()));
            environment.push(("LD_PRELOAD".into(), path.into()));
        }
        for (name, text) in self.environment {
            setting.push(format!("{name}={}", value(text)));
            environment.push(((*name).into(), value(text).into()));
        }
        let setting = match (self.trims, setting.is_empty()) {
            (true, _) => "malloc_trim(0) every second".into(),
            (false, true) => "nothing changed".into(),
            (false, false) => setting.join(" "),
        };
        let id = number.map_or(self.id.to_owned(), |number| format!("{}={number}", self.id));
        Ok(Ready { id, setting, environment, trims: self.trims })
    }
}

/// Where a library is, by where they usually are and by what the loader knows.
fn find(names: &[&str]) -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let mut places =
        names.iter().flat_map(|name| folders.iter().map(move |f| PathBuf::from(f).join(name)));
    places.find(|path| path.exists()).or_else(|| {
        let known = Command::new("/sbin/ldconfig").arg("-p").output().ok()?;
        let text = String::from_utf8_lossy(&known.stdout).into_owned();
        text.lines().find_map(|line| {
            let (name, path) = line.trim().split_once(" => ")?;
            names.iter().any(|wanted| name.starts_with(wanted)).then(|| PathBuf::from(path))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{CURES, Missing, library, ready};

    #[test]
    fn a_number_belongs_to_a_cure_that_has_one() {
        let cure = ready("arena-max=7").unwrap();
        assert_eq!(
            (cure.id.as_str(), cure.setting.as_str()),
            ("arena-max=7", "MALLOC_ARENA_MAX=7")
        );
        assert_eq!(ready("arena-max").unwrap().id, "arena-max=2");
        assert_eq!(ready("arena-max=x").unwrap_err(), Missing::BadNumber("arena-max=x".into()));
        assert_eq!(ready("glibc=2").unwrap_err(), Missing::BadNumber("glibc=2".into()));
        assert_eq!(ready("snmalloc").unwrap_err(), Missing::Unknown("snmalloc".into()));
    }

    #[test]
    fn the_program_as_it_is_comes_first_and_settings_before_libraries() {
        assert_eq!(CURES[0].id, "glibc");
        let first = CURES.iter().position(|cure| cure.library.is_some()).unwrap();
        assert!(CURES[first..].iter().all(|cure| cure.library.is_some()));
    }

    #[test]
    fn a_library_that_is_not_installed_is_named_with_its_package() {
        let none = library("none", "no such library", &[], (&["libnone.so.7"], "libnone7"));
        let missing = none.ready("none", None).unwrap_err();
        assert_eq!(missing, Missing::NotInstalled("none", "libnone7"));
    }
}
