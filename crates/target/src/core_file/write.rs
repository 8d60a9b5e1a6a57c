//! How does a process become a core file that gdb reads, and stand still for no longer than a copy?
//!
//! All threads are stopped while its memory is copied and their registers are read; the file is
//! written from the copy while the process goes on. Only our disk changes: that is why this is here,
//! beside the reader that shares its layouts, and not where targets are changed.

pub use crate::core_file::draft::Existing;
use crate::core_file::draft::{Draft, folder};
use crate::core_file::notes::{
    AUXV, FILE, OUR_NAME, PR_CURSIG, PR_FLAG, PR_FNAME, PR_FPVALID, PR_PID, PR_PPID, PR_PSARGS,
    PR_PSINFO_PID, PR_REG, PR_SIGHOLD, PR_SIGPEND, PR_UID, PR_UTIME, PRFPREG, PRPSINFO,
    PRPSINFO_LEN, PRSTATUS, PRSTATUS_LEN, SIGINFO, X86_XSTATE, pad,
};
use crate::core_file::ours;
use crate::core_file::pieces::{Piece, Pieces};
use crate::live::capture::{Capture, Skip, capture_with};
use crate::live::freeze::Freeze;
use crate::live::maps::Mapping;
use crate::live::process::Process;
use crate::live::view::View;
use crate::memory::Memory;
use crate::open::OpenError;
use crate::sys::files::room_in;
use crate::sys::ptrace;
use crate::sys::resources::clock_ticks_per_second;
use memwhy_model::{About, AddrRange, Bytes, Moment, Pause};
use object::elf::{ELFMAG, EM_X86_64, ET_CORE, PN_XNUM, PT_LOAD, PT_NOTE};
use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

const PAGE: usize = 4096;
/// Written at once.
const PIECE: u64 = 1 << 20;
/// Sizes of ELF's header, of one program header, of one section header.
const EHDR: u64 = 64;
const PHDR: u64 = 56;
const SHDR: usize = 64;

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// How the process was held.
    pub moment: Moment,
    /// The length of the file, holes included.
    pub len: Bytes,
    /// What it takes on the disk.
    pub data: Bytes,
    /// Threads in it.
    pub threads: usize,
    /// Memory that is not in it because it was swapped out.
    pub swapped: Bytes,
    /// What went wrong in the copy.
    pub problems: memwhy_model::Problems,
}

/// Why no core was written.
#[derive(Debug)]
pub enum WriteError {
    /// The process could not be copied.
    Open(OpenError),
    /// Something has the name.
    Exists,
    /// The disk is too small for it.
    NoRoom {
        /// What it takes.
        wanted: Bytes,
        /// What there is.
        free: Bytes,
    },
    /// The disk refused.
    Io(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists,
            _ => Self::Io(error),
        }
    }
}

/// Nothing may be left out: a debugger asks for free memory too.
struct Everything;

impl Skip for Everything {
    fn ranges(&self, _: &dyn Memory) -> Vec<AddrRange> {
        Vec::new()
    }
}

/// The sets of registers of one thread.
struct Registers {
    tid: u32,
    sets: Vec<(u32, Vec<u8>)>,
    signal: Option<Vec<u8>>,
}

/// Writes a core of `process` to `path`; `about` says what else is known of it.
///
/// # Errors
/// If it cannot be copied, or the file cannot be written: then there is none.
pub fn write(
    process: &Process,
    about: &About,
    path: &Path,
    existing: Existing,
    patience: Duration,
) -> Result<Written, WriteError> {
    if existing == Existing::Keep && path.symlink_metadata().is_ok() {
        return Err(WriteError::Exists);
    }
    // Before the stop: a folder that cannot be written to costs the process nothing.
    let draft = Draft::begin(path)?;
    let mut registers = Vec::new();
    let look = |freeze: &Freeze| {
        registers.clear();
        registers.extend(freeze.stopped().map(registers_of));
        registers.extend(freeze.asleep().filter_map(|tid| told_of(freeze, tid)));
    };
    let threads = process.threads(Duration::ZERO);
    let taken = capture_with(process, Pause::Stop, patience, &threads, &Everything, look)
        .map_err(WriteError::Open)?;
    let about = About { moment: taken.moment, ..about.clone() };
    let notes = notes(process, about, &taken, &registers)?;
    let mut pieces = Pieces::of(&taken.view);
    let wanted = Bytes(pieces.written().0 + notes.len() as u64);
    if let Some(free) = room_in(&folder(path)).map(Bytes).filter(|free| *free < wanted) {
        return Err(WriteError::NoRoom { wanted, free });
    }
    let (len, data) = fill(&draft, &taken.view, &mut pieces, &notes)?;
    draft.publish(existing)?;
    Ok(Written {
        moment: taken.moment,
        len: Bytes(len),
        data,
        threads: registers.len(),
        swapped: pieces.swapped,
        problems: taken.problems,
    })
}

