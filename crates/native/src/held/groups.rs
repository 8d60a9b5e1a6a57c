//! From marks on single chunks to rows that add up: by holder, and by size and content.

use super::chunk::Chunk;
use super::contents::Contents;
use super::marks::Marks;
use super::sets::{SetId, Sets};
use super::signature::{Begins, Key, Namer};
use super::{LIBRARY, Objects, Rank, Source, Told};
use crate::Images;
use memwhy_model::{Bytes, Content, ContentGroup, ContentKind, HolderKind, Holding, NativeMemory};
use memwhy_target::View;
use rustc_hash::FxHashMap;

/// Groups by size and content; those after them are added up by content.
const MOST_GROUPS: usize = 4096;
/// Chunks named of each group.
const EXAMPLES: usize = 3;
/// Up to this size chunks are grouped by it.
const EXACT: u64 = 1024;
/// Below it a page more or less does not matter.
const LARGE: u64 = 64 << 10;
/// Libraries that lead to everything, and are said to only where no other one does.
const EVERYWHERE: [&str; 3] = ["libc.so", "libc-2.", "ld-linux"];

/// What has a chunk, before it has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Type(u32),
    Marked(Rank, SetId),
    Interpreter,
    Nobody,
}

/// Adds chunks up.
pub(super) struct Groups<'a> {
    pub(super) view: &'a View,
    pub(super) images: &'a Images,
    pub(super) chunks: &'a [Chunk],
    pub(super) told: &'a [Option<Told>],
    pub(super) contents: &'a Contents,
    pub(super) marks: &'a Marks,
    pub(super) sets: &'a Sets,
    pub(super) objects: &'a dyn Objects,
}

impl Groups<'_> {
    /// The rows; what was searched is for others to say.
    pub(super) fn sum(&self) -> NativeMemory {
        let mut memory = NativeMemory::default();
        let mut rows: FxHashMap<Holder, u32> = FxHashMap::default();
        let mut by_name: FxHashMap<(HolderKind, Vec<String>), u32> = FxHashMap::default();
        let mut groups: FxHashMap<(u64, Begins, u32), ContentGroup> = FxHashMap::default();
        let mut symbols = Namer::new(self.images);
        let inner = self.inner();
        for (chunk, number) in self.chunks.iter().zip(0u32..) {
            let taken = self.taken(*chunk);
            memory.all.add(taken);
            let told = self.told.get(number as usize).copied().flatten();
            let holder = self.holder(told, number);
            let row = *rows.entry(holder).or_insert_with(|| {
                let (kind, names) = self.named(holder, &symbols);
                *by_name.entry((kind, names)).or_insert_with_key(|(kind, names)| {
                    let (kind, names) = (*kind, names.clone());
                    memory.holders.push(Holding { kind, names, ..Holding::default() });
                    u32::try_from(memory.holders.len() - 1).unwrap_or(u32::MAX)
                })
            });
            if holder == Holder::Nobody {
                memory.lost_at.push(chunk.memory());
            }
            let deep = match told {
                Some(Told::Own(_)) => None,
                Some(Told::Buffer(_) | Told::Arena) => Some(false),
                None if holder == Holder::Nobody => Some(inner.get(number as usize) == Some(&true)),
                None => Some(!self.marks.direct(number)),
            };
            if let Some(holding) = memory.holders.get_mut(row as usize) {
                let tally = match deep {
                    None => &mut holding.own,
                    Some(false) => &mut holding.direct,
                    Some(true) => &mut holding.through,
                };
                tally.add(taken);
            }
            let Some(deep) = deep.filter(|_| told.is_none()) else { continue };
            let begins = self.contents.begins(number);
            let group =
                groups.entry((size_class(chunk.size()), begins, row)).or_insert_with(|| {
                    ContentGroup { sizes: (u64::MAX, 0), holder: row, ..ContentGroup::default() }
                });
            group.sizes = (group.sizes.0.min(chunk.size()), group.sizes.1.max(chunk.size()));
            group.all.add(taken);
            group.inner += u64::from(deep);
            if group.examples.len() < EXAMPLES {
                group.examples.push(chunk.memory());
            }
        }
        memory.contents = self.named_groups(groups, &mut symbols);
        sort(&mut memory);
        memory
    }

    /// What a chunk takes: of a large one, of which much may never have been touched, the pages
    /// that are there.
    fn taken(&self, chunk: Chunk) -> Bytes {
        let size = chunk.size();
        Bytes(if size < LARGE { size } else { self.view.pages().resident(chunk.range()) })
    }

    fn holder(&self, told: Option<Told>, chunk: u32) -> Holder {
        match told {
            Some(Told::Own(Source { holder, .. }) | Told::Buffer(Source { holder, .. })) => {
                Holder::Type(holder)
            }
            Some(Told::Arena) => Holder::Interpreter,
            None => match self.marks.rank(chunk) {
                Some(rank) => Holder::Marked(rank, self.marks.set(chunk)),
                None => Holder::Nobody,
            },
        }
    }

    fn named(&self, holder: Holder, symbols: &Namer<'_>) -> (HolderKind, Vec<String>) {
        let types = |holders: &[u32]| -> Vec<String> {
            let mut names: Vec<String> =
                holders.iter().map(|holder| self.objects.name(*holder)).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        match holder {
            Holder::Type(holder) => (HolderKind::Type, types(&[holder])),
            Holder::Marked(Rank::Type | Rank::Library | Rank::Data | Rank::Text, set) => {
                let members = self.sets.members(set).iter().copied();
                let (libraries, objects): (Vec<u32>, Vec<u32>) =
                    members.partition(|holder| holder & LIBRARY != 0);
                // A variable may remember what an object has.
                if !objects.is_empty() || libraries.is_empty() {
                    return (HolderKind::Type, types(&self.objects.nearest(&objects)));
                }
                let images = libraries.iter().map(|holder| holder & !LIBRARY);
                let mut names: Vec<String> =
                    images.filter_map(|image| symbols.library(image)).collect();
                names.sort_unstable();
                names.dedup();
                let special = |name: &String| !EVERYWHERE.iter().any(|lib| name.starts_with(lib));
                if names.iter().any(special) {
                    names.retain(special);
                }
                (HolderKind::Library, names)
            }
            Holder::Marked(Rank::Threads, _) => (HolderKind::Threads, Vec::new()),
            Holder::Marked(Rank::Memory, _) => (HolderKind::Memory, Vec::new()),
            Holder::Marked(Rank::Interpreter, _) | Holder::Interpreter => {
                (HolderKind::Interpreter, Vec::new())
            }
            Holder::Nobody => (HolderKind::Nobody, Vec::new()),
        }
    }

    /// Of chunks that nobody keeps: whether another one of them has their address.
    fn inner(&self) -> Vec<bool> {
        let mut inner = vec![false; self.chunks.len()];
        let lost = |chunk: u32| {
            self.told.get(chunk as usize).copied().flatten().is_none()
                && self.marks.rank(chunk).is_none()
        };
        let number = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        for number in (0..number).filter(|number| lost(*number)) {
            for target in self.contents.targets(number) {
                if let Some(inner) = inner.get_mut(*target as usize) {
                    *inner = true;
                }
            }
        }
        inner
    }

    fn named_groups(
        &self,
        groups: FxHashMap<(u64, Begins, u32), ContentGroup>,
        symbols: &mut Namer<'_>,
    ) -> Vec<ContentGroup> {
        let mut groups: Vec<(Begins, u64, ContentGroup)> =
            groups.into_iter().map(|((class, begins, _), group)| (begins, class, group)).collect();
        let order = |(_, class, group): &(Begins, u64, ContentGroup)| {
            (std::cmp::Reverse(group.all.bytes), *class, group.examples.first().copied())
        };
        groups.sort_unstable_by_key(order);
        let rest = groups.split_off(groups.len().min(MOST_GROUPS));
        let mut named: Vec<ContentGroup> = Vec::new();
        // Symbols and texts that look the same are one.
        let mut known: FxHashMap<(u64, Content, u32), usize> = FxHashMap::default();
        for (begins, class, group) in groups {
            let key = self.contents.keys.key(begins).unwrap_or(Key::Numbers);
            let content = symbols.content(key);
            add(&mut named, &mut known, class, content, group);
        }
        for (begins, _, group) in rest {
            let kind = match self.contents.keys.key(begins) {
                Some(Key::Table(_)) => ContentKind::Table,
                Some(Key::Text(_) | Key::AnyText) => ContentKind::Text,
                Some(Key::Zeroes) => ContentKind::Zeroes,
                Some(Key::Library(_)) => ContentKind::Library,
                Some(Key::Chunks) => ContentKind::Chunks,
                Some(Key::Numbers) | None => ContentKind::Numbers,
            };
            add(&mut named, &mut known, 0, Content { kind, ..Content::default() }, group);
        }
        named
    }
}

