//! What does the interpreter say of its own layout?
//!
//! From 3.13 on `_PyRuntime` begins with `_Py_DebugOffsets`: sizes and offsets made by the compiler
//! that made the interpreter. They are believed once they pass a few tests, and then override the
//! tables; where they differ, the user is told. They do not cover everything: no key tables of
//! dicts, no lists of the collector, no pymalloc.
//!
//! Source: `Include/internal/pycore_runtime.h`, 3.13; `pycore_debug_offsets.h` from 3.14.

use super::{Layouts, NEWEST_VERIFIED};
use crate::version::{Build, Version, v3};
use memwhy_model::{Addr, ProblemKind, Problems};
use memwhy_target::memory::{Fault, Memory, MemoryExt};
use std::collections::BTreeMap;

/// The first bytes of the struct.
const COOKIE: &[u8; 8] = b"xdebugpy";

/// No struct of an interpreter is larger: above it, the numbers are something else.
const LARGEST: u64 = 1 << 20;

/// One number of the struct, and what it is about.
#[derive(Clone, Copy, Debug)]
struct Published {
    /// Its name in `_Py_DebugOffsets`.
    name: &'static str,
    /// The struct it is about.
    of: &'static str,
    /// The member it is about, empty for the size.
    member: &'static str,
    /// Where it is in 3.13, 3.14 and 3.15.
    at: [Option<usize>; 3],
}

const fn published(
    name: &'static str,
    of: &'static str,
    member: &'static str,
    at: [Option<usize>; 3],
) -> Published {
    Published { name, of, member, at }
}