fn registers_of(tid: u32) -> Registers {
    let set = |kind| Some((kind, ptrace::register_set(tid, kind).ok()?));
    let sets = [PRSTATUS, PRFPREG, X86_XSTATE].into_iter().filter_map(set).collect();
    Registers { tid, sets, signal: ptrace::signal_info(tid).ok() }
}

/// What is known of a thread that was left asleep: its call, and where its stack is.
fn told_of(freeze: &Freeze, tid: u32) -> Option<Registers> {
    let words = freeze.registers(tid)?.interrupted();
    let general = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Some(Registers { tid, sets: vec![(PRSTATUS, general)], signal: None })
}

/// Writes everything; returns the length, and what it takes.
fn fill(
    draft: &Draft,
    view: &View,
    pieces: &mut Pieces,
    notes: &[u8],
) -> Result<(u64, Bytes), WriteError> {
    let count = pieces.pieces.len() as u64 + 1;
    // More segments than 16 bits count are told by a section header, of which there is one.
    let many = count >= u64::from(PN_XNUM);
    let sections = EHDR + count * PHDR;
    let notes_at = sections + if many { SHDR as u64 } else { 0 };
    let end = pieces.place((notes_at + notes.len() as u64).next_multiple_of(PAGE as u64));
    let mut head = header(count, many.then_some(sections));
    head.extend(program_header(PT_NOTE, 0, notes_at, (0, notes.len() as u64, 0), 4));
    for piece in &pieces.pieces {
        let Piece { range, held, flags, offset, .. } = piece;
        let sizes = (range.start.0, *held, range.len());
        head.extend(program_header(PT_LOAD, *flags, *offset, sizes, PAGE as u64));
    }
    if many {
        let mut section = [0; SHDR];
        // `sh_info` of the first section.
        put(&mut section, 44, &u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        head.extend(section);
    }
    head.extend_from_slice(notes);
    let file = &draft.file;
    file.write_all_at(&head, 0)?;
    let mut data = head.len() as u64;
    let mut buf = vec![0; usize::try_from(PIECE).unwrap_or(1 << 20)];
    for piece in &pieces.pieces {
        for range in &piece.data {
            let mut at = range.start;
            while at < range.end {
                let len = (range.end.0 - at.0).min(PIECE);
                let part = buf.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
                let offset = piece.offset + (at.0 - piece.range.start.0);
                read_pages(view, at, part)?;
                for (n, page) in part.chunks(PAGE).enumerate() {
                    if page.iter().any(|byte| *byte != 0) {
                        file.write_all_at(page, offset + (n * PAGE) as u64)?;
                        data += page.len() as u64;
                    }
                }
                at = at.at(len);
            }
        }
    }
    file.set_len(end)?;
    Ok((end, Bytes(data)))
}

/// Reads what was planned; a page that was lost in the copy ends it, because zeroes in its place
/// would be a lie.
fn read_pages(view: &View, at: memwhy_model::Addr, buf: &mut [u8]) -> io::Result<()> {
    if view.read(at, buf).is_ok() {
        return Ok(());
    }
    let Some(mapping) = view.maps().find(at).filter(|mapping| mapping.facts.shmem) else {
        return Err(io::Error::other(format!("memory at {at} was lost in the copy")));
    };
    let file = view.shared_file(mapping).ok_or(io::ErrorKind::NotFound)?;
    file.read_exact_at(buf, at.0 - mapping.range().start.0 + mapping.offset)
}

fn header(count: u64, sections: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(EHDR).unwrap_or(64)];
    put(&mut bytes, 0, &ELFMAG);
    // 64-bit, little-endian, version 1.
    put(&mut bytes, 4, &[2, 1, 1]);
    put(&mut bytes, 16, &ET_CORE.to_le_bytes());
    put(&mut bytes, 18, &EM_X86_64.to_le_bytes());
    put(&mut bytes, 20, &1u32.to_le_bytes());
    put(&mut bytes, 32, &EHDR.to_le_bytes());
    put(&mut bytes, 40, &sections.unwrap_or(0).to_le_bytes());
    put(&mut bytes, 52, &64u16.to_le_bytes());
    put(&mut bytes, 54, &56u16.to_le_bytes());
    put(&mut bytes, 56, &u16::try_from(count).unwrap_or(PN_XNUM).to_le_bytes());
    put(&mut bytes, 58, &64u16.to_le_bytes());
    put(&mut bytes, 60, &u16::from(sections.is_some()).to_le_bytes());
    bytes
}

