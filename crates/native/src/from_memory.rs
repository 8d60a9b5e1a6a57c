//! What of an ELF file does memory still have, where the file itself is missing?
//!
//! The first page of each mapped ELF file is in almost every core (bit 4 of `coredump_filter`), and
//! with it the program headers. They lead to the dynamic section, and that to symbols, relocations
//! and rules for unwinding, as far as the core holds them (with bit 2 it does). What is there is put
//! together as an ELF file of these parts alone, each with a section header, so that whoever reads
//! files reads this one too. What memory does not have is not in it, rather than zero.

use memwhy_model::Addr;
use memwhy_target::{MemoryExt as _, View};
use object::elf::{
    DT_GNU_HASH, DT_HASH, DT_NULL, DT_RELA, DT_RELASZ, DT_STRSZ, DT_STRTAB, DT_SYMTAB, PF_W, PF_X,
    PT_DYNAMIC, PT_GNU_EH_FRAME, PT_LOAD, PT_NOTE, SHT_DYNSYM, SHT_NOTE, SHT_PROGBITS, SHT_RELA,
    SHT_STRTAB,
};

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;
const SYMBOL: u64 = 24;
/// Segments of one file; no linker makes as many.
const MOST_SEGMENTS: u16 = 256;
/// Entries of a dynamic section.
const MOST_ENTRIES: u64 = 4096;
/// No table that is put together is larger.
const LARGEST_PART: usize = 64 << 20;
/// Buckets of a table of hashes, and symbols.
const MOST_SYMBOLS: u64 = 1 << 20;
/// Constants are wanted of libc, which has 340 KiB of them.
const MOST_CONSTANTS: u64 = 1 << 20;

/// One `PT_*` entry.
#[derive(Clone, Copy, Debug)]
struct Segment {
    kind: u32,
    flags: u32,
    vaddr: u64,
    held: u64,
    size: u64,
}

/// A section to be.
struct Part {
    name: &'static str,
    kind: u32,
    vaddr: u64,
    bytes: Vec<u8>,
    /// The section that it refers to, counted from 1 in the order in which they are put.
    link: u32,
}

/// The file, as far as memory has it, of the image whose first page is at `first`.
#[must_use]
pub(crate) fn rebuild(view: &View, first: Addr) -> Option<Vec<u8>> {
    let head: [u8; HEADER] = view.array(first).ok()?;
    // 64-bit, little-endian, version 1.
    head.starts_with(b"\x7fELF\x02\x01\x01").then_some(())?;
    let (table, count) = (word(&head, 32)?, half(&head, 56)?.min(MOST_SEGMENTS));
    let mut segments = Vec::new();
    for n in 0..u64::from(count) {
        let at = first.checked_add(table.checked_add(n * PROGRAM_HEADER as u64)?)?;
        let entry: [u8; PROGRAM_HEADER] = view.array(at).ok()?;
        segments.push(Segment {
            kind: double(&entry, 0)?,
            flags: double(&entry, 4)?,
            vaddr: word(&entry, 16)?,
            held: word(&entry, 32)?,
            size: word(&entry, 40)?,
        });
    }
    let loaded = segments.iter().find(|segment| segment.kind == PT_LOAD)?;
    let bias = first.0.wrapping_sub(loaded.vaddr & !4095);
    let memory = Loaded { view, bias };
    let parts = parts(&memory, &segments);
    Some(file(head, &segments, &parts))
}

/// The memory of one image, by the addresses that its file has.
struct Loaded<'v> {
    view: &'v View,
    bias: u64,
}

