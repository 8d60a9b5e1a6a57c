//! Which allocators do libraries carry for themselves, and which memory do they have?
//!
//! Arrow has a mimalloc and a jemalloc linked in, polars a jemalloc: they take memory from the kernel
//! and no `malloc` sees it. Each is known by what it keeps in memory, not by names.

use super::{jemalloc, mimalloc};
use crate::image::{Image, Images};
use memwhy_model::{AddrRange, Bytes, Carried, Layer, Owner, Partition};
use memwhy_target::View;
use std::collections::BTreeMap;

/// What a stretch of memory is to its allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The program has all of it or a part.
    HandedOut,
    /// Free, and it may be resident.
    Kept,
    /// Free, and given back to the kernel.
    Returned,
    /// What the allocator has for itself.
    Own,
}

/// A stretch of memory of an allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it is.
    pub range: AddrRange,
    /// What it is.
    pub of: Use,
    /// Bytes of it that the program has, as the allocator rounds them up.
    pub used: u64,
}

/// An allocator of a library, with its memory.
#[derive(Debug)]
pub struct Embedded {
    /// Its memory, ascending.
    pub extents: Vec<Extent>,
    /// Sums.
    pub facts: Carried,
}

/// The allocators that images carry. One that serves `malloc` is not for a library alone, nor is the
/// mimalloc that has the segments in `taken`.
#[must_use]
pub fn find(view: &View, images: &Images, taken: &[AddrRange]) -> Vec<Embedded> {
    let private = |image: &&Image| image.exported("malloc").is_none();
    let arenas = mimalloc::arenas(view, images).into_iter();
    let arenas = arenas.map(|(image, extents)| ("mimalloc", image, None, extents));
    let segments = mimalloc::segments(view, images, taken).into_iter();
    let segments =
        segments.map(|(image, release, extents)| ("mimalloc", image, Some(release), extents));
    let jemallocs = images
        .0
        .iter()
        .filter(private)
        .filter_map(|image| Some(("jemalloc", image, None, jemalloc::extents(view, image)?)));
    let mut found: BTreeMap<(&str, &str, Option<String>), Vec<Extent>> = BTreeMap::new();
    let mimallocs = arenas.chain(segments).filter(|(_, image, ..)| private(image));
    for (name, image, release, extents) in mimallocs.chain(jemallocs) {
        found.entry((name, &image.path, release)).or_default().extend(extents);
    }
    let mut found: Vec<Embedded> = found
        .into_iter()
        .map(|((name, image, release), extents)| Embedded {
            facts: Carried {
                name: name.into(),
                image: image.into(),
                release,
                ..sum(view, &extents)
            },
            extents,
        })
        .filter(|of| of.facts.resident > Bytes(0))
        .collect();
    found.sort_by_key(|of| std::cmp::Reverse(of.facts.resident));
    found
}

/// Adds extents up.
pub(super) fn sum(view: &View, extents: &[Extent]) -> Carried {
    let mut facts = Carried::default();
    for extent in extents {
        let resident = Bytes(view.pages().resident(extent.range));
        facts.reserved += Bytes(extent.range.len());
        facts.resident += resident;
        match extent.of {
            Use::HandedOut => {
                facts.active += Bytes(extent.range.len());
                facts.used += Bytes(extent.used);
            }
            Use::Kept => {
                facts.kept += Bytes(extent.range.len());
                facts.kept_resident += resident;
            }
            Use::Returned => facts.kept_resident += resident,
            Use::Own => {}
        }
    }
    facts
}

impl Embedded {
    /// Gives its memory to its owner.
    pub fn claim(&self, claims: &mut Partition) {
        for extent in &self.extents {
            claims.claim(Layer::Region, extent.range, Owner::OtherAllocator);
        }
    }
}
