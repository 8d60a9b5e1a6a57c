//! Which blocks has musl's malloc handed out, and what does it keep free?
//!
//! Memory comes in groups of up to 32 slots of one size. What is free of a group is told by its
//! `meta`, which lies elsewhere, on pages that begin with a secret. A variable without an exported
//! name has the same secret and leads to the first and the last of these pages: nothing else in a
//! process looks like that, so that it is found in programs that are linked statically, too.
//!
//! A group has a mapping of its own, or lies in a slot of a larger one, or in what the loader found
//! unused on pages of images (`donate.c`). It is unmapped when its last slot is freed; a part of one is
//! kept, but that up to 1.2.3 the kernel may take whole pages of a slot (`MADV_FREE`). In its slot a block
//! may begin some units further on than the last one did.
//!
//! Source: `src/malloc/mallocng/{meta,glue}.h`, `malloc.c`, `free.c`, `aligned_alloc.c`, `donate.c` of
//! musl 1.2.1 to 1.2.5, where these structs are the same; `glue.h` always defines `PAGESIZE`, so that
//! the variable has no `pagesize` on any machine. The malloc of 1.2.0 and before has none of
//! this, nor has the one that a program gets that is linked statically and never frees
//! (`src/malloc/lite_malloc.c`).

use super::stand_in::Walked;
use crate::image::Image;
use memwhy_model::{Addr, AddrRange, Bytes, ClassFacts, Owner, ProblemKind, Problems, StandIn};
use memwhy_target::{Memory, MemoryExt, View};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// `UNIT`: what sizes and offsets count.
const UNIT: u64 = 16;
/// `IB`: of each slot the last bytes are the header of what follows.
const HEADER: u64 = 4;
/// `size_classes`, in units.
const CLASSES: [u64; 48] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 31, 36, 42, 50, 63, 72, 84, 102, 127, 146,
    170, 204, 255, 292, 340, 409, 511, 584, 682, 818, 1023, 1169, 1364, 1637, 2047, 2340, 2730,
    3276, 4095, 4680, 5460, 6552, 8191,
];
/// The class of blocks from `MMAP_THRESHOLD` on: a mapping for each.
const LARGE: u8 = 63;

/// `struct malloc_context`, in words: how many, and which.
const CONTEXT: usize = 116;
const AREA_HEAD: u64 = 7;
const USAGE: usize = 58;
/// `struct meta_area` has a page of 4 KiB, whatever pages the machine has.
const AREA: u64 = 4096;
/// What is before its metas, in words, and what each of them has.
const AREA_HEADER: usize = 3;
const META: usize = 5;
/// `nslots`: all that have room.
const METAS: u64 = 101;
/// Pages of them that nobody has: they would describe a terabyte of groups of 4 KiB.
const MOST_AREAS: usize = 1 << 22;
/// Variables are searched so many words at a time.
const PIECE: usize = 1 << 17;

/// In a header, of a slot whose block begins further on: how far is in the place of its offset.
const CYCLED: u8 = 7 << 5;
/// In place of a slot's number and reserve: `free()` has been called.
const FREED: u8 = 255;
/// What is reserved behind a block (three bits): as many bytes, or what the slot's last four say, or
/// that the block is a group.
const SPELLED_OUT: u8 = 5;
const A_GROUP: u8 = 6;
/// How far 16 bits of an offset reach, and how often that is tried: an alignment of 64 GiB is nobody's.
const REACH: u64 = (1 << 16) * UNIT;
const MOST_TURNS: u64 = 1 << 16;

/// `struct malloc_context`, `__malloc_context`.
#[derive(Debug)]
struct Context {
    secret: u64,
    head: Addr,
    tail: Addr,
    /// `usage_by_class`: slots of the groups of each class.
    usage: Vec<u64>,
}

impl Context {
    /// The one among the variables of `image`, if malloc was ever called.
    fn find(view: &View, image: &Image) -> Option<Self> {
        view.pages().present(&image.data).into_iter().find_map(|part| {
            let mut at = part.start.align_up(8);
            while at < part.end {
                let count = (PIECE as u64).min((part.end.0 - at.0) / 8);
                let words = view.words(at, count, PIECE).unwrap_or_default();
                let found = (0u64..).zip(words).find_map(|(index, word)| {
                    let head = is_area(word).then_some(at.at(index * 8))?;
                    Self::read(view, head.before(AREA_HEAD * 8))
                });
                if found.is_some() {
                    return found;
                }
                at = at.at(PIECE as u64 * 8);
            }
            None
        })
    }

