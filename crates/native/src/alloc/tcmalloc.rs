//! Which blocks of gperftools' tcmalloc are in use, and what does it keep free?
//!
//! Memory is cut into pages of 8 KiB; a span is a run of them, free or cut into objects of one size
//! or a single large one. A map in two levels leads from a page to its span. Free objects are in
//! three places: on the span's own list, in slots of the central list of their size, and in the
//! cache of a thread; spans count those in the last two as in use.
//!
//! The map and the central lists have no exported names. The caches of threads do, and what is in
//! them is tcmalloc's for sure: the map is the one array from which such an object's page leads to
//! a span that has it; the central lists are a row of structs that count up.
//!
//! Source: `src/{span,pagemap,central_freelist,thread_cache,page_heap}.h` of gperftools 2.7 to 2.10.

use super::stand_in::{Bits, Held, Walked};
use crate::image::{Image, Images};
use memwhy_model::{Addr, AddrRange, Bytes, ClassFacts, Owner, ProblemKind, Problems, StandIn};
use memwhy_target::{Memory, MemoryExt, View};
use std::collections::BTreeMap;

/// `kPageShift` where it was not configured otherwise.
const PAGE_SHIFT: u64 = 13;
/// `TCMalloc_PageMap2<48 - kPageShift>`: bits that choose within a leaf.
const LEAF_BITS: u64 = 18;
const LEAF: u64 = 1 << LEAF_BITS;
const ROOTS: u64 = 1 << 17;
/// `kClassSizesMax`.
const CLASSES: u64 = 128;
/// `sizeof(ThreadCache::FreeList)`; `list_` first, then `length_`, and `size_` at 24.
const LIST: u64 = 32;
/// `ThreadCache::next_`.
const NEXT_CACHE: u64 = 4144;
/// `CentralFreeListPadded`: its size, and what is where.
const CENTRAL: u64 = 1216;
const CENTRAL_CLASS: u64 = 8;
const CENTRAL_SLOTS: u64 = 128;
const CENTRAL_USED: u64 = 1152;
const MOST_SLOTS: u64 = 64;
/// Objects in caches that the map of pages has to lead to.
const KNOWN: usize = 64;
/// Threads that nobody has.
const MOST_CACHES: usize = 100_000;
/// Classes that have to count up before a row is believed.
const ROW: u64 = 24;

/// `Span`.
#[derive(Clone, Copy, Debug)]
struct Span {
    pages: AddrRange,
    objects: Addr,
    refcount: u64,
    class: u64,
    /// `IN_USE`, `ON_NORMAL_FREELIST`, `ON_RETURNED_FREELIST`.
    location: u64,
}

impl Span {
    fn read(memory: &dyn Memory, at: Addr) -> Option<Self> {
        let words = memory.words(at, 6, 6).ok()?;
        let [start, length, _, _, objects, bits] = *words.first_chunk::<6>()?;
        let sane = start > 0 && start < 1 << (48 - PAGE_SHIFT) && (1..1 << 30).contains(&length);
        sane.then(|| Self {
            pages: AddrRange::sized(Addr(start << PAGE_SHIFT), length << PAGE_SHIFT),
            objects: Addr(objects),
            refcount: bits & 0xffff,
            class: bits >> 16 & 0xff,
            location: bits >> 24 & 3,
        })
    }
}

/// The cache of one thread: of each class the head of its list, how long, how large objects are.
type Cache = Vec<(Addr, u64, u64)>;

/// Walks the heap of the tcmalloc in `image`; `None` if it is not laid out as it should be.
#[must_use]
pub fn walk(view: &View, images: &Images, problems: &mut Problems) -> Option<Walked> {
    let (image, first) = images.exporter("_ZN8tcmalloc11ThreadCache13thread_heaps_E")?;
    let caches = caches(view, first)?;
    let sizes: Vec<u64> = caches.first()?.iter().map(|(_, _, size)| *size).collect();
    let known = caches.iter().flatten().map(|(head, _, _)| *head).filter(|head| head.0 != 0);
    let known: Vec<Addr> = known.take(KNOWN).collect();
    let root = known.iter().find_map(|object| root(view, image, *object, &known))?;
    let (spans, leaves) = spans(view, root);
    let mut heap =
        Heap { sizes, bits: Bits::default(), spans: Vec::new(), facts: StandIn::default() };
    heap.facts.release = "gperftools 2.7 to 2.10".into();
    heap.facts.caches = caches.len() as u64;
    for span in spans {
        heap.add(view, span, problems);
    }
    heap.strike_caches(view, &caches, problems);
    heap.strike_central(view, image, problems);
    Some(heap.finish(&leaves))
}

