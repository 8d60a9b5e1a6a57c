//! Where is the interpreter in a process, and which one is it?
//!
//! Nothing is believed because of a name: `type` must be its own type, the runtime must lead to
//! interpreters whose threads lead back to them. What does not hold is refused with a sentence.

use crate::layout::debug_offsets::DebugOffsets;
use crate::layout::{Layouts, TypeFlags};
use crate::runtime::{MOST_INTERPRETERS, gil_is_on, walk_list};
use crate::version::{Build, Version};
use crate::{dict, text};
use memwhy_model::{Addr, AddrRange, ProblemKind, Problems, PythonAbout, Trust};
use memwhy_native::{Image, Images};
use memwhy_target::{MemoryExt, View};
use std::fmt;

/// The interpreter of a process.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// Which one.
    pub build: Build,
    /// Where things are in it.
    pub layouts: Layouts,
    /// How that is known.
    pub trust: Trust,
    /// Whether threads wait for a GIL.
    pub gil: bool,
    /// The file that holds it.
    pub image: String,
    /// `_PyRuntime`, since 3.7.
    pub runtime: Option<Addr>,
    /// The newest interpreter: the first of the list.
    pub first: Addr,
    /// 2.7 and 3.6: where the pointer to the thread state is that has the GIL.
    pub current_thread: Option<Addr>,
    /// `type`.
    pub type_type: Addr,
    /// The present parts of its writable data.
    pub data: Vec<AddrRange>,
    /// All of its writable data.
    pub all_data: Vec<AddrRange>,
}

impl Interpreter {
    /// Which interpreter it is.
    #[must_use]
    pub fn about(&self) -> PythonAbout {
        PythonAbout {
            version: self.build.version.to_string(),
            free_threaded: self.build.free_threaded,
            gil: self.gil,
            debug: self.build.debug,
            layout: self.trust,
            image: self.image.clone(),
        }
    }
}

/// Why a process has no interpreter that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing exports what every CPython exports.
    NoPython,
    /// No version is to be found.
    NoVersion {
        /// The file that looks like an interpreter.
        image: String,
    },
    /// No layout is known for it.
    UnknownBuild {
        /// Which.
        version: String,
    },
    /// An invariant does not hold.
    NotAsExpected {
        /// Which version was found.
        version: String,
        /// What does not hold.
        what: &'static str,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPython => f.write_str("it has no Python interpreter"),
            Self::NoVersion { image } => {
                write!(f, "{image} looks like Python, but its version is not to be found")
            }
            Self::UnknownBuild { version } => {
                write!(f, "CPython {version} is none whose layout memwhy knows")
            }
            Self::NotAsExpected { version, what } => {
                write!(f, "CPython {version} is not laid out as memwhy knows it: {what}")
            }
        }
    }
}

/// Finds the interpreter, its version and its layouts.
///
/// # Errors
/// If there is none, or one that cannot be read.
pub fn find(view: &View, images: &Images, problems: &mut Problems) -> Result<Interpreter, Refusal> {
    find_knowing(view, images, None, problems)
}