    /// The one at `at`, if its secret is on both pages that it leads to, and the last is the last.
    fn read(memory: &dyn Memory, at: Addr) -> Option<Self> {
        let words = memory.words(at, CONTEXT as u64, CONTEXT).ok()?;
        let [secret, init, _, _, unused, _, _, head, tail] = *words.first_chunk::<9>()?;
        let sane = secret != 0 && init & 0xffff_ffff == 1 && unused <= METAS && is_area(tail);
        let usage = words.get(USAGE..USAGE + CLASSES.len())?.to_vec();
        let (head, tail) = (Addr(head), Addr(tail));
        let begins = |area: Addr| memory.array::<24>(area).ok().map(|head| area_header(&head));
        let last = sane && begins(head)?.0 == secret && begins(tail)? == (secret, 0, METAS);
        last.then_some(Self { secret, head, tail, usage })
    }

    /// Hands out the pages with metas, each with its words.
    fn areas(&self, view: &View, problems: &mut Problems, each: &mut dyn FnMut(Addr, &[u64])) {
        let mut seen: FxHashSet<Addr> = FxHashSet::default();
        let mut at = self.head;
        while seen.len() < MOST_AREAS && is_area(at.0) && seen.insert(at) {
            let Ok(words) = view.words(at, AREA / 8, 512) else { break };
            let Some([secret, next, slots]) = words.first_chunk::<AREA_HEADER>().copied() else {
                break;
            };
            if secret != self.secret || slots & 0xffff_ffff != METAS {
                break;
            }
            each(at, &words);
            if at == self.tail && next == 0 {
                return;
            }
            at = Addr(next);
        }
        problems.note(ProblemKind::BrokenList, || format!("musl's pages of metas at {at}"));
    }
}

/// Whether a word may be the address of a page with metas.
const fn is_area(word: u64) -> bool {
    word != 0 && word.is_multiple_of(AREA) && word < 1 << 47
}

/// `check`, `next`, `nslots`.
fn area_header(bytes: &[u8; 24]) -> (u64, u64, u64) {
    let (words, _) = bytes.as_chunks::<8>();
    let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
    (word(0), word(1), word(2) & 0xffff_ffff)
}

/// What a `struct meta` says of its group, in 24 bytes: there may be a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    /// Where the group is: a header of a unit, then its slots.
    at: Addr,
    /// Of one with a mapping of its own, how long that is.
    mapped: u64,
    /// A bit for each slot that is free.
    free: u32,
    /// How many slots.
    slots: u8,
    /// [`LARGE`], or which of [`CLASSES`].
    class: u8,
    /// Not what was donated.
    freeable: bool,
}

impl Group {
    /// `None` if it cannot be one.
    fn of(meta: &[u64; META]) -> Option<Self> {
        let [_, _, at, masks, bits] = *meta;
        let [avail, freed] =
            [masks, masks >> 32].map(|mask| u32::try_from(mask & 0xffff_ffff).ok());
        let (avail, freed) = (avail?, freed?);
        let group = Self {
            at: Addr(at),
            mapped: (bits >> 12).checked_mul(AREA)?,
            free: avail | freed,
            slots: u8::try_from(bits & 31).ok()? + 1,
            class: u8::try_from(bits >> 6 & 63).ok()?,
            freeable: bits >> 5 & 1 == 1,
        };
        let large = group.class == LARGE && group.slots == 1 && group.free == 0;
        let sane = Addr(at).is_aligned(UNIT)
            && at < 1 << 47
            && avail & freed == 0
            && u64::from(group.free) >> group.slots == 0
            && if group.mapped == 0 {
                group.units() > 0
            } else {
                (large || group.units() > 0)
                    && Addr(at).is_aligned(AREA)
                    && group.mapped < 1 << 47
                    && group.range().len() <= group.mapped
            };
        sane.then_some(group)
    }

    /// How large a slot of its class is, in units; 0 where classes do not tell.
    fn units(&self) -> u64 {
        CLASSES.get(usize::from(self.class)).copied().unwrap_or(0)
    }

    /// `get_stride`: from one slot to the next.
    fn stride(&self) -> u64 {
        if self.slots == 1 && self.mapped > 0 {
            return self.mapped.saturating_sub(UNIT);
        }
        self.units() * UNIT
    }

    /// From its header to the end of its last slot.
    fn range(&self) -> AddrRange {
        AddrRange::sized(self.at, UNIT + self.stride() * u64::from(self.slots))
    }

    /// What it takes, with what is too small for a slot.
    fn reserved(&self) -> u64 {
        self.mapped.max(self.range().len())
    }