/// `sizes`: address, bytes in the file, bytes in memory.
fn program_header(kind: u32, flags: u32, at: u64, sizes: (u64, u64, u64), align: u64) -> Vec<u8> {
    let (start, held, len) = sizes;
    let mut bytes: Vec<u8> = [kind, flags].iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend([at, start, 0, held, len, align].iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

/// All notes, in the order in which the kernel writes them: gdb takes the registers that follow a
/// thread's status for those of that thread.
fn notes(
    process: &Process,
    mut about: About,
    taken: &Capture,
    registers: &[Registers],
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    note(&mut bytes, b"CORE", PRPSINFO, &program(process, &about));
    let mut threads: Vec<&Registers> = registers.iter().collect();
    // The first is the one that a debugger shows first.
    threads.sort_by_key(|thread| (thread.tid != process.pid, thread.tid));
    for thread in threads {
        note(&mut bytes, b"CORE", PRSTATUS, &status(process, thread, taken));
        for (kind, set) in &thread.sets {
            match *kind {
                PRFPREG => note(&mut bytes, b"CORE", PRFPREG, set),
                X86_XSTATE => note(&mut bytes, b"LINUX", X86_XSTATE, set),
                _ => {}
            }
        }
        if let Some(signal) = &thread.signal {
            note(&mut bytes, b"CORE", SIGINFO, signal);
        }
    }
    note(&mut bytes, b"CORE", AUXV, &fs::read(process.path("auxv"))?);
    let root = fs::read_link(process.path("root")).unwrap_or_default();
    let maps = as_seen_inside(&taken.view.maps().0, &root);
    about.exe = inside(&about.exe, &root).to_owned();
    note(&mut bytes, b"CORE", FILE, &files(&maps));
    for (kind, content) in ours::notes(&about, &maps, taken)? {
        note(&mut bytes, OUR_NAME, kind, &content);
    }
    Ok(bytes)
}

fn note(bytes: &mut Vec<u8>, owner: &[u8], kind: u32, content: &[u8]) {
    let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    for word in [size(owner.len() + 1), size(content.len()), kind] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend_from_slice(owner);
    bytes.push(0);
    bytes.extend(std::iter::repeat_n(0, pad(owner.len() + 1)));
    bytes.extend_from_slice(content);
    bytes.extend(std::iter::repeat_n(0, pad(content.len())));
}

/// `struct elf_prpsinfo`.
fn program(process: &Process, about: &About) -> Vec<u8> {
    let mut bytes = vec![0; PRPSINFO_LEN];
    let stat = Stat::of(process, process.pid);
    put(&mut bytes, 1, b"S");
    put(&mut bytes, PR_FLAG, &stat.number(6).to_le_bytes());
    let id = |key: &str| {
        let ids = process.status(key).unwrap_or_default();
        ids.split_ascii_whitespace().next().and_then(|id| id.parse::<u32>().ok()).unwrap_or(0)
    };
    put(&mut bytes, PR_UID, &id("Uid").to_le_bytes());
    put(&mut bytes, PR_UID + 4, &id("Gid").to_le_bytes());
    put(&mut bytes, PR_PSINFO_PID, &process.inner_pid().to_le_bytes());
    for (n, field) in [1, 2, 3].into_iter().enumerate() {
        put(&mut bytes, PR_PSINFO_PID + 4 + n * 4, &stat.half(field).to_le_bytes());
    }
    let name = stat.comm.as_bytes();
    put(&mut bytes, PR_FNAME, name.get(..15).unwrap_or(name));
    let words = about.command.join(" ");
    put(&mut bytes, PR_PSARGS, words.as_bytes().get(..79).unwrap_or(words.as_bytes()));
    bytes
}

/// `struct elf_prstatus`.
fn status(process: &Process, thread: &Registers, taken: &Capture) -> Vec<u8> {
    let mut bytes = vec![0; PRSTATUS_LEN];
    let known = taken.threads.iter().find(|known| known.tid == thread.tid);
    let number = known.map_or(thread.tid, |known| known.inner_tid);
    put(&mut bytes, PR_CURSIG, &0u16.to_le_bytes());
    let signals = |key| {
        let mask = process.thread_status(thread.tid, key).unwrap_or_default();
        u64::from_str_radix(&mask, 16).unwrap_or(0)
    };
    put(&mut bytes, PR_SIGPEND, &signals("SigPnd").to_le_bytes());
    put(&mut bytes, PR_SIGHOLD, &signals("SigBlk").to_le_bytes());
    put(&mut bytes, PR_PID, &number.to_le_bytes());
    let stat = Stat::of(process, thread.tid);
    for (n, field) in [1, 2, 3].into_iter().enumerate() {
        put(&mut bytes, PR_PPID + n * 4, &stat.half(field).to_le_bytes());
    }
    // User, system, and the same of children.
    for (n, field) in [11, 12, 13, 14].into_iter().enumerate() {
        let (ticks, rate) = (stat.number(field), clock_ticks_per_second());
        put(&mut bytes, PR_UTIME + n * 16, &(ticks / rate).to_le_bytes());
        let micros = ticks % rate * 1_000_000 / rate;
        put(&mut bytes, PR_UTIME + n * 16 + 8, &micros.to_le_bytes());
    }
    for (kind, set) in &thread.sets {
        match *kind {
            PRSTATUS => put(&mut bytes, PR_REG, set.get(..PR_FPVALID - PR_REG).unwrap_or(set)),
            PRFPREG => put(&mut bytes, PR_FPVALID, &1u32.to_le_bytes()),
            _ => {}
        }
    }
    bytes
}

/// Mappings with the names that the process itself sees: of one in another root we see where that is.
/// The kernel, too, writes what the process sees.
fn as_seen_inside(maps: &[Mapping], root: &Path) -> Vec<Mapping> {
    let mut maps = maps.to_vec();
    for mapping in &mut maps {
        mapping.facts.name = inside(&mapping.facts.name, root).to_owned();
    }
    maps
}

fn inside<'n>(name: &'n str, root: &Path) -> &'n str {
    let below = root.to_str().filter(|root| *root != "/").and_then(|root| name.strip_prefix(root));
    below.filter(|below| below.starts_with('/')).unwrap_or(name)
}

