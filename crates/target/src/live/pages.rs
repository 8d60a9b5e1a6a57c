//! Which pages of a live process are present? `PAGEMAP_SCAN`, or `pagemap` before Linux 6.7.

use crate::live::maps::Maps;
use crate::live::process::Process;
use crate::sys::pagemap::{self, IS_FILE, IS_HUGE, IS_ZERO, Region};
use memwhy_model::{Addr, AddrRange, PageRun, PageState, Residency};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const PAGE: u64 = 4096;
/// `pagemap` has 8 bytes a page: bit 63 present, bit 61 of a file or shared.
pub(super) const PRESENT: u64 = 1 << 63;
pub(super) const OF_FILE: u64 = 1 << 61;
/// Regions asked for at once: 96 KiB.
const REGIONS: usize = 4096;
/// Entries of `pagemap` read at once: 64 KiB.
pub(super) const ENTRIES: usize = 8192;

/// Lists the present pages of all mappings.
///
/// # Errors
/// `EACCES` without permission, `ESRCH` when the process is gone.
pub fn present(process: &Process, maps: &Maps) -> io::Result<Residency> {
    let file = File::open(process.path("pagemap"))?;
    match scan(&file, maps) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {
            read(&file, maps)
        }
        result => result,
    }
}

fn scan(file: &File, maps: &Maps) -> io::Result<Residency> {
    let (mut runs, mut huge) = (Vec::new(), Vec::new());
    let mut regions = vec![Region::default(); REGIONS];
    for mapping in &maps.0 {
        let (mut at, end) = (mapping.range().start.0, mapping.range().end.0);
        // The kernel's page at the top of the address space cannot be walked.
        if mapping.facts.name == "[vsyscall]" {
            continue;
        }
        while at < end {
            let (filled, walked) = pagemap::scan(file, at, end, &mut regions)?;
            for region in regions.iter().take(filled) {
                let state = if region.categories & IS_ZERO != 0 {
                    PageState::Zero
                } else if region.categories & IS_FILE != 0 {
                    PageState::File
                } else {
                    PageState::Anon
                };
                let range = AddrRange::new(Addr(region.start), Addr(region.end));
                runs.push(PageRun { range, state });
                if region.categories & IS_HUGE != 0 && state == PageState::Anon {
                    huge.push(range);
                }
            }
            if walked <= at {
                break;
            }
            at = walked;
        }
    }
    Ok(Residency::new(runs).with_huge(huge))
}

fn read(file: &File, maps: &Maps) -> io::Result<Residency> {
    let mut runs = Vec::new();
    let mut buf = vec![0u8; ENTRIES * 8];
    for mapping in &maps.0 {
        // smaps knows where nothing is resident; `maps` alone knows nothing and costs the read.
        let range = mapping.range();
        if mapping.facts.name == "[vsyscall]" {
            continue;
        }
        let mut at = range.start.0;
        while at < range.end.0 {
            let mut got = 0;
            let rest = AddrRange::new(Addr(at), range.end);
            for (entry, page) in entries(file, rest, &mut buf)?.zip(0u64..) {
                got = page + 1;
                if entry & PRESENT != 0 {
                    let state =
                        if entry & OF_FILE != 0 { PageState::File } else { PageState::Anon };
                    let start = Addr(at + page * PAGE);
                    runs.push(PageRun { range: AddrRange::sized(start, PAGE), state });
                }
            }
            if got == 0 {
                break;
            }
            at += got * PAGE;
        }
    }
    Ok(Residency::new(runs))
}

/// The words that `pagemap` has for the first pages of `range`: as many as fit into `buffer`, fewer
/// where the file ends.
pub(super) fn entries<'a>(
    file: &File,
    range: AddrRange,
    buffer: &'a mut [u8],
) -> io::Result<impl Iterator<Item = u64> + 'a> {
    let len = usize::try_from(range.len() / PAGE * 8).unwrap_or(usize::MAX).min(buffer.len());
    let piece = buffer.get_mut(..len).unwrap_or_default();
    let got = file.read_at(piece, range.start.0 / PAGE * 8)?;
    let read = piece.get(..got).unwrap_or_default();
    Ok(read.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::{read, scan};
    use crate::live::process::Process;
    use memwhy_model::{Addr, AddrRange, PageState};
    use std::fs::File;

    #[test]
    fn both_ways_see_a_touched_page_and_no_untouched_one() {
        let us = Process::open(std::process::id()).expect("we are alive");
        // Larger than any block that malloc has in its heap, where freed memory is used again.
        let mut block = vec![0u8; 64 << 20];
        block[0x80_000] = 1;
        let at = Addr(&raw const block[0x80_000] as u64);
        let far = Addr(&raw const block[0xc0_000] as u64);
        let maps = us.maps().expect("our own");
        let file = File::open(us.path("pagemap")).expect("our own");
        let by_read = read(&file, &maps).expect("pagemap is readable");
        assert_eq!(by_read.state(at), Some(PageState::Anon));
        assert_eq!(by_read.state(far), None);
        if let Ok(by_scan) = scan(&file, &maps) {
            assert_eq!(by_scan.state(at), Some(PageState::Anon));
            let page = AddrRange::sized(at.align_down(4096), 4096);
            assert_eq!(by_scan.resident(page), 4096);
        }
    }
}
