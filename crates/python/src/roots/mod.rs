//! What keeps objects alive from outside of the heap, and by which names are they known?
//!
//! From the best known to the least: `sys.modules`, the calls that threads are in, the states of
//! threads and interpreters, variables of C, words on C stacks and in memory of malloc's. The last
//! three are words that are an object's address, by purpose or by chance; a root says which it is.

mod at_exit;
mod c_memory;
mod interned;
mod interpreters;
mod names;
mod threads;

use crate::alloc::pymalloc::Pymalloc;
use crate::find::Interpreter;
use crate::heap::Heap;
use crate::object::may_be_address;
use crate::runtime::InterpreterState;
use memwhy_model::{Addr, AddrRange, Flags, HeapBuilder, HeapGraph, ObjectId, Root, RootKind};
use memwhy_native::Images;
use memwhy_native::alloc::glibc::Glibc;
use memwhy_native::alloc::mimalloc::Mimalloc;
use memwhy_target::{MAX_READ, MemoryExt, Thread, View};
use rustc_hash::{FxHashMap, FxHashSet};

/// Roots of one kind beyond that many are not collected.
const MOST: usize = 1 << 20;

/// Where to look for roots.
pub(crate) struct Sources<'a> {
    pub(crate) view: &'a View,
    pub(crate) interpreter: &'a Interpreter,
    pub(crate) interpreters: &'a [InterpreterState],
    pub(crate) heap: &'a Heap,
    pub(crate) pymalloc: &'a Pymalloc,
    /// mimalloc, if the objects are in it.
    pub(crate) mimalloc: Option<&'a Mimalloc>,
    pub(crate) malloc: Option<&'a Glibc>,
    pub(crate) images: &'a Images,
    /// Threads as the kernel has them.
    pub(crate) threads: &'a [Thread],
    /// Names of threads, by `threading.get_ident()`.
    pub(crate) thread_names: &'a FxHashMap<u64, String>,
}

/// Adds the roots to the heap, and marks the dicts of interned strings.
pub(crate) fn collect(sources: &Sources<'_>, builder: &mut HeapBuilder) {
    let graph = builder.graph();
    let modules: Vec<Addr> =
        sources.interpreters.iter().filter_map(|state| state.modules).collect();
    let layouts = &sources.interpreter.layouts;
    let mut roots = names::collect(sources.view, layouts, graph, sources.heap, &modules);
    let mut finder = Finder { sources, graph, roots: Vec::new(), seen: FxHashSet::default() };
    interpreters::collect(&mut finder);
    threads::collect(&mut finder);
    c_memory::collect(&mut finder);
    roots.append(&mut finder.roots);
    let interned = interned::dicts(sources, graph, &roots);
    builder.roots(roots);
    for dict in interned {
        builder.flag(dict, Flags::WEAK);
    }
}

/// The roots found so far.
struct Finder<'a> {
    sources: &'a Sources<'a>,
    graph: &'a HeapGraph,
    roots: Vec<Root>,
    /// What words of C memory were found to keep, by kind: the first word that does is enough.
    seen: FxHashSet<(RootKind, ObjectId)>,
}

impl Finder<'_> {
    fn object(&self, at: Addr) -> Option<ObjectId> {
        self.sources.heap.index.find(self.graph, at)
    }

    /// Adds a root, if there is an object at `at`.
    fn add(&mut self, kind: RootKind, at: Addr, name: impl FnOnce() -> String) {
        self.add_line(kind, at, None, None, name);
    }

    /// Adds a root with its place in the source, if there is an object at `at`.
    fn add_line(
        &mut self,
        kind: RootKind,
        at: Addr,
        file: Option<&str>,
        line: Option<u32>,
        name: impl FnOnce() -> String,
    ) {
        let Some(object) = self.object(at) else { return };
        if self.roots.len() >= MOST || (!kind.certain() && !self.seen.insert((kind, object))) {
            return;
        }
        let file = file.filter(|file| !file.is_empty()).map(str::to_owned);
        self.roots.push(Root { kind, name: name(), object, file, line });
    }

    /// Adds the words of a range that are objects. `name` is told where the word is.
    fn scan(&mut self, kind: RootKind, range: AddrRange, name: &dyn Fn(Addr) -> String) {
        const PIECE: u64 = 1 << 16;
        let mut at = range.start.align_up(8);
        while at < range.end {
            let len = PIECE.min(range.end.0 - at.0) & !7;
            // What is not there holds nothing.
            let words = self.sources.view.words(at, len / 8, MAX_READ / 8).unwrap_or_default();
            for (word, offset) in words.iter().zip((0u64..).step_by(8)) {
                if may_be_address(*word) {
                    let here = at.at(offset);
                    self.add(kind, Addr(*word), || name(here));
                }
            }
            at = at.at(len.max(8));
        }
    }
}
