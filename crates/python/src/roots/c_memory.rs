//! Which words of C are the address of an object: in the data of images, in the registers and on
//! the stacks of threads, in what C code took from malloc?
//!
//! A word may be left over, or a number: such a root is shown only for what Python does not reach.

use super::Finder;
use crate::object::may_be_address;
use memwhy_model::{Addr, AddrRange, RootKind};
use memwhy_native::Image;
use memwhy_target::MemoryExt;

/// Of one stack so much is searched.
const DEEPEST_STACK: u64 = 64 << 20;
/// Larger chunks are arrays of numbers, or belong to an allocator of their own.
const LARGEST_CHUNK: u64 = 16 << 20;

pub(super) fn collect(finder: &mut Finder<'_>) {
    globals(finder);
    stacks(finder);
    memory(finder);
}

/// Variables of C: the words of static objects are references of theirs.
fn globals(finder: &mut Finder<'_>) {
    let mut statics = finder.sources.heap.statics.clone();
    statics.sort_unstable();
    for image in &finder.sources.images.0 {
        let names = image.variables();
        for range in finder.sources.view.pages().present(&image.data) {
            for part in range.without(&statics) {
                finder.scan(RootKind::CGlobal, part, &|at| variable(image, &names, at));
            }
        }
    }
}

/// `symbol+8 of libx.so`, or its place in the file where no symbol tells.
fn variable(image: &Image, names: &[(AddrRange, String)], at: Addr) -> String {
    let file = image.file_name();
    let after = names.partition_point(|(range, _)| range.start <= at);
    let found = after.checked_sub(1).and_then(|before| names.get(before));
    match found.filter(|(range, _)| range.contains(at)) {
        Some((range, name)) if range.start == at => format!("{name} of {file}"),
        Some((range, name)) => format!("{name}+{} of {file}", at.0 - range.start.0),
        None => format!("{file}+{:#x}", at.0.wrapping_sub(image.bias)),
    }
}

/// Stacks, and registers: what a function works on may be in one of these alone.
fn stacks(finder: &mut Finder<'_>) {
    let sources = finder.sources;
    for thread in sources.threads {
        let Some(registers) = thread.registers else { continue };
        let known = sources.interpreters.iter().flat_map(|state| &state.threads);
        let python = known.into_iter().find(|known| known.is(thread));
        let name = python.and_then(|python| sources.thread_names.get(&python.ident));
        let name = name.map_or_else(|| format!("thread {}", thread.tid), Clone::clone);
        for word in registers.values().filter(|word| may_be_address(*word)) {
            finder.add(RootKind::NativeStack, Addr(word), || format!("a register of {name}"));
        }
        let Some(pointer) = registers.stack_pointer() else { continue };
        let Some(mapping) = sources.view.maps().find(pointer) else { continue };
        // What calls no deeper than that left below the pointer is theirs: 128 bytes, the ABI's
        // red zone.
        let start = pointer.before(128).max(mapping.range().start);
        let end = mapping.range().end.min(start.at(DEEPEST_STACK));
        let present = sources.view.pages().present(&[AddrRange::new(start, end)]);
        for range in present {
            finder.scan(RootKind::NativeStack, range, &|_| format!("the C stack of {name}"));
        }
    }
}

/// Chunks of malloc and blocks of pymalloc that belong to no object.
fn memory(finder: &mut Finder<'_>) {
    let sources = finder.sources;
    let heap = sources.heap;
    for pool in &sources.pymalloc.pools {
        for index in (0..pool.blocks).filter(|index| sources.pymalloc.is_live(pool, *index)) {
            let block = sources.pymalloc.block_addr(pool, index);
            let range = AddrRange::sized(block, u64::from(pool.block));
            if !is_taken(finder, range) {
                held_from(finder, range, "PyMem_Malloc");
            }
        }
    }
    for page in sources.mimalloc.into_iter().flat_map(|mimalloc| &mimalloc.pages) {
        if page.block > LARGEST_CHUNK {
            continue;
        }
        for block in sources.mimalloc.into_iter().flat_map(|mimalloc| mimalloc.in_use(page)) {
            let range = AddrRange::sized(block, page.block);
            if !is_taken(finder, range) {
                held_from(finder, range, "PyMem_Malloc");
            }
        }
    }
    let chunks = sources.malloc.map(|malloc| &malloc.chunks);
    for chunk in chunks.into_iter().flatten().filter(|chunk| chunk.in_use()) {
        let at = chunk.memory();
        let usable = chunk.usable();
        if usable > LARGEST_CHUNK || sources.pymalloc.covers(at) || heap.owner_of(at).is_some() {
            continue;
        }
        held_from(finder, AddrRange::sized(at, usable), "malloc");
    }
}

/// Whether a block has an object in it, or belongs to one.
fn is_taken(finder: &Finder<'_>, block: AddrRange) -> bool {
    let mut before = [0, 16, 32, 48].map(|before| block.start.at(before)).into_iter();
    finder.sources.heap.owner_of(block.start).is_some()
        || before.any(|at| block.contains(at) && finder.object(at).is_some())
}

/// Adds what a piece of memory keeps, with the library that one of its words leads to.
fn held_from(finder: &mut Finder<'_>, range: AddrRange, function: &str) {
    let sources = finder.sources;
    finder.scan(RootKind::NativeMemory, range, &|_| {
        let words = sources.view.words(range.start, (range.len() / 8).min(32), 32);
        let image = words
            .unwrap_or_default()
            .into_iter()
            .find_map(|word| sources.images.containing(Addr(word)).map(Image::file_name));
        let whose = image.map(|file| format!(" that refers to {file}")).unwrap_or_default();
        format!("{} bytes of {function} at {}{whose}", range.len(), range.start)
    });
}