    fn slot(&self, index: u8) -> AddrRange {
        AddrRange::sized(self.at.at(UNIT + self.stride() * u64::from(index)), self.stride())
    }

    /// Whether it lies in a slot of another group.
    const fn nested(&self) -> bool {
        self.mapped == 0 && self.freeable
    }
}

/// What a slot that is not free has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// A block: where it begins, and how much was asked for.
    Block(Addr, u64),
    /// A smaller group.
    Group(Addr),
    /// A thread is about to free it, or to take it.
    Between,
}

/// What is before a block.
struct Before {
    /// From the first slot of its group, in units.
    offset: u64,
    /// The number of its slot, and in the upper three bits what is reserved behind it.
    info: u8,
}

impl Before {
    fn read(memory: &dyn Memory, block: Addr) -> Option<Self> {
        let [a, b, c, d, wide, info, low, high] = memory.array(block.before(8)).ok()?;
        let short = u16::from_le_bytes([low, high]).into();
        let long = u32::from_le_bytes([a, b, c, d]).into();
        let offset = match (wide, short) {
            (0, short) => short,
            (_, 0) => long,
            _ => return None,
        };
        Some(Self { offset, info })
    }

    /// Whether it is what `free()` leaves, before it changes a mask.
    const fn freed(&self) -> bool {
        self.info == FREED && self.offset == 0
    }
}

/// What slot `index` of `group` has in it; `None` if what it says of itself cannot be.
fn content(memory: &dyn Memory, group: &Group, index: u8) -> Option<Content> {
    let slot = group.slot(index);
    let first = group.slot(0).start;
    let mut before = Before::read(memory, slot.start)?;
    let mut block = slot.start;
    if before.info == CYCLED {
        // Only 16 bits of it are there, and a block that is aligned to more than they say has a slot
        // of its own.
        let begins = slot.start.at(before.offset * UNIT);
        let turns = if group.slots == 1 { (group.mapped / REACH).min(MOST_TURNS) } else { 0 };
        let there = |at: Addr| {
            let found = Before::read(memory, at).filter(|_| slot.contains(at))?;
            let fits = at.checked_since(first)? == found.offset * UNIT || found.freed();
            fits.then_some((at, found))
        };
        (block, before) = (0..=turns).find_map(|turn| there(begins.at(turn * REACH)))?;
    }
    // A slot that nobody has had yet is zeroes.
    let fresh = before.info == 0 && before.offset == 0 && index > 0;
    if before.freed() || fresh {
        return Some(Content::Between);
    }
    if before.offset * UNIT != block.checked_since(first)? || before.info & 31 != index {
        return None;
    }
    let end = slot.end.before(HEADER);
    let room = end.checked_since(block)?;
    let reserved = match before.info >> 5 {
        A_GROUP => return Some(Content::Group(block)),
        SPELLED_OUT => memory.u32(end.before(4)).ok()?.into(),
        few if few < SPELLED_OUT => few.into(),
        _ => return None,
    };
    Some(Content::Block(block, room.checked_sub(reserved)?))
}

/// The image whose malloc is this one, where no name tells: a program that is linked statically.
#[must_use]
pub fn is_in(view: &View, image: &Image) -> bool {
    Context::find(view, image).is_some()
}

/// Walks the heap of the musl in `image`; `None` if it is not laid out as it should be.
#[must_use]
pub fn walk(view: &View, image: &Image, problems: &mut Problems) -> Option<Walked> {
    let context = Context::find(view, image)?;
    let mut heap = Heap::default();
    let mut groups: Vec<Group> = Vec::new();
    let mut broken: Vec<Addr> = Vec::new();
    context.areas(view, problems, &mut |area, words| {
        heap.facts.reserved += Bytes(AREA);
        heap.region(AddrRange::sized(area, AREA), Owner::MallocOverhead);
        let (metas, _) = words.get(AREA_HEADER..).unwrap_or_default().as_chunks::<META>();
        for (meta, index) in metas.iter().zip(0u64..) {
            let [_, _, group, ..] = meta;
            // One that nobody has, or that a thread is about to fill in.
            if *group == 0 {
                continue;
            }
            let at = area.at((AREA_HEADER as u64 + index * META as u64) * 8);
            // Each leads to the other, and there is memory from the first to the last byte.
            let is_there = |found: &Group| {
                let end = found.at.at(found.reserved() - 1);
                view.u64(found.at) == Ok(at.0) && view.maps().find(end).is_some()
            };
            match Group::of(meta).filter(is_there) {
                Some(found) => groups.push(found),
                None => broken.push(at),
            }
        }
    });
    for at in broken {
        problems.note(ProblemKind::BrokenMallocHeap, || format!("musl's meta at {at}"));
    }
    groups.sort_unstable_by_key(|group| group.at);
    heap.nested = groups
        .iter()
        .filter(|group| group.nested())
        .map(|group| (group.at, group.range().end))
        .collect();
    for group in &groups {
        heap.group(view, group, problems);
    }
    for at in heap.nested.keys() {
        problems.note(ProblemKind::BrokenMallocHeap, || format!("group at {at} in no slot"));
    }
    Some(heap.finish(&groups, &context.usage))
}

