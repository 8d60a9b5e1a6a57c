//! What happens between a pid and a [`Case`]?
//!
//! The pipeline on one screen: look around, copy, walk malloc, walk Python, settle who owns what.

use crate::absent;
use crate::beyond;
use crate::samples;
use crate::sources;
use crate::threads::{self, NativeDetail};
use memwhy_model::{
    About, AddrRange, Carried, Case, Layer, MallocFacts, MappingFacts, NativeMemory, Owner,
    Partition, Pause, ProblemKind, Problems, TargetKind,
};
use memwhy_native::alloc::stand_in::Walked;
use memwhy_native::alloc::{carried, glibc, glibc::Glibc, other};
use memwhy_native::held::{self, Chunks};
use memwhy_native::locks::{self, Sleep};
use memwhy_native::{Image, Images};
use memwhy_python::find;
use memwhy_python::{Malloc, Python};
use memwhy_store::ReadError;
use memwhy_target::core_file::write::{Existing, WriteError, Written};
use memwhy_target::live::capture::{Clock, LOOK};
use memwhy_target::live::pages;
use memwhy_target::progress::{self, Step};
use memwhy_target::{Access, Capture, CoreFiles, OpenError, Process, Thread, View};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How to capture.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether the target is stopped for the copy.
    pub pause: Pause,
    /// How long to wait for threads to stop; the copy is given up on when it takes longer.
    pub max_pause: Duration,
    /// For how long threads are looked at before the stop, to see who is at work.
    pub look: Duration,
    /// How much is told of C functions.
    pub native: NativeDetail,
    /// Whether the values of local variables are told.
    pub previews: bool,
    /// Whether the lines of source around frames are read.
    pub sources: bool,
    /// Whether what only causes rest on is looked into: who keeps memory of C, what of huge pages is
    /// empty, what a fork no longer shares.
    pub causes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pause: Pause::Stop,
            max_pause: Duration::from_secs(10),
            look: LOOK,
            native: NativeDetail::Names,
            previews: false,
            sources: false,
            causes: true,
        }
    }
}

/// Observes a live process.
///
/// # Errors
/// If there is no such process, or its memory may not be read: then [`from_proc`] still tells what
/// `/proc` does.
pub fn capture(pid: u32, options: &Options) -> Result<Case, OpenError> {
    let process = Process::open(pid)?;
    let mut clock = Clock::new();
    let running = look_around(&process);
    let skip = running.as_ref().and_then(|(view, images)| free_chunks(view, images));
    // Who cannot be read now will be refused with a reason later.
    let python = running.as_ref().and_then(|(view, images)| {
        find::find(view, images, &mut Problems::default()).ok().map(|python| (view, python))
    });
    let python = python.as_ref().map(|(view, python)| (*view, python));
    let (threads, samples) = samples::look(&process, python, options.look);
    let look = clock.lap("look around");
    let (pause, patience) = (options.pause, options.max_pause);
    let skip = skip.unwrap_or_default();
    let mut taken = memwhy_target::capture(&process, pause, patience, &threads, &skip)?;
    taken.timings.insert(0, look);
    for thread in &mut taken.threads {
        if let Some(Sleep::File { descriptor }) = thread.registers.and_then(|r| locks::sleep(&r)) {
            thread.file_lock = process.file_lock(descriptor);
        }
    }
    let mut case = observe(taken, about(&process), options);
    absent::look_for(&process, &mut case);
    samples.join(&mut case.threads);
    Ok(case)
}

/// Writes a core file of a live process, which stands still while its memory is copied.
///
/// # Errors
/// If the process cannot be copied or the file not be written: then there is none.
pub fn write_core(
    pid: u32,
    path: &Path,
    existing: Existing,
    patience: Duration,
) -> Result<Written, WriteError> {
    let process = Process::open(pid).map_err(WriteError::Open)?;
    let about = about(&process);
    memwhy_target::core_file::write::write(&process, &about, path, existing, patience)
}

/// Observes the process that a core file was written of.
///
/// # Errors
/// If it is no core of a 64-bit x86 Linux process.
pub fn open_core(path: &Path, files: &CoreFiles, options: &Options) -> Result<Case, OpenError> {
    let (taken, about) = memwhy_target::core_file::open(path, files)?;
    Ok(observe(taken, about, options))
}

/// Opens what an earlier capture left on disk: a snapshot's folder.
///
/// # Errors
/// If it is not a snapshot, or a broken one.
pub fn open_snapshot(path: &Path) -> Result<Case, OpenError> {
    let broken =
        |error: ReadError| OpenError::NotASnapshot { path: path.into(), why: error.to_string() };
    memwhy_store::open(path).map_err(broken)
}

/// Opens a snapshot's folder or a core file, whichever `path` is.
///
/// # Errors
/// As [`open_snapshot`] and [`open_core`].
pub fn open(path: &Path) -> Result<Case, OpenError> {
    if path.is_dir() {
        return open_snapshot(path);
    }
    open_core(path, &CoreFiles::default(), &Options::default())
}

