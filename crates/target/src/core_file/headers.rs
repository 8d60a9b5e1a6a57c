//! Is it a core, and which parts of memory does it hold?
//!
//! A core is an ELF file of type `ET_CORE`: `PT_LOAD` headers say which memory there was and which
//! of it is in the file, `PT_NOTE` headers where the notes are. Nothing of it is believed: what
//! overlaps, wraps around or lies beyond the end of the file is cut, and noted.

use memwhy_model::{Addr, AddrRange, ProblemKind, Problems};
use object::LittleEndian;
use object::elf::{
    ELFCLASS32, ELFCLASS64, ELFMAG, EM_X86_64, ET_CORE, ET_DYN, ET_EXEC, FileHeader64, PF_R, PF_W,
    PF_X, PT_LOAD, PT_NOTE, ProgramHeader64,
};
use object::read::elf::FileHeader as _;

/// One piece of the memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The addresses that it had.
    pub range: AddrRange,
    /// How many of its bytes, from the first on, are in the file.
    pub held: u64,
    /// Where in the file they are.
    pub offset: u64,
    /// `PF_R`, `PF_W`, `PF_X`.
    pub flags: u32,
}

impl Segment {
    /// The permissions as `maps` writes them; a core does not tell shared from private.
    #[must_use]
    pub fn permissions(&self) -> String {
        let mark = |flag, letter| if self.flags & flag != 0 { letter } else { '-' };
        [mark(PF_R, 'r'), mark(PF_W, 'w'), mark(PF_X, 'x'), 'p'].iter().collect()
    }
}

/// What the headers say.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    /// Ascending, none overlaps another.
    pub segments: Vec<Segment>,
    /// Where in the file notes are.
    pub notes: Vec<(u64, u64)>,
}

impl Headers {
    /// Parses the head of a core.
    ///
    /// # Errors
    /// A sentence: why it is no core that can be read.
    pub fn parse(bytes: &[u8], problems: &mut Problems) -> Result<Self, String> {
        let header = check(bytes)?;
        let endian = LittleEndian;
        let table = header
            .program_headers(endian, bytes)
            .map_err(|_| "it is a core, but ends before its table of segments".to_owned())?;
        let mut headers = Self::default();
        for entry in table {
            match entry.p_type.get(endian) {
                PT_LOAD => headers.load(entry, bytes.len() as u64, problems),
                PT_NOTE => {
                    headers.notes.push((entry.p_offset.get(endian), entry.p_filesz.get(endian)));
                }
                _ => {}
            }
        }
        headers.segments.sort_by_key(|segment| segment.range.start);
        let mut end = Addr(0);
        headers.segments.retain(|segment| {
            let apart = segment.range.start >= end;
            if apart {
                end = segment.range.end;
            } else {
                problems.note(ProblemKind::CoreIncomplete, || {
                    format!("segment {} overlaps another and is left out", segment.range)
                });
            }
            apart
        });
        headers.drop_shared(problems);
        if headers.segments.is_empty() {
            return Err("it is a core without memory".into());
        }
        Ok(headers)
    }

    /// Drops segments whose bytes are those of another: no writer makes such, and reading a file
    /// many times over would take long.
    fn drop_shared(&mut self, problems: &mut Problems) {
        let mut held: Vec<(u64, u64, Addr)> = self
            .segments
            .iter()
            .filter(|s| s.held > 0)
            .map(|s| (s.offset, s.held, s.range.start))
            .collect();
        held.sort_unstable();
        let mut end = 0;
        let mut shared = std::collections::BTreeSet::new();
        for (offset, len, start) in held {
            if offset < end {
                shared.insert(start);
            } else {
                end = offset.saturating_add(len);
            }
        }
        self.segments.retain(|segment| {
            let own = !shared.contains(&segment.range.start);
            if !own {
                problems.note(ProblemKind::CoreIncomplete, || {
                    format!("segment {} has the bytes of another and is left out", segment.range)
                });
            }
            own
        });
    }

    fn load(&mut self, entry: &Entry, len: u64, problems: &mut Problems) {
        let endian = LittleEndian;
        let (start, size) = (entry.p_vaddr.get(endian), entry.p_memsz.get(endian));
        let (offset, stated) = (entry.p_offset.get(endian), entry.p_filesz.get(endian));
        let Some(end) = start.checked_add(size).filter(|_| size > 0) else {
            if size > 0 {
                problems.note(ProblemKind::CoreIncomplete, || {
                    format!("a segment at {start:#x} of {size:#x} bytes cannot be")
                });
            }
            return;
        };
        let held = stated.min(size).min(len.saturating_sub(offset));
        if held < stated {
            problems.note(ProblemKind::CoreIncomplete, || {
                format!("of the {stated} bytes at {start:#x} the file holds {held}")
            });
        }
        let range = AddrRange::new(Addr(start), Addr(end));
        self.segments.push(Segment { range, held, offset, flags: entry.p_flags.get(endian) });
    }
}

type Entry = ProgramHeader64<LittleEndian>;

fn check(bytes: &[u8]) -> Result<&FileHeader64<LittleEndian>, String> {
    let Some((ident, rest)) = bytes.split_at_checked(16) else {
        return Err(if bytes.is_empty() { "it is empty" } else { "it is no core" }.into());
    };
    if !ident.starts_with(&ELFMAG) {
        return Err("it is no core (cores are ELF files, compressed or not)".into());
    }
    let half = |at: usize| {
        let two = rest.get(at..at + 2).and_then(|two| two.try_into().ok());
        two.map_or(0, u16::from_le_bytes)
    };
    let (kind, machine) = (half(0), half(2));
    match ident.get(4) {
        Some(&ELFCLASS32) => return Err("it is of a 32-bit process".into()),
        Some(&ELFCLASS64) => {}
        _ => return Err("it is neither a 64-bit nor a 32-bit ELF file".into()),
    }
    if matches!(kind, ET_EXEC | ET_DYN) {
        return Err("it is a program or a library, not a core".into());
    }
    if kind != ET_CORE {
        return Err(format!("it is an ELF file of type {kind}, not a core"));
    }
    if machine != EM_X86_64 {
        return Err(format!("it is of another machine (ELF machine {machine})"));
    }
    FileHeader64::parse(bytes).map_err(|_| "it is a core cut off in its first header".into())
}
