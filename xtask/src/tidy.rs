//! Does the code keep the rules that neither the compiler nor clippy checks?
//!
//! | rule | why |
//! |---|---|
//! | arrows | a crate knows only those to its left, see ARCHITECTURE.md |
//! | versions | releases are compared in `layout/` and `version.rs`; other code asks for a shape |
//! | unsafe | every crate forbids it, but for `target/src/sys` and `act/src/sys` |
//! | length | a file beyond 500 lines of code (tests and tables apart) is two files |
//! | question | the first line of a file says which question it answers |
//! | drawers | a thing without a name of its own has no home yet: no `utils`, `common`, … |
//! | listed | every command and every cause is in the README |

use std::path::{Path, PathBuf};

/// Lines of code that one file may have.
const LONGEST: usize = 500;

/// Names of files and folders that say nothing of what is in them.
const DRAWERS: [&str; 8] =
    ["util", "utils", "common", "helper", "helpers", "misc", "shared", "stuff"];

/// What compares releases, or asks for one.
const VERSIONS: [&str; 7] = ["v3(", "v3p(", "V2_7", ".major", ".minor", ".micro", ".reaches("];

/// Where releases may be named.
const VERSIONED: [&str; 2] = ["crates/python/src/layout/", "crates/python/src/version.rs"];

/// Where unsafe code may be: what reads a process, and what writes into one.
const UNSAFE: [&str; 2] = ["crates/target/src/sys/", "crates/act/src/sys/"];

/// Which crates of ours a crate may know; tests may know more.
const ARROWS: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("target", &["model"]),
    ("native", &["model", "target"]),
    ("python", &["model", "target", "native"]),
    ("reason", &["model"]),
    ("report", &["model", "reason"]),
    ("store", &["model"]),
    ("act", &["model", "target", "native", "python"]),
    ("memwhy", &["model", "target", "native", "python", "reason", "report", "store", "act"]),
    ("testkit", &["model", "target"]),
];

/// Checks every rule; prints what breaks one.
pub(crate) fn run() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no parent")?;
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "workloads", "scripts", "docs"] {
        files_below(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut tidy = Tidy { root, broken: Vec::new() };
    let mut code = 0;
    for path in &files {
        tidy.drawers(path);
        if path.extension().is_some_and(|extension| extension == "rs") {
            code += tidy.source(path)?;
        }
    }
    tidy.arrows()?;
    tidy.listed()?;
    if !tidy.broken.is_empty() {
        let count = tidy.broken.len();
        return Err(format!("{}\n{count} to tidy", tidy.broken.join("\n")));
    }
    crate::layout::say(&format!(
        "{} files are tidy, {code} lines of Rust without tests",
        files.len()
    ));
    Ok(())
}

struct Tidy<'r> {
    root: &'r Path,
    broken: Vec<String>,
}