const PUBLISHED: &[Published] = &[
    published("runtime_state.size", "pyruntimestate", "", [Some(24), Some(24), Some(24)]),
    published(
        "runtime_state.interpreters_head",
        "pyruntimestate",
        "interpreters.head",
        [Some(40), Some(40), Some(40)],
    ),
    published("interpreter_state.size", "_is", "", [Some(48), Some(48), Some(48)]),
    published("interpreter_state.id", "_is", "id", [Some(56), Some(56), Some(56)]),
    published("interpreter_state.next", "_is", "next", [Some(64), Some(64), Some(64)]),
    published(
        "interpreter_state.threads_head",
        "_is",
        "threads.head",
        [Some(72), Some(72), Some(72)],
    ),
    published("interpreter_state.gc", "_is", "gc", [Some(80), Some(88), Some(88)]),
    published(
        "interpreter_state.imports_modules",
        "_is",
        "imports.modules",
        [Some(88), Some(96), Some(96)],
    ),
    published("interpreter_state.sysdict", "_is", "sysdict", [Some(96), Some(104), Some(104)]),
    published("interpreter_state.builtins", "_is", "builtins", [Some(104), Some(112), Some(112)]),
    published("interpreter_state.ceval_gil", "_is", "ceval.gil", [Some(112), Some(120), Some(120)]),
    published("thread_state.size", "_ts", "", [Some(152), Some(176), Some(176)]),
    published("thread_state.prev", "_ts", "prev", [Some(160), Some(184), Some(184)]),
    published("thread_state.next", "_ts", "next", [Some(168), Some(192), Some(192)]),
    published("thread_state.interp", "_ts", "interp", [Some(176), Some(200), Some(200)]),
    published(
        "thread_state.current_frame",
        "_ts",
        "current_frame",
        [Some(184), Some(208), Some(208)],
    ),
    published("thread_state.thread_id", "_ts", "thread_id", [Some(192), Some(216), Some(240)]),
    published(
        "thread_state.native_thread_id",
        "_ts",
        "native_thread_id",
        [Some(200), Some(224), Some(248)],
    ),
    published(
        "thread_state.datastack_chunk",
        "_ts",
        "datastack_chunk",
        [Some(208), Some(232), Some(256)],
    ),
    published("thread_state.holds_gil", "_ts", "holds_gil", [None, None, Some(272)]),
    published(
        "thread_state.current_exception",
        "_ts",
        "current_exception",
        [None, None, Some(288)],
    ),
    published(
        "interpreter_frame.size",
        "_PyInterpreterFrame",
        "",
        [Some(224), Some(248), Some(312)],
    ),
    published(
        "interpreter_frame.previous",
        "_PyInterpreterFrame",
        "previous",
        [Some(232), Some(256), Some(320)],
    ),
    published(
        "interpreter_frame.executable",
        "_PyInterpreterFrame",
        "f_executable",
        [Some(240), Some(264), Some(328)],
    ),
    published(
        "interpreter_frame.instr_ptr",
        "_PyInterpreterFrame",
        "instr_ptr",
        [Some(248), Some(272), Some(336)],
    ),
    published(
        "interpreter_frame.localsplus",
        "_PyInterpreterFrame",
        "localsplus",
        [Some(256), Some(280), Some(344)],
    ),
    published(
        "interpreter_frame.owner",
        "_PyInterpreterFrame",
        "owner",
        [Some(264), Some(288), Some(352)],
    ),
    published(
        "interpreter_frame.stackpointer",
        "_PyInterpreterFrame",
        "stackpointer",
        [None, Some(296), Some(360)],
    ),
    published(
        "interpreter_frame.tlbc_index",
        "_PyInterpreterFrame",
        "tlbc_index",
        [None, Some(304), Some(368)],
    ),
    published("code_object.size", "PyCodeObject", "", [Some(272), Some(312), Some(376)]),
    published(
        "code_object.filename",
        "PyCodeObject",
        "co_filename",
        [Some(280), Some(320), Some(384)],
    ),
    published("code_object.name", "PyCodeObject", "co_name", [Some(288), Some(328), Some(392)]),
    published(
        "code_object.qualname",
        "PyCodeObject",
        "co_qualname",
        [Some(296), Some(336), Some(400)],
    ),
    published(
        "code_object.linetable",
        "PyCodeObject",
        "co_linetable",
        [Some(304), Some(344), Some(408)],
    ),
    published(
        "code_object.firstlineno",
        "PyCodeObject",
        "co_firstlineno",
        [Some(312), Some(352), Some(416)],
    ),
    published(
        "code_object.argcount",
        "PyCodeObject",
        "co_argcount",
        [Some(320), Some(360), Some(424)],
    ),
    published(
        "code_object.localsplusnames",
        "PyCodeObject",
        "co_localsplusnames",
        [Some(328), Some(368), Some(432)],
    ),
    published(
        "code_object.localspluskinds",
        "PyCodeObject",
        "co_localspluskinds",
        [Some(336), Some(376), Some(440)],
    ),
    published(
        "code_object.co_code_adaptive",
        "PyCodeObject",
        "co_code_adaptive",
        [Some(344), Some(384), Some(448)],
    ),
    published("code_object.co_tlbc", "PyCodeObject", "co_tlbc", [None, Some(392), Some(456)]),
    published("pyobject.size", "_object", "", [Some(352), Some(400), Some(464)]),
    published("pyobject.ob_type", "_object", "ob_type", [Some(360), Some(408), Some(472)]),
    published("type_object.size", "_typeobject", "", [Some(368), Some(416), Some(480)]),
    published("type_object.tp_name", "_typeobject", "tp_name", [Some(376), Some(424), Some(488)]),
    published("type_object.tp_flags", "_typeobject", "tp_flags", [Some(392), Some(440), Some(504)]),
    published("type_object.tp_basicsize", "_typeobject", "tp_basicsize", [None, None, Some(512)]),
    published("type_object.tp_dictoffset", "_typeobject", "tp_dictoffset", [None, None, Some(520)]),
    published("heap_type_object.size", "_heaptypeobject", "", [None, None, Some(528)]),
    published(
        "heap_type_object.ht_cached_keys",
        "_heaptypeobject",
        "ht_cached_keys",
        [None, None, Some(536)],
    ),
    published("tuple_object.size", "PyTupleObject", "", [Some(400), Some(448), Some(544)]),
    published(
        "tuple_object.ob_item",
        "PyTupleObject",
        "ob_item",
        [Some(408), Some(456), Some(552)],
    ),
    published("tuple_object.ob_size", "PyVarObject", "ob_size", [Some(416), Some(464), Some(560)]),
    published("list_object.size", "PyListObject", "", [Some(424), Some(472), Some(568)]),
    published("list_object.ob_item", "PyListObject", "ob_item", [Some(432), Some(480), Some(576)]),
    published("set_object.size", "PySetObject", "", [None, Some(496), Some(592)]),
    published("set_object.used", "PySetObject", "used", [None, Some(504), Some(600)]),
    published("set_object.table", "PySetObject", "table", [None, Some(512), Some(608)]),
    published("set_object.mask", "PySetObject", "mask", [None, Some(520), Some(616)]),
    published("dict_object.size", "_dictobject", "", [Some(448), Some(528), Some(624)]),
    published("dict_object.ma_keys", "_dictobject", "ma_keys", [Some(456), Some(536), Some(632)]),
    published(
        "dict_object.ma_values",
        "_dictobject",
        "ma_values",
        [Some(464), Some(544), Some(640)],
    ),
    published("long_object.size", "_longobject", "", [Some(488), Some(568), Some(664)]),
    published(
        "long_object.lv_tag",
        "_longobject",
        "long_value.lv_tag",
        [Some(496), Some(576), Some(672)],
    ),
    published(
        "long_object.ob_digit",
        "_longobject",
        "long_value.ob_digit",
        [Some(504), Some(584), Some(680)],
    ),
    published("bytes_object.size", "PyBytesObject", "", [Some(512), Some(592), Some(688)]),
    published(
        "bytes_object.ob_sval",
        "PyBytesObject",
        "ob_sval",
        [Some(528), Some(608), Some(704)],
    ),
    published("unicode_object.size", "PyUnicodeObject", "", [Some(536), Some(616), Some(712)]),
    published(
        "unicode_object.length",
        "PyASCIIObject",
        "length",
        [Some(552), Some(632), Some(728)],
    ),
    published(
        "unicode_object.asciiobject_size",
        "PyASCIIObject",
        "",
        [Some(560), Some(640), Some(736)],
    ),
    published("gc.size", "_gc_runtime_state", "", [Some(568), Some(648), Some(752)]),
    published(
        "gc.collecting",
        "_gc_runtime_state",
        "collecting",
        [Some(576), Some(656), Some(760)],
    ),
    published("gen_object.size", "PyGenObject", "", [None, Some(664), Some(792)]),
    published("gen_object.gi_name", "PyGenObject", "gi_name", [None, Some(672), Some(800)]),
    published("gen_object.gi_iframe", "PyGenObject", "gi_iframe", [None, Some(680), Some(808)]),
    published(
        "gen_object.gi_frame_state",
        "PyGenObject",
        "gi_frame_state",
        [None, Some(688), Some(816)],
    ),
];

