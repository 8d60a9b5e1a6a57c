//! What do the notes of a core say: threads, program, files, signal?
//!
//! Layouts are those of Linux on x86-64: `struct elf_prstatus` and `struct elf_prpsinfo` of
//! `include/linux/elfcore.h`, `fill_files_note` of `fs/binfmt_elf.c`. A note whose length is wrong
//! is left out, and noted; one that reaches beyond its segment ends the list.

use crate::registers::{Registers, WORDS};
use memwhy_model::{Addr, AddrRange, ProblemKind, Problems};

/// `NT_*` of `include/uapi/linux/elf.h`, owner `CORE`.
pub(crate) const PRSTATUS: u32 = 1;
pub(crate) const PRFPREG: u32 = 2;
pub(crate) const PRPSINFO: u32 = 3;
pub(crate) const AUXV: u32 = 6;
pub(crate) const SIGINFO: u32 = 0x5349_4749;
pub(crate) const FILE: u32 = 0x4649_4c45;
/// The same, owner `LINUX`.
pub(crate) const X86_XSTATE: u32 = 0x202;
/// Ours, owner `memwhy`: see `docs/core.md`.
pub(crate) const OUR_NAME: &[u8] = b"memwhy";
pub(crate) const OUR_ABOUT: u32 = 1;
pub(crate) const OUR_MAPS: u32 = 2;
pub(crate) const OUR_PAGES: u32 = 3;
pub(crate) const OUR_THREADS: u32 = 4;

/// Bytes of `struct elf_prstatus`, and where in it things are.
pub(crate) const PRSTATUS_LEN: usize = 336;
pub(crate) const PR_CURSIG: usize = 12;
pub(crate) const PR_SIGPEND: usize = 16;
pub(crate) const PR_SIGHOLD: usize = 24;
pub(crate) const PR_PID: usize = 32;
pub(crate) const PR_PPID: usize = 36;
pub(crate) const PR_UTIME: usize = 48;
pub(crate) const PR_REG: usize = 112;
pub(crate) const PR_FPVALID: usize = 328;
/// The same of `struct elf_prpsinfo`.
pub(crate) const PRPSINFO_LEN: usize = 136;
pub(crate) const PR_FLAG: usize = 8;
pub(crate) const PR_UID: usize = 16;
pub(crate) const PR_PSINFO_PID: usize = 24;
pub(crate) const PR_FNAME: usize = 40;
pub(crate) const PR_PSARGS: usize = 56;

/// More threads than any process has.
const MOST_THREADS: usize = 1 << 20;

/// What `NT_PRSTATUS` says of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadNote {
    /// Its number, in the pid namespace of whoever wrote the core.
    pub tid: u32,
    /// The signal that it was given, 0 for none.
    pub signal: u16,
    /// Its registers.
    pub registers: Registers,
}

/// One mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNote {
    /// Where.
    pub range: AddrRange,
    /// Where in the file it begins.
    pub offset: u64,
    /// The path, as the process saw it.
    pub path: String,
}

/// Everything that the notes say.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// The thread that crashed comes first, where one did.
    pub threads: Vec<ThreadNote>,
    /// The process's number.
    pub pid: Option<u32>,
    /// The name of the program, at most 15 bytes.
    pub name: String,
    /// The first 80 bytes of the command line, words separated by blanks.
    pub arguments: String,
    /// `AT_*` of the auxiliary vector, and values.
    pub auxv: Vec<(u64, u64)>,
    /// Mapped files, ascending as the kernel lists them.
    pub files: Vec<FileNote>,
    /// Signal, its code, and the address that it is about.
    pub signal: Option<(i32, i32, Addr)>,
    /// What memwhy wrote into it: kind and content.
    pub ours: Vec<(u32, Vec<u8>)>,
}

impl Notes {
    /// Reads all notes of the parts `places` (offset and length) of `bytes`.
    #[must_use]
    pub fn read(bytes: &[u8], places: &[(u64, u64)], problems: &mut Problems) -> Self {
        let mut notes = Self::default();
        // No writer has two parts share bytes: so many headers, each of the whole file, would be read
        // for ever.
        let mut budget = bytes.len();
        for (offset, len) in places {
            let start = usize::try_from(*offset).ok();
            let rest = start.and_then(|start| bytes.get(start..)).unwrap_or_default();
            let wanted = usize::try_from(*len).unwrap_or(usize::MAX);
            if rest.len() < wanted {
                problems.note(ProblemKind::CoreIncomplete, || {
                    format!("of {wanted} bytes of notes the file holds {}", rest.len())
                });
            }
            let part = rest.get(..wanted).unwrap_or(rest);
            let Some(left) = budget.checked_sub(part.len()) else {
                problems.note(ProblemKind::CoreIncomplete, || {
                    "parts with notes overlap each other; the rest is left out".into()
                });
                break;
            };
            budget = left;
            notes.segment(part, problems);
        }
        notes
    }

