//! Which mappings did the process have, and which of their pages does the core hold?
//!
//! Segments say where memory was and how it was protected, `NT_FILE` which files were mapped, the
//! auxiliary vector where the stack and the kernel's own pages were. Whether a page was resident a
//! core does not say: what stands for it is whether the core holds the page and it is not all zero.

use crate::core_file::CoreMemory;
use crate::core_file::files::Opened;
use crate::core_file::headers::Segment;
use crate::core_file::notes::{FileNote, Notes};
use crate::live::maps::{Mapping, Maps};
use crate::memory::Memory as _;
use crate::sys::files::next_data;
use memwhy_model::{Addr, AddrRange, Bytes, MappingFacts, PageRun, PageState, Residency};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

const PAGE: u64 = 4096;
/// Compared with a file at once.
const PIECE: u64 = 1 << 16;
/// `AT_*` of `include/uapi/linux/auxvec.h`.
const AT_PHDR: u64 = 3;
const AT_ENTRY: u64 = 9;
const AT_RANDOM: u64 = 25;
const AT_SYSINFO_EHDR: u64 = 33;
/// `brk` begins no farther behind the program: 1 GiB, and what is rounded.
const FARTHEST_BRK: u64 = (1 << 30) + (32 << 20);
/// `ELF_ET_DYN_BASE` of x86-64: two thirds of the address space.
const PROGRAMS_BEGIN: Addr = Addr(0x5555_5555_4aaa);
/// What marks mappings of a core whose files have no numbers.
const NO_DEVICE: &str = "core";

/// The mappings, ascending.
pub(crate) fn mappings(segments: &[Segment], notes: &Notes) -> Maps {
    let mut files: Vec<&FileNote> = notes.files.iter().collect();
    files.sort_by_key(|file| file.range.start);
    let mut numbers: HashMap<String, u64> = HashMap::new();
    let mut maps = Vec::new();
    let mut mapping = |range: AddrRange, permissions: String, file: Option<&FileNote>| {
        let (mut offset, mut number) = (0, 0);
        let mut facts = MappingFacts { range, permissions, ..MappingFacts::default() };
        if let Some(file) = file {
            let next = numbers.len() as u64 + 1;
            number = *numbers.entry(file.path.clone()).or_insert(next);
            offset = file.offset.saturating_add(range.start.0.saturating_sub(file.range.start.0));
            facts.name.clone_from(&file.path);
            facts.shmem = is_shared_memory(&file.path);
            facts.file = !facts.shmem;
        }
        maps.push(Mapping { facts, offset, device: NO_DEVICE.into(), inode: number });
    };
    let mut rest = files.iter().peekable();
    for segment in segments {
        // gdb leaves out mappings of files that nobody can have changed.
        while let Some(file) = rest.next_if(|file| file.range.end <= segment.range.start) {
            mapping(file.range, "r-?p".into(), Some(file));
        }
        let holder = rest.peek().filter(|file| file.range.covers(segment.range));
        mapping(segment.range, segment.permissions(), holder.map(|file| **file));
        while rest.next_if(|file| file.range.end <= segment.range.end).is_some() {}
    }
    for file in rest {
        mapping(file.range, "r-?p".into(), Some(file));
    }
    maps.sort_by_key(|mapping| mapping.range().start);
    let mut end = Addr(0);
    maps.retain(|mapping| {
        let apart = mapping.range().start >= end;
        end = end.max(mapping.range().end);
        apart
    });
    let mut maps = Maps(maps);
    name_special(&mut maps, notes);
    maps
}

fn is_shared_memory(path: &str) -> bool {
    ["/dev/shm/", "/memfd:", "/SYSV", "/dev/zero"].iter().any(|prefix| path.starts_with(prefix))
}

/// Names what the auxiliary vector points at.
fn name_special(maps: &mut Maps, notes: &Notes) {
    let vdso = notes.auxiliary(AT_SYSINFO_EHDR).map(Addr);
    let stack = notes.auxiliary(AT_RANDOM).map(Addr);
    for mapping in &mut maps.0 {
        if mapping.inode != 0 {
            continue;
        }
        let range = mapping.range();
        let name = if vdso.is_some_and(|vdso| range.contains(vdso)) {
            "[vdso]"
        } else if stack.is_some_and(|stack| range.contains(stack)) {
            "[stack]"
        } else if vdso == Some(range.end) && !mapping.writable() {
            "[vvar]"
        } else if range.start.0 >= 1 << 63 {
            "[vsyscall]"
        } else {
            continue;
        };
        name.clone_into(&mut mapping.facts.name);
    }
    if let Some(heap) = brk_heap(maps, notes) {
        "[heap]".clone_into(&mut heap.facts.name);
    }
}

/// The memory of `brk`: the kernel puts it behind the program's data, a random distance away
/// (`arch_randomize_brk`), or, where the loader itself was started with the program as its argument,
/// behind where programs begin (`load_elf_binary`). Who relies on it checks it against what malloc
/// says.
fn brk_heap<'m>(maps: &'m mut Maps, notes: &Notes) -> Option<&'m mut Mapping> {
    let exe = program(maps, notes);
    let of_exe = |mapping: &&Mapping| mapping.facts.file && mapping.facts.name == exe;
    let last = maps.0.iter().rfind(of_exe).map(|mapping| mapping.range().end);
    let ends = [last, Some(PROGRAMS_BEGIN)];
    let place = ends.into_iter().flatten().find_map(|end| {
        let after = maps.0.partition_point(|mapping| mapping.range().start <= end);
        let mut behind = maps.0.iter().enumerate().skip(after);
        let (at, heap) = behind.find(|(_, mapping)| mapping.writable())?;
        let near = heap.range().start.checked_since(end).is_some_and(|far| far <= FARTHEST_BRK);
        (near && heap.anonymous() && heap.facts.name.is_empty()).then_some(at)
    });
    maps.0.get_mut(place?)
}