/// How long the struct is in 3.13, 3.14 and 3.15.
const LENGTHS: [u64; 3] = [584, 760, 888];

/// What an interpreter publishes of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugOffsets {
    /// Which CPython, and whether it has a GIL.
    pub build: Build,
    /// Struct and member to offset; an empty member is the size.
    numbers: BTreeMap<(&'static str, &'static str), u64>,
    /// What did not pass the tests.
    refused: Vec<String>,
    /// Whether they are read as those of another release, because theirs was never seen.
    unseen: bool,
}

impl DebugOffsets {
    /// Reads them at the start of `_PyRuntime`, `None` if there are none; as if no release after
    /// `newest` were known.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub fn read(
        mem: &dyn Memory,
        runtime: Addr,
        newest: Option<Version>,
    ) -> Result<Option<Self>, Fault> {
        let head: [u8; 24] = mem.array(runtime)?;
        let Some((version, generation)) = head_of(&head) else { return Ok(None) };
        let unseen = newest.is_some_and(|newest| newest < version)
            || version.series() > NEWEST_VERIFIED.series();
        // Who knows nothing newer takes it for the newest that is known.
        let generation = newest.map_or(Some(generation), |newest| {
            generation_of(newest).map(|known| known.min(generation))
        });
        let Some(generation) = generation else { return Ok(None) };
        let length = LENGTHS.get(generation).copied().unwrap_or_default();
        let bytes = mem.bytes(runtime, length, 4096)?;
        let free_threaded = head.get(16).is_some_and(|flag| *flag == 1);
        let build = Build { version, free_threaded, debug: false };
        Ok(Some(Self { unseen, ..Self::parse(build, generation, &bytes) }))
    }

    fn parse(build: Build, generation: usize, bytes: &[u8]) -> Self {
        let mut this = Self { build, numbers: BTreeMap::new(), refused: Vec::new(), unseen: false };
        let number = |entry: &Published| {
            let start = entry.at.get(generation).copied().flatten()?;
            let bytes = bytes.get(start..)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        // Sizes first: a member must lie inside.
        for entry in PUBLISHED.iter().filter(|entry| entry.member.is_empty()) {
            match number(entry) {
                Some(size) if (1..=LARGEST).contains(&size) => {
                    this.numbers.insert((entry.of, entry.member), size);
                }
                Some(size) => this.refused.push(format!("{} is {size}", entry.name)),
                None => {}
            }
        }
        for entry in PUBLISHED.iter().filter(|entry| !entry.member.is_empty()) {
            let Some(offset) = number(entry) else { continue };
            let size = this.numbers.get(&(entry.of, "")).copied();
            if offset < size.unwrap_or(LARGEST) {
                this.numbers.insert((entry.of, entry.member), offset);
            } else if build.free_threaded || !entry.name.contains("tlbc") {
                this.refused.push(format!("{} is {offset}, outside its struct", entry.name));
            }
        }
        this
    }

    /// Puts the published numbers into `layouts`; says where they differ from the tables.
    pub fn apply(&self, layouts: &mut Layouts, problems: &mut Problems) {
        for refused in &self.refused {
            problems.note(ProblemKind::LayoutDisagrees, || {
                format!("debug offsets of {}: {refused}; the table is used", self.build)
            });
        }
        let foreign = self.foreign(layouts);
        for of in &foreign {
            problems.note(ProblemKind::LayoutDisagrees, || {
                format!("debug offsets of {}: not those of a {of}; the table is used", self.build)
            });
        }
        let modules = layouts.interpreter_state.modules.offset;
        // How large structs are with `Py_DEBUG`, no table has.
        let debug = layouts.build.debug;
        layouts.visit(&mut |spot| {
            let Some(offset) = self.numbers.get(&(spot.of, spot.name)).copied() else { return };
            if foreign.contains(&spot.of) {
                return;
            }
            if offset != *spot.offset && !(debug && spot.name.is_empty()) {
                // How large the runtime is depends on the C library: on musl it has nothing for perf.
                if (spot.of, spot.name) != ("pyruntimestate", "") {
                    problems.note(ProblemKind::LayoutDisagrees, || {
                        let name = if spot.name.is_empty() { "size" } else { spot.name };
                        let (of, table) = (spot.of, *spot.offset);
                        format!(
                            "{of}.{name}: the interpreter says {offset}, the table says {table}"
                        )
                    });
                }
                *spot.offset = offset;
            }
        });
        follow_modules(layouts, modules);
    }
}