#[derive(Default)]
struct Heap {
    walked: Walked,
    facts: StandIn,
    /// Groups in slots that were not met yet, each with its end.
    nested: FxHashMap<Addr, Addr>,
    classes: BTreeMap<u8, ClassFacts>,
}

impl Heap {
    /// Memory that it manages; neighbours of one owner are one region.
    fn region(&mut self, range: AddrRange, owner: Owner) {
        match self.walked.regions.last_mut() {
            Some((last, its)) if *its == owner && last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => self.walked.regions.push((range, owner)),
        }
    }

    fn group(&mut self, memory: &dyn Memory, group: &Group, problems: &mut Problems) {
        let (all, reserved) = (group.range(), group.reserved());
        if !group.nested() {
            self.facts.reserved += Bytes(reserved);
        }
        self.region(AddrRange::sized(group.at, UNIT), Owner::MallocOverhead);
        let (mut used, mut free) = (0u64, 0u64);
        for index in 0..group.slots {
            let slot = group.slot(index);
            let content = if group.free >> index & 1 == 1 {
                Some(Content::Between)
            } else {
                content(memory, group, index)
            };
            match content {
                Some(Content::Between) => {
                    free += 1;
                    self.region(slot, Owner::MallocFree);
                }
                Some(Content::Block(at, asked)) => {
                    used += 1;
                    self.region(slot, Owner::MallocOverhead);
                    // One past its last byte is an address of it, too, and the slot has room for it.
                    let taken = AddrRange::sized(at, (asked / UNIT + 1) * UNIT);
                    self.walked.used.push(taken);
                }
                Some(Content::Group(at))
                    if self.nested.get(&at).is_some_and(|end| *end <= slot.end) =>
                {
                    let end = self.nested.remove(&at).unwrap_or(at);
                    self.region(AddrRange::new(slot.start, at), Owner::MallocOverhead);
                    self.region(AddrRange::new(end, slot.end), Owner::MallocOverhead);
                }
                Some(Content::Group(_)) | None => {
                    self.region(slot, Owner::MallocOverhead);
                    problems.note(ProblemKind::BrokenMallocHeap, || {
                        format!("slot {index} of the group at {}", group.at)
                    });
                }
            }
        }
        self.region(AddrRange::new(all.end, group.at.at(reserved)), Owner::MallocOverhead);
        if free == u64::from(group.slots) && group.mapped > 0 {
            self.facts.free_pages += Bytes(reserved);
        } else {
            self.facts.free_blocks += Bytes(free * group.stride());
        }
        if group.units() > 0 {
            let class = self.classes.entry(group.class).or_default();
            class.block = group.units() * UNIT;
            class.used += used;
            class.free += free;
        }
    }

    fn finish(mut self, groups: &[Group], usage: &[u64]) -> Walked {
        let mut slots = vec![0u64; CLASSES.len()];
        for group in groups.iter().filter(|group| group.freeable) {
            if let Some(sum) = slots.get_mut(usize::from(group.class)) {
                *sum += u64::from(group.slots);
            }
        }
        for ((found, stated), units) in slots.iter().zip(usage).zip(CLASSES) {
            let off = found.abs_diff(*stated).saturating_mul(units * UNIT);
            self.facts.off.0 = self.facts.off.0.saturating_add(off);
        }
        let Self { mut walked, mut facts, classes, .. } = self;
        facts.release = "musl 1.2.1 to 1.2.5".into();
        facts.walked = true;
        facts.blocks = walked.used.len() as u64;
        facts.used = walked.used.iter().map(|block| Bytes(block.len())).sum();
        let kept = facts.used + facts.free_blocks + facts.free_pages;
        facts.overhead = facts.reserved.minus(kept);
        facts.classes = classes.into_values().collect();
        walked.facts = facts;
        walked
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, Group, LARGE, content};
    use crate::made::Made;
    use memwhy_model::Addr;

