//! How does a live process become a copy that holds still?
//!
//! Stop, read the page tables, copy the pages that are the process's own, let go. Everything that
//! can be done before or after the stop is: destinations are allocated and touched before, the copy
//! is compressed after. Pages of files are not copied (their files have them), pages that are not
//! resident are not touched, and pages that malloc keeps free are left out where the caller can
//! name them ([`Skip`]).

use crate::captured::{Captured, Extent, PackedPart, Packer, SLAB};
use crate::live::freeze::{Asleep, Freeze};
use crate::live::maps::Maps;
use crate::live::pages;
use crate::live::process::{Process, Thread};
use crate::live::view::View;
use crate::memory::Memory;
use crate::open::OpenError;
use crate::progress::{self, Step};
use crate::sys::process_vm;
use crate::sys::resources::Hurry;
use memwhy_model::{
    AddrRange, Bytes, Moment, PageState, Pause, ProblemKind, Problems, Residency, Timing,
};
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// For how long threads are looked at before the stop, to see who is at work.
pub const LOOK: Duration = Duration::from_millis(50);

/// Seconds of the stop, for each GiB copied, after which the copier no longer packs.
const PACKING: f64 = 0.4;

/// Threads that were left asleep may wake up while the copy is made, and it is made again: so often
/// at most, and only while the stops together last no longer than this. Beyond that the copy is
/// kept, and says who ran.
const MOST_COPIES: usize = 4;
const AGAIN_MS: f64 = 200.0;

/// Names what need not be copied, checked while the target stands still.
pub trait Skip {
    /// Ranges whose content nobody will ask for.
    fn ranges(&self, memory: &dyn Memory) -> Vec<AddrRange>;
}

/// A process at one moment.
#[derive(Debug)]
pub struct Capture {
    /// Its memory: the copy, and its files.
    pub view: View,
    /// Its threads, as they were just before.
    pub threads: Vec<Thread>,
    /// How it was held, and for how long.
    pub moment: Moment,
    /// What went wrong.
    pub problems: Problems,
    /// Where the time went.
    pub timings: Vec<Timing>,
}

/// Copies a process, of which `threads` were seen a moment ago.
///
/// # Errors
/// Without permission, without memory for the copy, or when the process goes away.
pub fn capture(
    process: &Process,
    pause: Pause,
    patience: Duration,
    threads: &[Thread],
    skip: &dyn Skip,
) -> Result<Capture, OpenError> {
    capture_with(process, pause, patience, threads, skip, |_| {})
}

/// The same; `look` sees the threads while they stand still, once for each copy that is made: the
/// last one is kept.
pub(crate) fn capture_with(
    process: &Process,
    pause: Pause,
    patience: Duration,
    threads: &[Thread],
    skip: &dyn Skip,
    mut look: impl FnMut(&Freeze),
) -> Result<Capture, OpenError> {
    let (mut round, mut stood_ms) = (0, 0.0);
    loop {
        round += 1;
        let (taken, woken) = copy(process, pause, patience, threads.to_vec(), skip, &mut look)?;
        stood_ms += taken.moment.pause_ms;
        if woken.is_empty() || round == MOST_COPIES || stood_ms > AGAIN_MS {
            let moment = Moment { pause_ms: stood_ms, ..taken.moment };
            let mut problems = taken.problems;
            problems.absorb(woken);
            return Ok(Capture { moment, problems, ..taken });
        }
    }
}