impl DebugOffsets {
    /// The structs about which the numbers cannot be. A release that nobody has seen puts new
    /// numbers between those that are known, and then each is read where another is. So a size has
    /// to be like that of the table, members apart from each other, and most of them where they
    /// were: only the two large structs move as a whole, and what is in them is tried out.
    fn foreign(&self, layouts: &Layouts) -> Vec<&'static str> {
        const LARGE: [&str; 2] = ["_is", "pyruntimestate"];
        let mut layouts = *layouts;
        let mut table: BTreeMap<&'static str, Vec<(&'static str, u64)>> = BTreeMap::new();
        layouts.visit(&mut |spot| {
            if !spot.name.contains("tlbc") {
                table.entry(spot.of).or_default().push((spot.name, *spot.offset));
            }
        });
        let mut foreign = Vec::new();
        for (of, members) in table {
            let said = |name| self.numbers.get(&(of, name)).copied();
            let (mut stated, mut same) = (Vec::new(), 0);
            let mut like = true;
            for (name, ours) in members {
                let Some(theirs) = said(name) else { continue };
                if name.is_empty() {
                    like = theirs <= ours.saturating_mul(2) && ours <= theirs.saturating_mul(2);
                } else {
                    stated.push(theirs);
                    same += usize::from(theirs == ours);
                }
            }
            let all = stated.len();
            stated.sort_unstable();
            stated.dedup();
            let stays = !self.unseen || LARGE.contains(&of) || all == 0 || same * 2 > all;
            if !like || stated.len() < all || !stays {
                foreign.push(of);
            }
        }
        foreign
    }
}

/// Moves what lies behind `sys.modules` in an interpreter, and is not published, along with it.
///
/// Seen between 3.14.4 and 3.14.5, where the collector in front of it grew.
fn follow_modules(layouts: &mut Layouts, before: u64) {
    let after = layouts.interpreter_state.modules.offset;
    layouts.visit(&mut |spot| {
        let behind =
            ["obmalloc", "object_state.freelists", "types.type_cache"].contains(&spot.name);
        if spot.of == "_is" && behind {
            *spot.offset = spot.offset.saturating_add(after).saturating_sub(before);
        }
    });
}

/// Which generation of the struct is at `runtime`: 0 for 3.13's, 1 for 3.14's, 2 for 3.15's.
#[must_use]
pub(super) fn generation_at(mem: &dyn Memory, runtime: Addr) -> Option<usize> {
    let head: [u8; 24] = mem.array(runtime).ok()?;
    head_of(&head).map(|(_, generation)| generation)
}

/// The version that the head of the struct states, and which of the three generations it is.
fn head_of(head: &[u8; 24]) -> Option<(Version, usize)> {
    let (cookie, rest) = head.split_first_chunk::<8>()?;
    let hex = u64::from_le_bytes(*rest.first_chunk()?);
    let version = Version::from_hex(u32::try_from(hex).ok()?)?;
    (cookie == COOKIE).then_some((version, generation_of(version)?))
}