impl Loaded<'_> {
    fn bytes(&self, vaddr: u64, len: u64) -> Option<Vec<u8>> {
        let at = Addr(self.bias.wrapping_add(vaddr));
        self.view.bytes(at, len, LARGEST_PART).ok().filter(|bytes| !bytes.is_empty())
    }

    fn double(&self, vaddr: u64) -> Option<u32> {
        self.view.u32(Addr(self.bias.wrapping_add(vaddr))).ok()
    }

    /// What the dynamic section has for `tag`. The loader has turned addresses of the file into
    /// those of the process, in most entries.
    fn dynamic(&self, segments: &[Segment], tag: i64) -> Option<u64> {
        let section = segments.iter().find(|segment| segment.kind == PT_DYNAMIC)?;
        for n in 0..(section.size / 16).min(MOST_ENTRIES) {
            let entry = self.bytes(section.vaddr.checked_add(n * 16)?, 16)?;
            let found = word(&entry, 0)?;
            if found.cast_signed() == DT_NULL {
                return None;
            }
            if found.cast_signed() == tag {
                return word(&entry, 8);
            }
        }
        None
    }

    fn dynamic_address(&self, segments: &[Segment], tag: i64) -> Option<u64> {
        let value = self.dynamic(segments, tag)?;
        let own = |vaddr: u64| {
            let mut loads = segments.iter().filter(|segment| segment.kind == PT_LOAD);
            loads.any(|load| vaddr.checked_sub(load.vaddr).is_some_and(|far| far < load.size))
        };
        [value.wrapping_sub(self.bias), value].into_iter().find(|vaddr| own(*vaddr))
    }

    /// How many symbols there are: the tables of hashes know.
    fn symbols(&self, segments: &[Segment]) -> Option<u64> {
        if let Some(at) = self.dynamic_address(segments, DT_HASH) {
            return self.double(at.checked_add(4)?).map(u64::from);
        }
        // `struct gnu_hash_header` of binutils, then the filter, buckets, and chains, of which the
        // last entry has its lowest bit set.
        let at = self.dynamic_address(segments, DT_GNU_HASH)?;
        let [buckets, first, filter] =
            [0, 4, 8].map(|by| self.double(at.wrapping_add(by)).map(u64::from));
        let (buckets, first, filter) = (buckets?, first?, filter?);
        let at = at.checked_add(16 + filter.checked_mul(8)?)?;
        let heads = self.bytes(at, buckets.min(MOST_SYMBOLS) * 4)?;
        let heads = heads.as_chunks::<4>().0.iter().map(|head| u32::from_le_bytes(*head));
        let mut last = u64::from(heads.max()?);
        if last < first {
            return Some(first);
        }
        let chains = at.checked_add(buckets * 4)?;
        while last < MOST_SYMBOLS {
            let chain = self.double(chains.checked_add((last - first) * 4)?)?;
            last += 1;
            if chain & 1 == 1 {
                return Some(last);
            }
        }
        None
    }
}

fn parts(memory: &Loaded<'_>, segments: &[Segment]) -> Vec<Part> {
    let mut parts = Vec::new();
    let address = |tag| memory.dynamic_address(segments, tag);
    let symbols = || {
        let (symbols, strings) = (address(DT_SYMTAB)?, address(DT_STRTAB)?);
        let len = memory.symbols(segments)?.min(MOST_SYMBOLS) * SYMBOL;
        let table = memory.bytes(symbols, len)?;
        let names = memory.bytes(strings, memory.dynamic(segments, DT_STRSZ)?)?;
        Some(((symbols, table), (strings, names)))
    };
    if let Some(((symbols, table), (strings, names))) = symbols() {
        let name = ".dynsym";
        parts.push(Part { name, kind: SHT_DYNSYM, vaddr: symbols, bytes: table, link: 2 });
        let name = ".dynstr";
        parts.push(Part { name, kind: SHT_STRTAB, vaddr: strings, bytes: names, link: 0 });
    }
    let mut part = |name, kind, vaddr: Option<u64>, len: Option<u64>| {
        if let Some(vaddr) = vaddr
            && let Some(bytes) = len.and_then(|len| memory.bytes(vaddr, len))
        {
            parts.push(Part { name, kind, vaddr, bytes, link: 0 });
        }
    };
    part(".rela.dyn", SHT_RELA, address(DT_RELA), memory.dynamic(segments, DT_RELASZ));
    for segment in segments {
        match segment.kind {
            PT_NOTE => part(".note", SHT_NOTE, Some(segment.vaddr), Some(segment.held)),
            PT_GNU_EH_FRAME => {
                let (at, len) = (segment.vaddr, segment.held);
                part(".eh_frame_hdr", SHT_PROGBITS, Some(at), Some(len));
                if let Some((rules, len)) = rules(memory, segments, at) {
                    part(".eh_frame", SHT_PROGBITS, Some(rules), Some(len));
                }
            }
            // What is neither code nor writable, the head of the file apart: constants.
            PT_LOAD
                if segment.flags & (PF_W | PF_X) == 0
                    && segment.vaddr & !4095 != 0
                    && segment.held <= MOST_CONSTANTS =>
            {
                part(".rodata", SHT_PROGBITS, Some(segment.vaddr), Some(segment.held));
            }
            _ => {}
        }
    }
    parts
}