/// The same as if no release after `newest` had ever been seen: so it is tested how those are read
/// that are not out yet.
///
/// # Errors
/// As [`find`].
pub fn find_knowing(
    view: &View,
    images: &Images,
    newest: Option<Version>,
    problems: &mut Problems,
) -> Result<Interpreter, Refusal> {
    let (image, type_type) = images.exporter("PyType_Type").ok_or(Refusal::NoPython)?;
    let data = view.pages().present(&image.data);
    let runtime = image
        .exported("_PyRuntime")
        .or_else(|| image.section(".PyRuntime").map(|section| section.start));
    let offsets = runtime.and_then(|at| DebugOffsets::read(view, at, newest).ok().flatten());
    let mut build = if let Some(offsets) = &offsets {
        offsets.build
    } else {
        let version = version_of(view, image, &data);
        Build::gil(version.ok_or(Refusal::NoVersion { image: image.path.clone() })?)
    };
    // Only builds that check reference counts have it.
    build.debug = image.exported("_Py_NegativeRefcount").is_some();
    let known = Build { version: newest.map_or(build.version, |v| v.min(build.version)), ..build };
    let (mut layouts, mut trust) = Layouts::for_build(known)
        .map_err(|_| Refusal::UnknownBuild { version: build.version.to_string() })?;
    if known != build {
        trust = Trust::Extrapolated;
    }
    if let Some(offsets) = &offsets {
        offsets.apply(&mut layouts, problems);
    }
    let refuse = |what| Refusal::NotAsExpected { version: build.version.to_string(), what };
    if let Some(named) = version_in_name(image.file_name())
        && named != build.version.series()
    {
        problems.note(ProblemKind::LayoutDisagrees, || {
            format!("{} holds CPython {}", image.file_name(), build.version)
        });
    }
    // Python 2.7 only; the names of its functions say how wide a `Py_UNICODE` is.
    if image.exported("PyUnicodeUCS2_GetSize").is_some() {
        layouts.unicode_unit = 2;
    }
    let runtime = runtime.filter(|_| layouts.runtime_state.is_some());
    let first = first_interpreter(view, image, runtime, &layouts, &data);
    let first = first.ok_or(refuse("nothing leads to its first interpreter"))?;
    let mut found = Interpreter {
        build,
        layouts,
        trust,
        gil: true,
        image: image.path.clone(),
        runtime,
        first,
        current_thread: image.exported("_PyThreadState_Current").filter(|_| runtime.is_none()),
        type_type,
        data,
        all_data: image.data.clone(),
    };
    if trust == Trust::Extrapolated && found.objection(view).is_some() {
        found.place_modules(view, problems);
    }
    found.objection(view).map_or(Ok(()), |what| Err(refuse(what)))?;
    if trust == Trust::Extrapolated {
        found.place_thread_numbers(view, problems);
    }
    found.gil = gil_is_on(view, &found);
    Ok(found)
}

