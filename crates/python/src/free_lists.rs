//! Which dead objects does CPython keep for those to come, and how much memory is that?
//!
//! Each kind has lists with a limit; what is on one is a block in use of the allocator in which no
//! object lives. A list is believed if as many are on it as is said, each in memory that is handed
//! out. Source: `Include/internal/pycore_freelist.h`, 3.13; `PyXXX_Fini` of each file up to 3.12.

use crate::alloc::pymalloc::Pymalloc;
use crate::find::Interpreter;
use crate::layout::tables::free_lists::{Form, Kept, LENGTHS, Link};
use crate::layout::tables::interpreter_state::FreeListsAt;
use crate::runtime::InterpreterState;
use memwhy_model::{Addr, Bytes, FreeList, ProblemKind, Problems};
use memwhy_native::Image;
use memwhy_native::alloc::glibc::Glibc;
use memwhy_native::alloc::mimalloc::Mimalloc;
use memwhy_target::{Memory, MemoryExt};

/// Bytes before an object in its block: the collector's header, and what debugging puts there.
const BEFORE: [u64; 4] = [0, 16, 32, 48];

/// Where to look.
pub(crate) struct Sources<'a> {
    pub(crate) memory: &'a dyn Memory,
    pub(crate) python: &'a Interpreter,
    pub(crate) interpreters: &'a [InterpreterState],
    /// The image that holds the interpreter.
    pub(crate) image: Option<&'a Image>,
    pub(crate) pymalloc: &'a Pymalloc,
    pub(crate) mimalloc: Option<&'a Mimalloc>,
    pub(crate) malloc: Option<&'a Glibc>,
}

/// A list with the places of its head and its count.
struct Placed {
    kept: Kept,
    head: Addr,
    count: Addr,
}

/// The lists of every kind, of all interpreters; without GIL of all their threads.
pub(crate) fn collect(sources: &Sources<'_>, problems: &mut Problems) -> Vec<FreeList> {
    let mut found: Vec<FreeList> = Vec::new();
    for (number, lists) in sources.holders().into_iter().enumerate() {
        for placed in lists {
            let of = placed.kept.of;
            let Some(entries) = sources.entries(&placed) else {
                problems.note(ProblemKind::CalibrationFailed, || {
                    format!("what is kept for the next {of} is not as the table says")
                });
                continue;
            };
            let index = found.iter().position(|list| list.of == of).unwrap_or_else(|| {
                found.push(FreeList { of: of.into(), most: Some(0), ..FreeList::default() });
                found.len() - 1
            });
            let Some(list) = found.get_mut(index) else { continue };
            list.free += entries.len() as u64;
            list.bytes += entries.iter().map(|at| Bytes(sources.room(*at))).sum();
            list.most = list.most.map(|most| most + placed.kept.most * placed.kept.lists());
            list.held.resize(number, 0);
            list.held.push(entries.len() as u64);
        }
    }
    found
}

