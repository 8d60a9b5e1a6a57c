//! Which memory goes into a core that we write, and where in the file?
//!
//! What the kernel would dump with its ordinary `coredump_filter`: memory that is the process's own
//! (changed pages of private files drag their whole mapping along, as in `vma_dump_size` of
//! `fs/coredump.c`), shared memory without a name, and the first page of each ELF file, which holds
//! its build id. Pages of zeroes and pages that were never touched are holes. Pages that are swapped
//! out are left out and said so: reading them would bring them in.

use crate::live::maps::Mapping;
use crate::live::view::View;
use crate::memory::Memory as _;
use memwhy_model::{AddrRange, Bytes, PageState};
use object::elf::{PF_R, PF_W, PF_X};

const PAGE: u64 = 4096;

/// One `PT_LOAD`: a range of memory of which the first bytes are in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: AddrRange,
    /// How many bytes of it are in the file.
    pub(super) held: u64,
    /// The parts of those that are written; the others are holes.
    pub(super) data: Vec<AddrRange>,
    /// `PF_R`, `PF_W`, `PF_X`.
    pub(super) flags: u32,
    /// Where in the file it begins.
    pub(super) offset: u64,
}

/// All pieces of a process, in order, and how much of it had to be left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    pub(super) pieces: Vec<Piece>,
    /// Swapped out.
    pub(super) swapped: Bytes,
}

/// What becomes of a part of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Written,
    Hole,
    LeftOut,
}

impl Pieces {
    /// Plans a core of what `view`, a copy of a process, holds.
    pub(super) fn of(view: &View) -> Self {
        let mut pieces = Self::default();
        for mapping in &view.maps().0 {
            // The kernel's own page of system calls is in every process, and in no file's place.
            if mapping.facts.name != "[vsyscall]" {
                pieces.mapping(view, mapping);
            }
        }
        pieces
    }

    /// Where the first byte after everything is, if the first of it is at `start`.
    pub(super) fn place(&mut self, start: u64) -> u64 {
        let mut offset = start;
        for piece in &mut self.pieces {
            piece.offset = offset;
            offset += piece.held;
        }
        offset
    }

    /// Bytes that are written.
    pub(super) fn written(&self) -> Bytes {
        Bytes(self.pieces.iter().flat_map(|piece| &piece.data).map(|range| range.len()).sum())
    }

    fn mapping(&mut self, view: &View, mapping: &Mapping) {
        let flags = flags(mapping);
        if mapping.private() {
            self.swapped += mapping.facts.swap;
        }
        let mut current: Option<Piece> = None;
        for (range, fate) in fates(view, mapping) {
            let piece = match &mut current {
                // What is left out may end a piece, and nothing follows it there.
                Some(piece) if fate == Fate::LeftOut || piece.held == piece.range.len() => piece,
                _ => {
                    self.pieces.extend(current.take());
                    let range = AddrRange::sized(range.start, 0);
                    current.insert(Piece { range, held: 0, data: Vec::new(), flags, offset: 0 })
                }
            };
            piece.range.end = range.end;
            match fate {
                Fate::LeftOut => continue,
                Fate::Written => match piece.data.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ => piece.data.push(range),
                },
                Fate::Hole => {}
            }
            piece.held = piece.range.len();
        }
        self.pieces.extend(current);
    }
}

fn flags(mapping: &Mapping) -> u32 {
    let permissions = mapping.facts.permissions.bytes();
    permissions
        .zip([PF_R, PF_W, PF_X])
        .filter(|(mark, _)| *mark != b'-')
        .map(|(_, flag)| flag)
        .sum()
}

/// The parts of a mapping, in order and without gaps, and what becomes of each.
fn fates(view: &View, mapping: &Mapping) -> Vec<(AddrRange, Fate)> {
    let range = mapping.range();
    let whole = |fate| vec![(range, fate)];
    if !mapping.readable() || mapping.facts.name == "[vvar]" {
        return whole(Fate::LeftOut);
    }
    let changed = || view.pages().within(range).any(|run| run.state == PageState::Anon);
    if mapping.anonymous() && mapping.private() {
        return own_memory(view, mapping);
    }
    if mapping.facts.name == "[vdso]" || (mapping.private() && changed()) {
        return readable(view, mapping);
    }
    if nameless(mapping) {
        return shared(view, mapping);
    }
    let mut magic = [0; 4];
    let elf = mapping.offset == 0
        && mapping.facts.file
        && view.read(range.start, &mut magic).is_ok()
        && magic == *b"\x7fELF";
    if !elf {
        return whole(Fate::LeftOut);
    }
    let first = AddrRange::new(range.start, range.start.at(PAGE).min(range.end));
    let mut parts = vec![(first, Fate::Written)];
    if first.end < range.end {
        parts.push((AddrRange::new(first.end, range.end), Fate::LeftOut));
    }
    parts
}