/// The path of the program: the file that its entry point is in.
pub(crate) fn program(maps: &Maps, notes: &Notes) -> String {
    let entry = notes.auxiliary(AT_ENTRY).or_else(|| notes.auxiliary(AT_PHDR)).map(Addr);
    let mapping = entry.and_then(|entry| maps.find(entry)).filter(|mapping| mapping.facts.file);
    mapping.map_or_else(String::new, |mapping| mapping.facts.name.clone())
}

/// The pages that the core holds, as pages of the process; also counts them per mapping.
pub(crate) fn pages(core: &CoreMemory, maps: &mut Maps, files: &Opened) -> Residency {
    let mut runs = Vec::new();
    for segment in core.segments() {
        let mapping = maps.find(segment.range.start);
        let file = mapping.filter(|mapping| mapping.facts.file);
        let held = AddrRange::sized(segment.range.start, segment.held);
        let data = data_of(core.file(), segment);
        let mut at = held.start;
        for part in data {
            let part = part.overlap(AddrRange::new(at, held.end));
            if part.is_empty() {
                continue;
            }
            runs.push(PageRun { range: AddrRange::new(at, part.start), state: PageState::Zero });
            match file {
                Some(file) => runs.extend(changed(core, file, files, part)),
                None => runs.extend(filled(core, part)),
            }
            at = part.end;
        }
        runs.push(PageRun { range: AddrRange::new(at, held.end), state: PageState::Zero });
    }
    let pages = Residency::new(runs);
    for mapping in &mut maps.0 {
        mapping.facts.rss = Bytes(pages.resident(mapping.range()));
    }
    pages
}

/// Which pages of `part` hold anything but zeroes. Some writers of cores write pages that nobody
/// ever touched, others leave holes, and copies fill the holes: only so all count the same.
fn filled(core: &CoreMemory, part: AddrRange) -> Vec<PageRun> {
    let mut runs: Vec<PageRun> = Vec::new();
    let mut at = part.start;
    while at < part.end {
        let len = part.end.0 - at.0;
        let bytes = core.bytes_at(at).unwrap_or_default();
        let bytes = bytes.get(..usize::try_from(len).unwrap_or(usize::MAX)).unwrap_or(bytes);
        if bytes.is_empty() {
            break;
        }
        for page in bytes.chunks(4096) {
            let zero = page.iter().all(|byte| *byte == 0);
            let state = if zero { PageState::Zero } else { PageState::Anon };
            let range = AddrRange::sized(at, page.len() as u64);
            match runs.last_mut() {
                Some(last) if last.state == state => last.range.end = range.end,
                _ => runs.push(PageRun { range, state }),
            }
            at = range.end;
        }
    }
    runs
}

/// The addresses of `segment` that are no holes of the file, in whole pages.
fn data_of(file: &File, segment: &Segment) -> Vec<AddrRange> {
    let (start, end) = (segment.offset, segment.offset.saturating_add(segment.held));
    let address = |offset: u64| segment.range.start.at(offset.saturating_sub(start));
    let mut parts: Vec<AddrRange> = Vec::new();
    let mut at = start;
    while let Some((from, to)) = next_data(file, at).filter(|(from, to)| *from < end && from < to) {
        let first = address(from.max(start)).align_down(PAGE).max(segment.range.start);
        let part = AddrRange::new(first, address(to.min(end)).align_up(PAGE));
        match parts.last_mut() {
            Some(last) if last.end >= part.start => last.end = part.end,
            _ => parts.push(part),
        }
        at = to;
    }
    parts
}

/// Which pages of a mapped file differ from the file. Without the file the writable ones count as
/// changed: that is why they are in the core.
fn changed(core: &CoreMemory, mapping: &Mapping, files: &Opened, part: AddrRange) -> Vec<PageRun> {
    let file = files.get(&(mapping.device.clone(), mapping.inode)).cloned().flatten();
    let Some(file) = file else {
        let state = if mapping.writable() { PageState::Anon } else { PageState::File };
        return vec![PageRun { range: part, state }];
    };
    let mut runs = Vec::new();
    let mut at = part.start;
    while at < part.end {
        let len = (part.end.0 - at.0).min(PIECE);
        let (mut here, mut there) = (vec![0; len as usize], vec![0; len as usize]);
        let offset = mapping.offset.saturating_add(at.0 - mapping.range().start.0);
        let comparable = core.read(at, &mut here).is_ok();
        // Behind the end of the file its last page is zeroes.
        let got = read_up_to(&file, &mut there, offset);
        for (n, (a, b)) in here.chunks(4096).zip(there.chunks(4096)).enumerate() {
            let start = at.at(n as u64 * PAGE);
            let same = comparable && n * 4096 < got && a == b;
            let state = if same { PageState::File } else { PageState::Anon };
            runs.push(PageRun { range: AddrRange::new(start, start.at(a.len() as u64)), state });
        }
        at = at.at(len);
    }
    runs
}

fn read_up_to(file: &File, buf: &mut [u8], offset: u64) -> usize {
    let mut got = 0;
    while let Some(rest) = buf.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(got as u64)) {
            Ok(0) | Err(_) => break,
            Ok(n) => got += n,
        }
    }
    got
}