    /// A value of the auxiliary vector.
    #[must_use]
    pub fn auxiliary(&self, kind: u64) -> Option<u64> {
        self.auxv.iter().find(|(at, _)| *at == kind).map(|(_, value)| *value)
    }

    /// What memwhy wrote under `kind`.
    #[must_use]
    pub fn of_ours(&self, kind: u32) -> Option<&[u8]> {
        self.ours.iter().find(|(at, _)| *at == kind).map(|(_, content)| content.as_slice())
    }

    fn segment(&mut self, mut rest: &[u8], problems: &mut Problems) {
        while !rest.is_empty() {
            let Some((name, kind, content, after)) = split_note(rest) else {
                problems.note(ProblemKind::CoreIncomplete, || {
                    format!("a note reaches beyond the last {} bytes of its segment", rest.len())
                });
                return;
            };
            if !self.note(name, kind, content) {
                problems.note(ProblemKind::CoreIncomplete, || {
                    format!("a note of kind {kind:#x} with {} bytes cannot be", content.len())
                });
            }
            rest = after;
        }
    }

    /// Takes one note; false where it is one of ours to read, and broken.
    fn note(&mut self, name: &[u8], kind: u32, content: &[u8]) -> bool {
        if name == OUR_NAME {
            self.ours.push((kind, content.to_vec()));
            return true;
        }
        match kind {
            _ if name != b"CORE" => true,
            PRSTATUS if self.threads.len() >= MOST_THREADS => false,
            PRSTATUS => thread(content).map(|note| self.threads.push(note)).is_some(),
            PRPSINFO => self.program(content).is_some(),
            AUXV => {
                let words = content.as_chunks::<16>().0.iter();
                let pairs = words.filter_map(|pair| Some((word(pair, 0)?, word(pair, 8)?)));
                self.auxv = pairs.take_while(|(kind, _)| *kind != 0).collect();
                true
            }
            FILE => files(content).map(|files| self.files = files).is_some(),
            SIGINFO => {
                let number = |at| half_word(content, at).map(u32::cast_signed);
                let signal = || Some((number(0)?, number(8)?, Addr(word(content, 16)?)));
                if self.signal.is_none() {
                    self.signal = signal();
                }
                self.signal.is_some()
            }
            _ => true,
        }
    }

    fn program(&mut self, content: &[u8]) -> Option<()> {
        let content = content.get(..PRPSINFO_LEN)?;
        self.pid = half_word(content, PR_PSINFO_PID);
        self.name = text(content.get(PR_FNAME..PR_PSARGS)?);
        text(content.get(PR_PSARGS..)?).trim_end().clone_into(&mut self.arguments);
        Some(())
    }
}

fn thread(content: &[u8]) -> Option<ThreadNote> {
    let content = content.get(..PRSTATUS_LEN)?;
    let mut words = [0; WORDS];
    for (at, register) in words.iter_mut().enumerate() {
        *register = word(content, PR_REG + at * 8)?;
    }
    let signal = content.get(PR_CURSIG..PR_CURSIG + 2)?;
    Some(ThreadNote {
        tid: half_word(content, PR_PID)?,
        signal: u16::from_le_bytes(signal.try_into().ok()?),
        registers: Registers::new(words),
    })
}

/// Count, page size, then for each file start, end and page offset, then the names.
fn files(content: &[u8]) -> Option<Vec<FileNote>> {
    let (count, page) = (word(content, 0)?, word(content, 8)?);
    let count = usize::try_from(count).ok().filter(|count| *count <= content.len() / 24)?;
    let mut names = content.get(16 + count.checked_mul(24)?..)?;
    let mut files = Vec::with_capacity(count);
    for n in 0..count {
        let at = 16 + n * 24;
        let (start, end) = (word(content, at)?, word(content, at + 8)?);
        let len = names.iter().position(|byte| *byte == 0)?;
        let (name, rest) = names.split_at_checked(len)?;
        names = rest.get(1..)?;
        if start < end {
            files.push(FileNote {
                range: AddrRange::new(Addr(start), Addr(end)),
                offset: word(content, at + 16)?.checked_mul(page)?,
                path: text(name),
            });
        }
    }
    Some(files)
}