/// Present pages, and what lies between them: untouched, or swapped out.
fn own_memory(view: &View, mapping: &Mapping) -> Vec<(AddrRange, Fate)> {
    let range = mapping.range();
    let between = if mapping.facts.swap.0 == 0 { Fate::Hole } else { Fate::LeftOut };
    let mut parts = Vec::new();
    let mut at = range.start;
    for run in view.pages().within(range) {
        if run.range.start > at {
            parts.push((AddrRange::new(at, run.range.start), between));
        }
        let fate = match run.state {
            PageState::Anon | PageState::File => Fate::Written,
            PageState::Zero => Fate::Hole,
        };
        parts.push((run.range, fate));
        at = run.range.end;
    }
    if at < range.end {
        parts.push((AddrRange::new(at, range.end), between));
    }
    parts
}

/// Every page that can be read: changed ones from the copy, others from the file.
fn readable(view: &View, mapping: &Mapping) -> Vec<(AddrRange, Fate)> {
    let mut parts = Vec::new();
    let mut at = mapping.range().start;
    let mut page = [0; 4096];
    while at < mapping.range().end {
        let next = at.at(PAGE).min(mapping.range().end);
        let fate = if view.read(at, &mut page).is_ok() { Fate::Written } else { Fate::LeftOut };
        parts.push((AddrRange::new(at, next), fate));
        at = next;
    }
    parts
}

/// Shared memory that no file system names: nobody else could still tell what was in it.
fn nameless(mapping: &Mapping) -> bool {
    let name = mapping.facts.name.as_str();
    mapping.facts.shmem
        && ["/dev/zero", "/SYSV", "/memfd:"].iter().any(|prefix| name.starts_with(prefix))
}

/// The present pages of shared memory, as far as it can be opened.
fn shared(view: &View, mapping: &Mapping) -> Vec<(AddrRange, Fate)> {
    let range = mapping.range();
    if view.shared_file(mapping).is_none() {
        return vec![(range, Fate::LeftOut)];
    }
    let mut parts = Vec::new();
    let mut at = range.start;
    for run in view.pages().within(range) {
        if run.range.start > at {
            parts.push((AddrRange::new(at, run.range.start), Fate::Hole));
        }
        parts.push((run.range, Fate::Written));
        at = run.range.end;
    }
    if at < range.end {
        parts.push((AddrRange::new(at, range.end), Fate::Hole));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::Pieces;
    use crate::live::maps::{Mapping, Maps};
    use crate::live::process::Process;
    use crate::live::view::View;
    use memwhy_model::{Addr, AddrRange, Bytes, MappingFacts, PageRun, PageState, Residency};

    fn range(start: u64, end: u64) -> AddrRange {
        AddrRange::new(Addr(start), Addr(end))
    }

    /// Private memory of eight pages, of which the second and the fifth are present.
    fn planned(swap: Bytes) -> Pieces {
        let facts = MappingFacts {
            range: range(0x10_000, 0x18_000),
            permissions: "rw-p".into(),
            swap,
            ..MappingFacts::default()
        };
        let present = [(0x11_000, 0x12_000), (0x14_000, 0x15_000)];
        let pages = present
            .map(|(start, end)| PageRun { range: range(start, end), state: PageState::Anon });
        let maps = Maps(vec![Mapping { facts, ..Mapping::default() }]);
        let us = Process::open(std::process::id()).expect("we are alive");
        Pieces::of(&View::live(us, maps, Residency::new(pages)))
    }

    #[test]
    fn untouched_pages_are_holes_of_one_piece() {
        let plan = planned(Bytes(0));
        assert_eq!((plan.pieces.len(), plan.swapped), (1, Bytes(0)));
        assert_eq!(
            (plan.pieces[0].range, plan.pieces[0].held),
            (range(0x10_000, 0x18_000), 0x8000)
        );
        assert_eq!(plan.written(), Bytes(0x2000));
    }

    /// Which pages are swapped out is not told apart from those that were never touched: none of
    /// them is said to be zero, and how many bytes are out is said.
    #[test]
    fn swapped_pages_are_left_out_and_counted_and_never_zero() {
        let plan = planned(Bytes(0x3000));
        assert_eq!(plan.swapped, Bytes(0x3000));
        assert_eq!(plan.written(), Bytes(0x2000));
        let held: Vec<AddrRange> = plan
            .pieces
            .iter()
            .map(|piece| AddrRange::sized(piece.range.start, piece.held))
            .filter(|held| !held.is_empty())
            .collect();
        assert_eq!(held, [range(0x11_000, 0x12_000), range(0x14_000, 0x15_000)]);
        let all: u64 = plan.pieces.iter().map(|piece| piece.range.len()).sum();
        assert_eq!(all, 0x8000);
    }
}