/// Where `.eh_frame` is, by the pointer of its index, which linkers encode as a distance of four
/// bytes (`DW_EH_PE_pcrel | DW_EH_PE_sdata4`); it ends no later than its segment.
fn rules(memory: &Loaded<'_>, segments: &[Segment], index: u64) -> Option<(u64, u64)> {
    let head = memory.bytes(index, 8)?;
    (head.first() == Some(&1) && head.get(1) == Some(&0x1b)).then_some(())?;
    let far = double(&head, 4)?.cast_signed();
    let at = index.checked_add(4)?.checked_add_signed(i64::from(far))?;
    segments.iter().filter(|segment| segment.kind == PT_LOAD).find_map(|load| {
        let inside = at.checked_sub(load.vaddr)?;
        Some((at, load.held.checked_sub(inside).filter(|len| *len > 0)?))
    })
}

/// An ELF file of these parts.
fn file(mut head: [u8; HEADER], segments: &[Segment], parts: &[Part]) -> Vec<u8> {
    let mut names = vec![0];
    let mut sections = vec![[0; SECTION_HEADER]];
    let mut bytes = head.to_vec();
    for segment in segments {
        let mut entry = [0; PROGRAM_HEADER];
        put(&mut entry, 0, &segment.kind.to_le_bytes());
        put(&mut entry, 4, &segment.flags.to_le_bytes());
        // Nothing of the segment itself is here, so 0 bytes of it are at 0.
        put(&mut entry, 16, &segment.vaddr.to_le_bytes());
        put(&mut entry, 40, &segment.size.to_le_bytes());
        bytes.extend(entry);
    }
    let own = Part { name: ".shstrtab", kind: SHT_STRTAB, vaddr: 0, bytes: Vec::new(), link: 0 };
    for part in parts.iter().chain([&own]) {
        let name = u32::try_from(names.len()).unwrap_or(0);
        names.extend(part.name.as_bytes());
        names.push(0);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let content =
            if part.kind == own.kind && part.name == own.name { &names } else { &part.bytes };
        let mut section = [0; SECTION_HEADER];
        put(&mut section, 0, &name.to_le_bytes());
        put(&mut section, 4, &part.kind.to_le_bytes());
        put(&mut section, 16, &part.vaddr.to_le_bytes());
        put(&mut section, 24, &(bytes.len() as u64).to_le_bytes());
        put(&mut section, 32, &(content.len() as u64).to_le_bytes());
        put(&mut section, 40, &part.link.to_le_bytes());
        put(&mut section, 48, &4u64.to_le_bytes());
        let size = match part.kind {
            SHT_DYNSYM | SHT_RELA => SYMBOL,
            _ => 0,
        };
        put(&mut section, 56, &size.to_le_bytes());
        sections.push(section);
        bytes.extend(content);
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    put(&mut head, 32, &(HEADER as u64).to_le_bytes());
    put(&mut head, 40, &(bytes.len() as u64).to_le_bytes());
    let small = |n: usize| u16::try_from(n).unwrap_or(0).to_le_bytes();
    put(&mut head, 52, &small(HEADER));
    put(&mut head, 54, &small(PROGRAM_HEADER));
    put(&mut head, 56, &small(segments.len()));
    put(&mut head, 58, &small(SECTION_HEADER));
    put(&mut head, 60, &small(sections.len()));
    put(&mut head, 62, &small(sections.len() - 1));
    put(&mut bytes, 0, &head);
    bytes.extend(sections.concat());
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

fn double(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|double| u32::from_le_bytes(*double))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_le_bytes(*half))
}