fn caches(view: &View, first: Addr) -> Option<Vec<Cache>> {
    let mut caches = Vec::new();
    let mut at = view.ptr(first).ok()?;
    while let Some(cache) = at {
        if caches.len() >= MOST_CACHES {
            return None;
        }
        let words = view.words(cache, CLASSES * LIST / 8, 1 << 10).ok()?;
        let lists = words.as_chunks::<4>().0.iter();
        caches.push(
            lists
                .map(|[head, length, _, size]| {
                    (Addr(*head), length & 0xffff_ffff, size & 0xffff_ffff)
                })
                .collect(),
        );
        at = view.ptr(cache.at(NEXT_CACHE)).ok()?;
    }
    (!caches.is_empty()).then_some(caches)
}

/// The array from which the page of `object` leads to a span that has it. A word near a leaf's
/// address may do so by chance, for a span of several pages, but not for all of `known`.
fn root(view: &View, image: &Image, object: Addr, known: &[Addr]) -> Option<Addr> {
    let page = object.0 >> PAGE_SHIFT;
    let leads_to = |leaf: Addr, object: Addr| {
        let entry = (object.0 >> PAGE_SHIFT & (LEAF - 1)) * 8;
        let span = view.ptr(leaf.at(entry)).ok().flatten();
        let span = span.and_then(|span| Span::read(view, span));
        span.is_some_and(|span| span.pages.contains(object))
    };
    let in_leaf = |other: &&Addr| other.0 >> PAGE_SHIFT >> LEAF_BITS == page >> LEAF_BITS;
    let leads = |leaf: Addr| {
        leads_to(leaf, object) && known.iter().filter(in_leaf).all(|other| leads_to(leaf, *other))
    };
    for data in &image.data {
        for part in view.pages().present(&[*data]) {
            let words = view.words(part.start, part.len() / 8, 1 << 20).unwrap_or_default();
            let filled = (0u64..).zip(&words).filter(|(_, word)| **word != 0 && **word % 8 == 0);
            for (index, word) in filled {
                if leads(Addr(*word)) {
                    let before = (page >> LEAF_BITS) * 8;
                    return part.start.at(index * 8).0.checked_sub(before).map(Addr);
                }
            }
        }
    }
    None
}

/// Every span that the map leads to, ascending, and the map's leaves.
fn spans(view: &View, root: Addr) -> (Vec<Span>, Vec<AddrRange>) {
    let (mut found, mut leaves): (Vec<Span>, Vec<AddrRange>) = (Vec::new(), Vec::new());
    for part in view.pages().present(&[AddrRange::sized(root, ROOTS * 8)]) {
        let words = view.words(part.start, part.len() / 8, 1 << 18).unwrap_or_default();
        for (index, word) in (0u64..).zip(words).filter(|(_, word)| *word != 0) {
            let high = ((part.start.at(index * 8).0 - root.0) / 8) << LEAF_BITS;
            let range = AddrRange::sized(Addr(word), LEAF * 8);
            let Ok(leaf) = view.words(range.start, LEAF, 1 << 19) else { continue };
            leaves.push(range);
            let mut low = 0;
            while low < LEAF {
                let at = usize::try_from(low).ok().and_then(|low| leaf.get(low).copied());
                let begins = Addr((high | low) << PAGE_SHIFT);
                let span = at.filter(|at| *at != 0).and_then(|at| Span::read(view, Addr(at)));
                // What is left of spans that were joined leads to one that begins elsewhere.
                match span.filter(|span| span.pages.start == begins) {
                    Some(span) => {
                        low += span.pages.len() >> PAGE_SHIFT;
                        found.push(span);
                    }
                    None => low += 1,
                }
            }
        }
    }
    found.sort_unstable_by_key(|span| span.pages.start);
    (found, leaves)
}

struct Heap {
    sizes: Vec<u64>,
    bits: Bits,
    /// Spans with what they hold.
    spans: Vec<(Span, Held)>,
    facts: StandIn,
}

impl Heap {
    fn add(&mut self, view: &View, span: Span, problems: &mut Problems) {
        let len = span.pages.len();
        self.facts.reserved += Bytes(len);
        let class = usize::try_from(span.class).unwrap_or(usize::MAX);
        let size = match (span.location, span.class) {
            (0, 0) => len,
            (0, _) => self.sizes.get(class).copied().unwrap_or(0),
            _ => {
                let sum = if span.location == 2 {
                    &mut self.facts.returned
                } else {
                    &mut self.facts.free_pages
                };
                *sum += Bytes(len);
                self.spans.push((span, Held::default()));
                return;
            }
        };
        if size < 8 || size > len {
            problems
                .note(ProblemKind::BrokenMallocHeap, || format!("span at {}", span.pages.start));
            return;
        }
        let held = self.bits.add(span.pages.start, size, len / size);
        if span.class != 0 {
            let mut free = 0;
            let mut at = span.objects;
            while at.0 != 0 {
                if !self.bits.strike(&held, at) {
                    free = u64::MAX;
                    break;
                }
                free += 1;
                at = view.u64(at).map_or(Addr(0), Addr);
            }
            // The span says how many of its objects are not on its list.
            if free.checked_add(span.refcount) != Some(held.count) {
                self.facts.off += Bytes(size);
                problems.note(ProblemKind::BrokenMallocHeap, || {
                    format!("objects of the span at {}", span.pages.start)
                });
            }
        }
        self.spans.push((span, held));
    }