impl Sources<'_> {
    /// The lists of each interpreter, or each thread, that has some of its own: the main one first.
    fn holders(&self) -> Vec<Vec<Placed>> {
        let layouts = &self.python.layouts;
        let inside = |base: Addr| {
            let lists = layouts.free_lists.map(|of| of.lists);
            lists.into_iter().flatten().flatten().map(|kept| at(kept, base)).collect::<Vec<_>>()
        };
        let each = self.interpreters.iter();
        match layouts.interpreter_state.freelists {
            FreeListsAt::Statics(named) => {
                let variable = |file, name| self.image?.local_symbol(file, name);
                let placed = named.iter().filter_map(|list| {
                    let head = variable(list.file, list.kept.head.name)?;
                    let count = variable(list.file, list.kept.count.name)?;
                    Some(Placed { kept: list.kept, head, count })
                });
                vec![placed.collect()]
            }
            FreeListsAt::Members(lists) => each
                .map(|of| lists.into_iter().flatten().map(|kept| at(kept, of.addr)).collect())
                .collect(),
            FreeListsAt::Inside(field) => each.map(|of| inside(field.addr(of.addr))).collect(),
            FreeListsAt::OfThreads => {
                let Some(field) = layouts.thread_state.freelists else { return Vec::new() };
                // The list of threads begins with the newest.
                let threads = each.flat_map(|of| of.threads.iter().rev());
                threads.map(|thread| inside(field.addr(thread.state))).collect()
            }
        }
    }

    /// What is on a list, `None` if it is not as it should be.
    fn entries(&self, placed: &Placed) -> Option<Vec<Addr>> {
        let Placed { kept, head, count } = placed;
        let mut entries = Vec::new();
        for index in 0..kept.lists() {
            let (head, count) = match kept.form {
                Form::Slots | Form::Chain => (*head, self.number(*count)?),
                Form::Chains | Form::ChainsFromOne => {
                    (head.at(8 * index), self.number(count.at(4 * index))?)
                }
                Form::Pair => (*head, self.memory.u64(*count).ok()?),
                Form::Pairs => {
                    (head.at(16 * index), self.memory.u64(head.at(16 * index + 8)).ok()?)
                }
            };
            if count > kept.most {
                return None;
            }
            if index == 0 && kept.form == Form::ChainsFromOne {
                continue;
            }
            if kept.form == Form::Slots {
                for slot in 0..count {
                    entries.push(self.memory.ptr(head.at(8 * slot)).ok()??);
                }
            } else {
                entries.extend(self.chain(head, count, self.link(kept.link))?);
            }
        }
        // What is in an allocator that was not walked cannot be told.
        let seen = |at: Addr| self.malloc.is_some() || self.pymalloc.covers(at);
        let taken = |at: &Addr| at.is_aligned(8) && (self.room(*at) > 0 || !seen(*at));
        entries.iter().all(taken).then_some(entries)
    }

    /// An `int`; negative once the interpreter has given up its lists.
    fn number(&self, at: Addr) -> Option<u64> {
        self.memory.u32(at).ok().map(|word| u64::try_from(word.cast_signed()).unwrap_or(0))
    }

    /// Exactly `count` of a chain that begins with what `head` points to.
    fn chain(&self, head: Addr, count: u64, link: u64) -> Option<Vec<Addr>> {
        let mut entries = Vec::new();
        let mut at = self.memory.ptr(head).ok()?;
        while let Some(here) = at {
            if entries.len() as u64 == count {
                return None;
            }
            entries.push(here);
            at = self.memory.ptr(here.at(link)).ok()?;
        }
        (entries.len() as u64 == count).then_some(entries)
    }

    fn link(&self, link: Link) -> u64 {
        let layouts = &self.python.layouts;
        match link {
            Link::First => 0,
            Link::Type => layouts.object.ob_type.offset,
            Link::Item => layouts.tuple_object.ob_item.offset,
            Link::Back => layouts.frame_object.back.offset,
            Link::Own => layouts.object.size + 8,
            Link::Third => layouts.object.size + 16,
        }
    }

    /// Bytes of the block or chunk in use that `at` lies in; 0 if it is in none.
    fn room(&self, at: Addr) -> u64 {
        let pool = || self.pymalloc.pool_of(at).map(|pool| u64::from(pool.block));
        let page = || BEFORE.iter().find_map(|n| self.mimalloc?.block_at(at.before(*n)));
        let chunk = || {
            let chunk = self.malloc?.chunk_around(at)?;
            chunk.in_use().then(|| chunk.usable())
        };
        pool().or_else(page).or_else(chunk).unwrap_or(0)
    }
}

/// A list whose fields are those of the struct at `base`.
fn at(kept: Kept, base: Addr) -> Placed {
    Placed { kept, head: kept.head.addr(base), count: kept.count.addr(base) }
}

impl Kept {
    /// How many lists it is.
    fn lists(&self) -> u64 {
        match self.form {
            Form::Slots | Form::Chain | Form::Pair => 1,
            Form::Chains | Form::ChainsFromOne | Form::Pairs => LENGTHS,
        }
    }
}