/// Observes a target that holds still, wherever its bytes come from.
///
/// A process without Python, or with one that cannot be read, still has its memory explained: the
/// case then has no heap, and says why among its problems.
#[must_use]
pub fn observe(taken: Capture, mut about: About, options: &Options) -> Case {
    let Capture { view, threads: native, mut moment, mut problems, mut timings } = taken;
    let kept = Arc::new(view);
    let view = &*kept;
    let mut clock = Clock::new();
    let images = Images::of(view);
    timings.push(clock.lap("images"));
    let stranger = other::detect(view, &images);
    progress::begin(Step::Malloc, 0);
    let mut malloc = glibc::libc(&images).and_then(|libc| Glibc::walk(view, libc, &mut problems));
    let stand_in =
        stranger.map(|(name, image)| Walked::of(view, &images, name, &image, &mut problems));
    timings.push(clock.lap("malloc"));
    let serving = serving(stand_in.as_ref(), malloc.as_ref());
    let python = match Python::observe(view, &images, serving, &native, &mut problems) {
        Ok(python) => Some(python),
        Err(refusal) => {
            problems.note(ProblemKind::CalibrationFailed, || refusal.to_string());
            None
        }
    };
    timings.push(clock.lap("python"));

    let chunks = options.causes.then(|| handed_out(serving)).flatten();
    let native_memory = chunks.map(|all| holders(view, &images, &all, &native, python.as_ref()));
    timings.push(clock.lap("holders"));

    progress::begin(Step::Settling, 0);
    let mut claims = Partition::default();
    claim_stacks(view, &native, &mut claims);
    if let Some(malloc) = &mut malloc {
        let owner = |chunk: glibc::Chunk| python.as_ref().and_then(|p| p.owner_of(chunk.memory()));
        malloc.claim(&mut claims, owner);
        if let Some(python) = &python {
            python.name_pins(malloc);
        }
    }
    if let Some(python) = &python {
        python.claim(&mut claims);
    }
    if let Some(walked) = &stand_in {
        walked.claim(&mut claims, |block| python.as_ref().and_then(|p| p.owner_of_block(block)));
        if !walked.complete() {
            claim_stranger(view, &mut claims);
        }
    }
    let taken = python.as_ref().map(Python::segments).unwrap_or_default();
    let carried = claim_carried(view, &images, &taken, &mut claims);
    let mut mappings: Vec<MappingFacts> = view.maps().0.iter().map(|m| m.facts.clone()).collect();
    let accounting = claims.settle(&mut mappings, view.pages(), &mut problems);
    timings.push(clock.lap("accounting"));

    let facts = together(malloc, stand_in.as_ref());
    let mut case = Case { stand_in: stand_in.map(|walked| walked.facts), ..Case::default() };
    let source =
        threads::Source { view, images: &images, process: view.process(), detail: options.native };
    let mut python = python;
    let stacks = python.as_mut().map(|python| {
        let mut stacks = python.take_threads();
        if options.previews {
            stacks.preview_locals(view, python.layouts());
        }
        stacks
    });
    let mut threads = source.join(&native, stacks.unwrap_or_default());
    let process = view.process().filter(|_| options.sources);
    let sources = process.map(|process| sources::Place::of(process).read(&threads));
    timings.push(clock.lap("threads"));
    if let Some(mut python) = python {
        if moment.pause == Pause::None {
            moment.torn_reads = torn(&problems);
        }
        about.python = Some(python.about());
        (case.locks, case.tasks) = python.join_locks(&mut threads);
        python.fill(Arc::clone(&kept), &mut case);
    }
    progress::begin(Step::Nothing, 0);
    if let Some(why) = kept.spoiled() {
        problems.note(ProblemKind::CoreIncomplete, || why);
    }
    about.moment = moment;
    let sources = sources.unwrap_or_default();
    let mut case = Case {
        about,
        accounting,
        mappings,
        threads,
        sources,
        malloc: facts,
        native_memory,
        carried,
        problems,
        timings,
        ..case
    };
    beyond::stacks(view, &native, &mut case);
    if options.causes {
        beyond::look(view, &mut case);
    }
    case.timings.push(clock.lap("kernel"));
    case
}

/// Who serves `malloc`: where another allocator stands in, glibc's chunks are not where the objects
/// are.
const fn serving<'a>(stand_in: Option<&'a Walked>, glibc: Option<&'a Glibc>) -> Malloc<'a> {
    match (stand_in, glibc) {
        (Some(walked), _) if walked.complete() => Malloc::StandIn(walked),
        (Some(_), _) | (None, None) => Malloc::Unknown,
        (None, Some(glibc)) => Malloc::Glibc(glibc),
    }
}