type Split<'a> = (&'a [u8], u32, &'a [u8], &'a [u8]);

/// Name, kind and content of the first note, and what follows; both parts are padded to words.
fn split_note(bytes: &[u8]) -> Option<Split<'_>> {
    let size = |at| usize::try_from(half_word(bytes, at)?).ok();
    let (name_len, len, kind) = (size(0)?, size(4)?, half_word(bytes, 8)?);
    let (name, rest) = bytes.get(12..)?.split_at_checked(name_len)?;
    let rest = rest.get(pad(name_len)..)?;
    let (content, rest) = rest.split_at_checked(len)?;
    // The padding of the last note may be missing.
    let rest = rest.get(pad(len)..).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some((name, kind, content, rest))
}

/// The content of the first note with that owner and kind.
pub(crate) fn find<'a>(mut notes: &'a [u8], owner: &[u8], wanted: u32) -> Option<&'a [u8]> {
    while let Some((name, kind, content, rest)) = split_note(notes) {
        if name == owner && kind == wanted {
            return Some(content);
        }
        notes = rest;
    }
    None
}

/// Bytes from `len` to the next word of four.
pub(crate) const fn pad(len: usize) -> usize {
    len.wrapping_neg() % 4
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

fn half_word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

/// The text before the first zero byte.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{FILE, Notes, PRSTATUS, pad};
    use memwhy_model::Problems;

    fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let lens = [name.len(), content.len()].map(|len| u32::try_from(len).expect("short"));
        let mut bytes: Vec<u8> =
            [lens[0], lens[1], kind].iter().flat_map(|n| n.to_le_bytes()).collect();
        for part in [name, content] {
            bytes.extend_from_slice(part);
            bytes.extend(std::iter::repeat_n(0, pad(part.len())));
        }
        bytes
    }

    fn read(bytes: &[u8]) -> (Notes, Problems) {
        let mut problems = Problems::default();
        let notes = Notes::read(bytes, &[(0, bytes.len() as u64)], &mut problems);
        (notes, problems)
    }

    #[test]
    fn a_thread_is_its_number_and_its_registers() {
        let mut status = vec![0; 336];
        status[32..36].copy_from_slice(&4711u32.to_le_bytes());
        status[112 + 19 * 8..][..8].copy_from_slice(&0x7ffe_0000u64.to_le_bytes());
        let (notes, problems) = read(&note(b"CORE\0", PRSTATUS, &status));
        assert!(problems.is_empty());
        assert_eq!(notes.threads[0].tid, 4711);
        assert_eq!(notes.threads[0].registers.stack_pointer().map(|a| a.0), Some(0x7ffe_0000));
    }

    #[test]
    fn notes_are_not_read_again_and_again() {
        let bytes = note(b"memwhy\0", 7, &[0; 400]);
        let mut problems = Problems::default();
        let places = vec![(0, bytes.len() as u64); 60_000];
        let notes = Notes::read(&bytes, &places, &mut problems);
        assert_eq!((notes.ours.len(), problems.is_empty()), (1, false));
    }

    #[test]
    fn a_note_of_four_gib_ends_the_list_and_is_told() {
        let mut bytes = note(b"CORE\0", PRSTATUS, &[0; 336]);
        bytes.extend([5u32, u32::MAX, 1].iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend(b"CORE\0\0\0\0");
        let (notes, problems) = read(&bytes);
        assert_eq!((notes.threads.len(), problems.is_empty()), (1, false));
    }

    #[test]
    fn a_note_of_the_wrong_length_is_left_out_and_told() {
        let mut bytes = note(b"CORE\0", PRSTATUS, &[0; 100]);
        bytes.extend(note(b"CORE\0", FILE, &u64::MAX.to_le_bytes().repeat(2)));
        bytes.extend(note(b"CORE\0", PRSTATUS, &[0; 336]));
        let (notes, problems) = read(&bytes);
        assert_eq!((notes.threads.len(), notes.files.len()), (1, 0));
        assert_eq!(problems.iter().map(|(_, count, _)| count).sum::<u64>(), 2);
    }

    #[test]
    fn files_have_their_offsets_in_pages() {
        let words = [1u64, 4096, 0x1000, 0x3000, 2];
        let mut content: Vec<u8> = words.iter().flat_map(|n| n.to_le_bytes()).collect();
        content.extend(b"/usr/lib/libc.so.6\0");
        let (notes, _) = read(&note(b"CORE\0", FILE, &content));
        let file = &notes.files[0];
        assert_eq!((file.path.as_str(), file.offset), ("/usr/lib/libc.so.6", 8192));
    }
}