fn generation_of(version: Version) -> Option<usize> {
    match version {
        version if version.reaches(v3(15)) => Some(2),
        version if version.reaches(v3(14)) => Some(1),
        version if version.reaches(v3(13)) => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{COOKIE, DebugOffsets, LENGTHS, PUBLISHED};
    use crate::layout::Layouts;
    use crate::layout::tables::interpreter_state::FreeListsAt;
    use crate::version::{Build, v3};
    use memwhy_model::{Addr, ProblemKind, Problems};
    use memwhy_target::memory::{Fault, Memory};

    struct Bytes(Vec<u8>);

    impl Memory for Bytes {
        fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
            let start = usize::try_from(addr.0).map_err(|_| Fault::unmapped(addr))?;
            let bytes = self.0.get(start..start + buf.len()).ok_or(Fault::unmapped(addr))?;
            buf.copy_from_slice(bytes);
            Ok(())
        }
    }

    /// What an interpreter would publish that has the layouts of the tables.
    fn said(build: Build, generation: usize) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(LENGTHS[generation]).expect("small")];
        bytes[..8].copy_from_slice(COOKIE);
        bytes[8..12].copy_from_slice(&build.version.to_hex().to_le_bytes());
        bytes[16] = build.free_threaded.into();
        let (mut layouts, _) = Layouts::for_build(build).expect("known");
        layouts.visit(&mut |spot| {
            for entry in PUBLISHED.iter().filter(|e| (e.of, e.member) == (spot.of, spot.name)) {
                if let Some(at) = entry.at[generation] {
                    bytes[at..at + 8].copy_from_slice(&spot.offset.to_le_bytes());
                }
            }
        });
        bytes
    }

    #[test]
    fn what_agrees_with_the_tables_is_no_problem() {
        for (generation, minor) in [13, 14, 15].into_iter().enumerate() {
            for build in [Build::gil(v3(minor)), Build::free_threaded(v3(minor))] {
                let mem = Bytes(said(build, generation));
                let offsets =
                    DebugOffsets::read(&mem, Addr(0), None).expect("readable").expect("there");
                assert_eq!(offsets.build, build);
                let (mut layouts, _) = Layouts::for_build(build).expect("known");
                let mut problems = Problems::default();
                offsets.apply(&mut layouts, &mut problems);
                assert!(problems.is_empty(), "{problems:?}");
            }
        }
    }

    #[test]
    fn a_difference_is_believed_and_told_and_what_lies_behind_follows() {
        let build = Build::gil(v3(13));
        let mut bytes = said(build, 0);
        let modules = PUBLISHED.iter().find(|e| e.name == "interpreter_state.imports_modules");
        let at = modules.and_then(|entry| entry.at[0]).expect("published in 3.13");
        bytes[at..at + 8].copy_from_slice(&7680_u64.to_le_bytes());
        let offsets =
            DebugOffsets::read(&Bytes(bytes), Addr(0), None).expect("readable").expect("there");
        let (table, _) = Layouts::for_build(build).expect("known");
        let (mut layouts, mut problems) = (table, Problems::default());
        offsets.apply(&mut layouts, &mut problems);
        assert_eq!(problems.count(ProblemKind::LayoutDisagrees), 1);
        assert_eq!(layouts.interpreter_state.modules.offset, 7680);
        let freelists = |layouts: &Layouts| match layouts.interpreter_state.freelists {
            FreeListsAt::Inside(field) => field.offset,
            other => panic!("{other:?}"),
        };
        assert_eq!(freelists(&layouts), freelists(&table) + 24);
    }

    #[test]
    fn absurd_numbers_are_refused_one_by_one() {
        let build = Build::gil(v3(14));
        let mut bytes = said(build, 1);
        let size = PUBLISHED.iter().find(|e| e.name == "list_object.ob_item").expect("published");
        let at = size.at[1].expect("published in 3.14");
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        let offsets =
            DebugOffsets::read(&Bytes(bytes), Addr(0), None).expect("readable").expect("there");
        let (mut layouts, _) = Layouts::for_build(build).expect("known");
        let before = layouts.list_object;
        let mut problems = Problems::default();
        offsets.apply(&mut layouts, &mut problems);
        assert_eq!(problems.count(ProblemKind::LayoutDisagrees), 1);
        assert_eq!(layouts.list_object, before);
    }

    #[test]
    fn memory_without_the_cookie_has_no_debug_offsets() {
        assert_eq!(DebugOffsets::read(&Bytes(vec![0; 1000]), Addr(0), None), Ok(None));
        assert!(DebugOffsets::read(&Bytes(COOKIE.to_vec()), Addr(0), None).is_err());
    }
}