impl Interpreter {
    /// What of its layouts does not hold in memory, if something does not.
    #[must_use]
    pub fn objection(&self, view: &View) -> Option<&'static str> {
        let layouts = &self.layouts;
        if !is_type_of_types(view, layouts, self.type_type) {
            return Some("type is not its own type");
        }
        // The main interpreter is the oldest, the last of the list; younger ones may have no thread.
        let next = |at| layouts.interpreter_state.next.read(view, at).ok().flatten();
        let (all, _) = walk_list(Some(self.first), MOST_INTERPRETERS, next);
        what_is_wrong(view, layouts, all.last().copied().unwrap_or(self.first))
    }

    /// Looks where in the state of the main interpreter `sys.modules` is: no other dict there has a
    /// module `sys`. A new release puts other members before it.
    fn place_modules(&mut self, view: &View, problems: &mut Problems) {
        let layouts = &self.layouts;
        let fields = layouts.interpreter_state;
        let next = |at| fields.next.read(view, at).ok().flatten();
        let (all, _) = walk_list(Some(self.first), MOST_INTERPRETERS, next);
        let Some(main) = all.last().copied() else { return };
        let is_modules = |offset: &u64| {
            let dict = view.ptr(main.at(*offset)).ok().flatten();
            let Some(dict) = dict.filter(|at| at.is_aligned(8)) else { return false };
            let ty = layouts.object.ob_type.read(view, dict).ok().flatten();
            let flags = ty.and_then(|ty| layouts.type_object.tp_flags.read(view, ty).ok());
            flags.is_some_and(|flags| flags & TypeFlags::DICT_SUBCLASS != 0)
                && dict::get(view, layouts, dict, "sys")
                    .ok()
                    .flatten()
                    .is_some_and(|sys| name_of_module(view, layouts, sys).as_deref() == Some("sys"))
        };
        let found = (0..fields.size.min(1 << 16)).step_by(8).find(is_modules);
        let table = fields.modules.offset;
        if let Some(offset) = found.filter(|offset| *offset != table) {
            problems.note(ProblemKind::LayoutDisagrees, || {
                format!("sys.modules is at {offset} of an interpreter, not at {table}")
            });
            let dicts = ["sys", "builtins"].map(|name| {
                let dict = view.ptr(main.at(offset)).ok().flatten()?;
                let module = dict::get(view, layouts, dict, name).ok().flatten()?;
                let namespace = layouts.module.md_dict.read(view, module).ok().flatten()?;
                let is_it = |at: &u64| view.ptr(main.at(*at)) == Ok(Some(namespace));
                (0..fields.size.min(1 << 16)).step_by(8).find(is_it)
            });
            let fields = &mut self.layouts.interpreter_state;
            fields.modules.offset = offset;
            let [sysdict, builtins] = dicts;
            fields.sysdict.offset = sysdict.unwrap_or(fields.sysdict.offset);
            fields.builtins.offset = builtins.unwrap_or(fields.builtins.offset);
        }
    }

    /// Looks where in the states of threads their numbers are: every one has to be that of a thread
    /// of the process. A new release puts other members before them.
    fn place_thread_numbers(&mut self, view: &View, problems: &mut Problems) {
        let Some(process) = view.process() else { return };
        let Some(mut native) = self.layouts.thread_state.native_thread_id else { return };
        let numbers: Vec<u64> = process.tids().into_iter().map(u64::from).collect();
        let fields = self.layouts.thread_state;
        let first = self.layouts.interpreter_state.threads_head.read(view, self.first);
        let next = |at| fields.next.read(view, at).ok().flatten();
        let (threads, _) = walk_list(first.ok().flatten(), numbers.len(), next);
        let fits = |offset: u64| {
            let mut seen: Vec<u64> =
                threads.iter().filter_map(|at| view.u64(at.at(offset)).ok()).collect();
            seen.retain(|number| numbers.contains(number));
            seen.sort_unstable();
            seen.dedup();
            !seen.is_empty() && seen.len() == threads.len()
        };
        let table = native.offset;
        let places = [table].into_iter().chain((8..fields.size.min(4096)).step_by(8));
        match places.into_iter().find(|offset| fits(*offset)) {
            Some(offset) if offset == table => {}
            Some(offset) => {
                problems.note(ProblemKind::LayoutDisagrees, || {
                    format!(
                        "the numbers of threads are at {offset} of their states, not at {table}"
                    )
                });
                native.offset = offset;
                self.layouts.thread_state.native_thread_id = Some(native);
                // `thread_id` has been the word before them since they are there, 3.11.
                self.layouts.thread_state.thread_id.offset = offset.saturating_sub(8);
            }
            None => problems.note(ProblemKind::CalibrationFailed, || {
                format!("the numbers of threads are not at {table} of their states, nor near")
            }),
        }
    }
}

/// The head of the list of interpreters: in the runtime, or a static variable of 2.7 and 3.6 that
/// stripped files do not name.
fn first_interpreter(
    view: &View,
    image: &Image,
    runtime: Option<Addr>,
    layouts: &Layouts,
    data: &[AddrRange],
) -> Option<Addr> {
    if let (Some(runtime), Some(fields)) = (runtime, layouts.runtime_state) {
        return fields.interpreters_head.read(view, runtime).ok()?;
    }
    let named = image.symbol("interp_head").and_then(|at| view.ptr(at).ok()?);
    named.or_else(|| search_interpreter(view, layouts, data))
}

/// The first word of `data` that points at an interpreter.
fn search_interpreter(view: &View, layouts: &Layouts, data: &[AddrRange]) -> Option<Addr> {
    const PIECE: u64 = 4096;
    for range in data {
        let mut at = range.start;
        while let Some(left) = range.end.checked_since(at).filter(|left| *left > 0) {
            let words = view.words(at, left.min(PIECE) / 8, 512).unwrap_or_default();
            let mut candidates = words.into_iter().map(Addr);
            let found = candidates.find(|candidate| {
                let plausible = candidate.is_aligned(8) && candidate.0 >= PIECE;
                plausible && what_is_wrong(view, layouts, *candidate).is_none()
            });
            if found.is_some() {
                return found;
            }
            at = at.at(PIECE);
        }
    }
    None
}