fn add(
    named: &mut Vec<ContentGroup>,
    known: &mut FxHashMap<(u64, Content, u32), usize>,
    class: u64,
    content: Content,
    group: ContentGroup,
) {
    let at = *known.entry((class, content.clone(), group.holder)).or_insert(named.len());
    let Some(there) = named.get_mut(at) else {
        named.push(ContentGroup { class, content, ..group });
        return;
    };
    there.sizes = (there.sizes.0.min(group.sizes.0), there.sizes.1.max(group.sizes.1));
    there.all = there.all.plus(group.all);
    there.inner += group.inner;
    there.examples.extend(group.examples);
    there.examples.truncate(EXAMPLES);
}

/// Most bytes first; groups keep pointing to their holders.
fn sort(memory: &mut NativeMemory) {
    let mut order: Vec<usize> = (0..memory.holders.len()).collect();
    let weight = |at: usize| memory.holders.get(at).map(|holding| (holding.all().bytes, holding));
    order.sort_by(|a, b| {
        let key = |at: &usize| weight(*at).map(|(bytes, of)| (bytes, of.kind, of.names.clone()));
        key(b).cmp(&key(a))
    });
    let mut places = vec![0u32; order.len()];
    for (old, new) in order.iter().zip(0u32..) {
        if let Some(place) = places.get_mut(*old) {
            *place = new;
        }
    }
    let holders = order.iter().filter_map(|at| memory.holders.get(*at).cloned()).collect();
    memory.holders = holders;
    for group in &mut memory.contents {
        group.holder = places.get(group.holder as usize).copied().unwrap_or(u32::MAX);
    }
    memory.contents.sort_by_key(|group| {
        (std::cmp::Reverse(group.all.bytes), group.sizes, group.examples.first().copied())
    });
}

/// Eighths of powers of two above [`EXACT`].
fn size_class(size: u64) -> u64 {
    match size.checked_ilog2() {
        Some(bits) if size > EXACT => size >> (bits - 3) << (bits - 3),
        Some(_) | None => size,
    }
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn small_sizes_are_their_own_class_and_large_ones_share_one() {
        assert_eq!([32, 48, 1024].map(size_class), [32, 48, 1024]);
        assert_eq!([1040, 1152, 1808, 1 << 20].map(size_class), [1024, 1152, 1792, 1 << 20]);
    }
}
