//! What does a core file tell of the process that it was written of?
//!
//! Cores of the kernel, of gdb's `gcore` and of `memwhy core`, compressed or not, larger than our
//! memory, cut off, filtered (`coredump_filter`), from another machine. The file is mapped, never
//! read whole. Pages that it leaves out because files have them come from the files. What it does
//! not tell (residency, use of CPUs, control group) is unknown and named so.

mod arguments;
mod draft;
pub mod files;
pub mod headers;
mod maps;
pub mod notes;
mod ours;
mod pieces;
mod unpack;
pub mod write;

use crate::core_file::files::CoreFiles;
use crate::core_file::headers::{Headers, Segment};
use crate::core_file::notes::Notes;
use crate::core_file::unpack::{Packing, unpack};
use crate::live::capture::{Capture, Clock};
use crate::live::maps::Maps;
use crate::live::process::Thread;
use crate::live::view::View;
use crate::memory::{Fault, FaultKind, Memory};
use crate::open::OpenError;
use crate::sys::mapped::Mapped;
use memwhy_model::{About, Addr, Moment, ProblemKind, Problems, Residency, TargetKind, Untold};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// Signals that the kernel writes a core for: QUIT, ILL, ABRT, BUS, FPE, SEGV, XCPU, XFSZ, SYS. Others
/// in a core are what a debugger stopped the process with.
const DUMPED_FOR: [i32; 9] = [3, 4, 6, 7, 8, 11, 24, 25, 31];

/// The memory that a core holds.
#[derive(Debug)]
pub struct CoreMemory {
    file: File,
    /// Length and time of change of the file when it was opened.
    state: Option<(u64, SystemTime)>,
    mapped: Mapped,
    segments: Vec<Segment>,
    /// Where a copy of the files of its machine is.
    lib_root: Option<PathBuf>,
    /// The segment that was read last: the next read is most often in it, too.
    last: AtomicUsize,
}

impl CoreMemory {
    /// The pieces of memory, ascending.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn lib_root(&self) -> Option<&Path> {
        self.lib_root.as_deref()
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// What is held in one piece from `addr` on.
    pub(crate) fn bytes_at(&self, addr: Addr) -> Option<&[u8]> {
        let index = self.segments.partition_point(|segment| segment.range.end <= addr);
        self.held(self.segments.get(index)?, addr)
    }

    /// The bytes of `segment` from `addr` on.
    fn held(&self, segment: &Segment, addr: Addr) -> Option<&[u8]> {
        let skip = addr.checked_since(segment.range.start)?;
        let start = usize::try_from(segment.offset.checked_add(skip)?).ok()?;
        let end = usize::try_from(segment.offset.checked_add(segment.held)?).ok()?;
        let end = end.min(self.mapped.sound());
        self.mapped.bytes().get(start..end).filter(|bytes| !bytes.is_empty())
    }

    /// What became of the file since it was opened, if something did: then what was read of it
    /// belongs to no one moment.
    pub(crate) fn spoiled(&self) -> Option<String> {
        if self.mapped.sound() < self.mapped.bytes().len() {
            return Some(format!(
                "from byte {} on the file could not be read any more: it was cut while it was read, \
                 or its disk fails",
                self.mapped.sound()
            ));
        }
        (state(&self.file) != self.state)
            .then(|| "the file was changed while it was read; read it again".into())
    }
}

impl Memory for CoreMemory {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let fault = |at| Fault { at, why: FaultKind::NotCaptured };
        let last = self.last.load(Ordering::Relaxed);
        let mut index = match self.segments.get(last) {
            Some(segment) if segment.range.contains(addr) => last,
            _ => self.segments.partition_point(|segment| segment.range.end <= addr),
        };
        self.last.store(index, Ordering::Relaxed);
        let (mut at, mut rest) = (addr, buf);
        while !rest.is_empty() {
            let segment = self.segments.get(index).ok_or(fault(at))?;
            let bytes = self.held(segment, at).ok_or(fault(at))?;
            let (now, later) = rest.split_at_mut(bytes.len().min(rest.len()));
            now.copy_from_slice(bytes.get(..now.len()).unwrap_or_default());
            // The copy itself may have met the end.
            if self.held(segment, at).is_none_or(|still| still.len() < now.len()) {
                return Err(fault(at));
            }
            at = at.checked_add(now.len() as u64).ok_or(fault(at))?;
            rest = later;
            index += 1;
        }
        Ok(())
    }
}