/// `NT_FILE`: see `fill_files_note` of `fs/binfmt_elf.c`.
fn files(maps: &[Mapping]) -> Vec<u8> {
    let mapped: Vec<_> = maps.iter().filter(|mapping| mapping.inode != 0).collect();
    let mut words = vec![mapped.len() as u64, PAGE as u64];
    let mut names = Vec::new();
    for mapping in mapped {
        words.extend([mapping.range().start.0, mapping.range().end.0]);
        words.push(mapping.offset / PAGE as u64);
        names.extend_from_slice(mapping.facts.name.as_bytes());
        names.push(0);
    }
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    words.chain(names).collect()
}

/// Fields of `/proc/PID/task/TID/stat`, counted from the state, which is field 0.
struct Stat {
    comm: String,
    fields: Vec<String>,
}

impl Stat {
    fn of(process: &Process, tid: u32) -> Self {
        let path = process.path("task").join(tid.to_string()).join("stat");
        let text = fs::read_to_string(path).unwrap_or_default();
        let (head, rest) = text.rsplit_once(')').unwrap_or_default();
        let comm = head.split_once('(').map(|(_, comm)| comm).unwrap_or_default().to_owned();
        Self { comm, fields: rest.split_ascii_whitespace().map(str::to_owned).collect() }
    }

    fn number(&self, field: usize) -> u64 {
        self.fields.get(field).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn half(&self, field: usize) -> u32 {
        u32::try_from(self.number(field)).unwrap_or(0)
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::{PHDR, SHDR, header, inside, program_header, put};
    use crate::core_file::headers::Headers;
    use memwhy_model::Problems;
    use object::elf::PT_LOAD;
    use std::path::Path;

    #[test]
    fn names_are_those_that_the_process_sees() {
        assert_eq!(inside("/mnt/root/usr/bin/python3", Path::new("/mnt/root")), "/usr/bin/python3");
        assert_eq!(
            inside("/mnt/rootless/python3", Path::new("/mnt/root")),
            "/mnt/rootless/python3"
        );
        assert_eq!(inside("/usr/bin/python3", Path::new("/")), "/usr/bin/python3");
        assert_eq!(inside("[heap]", Path::new("/mnt/root")), "[heap]");
    }

    /// `PN_XNUM`: the kernel counts them in the first section header, too (`elf_core_dump`).
    #[test]
    fn more_segments_than_sixteen_bits_count_are_written_and_read() {
        for count in [3u64, 65_534, 65_535, 65_536, 200_000] {
            let many = count >= 0xffff;
            let sections = 64 + count * PHDR;
            let mut bytes = header(count, many.then_some(sections));
            for n in 0..count {
                let sizes = (0x10_000 + n * 4096, 0, 4096);
                bytes.extend(program_header(PT_LOAD, 6, 0, sizes, 4096));
            }
            if many {
                let mut section = [0; SHDR];
                put(&mut section, 44, &u32::try_from(count).expect("few").to_le_bytes());
                bytes.extend(section);
            }
            let mut problems = Problems::default();
            let headers = Headers::parse(&bytes, &mut problems).expect("a core");
            assert_eq!(headers.segments.len() as u64, count);
            assert!(problems.is_empty());
            if many {
                bytes.truncate(bytes.len() - SHDR);
                assert!(Headers::parse(&bytes, &mut problems).is_err(), "{count}: not counted");
            }
        }
    }
}