/// One copy, and which threads woke up while it was made.
fn copy(
    process: &Process,
    pause: Pause,
    patience: Duration,
    mut threads: Vec<Thread>,
    skip: &dyn Skip,
    look: &mut dyn FnMut(&Freeze),
) -> Result<(Capture, Problems), OpenError> {
    let failed = |error: io::Error| refuse(process, &error);
    let mut problems = Problems::default();
    let mut timings = Vec::new();
    let mut clock = Clock::new();
    let mut woken = Problems::default();

    let mut ready = Slabs::default();
    let maps = process.maps().map_err(failed)?;
    let pages = pages::present(process, &maps).map_err(failed)?;
    let before = View::live(process.clone(), maps, pages);
    let plan = Plan::new(before.maps(), before.pages(), &skip.ranges(&before));
    check_room(process, plan.len)?;
    ready.prepare(plan.len);
    timings.push(clock.lap("prepare"));

    let started = Instant::now();
    let mut frozen = match pause {
        Pause::Stop => {
            let hurry = Hurry::begin();
            let stop = Freeze::stop(process, patience, Asleep::Spared, &mut problems);
            Some((stop.map_err(failed)?, hurry))
        }
        Pause::None => None,
    };
    timings.push(clock.lap("stop"));
    let maps = process.smaps().map_err(failed)?;
    timings.push(clock.lap("smaps"));
    let pages = pages::present(process, &maps).map_err(failed)?;
    timings.push(clock.lap("pagemap"));
    let live = View::live(process.clone(), maps, pages);
    let skipped = skip.ranges(&live);
    let plan = Plan::new(live.maps(), live.pages(), &skipped);
    timings.push(clock.lap("plan"));
    let deadline = started + patience;
    let mut pause_ms = 0.0;
    // Runs before each slab, and once more when the last byte is copied: from then on nothing needs
    // the target to stand still.
    let keep = |at: Copying| {
        let last = at == Copying::Done;
        if let Some((freeze, _)) = &mut frozen {
            match at {
                Copying::Goes => freeze.keep(&mut woken),
                Copying::Done => freeze.keep_last(&mut woken),
            }
        }
        if !last {
            return;
        }
        let stopped = frozen.take();
        let freeze = stopped.as_ref().map(|(freeze, _)| freeze);
        take_registers(process, freeze, &mut threads);
        if let Some(freeze) = freeze {
            look(freeze);
        }
        drop(stopped);
        if pause == Pause::Stop {
            pause_ms = milliseconds(started.elapsed());
        }
        timings.push(clock.lap("copy"));
    };
    progress::begin(Step::Copying, plan.len);
    let copy = ready.fill(process, &plan, deadline, keep);
    let Some((copy, missing)) = copy else {
        return Err(OpenError::TooSlow { pid: process.pid, patience });
    };
    timings.push(clock.lap("pack"));
    if !process.alive() {
        return Err(OpenError::Gone { pid: process.pid });
    }
    for range in &missing {
        problems
            .note(ProblemKind::UnreadablePointer, || format!("page {range} could not be copied"));
    }
    let (maps, pages) = (live.maps().clone(), live.pages().clone());
    let view = View::of_copy(process.clone(), maps, pages, copy);
    let moment = Moment { pause, pause_ms, copied: Bytes(plan.len), torn_reads: 0 };
    Ok((Capture { view, threads, moment, problems, timings }, woken))
}

/// Looks at the registers of all threads; without a stop as far as the kernel tells them. Threads
/// that came or went since they were listed are then known, too.
pub(crate) fn take_registers(
    process: &Process,
    stopped: Option<&Freeze>,
    threads: &mut Vec<Thread>,
) {
    if let Some(freeze) = stopped {
        let now: BTreeSet<u32> = freeze.tids().collect();
        threads.retain(|thread| now.contains(&thread.tid));
        let known: BTreeSet<u32> = threads.iter().map(|thread| thread.tid).collect();
        threads.extend(now.difference(&known).filter_map(|tid| process.thread(*tid)));
    }
    for thread in threads {
        let exact = stopped.and_then(|freeze| freeze.registers(thread.tid));
        thread.registers = exact.or_else(|| process.told_registers(thread.tid));
    }
}

/// Says in our words why the kernel refused.
#[must_use]
pub fn refuse(process: &Process, error: &io::Error) -> OpenError {
    let pid = process.pid;
    if !process.alive() {
        return OpenError::Gone { pid };
    }
    let access = crate::access::Access::probe(process);
    if access.tracer != 0 {
        return OpenError::NotPermitted {
            pid,
            why: format!("process {} traces it already (a debugger?)", access.tracer),
            advice: format!(
                "let that one go first, or read without a stop: `memwhy {pid} --pause none`"
            ),
        };
    }
    let (why, advice) = access.refusal(pid);
    let why = if access.memory() { format!("{error}") } else { why };
    OpenError::NotPermitted { pid, why, advice }
}

/// Refuses to make a copy that the machine has no room for: an out-of-memory kill could hit the
/// target itself.
fn check_room(process: &Process, len: u64) -> Result<(), OpenError> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        .map(Bytes::kib);
    match available {
        Some(available) if available.0 < len.saturating_add(len / 8) => {
            Err(OpenError::NotPermitted {
                pid: process.pid,
                why: format!(
                    "a copy takes {} and the machine has {available} to spare",
                    Bytes(len)
                ),
                advice: "`memwhy maps` needs no copy".into(),
            })
        }
        _ => Ok(()),
    }
}

