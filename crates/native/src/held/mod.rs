//! Who keeps each chunk that the program has from malloc: an object, a library, or nobody?
//!
//! A conservative search, as collectors for C do it: every aligned word that may be an address is
//! taken for one, also one into the middle of a chunk or just behind its end. What no word leads to,
//! from variables, stacks, registers or objects, over other chunks or not, cannot be freed any more.
//!
//! | file | idea |
//! |---|---|
//! | [`chunk`] | what was handed out, whoever did it |
//! | [`index`] | from an address to the chunk that it is in |
//! | [`contents`] | what each chunk has in it, read once |
//! | [`signature`] | what it begins with |
//! | [`roots`] | variables, stacks, registers, objects |
//! | [`stacks`] | which parts of stacks are dead |
//! | [`marks`] | who leads to what |
//! | [`regions`] | whose memory is that several lead to |
//! | [`sets`] | several who do, as one number |
//! | [`groups`] | rows that add up |
//!
//! It takes, besides the table of chunks (16 bytes each), some 35 bytes for each chunk in use, 4 for
//! each address found in one, and 4 for each page of the heaps; its time is linear in memory.

mod chunk;
mod contents;
mod groups;
mod index;
mod marks;
mod regions;
mod roots;
mod sets;
mod signature;
mod stacks;

use crate::Images;
pub use chunk::{Chunk, Chunks};
use contents::Contents;
use groups::Groups;
use index::ChunkIndex;
use marks::Marks;
use memwhy_model::{AddrRange, Bytes, NativeMemory};
use memwhy_target::{Thread, View};
use sets::Sets;
use signature::Spans;

/// How sure it is that a word is meant as an address, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rank {
    /// Objects of a type that is known to lead to memory of C.
    Type,
    /// Variables of a library.
    Library,
    /// Stacks, registers, thread-local storage.
    Threads,
    /// Memory that nobody manages.
    Memory,
    /// Memory of the interpreter that is no object's.
    Interpreter,
    /// Objects that hold data, in which an address is a number like others.
    Data,
    /// Objects that hold text: what looks like an address there is what was there before.
    Text,
}

/// Objects of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The type, by the number that [`Objects::name`] knows.
    pub holder: u32,
    /// [`Rank::Type`], [`Rank::Data`] or [`Rank::Text`].
    pub rank: Rank,
}

/// What is known of a chunk without a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// An object is in it.
    Own(Source),
    /// It is a buffer that surely belongs to one object.
    Buffer(Source),
    /// The interpreter's allocator has objects in it.
    Arena,
}

/// What an interpreter knows of the memory of its objects.
pub trait Objects: Sync {
    /// What is known of a chunk.
    fn told(&self, chunk: Chunk) -> Option<Told>;
    /// Memory of the interpreter's allocators: it comes in blocks, not in pages.
    fn arenas(&self) -> Vec<AddrRange>;
    /// Hands out every block in use of them: whose it is, and what is in it; of a number the word
    /// that it stands for.
    fn blocks(&self, each: &mut dyn FnMut(Option<Source>, &[u8]));
    /// The name of a type.
    fn name(&self, holder: u32) -> String;
    /// Of types that all lead to the same memory those that are nearest to it.
    fn nearest(&self, holders: &[u32]) -> Vec<u32>;
}

/// A program without an interpreter.
#[derive(Debug)]
pub struct NoObjects;

impl Objects for NoObjects {
    fn told(&self, _chunk: Chunk) -> Option<Told> {
        None
    }

    fn arenas(&self) -> Vec<AddrRange> {
        Vec::new()
    }

    fn blocks(&self, _each: &mut dyn FnMut(Option<Source>, &[u8])) {}

    fn name(&self, _holder: u32) -> String {
        String::new()
    }

    fn nearest(&self, holders: &[u32]) -> Vec<u32> {
        holders.to_vec()
    }
}

/// Set in numbers of libraries, and not in those of types.
const LIBRARY: u32 = 1 << 31;

/// The address of a chunk, found somewhere.
#[derive(Clone, Copy, Debug)]
struct Root {
    target: u32,
    /// A type, or an image with [`LIBRARY`], by number.
    holder: u32,
    rank: Rank,
}

/// Searches the memory of the process for the addresses of chunks.
#[must_use]
pub fn search(
    view: &View,
    images: &Images,
    handed_out: &Chunks,
    threads: &[Thread],
    objects: &dyn Objects,
) -> NativeMemory {
    let chunks = handed_out.list.as_slice();
    let index = ChunkIndex::of(chunks);
    let told: Vec<Option<Told>> = chunks.iter().map(|chunk| objects.told(*chunk)).collect();
    let spans = Spans::of(images, handed_out.stale);
    let begins = |bytes: &[u8]| spans.key(bytes, |word| index.find(word, &mut 0).is_some());
    let is_told = |chunk: usize| matches!(told.get(chunk), Some(Some(_)));
    let contents = Contents::read(view, &index, chunks, &begins, &is_told);
    let mut roots = roots::search(view, images, handed_out, &index, threads, objects);
    // What objects have in chunks of malloc is theirs as much as what they have in blocks.
    for (told, number) in told.iter().zip(0u32..) {
        let (holder, rank) = match told {
            Some(Told::Own(source) | Told::Buffer(source)) => (source.holder, source.rank),
            // Its blocks were handed out.
            Some(Told::Arena) | None => continue,
        };
        if rank == Rank::Text {
            continue;
        }
        let targets = contents.targets(number).iter();
        roots.found.extend(targets.map(|target| Root { target: *target, holder, rank }));
    }
    let open = |chunk: u32| matches!(told.get(chunk as usize), Some(None));
    roots.found.retain(|root| open(root.target));
    let mut sets = Sets::new();
    let size = |chunk: u32| chunks.get(chunk as usize).map_or(0, |chunk| chunk.size());
    let marks = Marks::of(chunks.len(), &roots.found, &contents, &mut sets, open, size);
    let groups = Groups {
        view,
        images,
        chunks,
        told: &told,
        contents: &contents,
        marks: &marks,
        sets: &sets,
        objects,
    };
    let swapped: u64 = view.maps().0.iter().map(|mapping| mapping.facts.swap.0).sum();
    NativeMemory {
        searched: Bytes(contents.read + roots.read),
        unread: Bytes(contents.unread + roots.unread + swapped),
        threads: (roots.stacks, roots.registers),
        libraries: roots.libraries,
        ..groups.sum()
    }
}