    /// Makes the object at `at` a free one.
    fn strike(&mut self, at: Addr) -> Option<u64> {
        let after = self.spans.partition_point(|(span, _)| span.pages.start <= at);
        let (span, held) = self.spans.get(after.checked_sub(1)?)?;
        let held = *held;
        (span.pages.contains(at) && self.bits.strike(&held, at)).then_some(held.size)
    }

    fn strike_caches(&mut self, view: &View, caches: &[Cache], problems: &mut Problems) {
        for (head, length, _) in caches.iter().flatten() {
            let mut at = *head;
            for _ in 0..*length {
                let Some(size) = self.strike(at) else {
                    let name = || format!("a list of a thread's cache at {at}");
                    problems.note(ProblemKind::BrokenList, name);
                    break;
                };
                self.facts.cached += Bytes(size);
                at = view.u64(at).map_or(Addr(0), Addr);
            }
        }
    }

    fn strike_central(&mut self, view: &View, image: &Image, problems: &mut Problems) {
        let Some(row) = central(view, image) else {
            problems.note(ProblemKind::CalibrationFailed, || {
                "tcmalloc's central lists were not found".into()
            });
            return;
        };
        for class in 1..CLASSES {
            let list = row.at(class * CENTRAL);
            let used = u64::from(view.u32(list.at(CENTRAL_USED)).unwrap_or(0)).min(MOST_SLOTS);
            for slot in 0..used {
                let at = list.at(CENTRAL_SLOTS + slot * 16);
                let (Ok(mut at), Ok(tail)) = (view.u64(at), view.u64(at.at(8))) else { break };
                loop {
                    let Some(_) = self.strike(Addr(at)) else {
                        problems.note(ProblemKind::BrokenList, || {
                            format!("a slot of tcmalloc's central list {class}")
                        });
                        break;
                    };
                    if at == tail {
                        break;
                    }
                    at = view.u64(Addr(at)).unwrap_or(0);
                }
            }
        }
    }

    fn finish(mut self, leaves: &[AddrRange]) -> Walked {
        let mut walked = Walked::default();
        let mut classes: BTreeMap<u64, ClassFacts> = BTreeMap::new();
        for (span, held) in &self.spans {
            walked.regions.push((span.pages, Owner::MallocFree));
            if held.count == 0 {
                continue;
            }
            let class = classes.entry(held.size).or_default();
            class.block = held.size;
            let used: Vec<AddrRange> = self.bits.used(held).collect();
            class.used += used.len() as u64;
            class.free += held.count - used.len() as u64;
            walked.used.extend(used);
            // What is left at the end is too small for an object.
            let end = held.start.at(held.size * held.count);
            walked.tails.push(AddrRange::new(end, span.pages.end));
        }
        for leaf in leaves {
            walked.regions.push((*leaf, Owner::MallocOverhead));
        }
        let facts = &mut self.facts;
        facts.overhead = walked.tails.iter().map(|tail| Bytes(tail.len())).sum();
        facts.blocks = walked.used.len() as u64;
        facts.used = walked.used.iter().map(|block| Bytes(block.len())).sum();
        let kept = facts.used + facts.overhead + facts.cached + facts.free_pages + facts.returned;
        facts.free_blocks = facts.reserved.minus(kept);
        facts.overhead += leaves.iter().map(|leaf| Bytes(leaf.len())).sum();
        walked.facts = self.facts;
        walked.facts.classes = classes.into_values().collect();
        walked.facts.walked = true;
        walked
    }
}

/// Where the row of central lists begins: structs that say their own class, one after another.
fn central(view: &View, image: &Image) -> Option<Addr> {
    for data in &image.data {
        for part in view.pages().present(&[*data]) {
            let words = view.words(part.start, part.len() / 8, 1 << 20).unwrap_or_default();
            let ones = (0u64..).zip(&words).filter(|(_, word)| **word == 1);
            for (index, _) in ones {
                let at = part.start.at(index * 8);
                let counts = (1..ROW).all(|more| view.u64(at.at(more * CENTRAL)) == Ok(more + 1));
                if counts {
                    return at.0.checked_sub(CENTRAL_CLASS + CENTRAL).map(Addr);
                }
            }
        }
    }
    None
}