impl Tidy<'_> {
    /// The path as it is written in the documents.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.root).unwrap_or(path).display().to_string()
    }

    fn broken(&mut self, path: &Path, rule: &str) {
        let line = format!("{}: {rule}", self.name(path));
        self.broken.push(line);
    }

    fn drawers(&mut self, path: &Path) {
        let inside = path.strip_prefix(self.root).unwrap_or(path);
        let drawer = inside.iter().find(|part| {
            let stem = Path::new(part).file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
            DRAWERS.contains(&stem)
        });
        if let Some(drawer) = drawer {
            let drawer = drawer.display();
            self.broken(path, &format!("{drawer} is a drawer: name it after what is in it"));
        }
    }

    /// Checks one file of Rust; returns how many lines of code it has.
    fn source(&mut self, path: &Path) -> Result<usize, String> {
        let text = read(path)?;
        let name = self.name(path);
        if !text.starts_with("//!") {
            self.broken(path, "the first line says which question the file answers: `//! …?`");
        }
        let below_src = name.contains("/src/");
        let lines = if below_src { without_tests(&text) } else { Vec::new() };
        if lines.len() > LONGEST && !name.contains("/layout/tables/") {
            self.broken(path, &format!("{} lines of code, at most {LONGEST}", lines.len()));
        }
        if name.starts_with("crates/") && !VERSIONED.iter().any(|place| name.starts_with(place)) {
            for (number, line) in &lines {
                if let Some(sign) = VERSIONS.iter().find(|sign| names(line, sign)) {
                    let rule =
                        format!("line {number} asks for a version ({sign}…): ask for a shape");
                    self.broken(path, &rule);
                }
            }
        }
        let is_sys = UNSAFE.iter().any(|place| name.starts_with(place));
        if !is_sys
            && lines
                .iter()
                .any(|(_, line)| line.starts_with('#') && line.contains("allow(unsafe_code)"))
        {
            self.broken(path, "unsafe code lives in the `sys` of target and of act");
        }
        let is_root = name.ends_with("/src/lib.rs") || name.ends_with("/src/main.rs");
        let may = UNSAFE.iter().any(|place| place.trim_end_matches("sys/") == without_file(&name));
        if is_root && !may && !text.contains("#![forbid(unsafe_code)]") {
            self.broken(path, "it does not forbid unsafe code");
        }
        Ok(lines.len())
    }

    /// The compiler keeps arrows from going in circles; this keeps them from growing in number.
    fn arrows(&mut self) -> Result<(), String> {
        for (name, may_know) in ARROWS {
            let path = self.root.join("crates").join(name).join("Cargo.toml");
            let text = read(&path)?;
            let section = text.split("\n[").find(|section| section.starts_with("dependencies]"));
            let ours = section
                .into_iter()
                .flat_map(str::lines)
                .filter_map(|line| line.strip_prefix("memwhy-")?.split(['.', ' ', '=']).next());
            for known in ours.filter(|known| !may_know.contains(known)).collect::<Vec<_>>() {
                self.broken(&path, &format!("{name} must not know {known}"));
            }
        }
        Ok(())
    }

    fn listed(&mut self) -> Result<(), String> {
        let readme = self.root.join("README.md");
        let text = read(&readme)?;
        for command in self.commands()? {
            if !text.contains(&format!("`memwhy {command}")) {
                self.broken(&readme, &format!("the command {command} is not listed"));
            }
        }
        for cause in self.causes()? {
            if !text.contains(&format!("`{cause}`")) {
                self.broken(&readme, &format!("the cause {cause} is not listed"));
            }
        }
        Ok(())
    }

    /// The names in `commands! { … }`.
    fn commands(&self) -> Result<Vec<String>, String> {
        let path = self.root.join("crates/memwhy/src/commands/mod.rs");
        let text = read(&path)?;
        let list = text.split("\ncommands! {").nth(1).and_then(|rest| rest.split("\n}").next());
        let lines = list.unwrap_or_default().lines();
        let entries = lines.filter_map(|line| line.split_once(" => "));
        let names: Vec<String> = entries.map(|(name, _)| name.trim().to_lowercase()).collect();
        if names.is_empty() { Err(format!("{}: no commands", path.display())) } else { Ok(names) }
    }

    /// The ids of all hypotheses.
    fn causes(&self) -> Result<Vec<String>, String> {
        let folder = self.root.join("crates/reason/src/hypotheses");
        let mut files = Vec::new();
        files_below(&folder, &mut files)?;
        let mut ids = vec!["none".to_owned()];
        for path in files {
            let text = read(&path)?;
            let after = text.split("fn id(&self) -> &'static str {").nth(1);
            ids.extend(after.and_then(|rest| rest.split('"').nth(1)).map(str::to_owned));
        }
        if ids.len() < 2 { Err(format!("{}: no causes", folder.display())) } else { Ok(ids) }
    }
}

/// The folder of a file, with its last slash.
fn without_file(name: &str) -> &str {
    name.rfind('/').and_then(|slash| name.get(..=slash)).unwrap_or_default()
}

/// Whether `line` has `sign` as a name of its own: `uv3(` is not `v3(`.
fn names(line: &str, sign: &str) -> bool {
    line.match_indices(sign).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        sign.starts_with('.') || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The numbered lines of code before the tests, without blank ones and comments.
fn without_tests(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let numbered = (1..).zip(lines.map(str::trim));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with("//")).collect()
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') || name == "__pycache__" || name == "target" {
            continue;
        }
        if path.is_dir() {
            files_below(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{names, without_tests};

    #[test]
    fn a_version_is_told_from_what_only_ends_like_one() {
        assert!(names("if version >= v3(11) {", "v3("));
        assert!(!names("let x = iv3(11);", "v3("));
        assert!(names("build.version.minor", ".minor"));
    }

    #[test]
    fn tests_blank_lines_and_comments_are_no_code() {
        let text = "//! Why?\n\nfn one() {}\n    // so\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(without_tests(text), [(3, "fn one() {}")]);
    }
}
