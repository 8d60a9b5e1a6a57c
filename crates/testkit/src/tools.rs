//! Is here what a test needs besides interpreters?

use crate::workload::script;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `found` as it is. What is missing fails in CI, and is skipped loudly elsewhere.
///
/// # Panics
/// In CI, if nothing was found.
pub fn present<T>(found: Option<T>, name: &str) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "no {name} here: scripts/setup installs it");
        eprintln!("SKIPPED: no {name} here: scripts/setup installs it");
    }
    found
}

/// The virtual environment that `scripts/NAME` makes, of the interpreter `of` where the script takes
/// one. What cannot be made fails in CI, and is skipped loudly elsewhere.
///
/// # Panics
/// In CI, if the script fails; anywhere, if it cannot be run.
#[must_use]
pub fn venv(name: &str, of: Option<&Path>) -> Option<PathBuf> {
    let made = Command::new(script("../scripts").join(name)).args(of).output();
    let made = made.unwrap_or_else(|error| panic!("scripts/{name}: {error}"));
    if made.status.success() {
        return Some(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()));
    }
    let why = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "scripts/{name}: {why}");
    eprintln!("SKIPPED: scripts/{name} cannot make it here: {why}");
    None
}

/// Where a program is.
#[must_use]
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.exists())
}

/// The path of a shared library, by the name that the loader knows it by; as [`present`].
///
/// # Panics
/// As [`present`].
#[must_use]
pub fn library(name: &str) -> Option<String> {
    let known = Command::new("/sbin/ldconfig").arg("-p").output().ok();
    let known = known.map(|known| String::from_utf8_lossy(&known.stdout).into_owned());
    let known = known.unwrap_or_default();
    let paths = known.lines().filter_map(|line| line.split_once(" => ")).map(|(_, path)| path);
    let found = paths.filter(|path| path.contains(name)).min_by_key(|path| path.len());
    present(found.map(str::to_owned), name)
}

/// Compiles `workloads/c/SOURCE` to a library at `to`; as [`present`]. A library that is there is
/// replaced at once, since a process may have it.
///
/// # Panics
/// As [`present`]; if there is a compiler and it fails.
#[must_use]
pub fn compiled(compiler: &str, flags: &[&str], source: &str, to: &Path) -> Option<PathBuf> {
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    let compiler = present(which(compiler), compiler)?;
    let number = BEGUN.fetch_add(1, Ordering::Relaxed);
    let begun = to.with_extension(format!("{}-{number}.new", std::process::id()));
    let mut compile = Command::new(compiler);
    compile.args(["-shared", "-fPIC"]).args(flags).arg("-o").arg(&begun);
    let done = compile.arg(script("c").join(source)).output().expect("it runs");
    assert!(done.status.success(), "{source}: {}", String::from_utf8_lossy(&done.stderr));
    std::fs::rename(&begun, to).expect("one folder");
    Some(to.to_owned())
}