    /// The header of a block: its offset in units, its slot, what is reserved.
    fn header(memory: &mut Made, block: u64, offset: u16, info: u8) {
        memory.put(block - 3, &[info]);
        memory.put(block - 2, &offset.to_le_bytes());
    }

    /// Slots of 96 bytes.
    const FIVE: [u64; 5] = [0, 0, 0x1000, 0b1_0000, 4 | 1 << 5 | 5 << 6];

    #[test]
    fn a_meta_is_checked() {
        let group = Group::of(&FIVE).expect("a group");
        assert_eq!((group.slots, group.free, group.stride()), (5, 0b1_0000, 96));
        assert!(group.nested() && group.slot(4).end == group.range().end);
        let with = |index: usize, word: u64| {
            let mut meta = FIVE;
            meta[index] = word;
            Group::of(&meta)
        };
        // A slot that is free twice, or not there; a class that is none; a place that is none.
        assert_eq!(with(3, 1 | 1 << 32), None);
        assert_eq!(with(3, 1 << 5), None);
        assert_eq!(with(4, 4 | 1 << 5 | 48 << 6), None);
        assert_eq!(with(2, 0x1008), None);
        // A mapping for a single block, and one that is shorter than its slots.
        let large = Group::of(&[0, 0, 0x1000, 0, 63 << 6 | 1 << 5 | 40 << 12]).expect("a group");
        assert_eq!((large.class, large.stride()), (LARGE, 40 * 4096 - 16));
        assert_eq!(with(4, 4 | 1 << 5 | 31 << 6 | 1 << 12), None);
        assert!(with(4, 4 | 1 << 5 | 31 << 6 | 10 << 12).is_some());
    }

    #[test]
    fn a_slot_says_where_its_block_begins_and_how_much_was_asked_for() {
        let group = Group::of(&FIVE).expect("a group");
        let mut memory = Made(vec![0; 0x400]);
        // 90 bytes: two of the 92 are left over.
        header(&mut memory, 0x1010, 0, 2 << 5);
        assert_eq!(content(&memory, &group, 0), Some(Content::Block(Addr(0x1010), 90)));
        // 20 bytes, two units further on; how many are left over is at the end of the slot.
        let slot = 0x1010 + 96;
        header(&mut memory, slot, 2, super::CYCLED);
        header(&mut memory, slot + 32, 8, 5 << 5 | 1);
        memory.put(slot + 96 - 8, &40u32.to_le_bytes());
        assert_eq!(content(&memory, &group, 1), Some(Content::Block(Addr(slot + 32), 20)));
        // `free()` has begun.
        header(&mut memory, slot + 32, 0, super::FREED);
        assert_eq!(content(&memory, &group, 1), Some(Content::Between));
        // Nobody has had it yet; another's number; more left over than there is.
        let slot = 0x1010 + 2 * 96;
        assert_eq!(content(&memory, &group, 2), Some(Content::Between));
        header(&mut memory, slot, 12, 3);
        assert_eq!(content(&memory, &group, 2), None);
        header(&mut memory, slot, 12, 5 << 5 | 2);
        memory.put(slot + 96 - 8, &93u32.to_le_bytes());
        assert_eq!(content(&memory, &group, 2), None);
        header(&mut memory, slot, 12, 6 << 5 | 2);
        assert_eq!(content(&memory, &group, 2), Some(Content::Group(Addr(slot))));
    }

    #[test]
    fn a_block_that_is_aligned_to_megabytes_is_found_behind_what_16_bits_count() {
        let mapped = 4u64 << 20;
        let meta = [0, 0, 0x1000, 0, 63 << 6 | 1 << 5 | (mapped / 4096) << 12];
        let group = Group::of(&meta).expect("a group");
        let mut memory = Made(vec![0; 4 << 20]);
        let block = 0x20_0000;
        let offset = (block - 0x1010) / 16;
        header(
            &mut memory,
            0x1010,
            u16::try_from(offset & 0xffff).expect("16 bits"),
            super::CYCLED,
        );
        memory.put(block - 8, &u32::try_from(offset).expect("32 bits").to_le_bytes());
        memory.put(block - 4, &[1]);
        header(&mut memory, block, 0, 5 << 5);
        memory.put(0x1000 + mapped - 8, &7u32.to_le_bytes());
        let asked = 0x1000 + mapped - 4 - 7 - block;
        assert_eq!(content(&memory, &group, 0), Some(Content::Block(Addr(block), asked)));
    }
}