/// What is known of malloc, whoever serves it.
fn together(glibc: Option<Glibc>, stand_in: Option<&Walked>) -> Option<MallocFacts> {
    let glibc = glibc.map(Glibc::into_facts);
    let Some(walked) = stand_in else { return glibc };
    let mut name = walked.facts.name.clone();
    if let Some(glibc) = &glibc {
        name = format!("{name} (with {} for the loader)", glibc.name);
    }
    let glibc = glibc.and_then(|facts| facts.glibc);
    Some(MallocFacts { name, walked: walked.complete(), glibc })
}

/// What malloc handed out, where all of it is known.
fn handed_out(malloc: Malloc<'_>) -> Option<Chunks> {
    match malloc {
        Malloc::StandIn(walked) => Some(Chunks::of_stand_in(walked)),
        Malloc::Glibc(glibc) => Some(Chunks::of_glibc(glibc)),
        Malloc::Unknown => None,
    }
}

/// Observes what `/proc` alone tells of a process whose memory may not be read.
///
/// # Errors
/// If there is no such process.
pub fn from_proc(pid: u32) -> Result<Case, OpenError> {
    let process = Process::open(pid)?;
    let mut problems = Problems::default();
    let mut mappings: Vec<MappingFacts> = match process.smaps() {
        Ok(maps) => maps.0.into_iter().map(|mapping| mapping.facts).collect(),
        Err(error) => {
            problems.note(ProblemKind::KernelRefused, || format!("smaps: {error}"));
            Vec::new()
        }
    };
    for mapping in &mut mappings {
        mapping.unexplained = mapping.rss;
    }
    let mut accounting = memwhy_model::Accounting::default();
    accounting.rss = mappings.iter().map(|mapping| mapping.rss).sum();
    if mappings.is_empty() {
        accounting.rss = process.quick_rss();
    }
    accounting.unexplained = accounting.rss;
    let mut about = about(&process);
    about.withheld = Some(Access::probe(&process).refusal(pid).0);
    let threads = threads::of_kernel(&process.threads(LOOK));
    Ok(Case { about, accounting, mappings, threads, problems, ..Case::default() })
}

/// The running process: where its images are.
fn look_around(process: &Process) -> Option<(View, Images)> {
    let maps = process.maps().ok()?;
    let pages = pages::present(process, &maps).ok()?;
    let view = View::live(process.clone(), maps, pages);
    let images = Images::of(&view);
    Some((view, images))
}

/// Walks malloc on the running process to learn which memory need not be copied: what is free
/// need not be stopped for. Whatever goes wrong here is of no account; it is checked in the stop.
fn free_chunks(view: &View, images: &Images) -> Option<glibc::FreeChunks> {
    let libc: &Image = glibc::libc(images)?;
    Some(Glibc::skippable(view, libc))
}

pub(crate) fn about(process: &Process) -> About {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    About {
        kind: TargetKind::Process,
        pid: process.pid,
        command: process.command(),
        exe: process.exe(),
        uptime_s: Some(process.uptime_s()),
        taken_at_unix_s: now.as_secs_f64(),
        cgroup: process.cgroup(),
        ..About::default()
    }
}

/// Who keeps what malloc handed out.
fn holders(
    view: &View,
    images: &Images,
    chunks: &Chunks,
    threads: &[Thread],
    python: Option<&Python>,
) -> NativeMemory {
    match python {
        Some(python) => held::search(view, images, chunks, threads, &python.memory(view)),
        None => held::search(view, images, chunks, threads, &held::NoObjects),
    }
}

/// Gives threads their stacks, thread-local storage included.
fn claim_stacks(view: &View, threads: &[Thread], claims: &mut Partition) {
    let stacks = threads.iter().filter_map(|thread| beyond::stack(view, thread));
    let main = view.maps().0.iter().filter(|mapping| mapping.facts.name == "[stack]");
    let main = main.filter(|mapping| mapping.anonymous()).map(memwhy_target::Mapping::range);
    let mut ranges: Vec<_> = stacks.chain(main).collect();
    ranges.extend(beyond::ended(view));
    ranges.sort_unstable();
    ranges.dedup();
    for range in ranges {
        claims.claim(Layer::Region, range, Owner::StackNative);
    }
}

/// Gives allocators that libraries carry for themselves their memory.
fn claim_carried(
    view: &View,
    images: &Images,
    taken: &[AddrRange],
    claims: &mut Partition,
) -> Vec<Carried> {
    let found = carried::find(view, images, taken);
    for one in &found {
        one.claim(claims);
    }
    found.into_iter().map(|one| one.facts).collect()
}

/// Gives a foreign allocator the anonymous memory that nobody else claims: its heap is not walked.
fn claim_stranger(view: &View, claims: &mut Partition) {
    for mapping in view.maps().0.iter().filter(|m| m.anonymous() && m.writable() && m.private()) {
        if mapping.facts.name.is_empty() || mapping.facts.name == "[heap]" {
            claims.claim(Layer::Mapping, mapping.range(), Owner::OtherAllocator);
        }
    }
}

fn torn(problems: &Problems) -> u64 {
    problems.iter().filter(|(kind, ..)| kind.comes_of_tearing()).map(|(_, count, _)| count).sum()
}
