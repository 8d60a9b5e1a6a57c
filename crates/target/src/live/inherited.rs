//! Which pages does a forked process still share with another of its family, and which not?
//!
//! A fork copies no page: both processes have the same ones until one of them writes. `pagemap`
//! tells of each page whether a process is the only one that has it.

use crate::live::maps::Maps;
use crate::live::pages::{ENTRIES, OF_FILE, PRESENT, entries};
use crate::live::process::Process;
use memwhy_model::{Addr, AddrRange};
use std::fs::File;
use std::io;

const PAGE: u64 = 4096;
/// The bit of a word of `pagemap` for a page that is mapped by nobody else.
const EXCLUSIVE: u64 = 1 << 56;

/// The pages of one process beside those of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// Pages that both have and that are the same still.
    pub shared: Vec<AddrRange>,
    /// Pages that both have and of which each has its own.
    pub unshared: Vec<AddrRange>,
    /// Pages that only the first has.
    pub own: u64,
}

/// Compares the pages without a file of `process`, which has `maps`, with those of `other`.
///
/// # Errors
/// Without permission to read `pagemap` of either.
pub fn compare(process: &Process, maps: &Maps, other: &Process) -> io::Result<Inherited> {
    let (ours, theirs) = (File::open(process.path("pagemap"))?, File::open(other.path("pagemap"))?);
    let others = other.maps()?;
    let mut found = Inherited::default();
    let mut buffers = (vec![0u8; ENTRIES * 8], vec![0u8; ENTRIES * 8]);
    for mapping in maps.0.iter().filter(|m| m.private() && m.writable() && !m.facts.shmem) {
        let mut at = mapping.range().start;
        while at < mapping.range().end {
            let piece =
                AddrRange::new(at, Addr(at.at(ENTRIES as u64 * PAGE).0)).overlap(mapping.range());
            at = piece.end;
            // What is mapped there in the other one may be another thing by now.
            let there = others.find(piece.start).is_some_and(|m| m.private() && m.writable());
            let mine: Vec<u64> = entries(&ours, piece, &mut buffers.0)?.collect();
            let yours =
                if there { entries(&theirs, piece, &mut buffers.1)?.collect() } else { Vec::new() };
            found.add(piece.start, &mine, &yours);
        }
    }
    Ok(found)
}

impl Inherited {
    fn add(&mut self, start: Addr, ours: &[u64], theirs: &[u64]) {
        let anonymous = |word: u64| word & PRESENT != 0 && word & OF_FILE == 0;
        for (index, word) in (0u64..).zip(ours).filter(|(_, word)| anonymous(**word)) {
            let page = AddrRange::sized(start.at(index * PAGE), PAGE);
            let there = usize::try_from(index).ok().and_then(|index| theirs.get(index));
            match there.filter(|there| anonymous(**there)) {
                None => self.own += PAGE,
                Some(_) if word & EXCLUSIVE != 0 => push(&mut self.unshared, page),
                Some(_) => push(&mut self.shared, page),
            }
        }
    }

    /// Memory of pages that both have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.iter().chain(&self.unshared).map(|range| range.len()).sum()
    }
}

fn push(ranges: &mut Vec<AddrRange>, page: AddrRange) {
    match ranges.last_mut() {
        Some(last) if last.end == page.start => last.end = page.end,
        _ => ranges.push(page),
    }
}

#[cfg(test)]
mod tests {
    use super::{EXCLUSIVE, Inherited};
    use crate::live::pages::{OF_FILE, PRESENT};
    use memwhy_model::{Addr, AddrRange};

    #[test]
    fn a_page_of_both_is_shared_until_one_of_them_has_it_alone() {
        let mut found = Inherited::default();
        let anon = PRESENT;
        let ours = [anon, anon | EXCLUSIVE, anon | EXCLUSIVE, 0, anon | OF_FILE];
        let theirs = [anon, anon | EXCLUSIVE, 0, anon, anon];
        found.add(Addr(0x1000), &ours, &theirs);
        let page = |at: u64| AddrRange::sized(Addr(at), 0x1000);
        assert_eq!(found.shared, [page(0x1000)]);
        assert_eq!(found.unshared, [page(0x2000)]);
        assert_eq!((found.own, found.bytes()), (0x1000, 0x2000));
    }
}