/// What does not hold if there is an interpreter at `first`.
fn what_is_wrong(view: &View, layouts: &Layouts, first: Addr) -> Option<&'static str> {
    let fields = &layouts.interpreter_state;
    let Ok(Some(thread)) = fields.threads_head.read(view, first) else {
        return Some("its main interpreter has no thread");
    };
    if layouts.thread_state.interp.read(view, thread) != Ok(Some(first)) {
        return Some("a thread does not lead back to its interpreter");
    }
    let modules = fields.modules.read(view, first).ok().flatten();
    let sys = modules.map(|modules| dict::get(view, layouts, modules, "sys"));
    match sys {
        Some(Ok(Some(sys))) => {
            let named = name_of_module(view, layouts, sys);
            (named.as_deref() != Some("sys")).then_some("the module sys has another name")
        }
        Some(Ok(None) | Err(_)) => Some("sys.modules has no member sys"),
        None => Some("there is no sys.modules: it starts or ends just now"),
    }
}

fn name_of_module(view: &View, layouts: &Layouts, module: Addr) -> Option<String> {
    let own = layouts.module.md_dict.read(view, module).ok().flatten()?;
    let name = dict::get(view, layouts, own, "__name__").ok().flatten()?;
    text::read(view, layouts, name, 16).ok()
}

fn is_type_of_types(view: &View, layouts: &Layouts, at: Addr) -> bool {
    let fields = &layouts.type_object;
    let name = fields.tp_name.read(view, at).ok().flatten();
    let flags = fields.tp_flags.read(view, at).unwrap_or(0);
    layouts.object.ob_type.read(view, at) == Ok(Some(at))
        && name.is_some_and(|name| view.c_string(name, 16).is_ok_and(|name| name == "type"))
        && flags & TypeFlags::TYPE_SUBCLASS != 0
}

/// `Py_Version` (3.11), else the text that `Py_GetVersion` made at start-up.
fn version_of(view: &View, image: &Image, data: &[AddrRange]) -> Option<Version> {
    let stated = image.exported("Py_Version").and_then(|at| view.u32(at).ok());
    if let Some(version) = stated.and_then(Version::from_hex) {
        return Some(version);
    }
    data.iter().find_map(|range| {
        let bytes = view.bytes(range.start, range.len(), 64 << 20).ok()?;
        version_text(&bytes)
    })
}

/// The first `X.Y.Z (` in `bytes`: how `sys.version` begins.
fn version_text(bytes: &[u8]) -> Option<Version> {
    let mut from = 0;
    while let Some(found) = bytes.get(from..)?.windows(2).position(|two| two == b" (") {
        let end = from + found;
        from = end + 2;
        let start =
            bytes.get(..end)?.iter().rposition(|b| !is_version_byte(*b)).map_or(0, |n| n + 1);
        let text = std::str::from_utf8(bytes.get(start..end)?).unwrap_or_default();
        if text.bytes().filter(|byte| *byte == b'.').count() == 2
            && let Ok(version) = text.parse::<Version>()
        {
            return Some(version);
        }
    }
    None
}

const fn is_version_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'+'
}

/// `(3, 11)` of `python3.11` or `libpython3.11.so.1.0`.
fn version_in_name(name: &str) -> Option<(u8, u8)> {
    let rest = name.strip_prefix("lib").unwrap_or(name).strip_prefix("python")?;
    let (major, rest) = rest.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest.get(..end)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{version_in_name, version_text};
    use crate::version::v3p;

    #[test]
    fn a_version_is_what_sys_version_begins_with() {
        let bytes = b"\0\0see 1.2 (a)\0\x003.9.18 (main, Nov  1 2026)\0";
        assert_eq!(version_text(bytes), Some(v3p(9, 18)));
        assert_eq!(version_text(b"no version here (really)"), None);
    }

    #[test]
    fn names_of_files_tell_the_series() {
        assert_eq!(version_in_name("libpython3.11.so.1.0"), Some((3, 11)));
        assert_eq!(version_in_name("python3.9"), Some((3, 9)));
        assert_eq!(version_in_name("gunicorn"), None);
    }
}