/// What to copy, and where it goes in the stream.
struct Plan {
    extents: Vec<Extent>,
    /// The extents that are copied: where in the stream, and from where.
    copied: Vec<(u64, AddrRange)>,
    len: u64,
}

impl Plan {
    fn new(maps: &Maps, pages: &Residency, skipped: &[AddrRange]) -> Self {
        let mut plan = Self { extents: Vec::new(), copied: Vec::new(), len: 0 };
        let mut skipped = skipped.to_vec();
        skipped.sort_unstable();
        for mapping in &maps.0 {
            if !mapping.private() || !mapping.readable() || mapping.facts.name == "[vvar]" {
                continue;
            }
            for run in pages.within(mapping.range()) {
                match run.state {
                    // No file has the kernel's code in the process, and stacks lead through it.
                    PageState::File if mapping.facts.name == "[vdso]" => plan.copy(run.range),
                    PageState::File => {}
                    PageState::Zero => {
                        plan.extents.push(Extent { range: run.range, stream: None });
                    }
                    PageState::Anon => plan.copy_around(run.range, &skipped),
                }
            }
        }
        plan
    }

    /// Adds `range` without the whole pages of it that are skipped.
    fn copy_around(&mut self, range: AddrRange, skipped: &[AddrRange]) {
        let mut at = range.start;
        let first = skipped.partition_point(|skip| skip.end <= range.start);
        for skip in skipped.iter().skip(first).take_while(|skip| skip.start < range.end) {
            let hole = AddrRange::new(skip.start.align_up(4096), skip.end.align_down(4096));
            let hole = hole.overlap(range);
            if !hole.is_empty() && hole.start >= at {
                self.copy(AddrRange::new(at, hole.start));
                at = hole.end;
            }
        }
        self.copy(AddrRange::new(at, range.end));
    }

    fn copy(&mut self, range: AddrRange) {
        if !range.is_empty() {
            self.extents.push(Extent { range, stream: Some(self.len) });
            self.copied.push((self.len, range));
            self.len += range.len();
        }
    }

    /// The extents, less the ranges that could not be copied.
    fn without(&self, missing: &[AddrRange]) -> Vec<Extent> {
        if missing.is_empty() {
            return self.extents.clone();
        }
        let mut kept = Vec::new();
        for extent in &self.extents {
            let mut at = extent.range.start;
            let mut keep = |start: memwhy_model::Addr, end| {
                let range = AddrRange::new(start, end);
                if !range.is_empty() {
                    let stream = extent.stream.map(|s| s + (start.0 - extent.range.start.0));
                    kept.push(Extent { range, stream });
                }
            };
            for hole in missing {
                let hole = hole.overlap(extent.range);
                if !hole.is_empty() {
                    keep(at, hole.start);
                    at = hole.end;
                }
            }
            keep(at, extent.range.end);
        }
        kept
    }

    /// The pieces of slab number `n`: address, offset in the slab, length.
    fn slab(&self, n: usize) -> Vec<(u64, usize, usize)> {
        let (start, end) = ((n * SLAB) as u64, ((n + 1) * SLAB) as u64);
        let first = self.copied.partition_point(|(from, range)| from + range.len() <= start);
        let mut pieces = Vec::new();
        for (from, range) in self.copied.iter().skip(first).take_while(|(from, _)| *from < end) {
            let (a, b) = ((*from).max(start), (from + range.len()).min(end));
            let len = usize::try_from(b - a).unwrap_or(0);
            let offset = usize::try_from(a - start).unwrap_or(0);
            pieces.push((range.start.0 + (a - from), offset, len));
        }
        pieces
    }
}

/// How far the copying is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copying {
    Goes,
    Done,
}

/// Where the copy goes.
#[derive(Default)]
struct Slabs {
    slabs: Vec<Vec<u8>>,
}

impl Slabs {
    /// Allocates for a copy of `len` bytes and touches every page, so that nothing of it happens in
    /// the stop. A copy that is packed on the way gets four fifths of that and no more: when they
    /// are full the copier packs, too. That bounds our memory below what is copied.
    fn prepare(&mut self, len: u64) {
        let len = if Packer::worth_it(len) { len / 5 * 4 } else { len };
        let count = usize::try_from(len.div_ceil(SLAB as u64)).unwrap_or(0);
        while self.slabs.len() < count {
            let mut slab = vec![0; SLAB];
            for page in slab.chunks_mut(4096) {
                if let Some(first) = page.first_mut() {
                    // A zeroed allocation is not there until it is written to.
                    *std::hint::black_box(first) = 0;
                }
            }
            self.slabs.push(slab);
        }
    }