/// Opens a core: what was captured of the process, and what the core says about it.
///
/// # Errors
/// If it is no core of a 64-bit x86 Linux process.
pub fn open(path: &Path, files: &CoreFiles) -> Result<(Capture, About), OpenError> {
    let refuse = |why: String| OpenError::NotACore { path: path.to_owned(), why };
    let mut clock = Clock::new();
    let mut problems = Problems::default();
    // Pipes and devices would be waited for, or do things.
    let is_file = path.metadata().map_or(true, |facts| facts.is_file());
    let file = is_file.then(|| File::open(path)).ok_or_else(|| refuse("it is no file".into()))?;
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Unreadable { path: path.to_owned() },
        _ => refuse(format!("cannot be opened: {error}")),
    })?;
    let written = file.metadata().ok().and_then(|facts| facts.modified().ok());
    let file = expanded(file, &mut problems).map_err(refuse)?;
    let state = state(&file);
    let mapped = Mapped::of(&file).map_err(|error| refuse(format!("cannot be mapped: {error}")))?;
    let Headers { segments, notes } =
        Headers::parse(mapped.bytes(), &mut problems).map_err(refuse)?;
    let notes = Notes::read(mapped.bytes(), &notes, &mut problems);
    let core = CoreMemory {
        file,
        state,
        mapped,
        segments,
        lib_root: files.lib_root.clone(),
        last: AtomicUsize::new(0),
    };
    let (view, exe, ours) = look(core, &notes, files, &mut problems);
    let mut about = about(&notes, exe, written);
    about.command = command(&view, &notes);
    about.path = Some(path.to_string_lossy().into_owned());
    let mut threads = threads(&notes);
    if let Some(ours) = ours {
        ours.tell(&mut about, &mut threads);
    }
    let timings = vec![clock.lap("open")];
    let moment = about.moment;
    Ok((Capture { view, threads, moment, problems, timings }, about))
}

fn state(file: &File) -> Option<(u64, SystemTime)> {
    let facts = file.metadata().ok()?;
    Some((facts.len(), facts.modified().ok()?))
}

/// The core itself, where it is compressed a copy that is not.
fn expanded(file: File, problems: &mut Problems) -> Result<File, String> {
    let mut head = [0; 4];
    let packing = file.read_exact_at(&mut head, 0).ok().and_then(|()| Packing::of(head));
    let Some(packing) = packing else { return Ok(file) };
    let unpacked = unpack(file, packing)?;
    if let Some(why) = unpacked.broken {
        problems.note(ProblemKind::CoreIncomplete, || why);
    }
    Ok(unpacked.file)
}

/// Puts memory, mappings and files together.
fn look(
    core: CoreMemory,
    notes: &Notes,
    files: &CoreFiles,
    problems: &mut Problems,
) -> (View, String, Option<ours::Ours>) {
    for thread in &notes.threads {
        let stack = thread.registers.stack_pointer();
        if stack.is_some_and(|stack| core.bytes_at(stack).is_none()) {
            problems.note(ProblemKind::CoreIncomplete, || {
                format!("the stack of thread {} is not in it", thread.tid)
            });
        }
    }
    let ours = ours::Ours::read(notes, problems);
    if let Some(ours) = ours {
        let maps = ours.maps.clone();
        let exe = ours.exe().to_owned();
        let opened = files.open(&core, &maps, &exe, problems);
        return (View::of_core(core, maps, ours.pages.clone(), opened), exe, Some(ours));
    }
    let mut maps: Maps = maps::mappings(core.segments(), notes);
    let exe = maps::program(&maps, notes);
    let opened = files.open(&core, &maps, &exe, problems);
    let pages: Residency = maps::pages(&core, &mut maps, &opened);
    (View::of_core(core, maps, pages, opened), exe, None)
}

/// The command line, as far as the core has it.
fn command(view: &View, notes: &Notes) -> Vec<String> {
    let stack = view.maps().0.iter().find(|mapping| mapping.facts.name == "[stack]");
    let told = stack.and_then(|stack| arguments::arguments(view, stack.range(), &notes.auxv));
    told.unwrap_or_else(|| notes.arguments.split_ascii_whitespace().map(str::to_owned).collect())
}

fn about(notes: &Notes, exe: String, written: Option<SystemTime>) -> About {
    let since = written.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let first = notes.threads.first();
    let signal = notes.signal.map(|(signal, ..)| signal);
    let signal = signal.or_else(|| first.map(|thread| i32::from(thread.signal)));
    About {
        kind: TargetKind::Core,
        pid: notes.pid.or(first.map(|thread| thread.tid)).unwrap_or(0),
        exe,
        taken_at_unix_s: since.unwrap_or_default().as_secs_f64(),
        signal: signal.filter(|signal| DUMPED_FOR.contains(signal)),
        moment: Moment { pause: memwhy_model::Pause::Stop, ..Moment::default() },
        untold: Untold::ALL.to_vec(),
        ..About::default()
    }
}

fn threads(notes: &Notes) -> Vec<Thread> {
    let thread = |note: &notes::ThreadNote| Thread {
        tid: note.tid,
        inner_tid: note.tid,
        // A thread in a system call waits; another was somewhere in the program.
        state: if note.registers.call().is_some() { 'S' } else { 'R' },
        registers: Some(note.registers),
        ..Thread::default()
    };
    notes.threads.iter().map(thread).collect()
}