    /// Copies everything planned, and says to `keep` how far it is; then packs what is not packed
    /// yet.
    ///
    /// Returns the copy and what could not be copied; `None`, the target let go, after `deadline`.
    fn fill(
        mut self,
        process: &Process,
        plan: &Plan,
        deadline: Instant,
        mut keep: impl FnMut(Copying),
    ) -> Option<(Captured, Vec<AddrRange>)> {
        let count = usize::try_from(plan.len.div_ceil(SLAB as u64)).unwrap_or(0);
        let mut missing = Vec::new();
        let mut ready = std::mem::take(&mut self.slabs);
        let mut next = |keep: &mut dyn FnMut(Copying), slab: Option<Vec<u8>>, n: usize| {
            if Instant::now() > deadline {
                return None;
            }
            keep(Copying::Goes);
            let left = plan.len - (n * SLAB) as u64;
            let mut slab = slab.unwrap_or_else(|| vec![0; SLAB]);
            slab.resize(usize::try_from(left).unwrap_or(SLAB).min(SLAB), 0);
            copy_slab(process, &plan.slab(n), &mut slab, &mut missing);
            progress::add(slab.len() as u64);
            Some(slab)
        };
        if !Packer::worth_it(plan.len) {
            let slabs: Option<Vec<_>> =
                (0..count).map(|n| next(&mut keep, ready.pop(), n)).collect();
            keep(Copying::Done);
            let slabs = slabs?;
            return Some((Captured::new(plan.without(&missing), slabs), missing));
        }
        let packer = Packer::default();
        let started = Instant::now();
        let budget = Duration::from_secs_f64(PACKING * Bytes(plan.len).as_mib() / 1024.0);
        let parts = std::thread::scope(|scope| {
            let other = scope.spawn(|| packer.work(PackedPart::default()));
            let mut own = PackedPart::default();
            let complete = (0..count).all(|n| {
                let slab = packer.empty().or_else(|| ready.pop());
                // Our memory is bounded as long as that costs the target little.
                let slab = slab.or_else(|| {
                    if started.elapsed() < budget { packer.pack_one(&mut own) } else { None }
                });
                next(&mut keep, slab, n).map(|slab| packer.push(n, slab)).is_some()
            });
            keep(Copying::Done);
            packer.close();
            let parts = [packer.work(own), other.join().unwrap_or_default()];
            complete.then(|| parts.into())
        });
        let copy = Captured::packed(plan.without(&missing), parts?);
        Some((copy, missing))
    }
}

fn copy_slab(
    process: &Process,
    pieces: &[(u64, usize, usize)],
    slab: &mut [u8],
    missing: &mut Vec<AddrRange>,
) {
    for batch in pieces.chunks(process_vm::MAX_PIECES) {
        let Some((_, start, _)) = batch.first() else { continue };
        let wanted: Vec<(u64, usize)> = batch.iter().map(|(addr, _, len)| (*addr, *len)).collect();
        let total: usize = wanted.iter().map(|(_, len)| len).sum();
        let Some(buf) = slab.get_mut(*start..start + total) else { continue };
        if process.read_pieces(&wanted, buf).is_ok_and(|n| n == total) {
            continue;
        }
        // Some page of it went away: find out which, page by page.
        for (addr, offset, len) in batch {
            for at in (0..*len).step_by(4096) {
                let page = (len - at).min(4096);
                let buf = slab.get_mut(offset + at..offset + at + page).unwrap_or_default();
                let addr = addr + at as u64;
                if !process.read(addr, buf).is_ok_and(|n| n == page) {
                    missing.push(AddrRange::sized(memwhy_model::Addr(addr), page as u64));
                }
            }
        }
    }
}

/// Times phases, one after another.
#[derive(Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default that depends on the time is none")]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Ends a phase and begins the next.
    pub fn lap(&mut self, phase: &'static str) -> Timing {
        let ms = milliseconds(self.0.elapsed());
        self.0 = Instant::now();
        Timing { phase: phase.into(), ms }
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
