//! How is a process stopped for no longer than its stacks need, however large it is?
//!
//! Whoever wants to read something does so twice: on the running process, which shows which pages
//! the reading needs, and in the stop, when these pages have just been copied at once and only what
//! changed meanwhile is fetched singly. What is kept is a copy like any other, of a few pages. A
//! page that is not present is not asked for, here as everywhere.

use crate::captured::{Captured, Extent, SLAB};
use crate::live::capture::{Capture, Clock, milliseconds, refuse, take_registers};
use crate::live::freeze::{Asleep, Freeze};
use crate::live::maps::Maps;
use crate::live::process::{Process, Thread};
use crate::live::view::View;
use crate::memory::{Fault, FaultKind, Memory};
use crate::open::OpenError;
use crate::registers::Call;
use crate::sys::process_vm;
use crate::sys::resources::Hurry;
use memwhy_model::{
    Addr, AddrRange, Bytes, Moment, PageRun, PageState, Pause, Problems, Residency,
};
use rustc_hash::FxHashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

const PAGE: usize = 4096;
/// `pagemap` has 8 bytes a page: bit 63 present, bit 62 swapped out.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// Pages whose entries are read at once.
const NEAR: u64 = 512;
/// What is taken of a C stack, from the innermost frame on: 64 pages, most threads use five.
const STACK_TAKEN: u64 = 256 << 10;
/// Below the stack pointer a function may use 128 bytes without moving it: System V ABI.
const RED_ZONE: u64 = 128;
/// Threads that were left asleep may wake up while stacks are read. They are stopped then, and all
/// is read again; but one that only wakes up for a moment at a time is left asleep again.
const MOST_ROUNDS: usize = 4;

/// The memory of a process, which keeps each page that was asked for.
#[derive(Debug)]
pub struct Touched {
    process: Process,
    pagemap: File,
    /// Knows the files, and where nothing is.
    files: RwLock<View>,
    pages: Mutex<FxHashMap<u64, Page>>,
}

/// A page that was asked for.
#[derive(Debug)]
enum Page {
    /// It was present.
    Kept(Box<[u8; PAGE]>),
    /// It is anonymous and nobody has written to it.
    Zero,
    /// It is swapped out, or the file has it.
    Absent,
}

impl Touched {
    fn new(process: &Process, maps: Maps) -> io::Result<Self> {
        let files = View::live(process.clone(), maps, Residency::new([]));
        Ok(Self {
            process: process.clone(),
            pagemap: File::open(process.path("pagemap"))?,
            files: RwLock::new(files),
            pages: Mutex::default(),
        })
    }

    /// Forgets what the pages held, and copies them again as they are now.
    fn again(&self, maps: Maps) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers: Vec<u64> = pages.drain().map(|(number, _)| number).collect();
        let files = View::live(self.process.clone(), maps, Residency::new([]));
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = files;
        self.fetch(numbers, &mut pages);
    }

    /// Copies the stacks of threads that stand still.
    fn take_stacks(&self, threads: &[Thread]) {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = Vec::new();
        for thread in threads {
            let Some(pointer) = thread.registers.and_then(|known| known.stack_pointer()) else {
                continue;
            };
            let Some(mapping) = files.maps().find(pointer) else { continue };
            let start = pointer.before(RED_ZONE).max(mapping.range().start);
            let end = mapping.range().end.min(pointer.at(STACK_TAKEN));
            wanted.extend(start.0 / PAGE as u64..end.0.div_ceil(PAGE as u64));
        }
        drop(files);
        self.want(wanted);
    }

    /// Copies pages at once, but for those that were.
    fn want(&self, mut numbers: Vec<u64>) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.retain(|number| !pages.contains_key(number));
        self.fetch(numbers, &mut pages);
    }

    fn fetch(&self, mut numbers: Vec<u64>, pages: &mut FxHashMap<u64, Page>) {
        numbers.sort_unstable();
        numbers.dedup();
        let mut present = Vec::new();
        let mut rest = numbers.as_slice();
        while let Some(first) = rest.first() {
            let near = rest.partition_point(|number| number - first < NEAR);
            let (here, later) = rest.split_at(near);
            rest = later;
            let states = self.states(*first, here.last().map_or(0, |last| last - first + 1));
            for number in here {
                let at = usize::try_from(number - first).unwrap_or(usize::MAX);
                match states.get(at).copied().unwrap_or(0) {
                    state if state & PRESENT != 0 => present.push(*number),
                    state => drop(pages.insert(*number, self.absent(*number, state))),
                }
            }
        }
        let mut buf = vec![0; process_vm::MAX_PIECES.min(present.len()) * PAGE];
        for batch in present.chunks(process_vm::MAX_PIECES) {
            let pieces: Vec<(u64, usize)> =
                batch.iter().map(|number| (number * PAGE as u64, PAGE)).collect();
            let wanted = buf.get_mut(..batch.len() * PAGE).unwrap_or_default();
            let copied = self.process.read_pieces(&pieces, wanted).unwrap_or(0);
            let whole = wanted.as_chunks::<PAGE>().0.iter().take(copied / PAGE);
            let known = batch.iter().zip(whole);
            pages.extend(known.map(|(number, page)| (*number, Page::Kept(Box::new(*page)))));
            // One of them went away: those after it one by one.
            for number in batch.iter().skip(copied / PAGE) {
                pages.insert(*number, self.alone(*number));
            }
        }
    }

    fn alone(&self, number: u64) -> Page {
        let mut page = Box::new([0; PAGE]);
        match self.process.read(number * PAGE as u64, page.as_mut_slice()) {
            Ok(PAGE) => Page::Kept(page),
            Ok(_) | Err(_) => Page::Absent,
        }
    }

    /// The entries of `count` pages from `first` on; fewer where the kernel gives fewer.
    fn states(&self, first: u64, count: u64) -> Vec<u64> {
        let mut entries = vec![0; usize::try_from(count.min(NEAR)).unwrap_or(0) * 8];
        let got = first.checked_mul(8).and_then(|at| self.pagemap.read_at(&mut entries, at).ok());
        entries.truncate(got.unwrap_or(0));
        entries.as_chunks::<8>().0.iter().map(|entry| u64::from_le_bytes(*entry)).collect()
    }

    fn absent(&self, number: u64, state: u64) -> Page {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let mapping = files.maps().find(Addr(number * PAGE as u64));
        let untouched = mapping.is_some_and(|m| m.anonymous() && m.private() && m.readable());
        if untouched && state & SWAPPED == 0 { Page::Zero } else { Page::Absent }
    }

    /// The part of one page from `offset` on.
    fn read_page(&self, number: u64, offset: usize, buf: &mut [u8]) -> Result<(), Fault> {
        let at = Addr(number * PAGE as u64).at(offset as u64);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if !pages.contains_key(&number) {
            self.fetch(vec![number], &mut pages);
        }
        match pages.get(&number) {
            Some(Page::Kept(page)) => {
                let part = page.get(offset..offset + buf.len());
                buf.copy_from_slice(part.ok_or(Fault::unmapped(at))?);
                Ok(())
            }
            Some(Page::Zero) => {
                buf.fill(0);
                Ok(())
            }
            Some(Page::Absent) | None => {
                drop(pages);
                self.files.read().unwrap_or_else(PoisonError::into_inner).read(at, buf)
            }
        }
    }

    /// The pages as a copy of the process.
    fn into_view(self) -> View {
        let files = self.files.into_inner().unwrap_or_else(PoisonError::into_inner);
        let pages = self.pages.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut kept: Vec<(u64, Option<Box<[u8; PAGE]>>)> = pages
            .into_iter()
            .filter_map(|(number, page)| match page {
                Page::Kept(page) => Some((number, Some(page))),
                Page::Zero => Some((number, None)),
                Page::Absent => None,
            })
            .collect();
        kept.sort_unstable_by_key(|(number, _)| *number);
        let mut slabs: Vec<Vec<u8>> = Vec::new();
        let (mut extents, mut runs, mut stream) = (Vec::new(), Vec::new(), 0_u64);
        for (number, page) in kept {
            let range = AddrRange::sized(Addr(number * PAGE as u64), PAGE as u64);
            let state = if page.is_some() { PageState::Anon } else { PageState::Zero };
            runs.push(PageRun { range, state });
            extents.push(Extent { range, stream: page.is_some().then_some(stream) });
            let Some(page) = page else { continue };
            stream += PAGE as u64;
            match slabs.last_mut().filter(|slab| slab.len() < SLAB) {
                Some(slab) => slab.extend_from_slice(page.as_slice()),
                None => slabs.push(page.to_vec()),
            }
        }
        let copy = Captured::new(extents, slabs);
        View::of_parts(self.process, files.maps().clone(), Residency::new(runs), copy)
    }
}

impl Memory for Touched {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let (mut at, mut rest) = (addr, buf);
        while !rest.is_empty() {
            let offset = usize::try_from(at.0 % PAGE as u64).unwrap_or(0);
            let here = rest.len().min(PAGE - offset);
            let (now, later) = rest.split_at_mut(here);
            self.read_page(at.0 / PAGE as u64, offset, now)?;
            at = at.checked_add(here as u64).ok_or(Fault { at, why: FaultKind::Unmapped })?;
            rest = later;
        }
        Ok(())
    }
}

/// Copies what `reading` asks for, and the C stacks of all threads. `reading` first looks at the
/// process as it runs, then calls what it was given, which stops it and tells the calls that its
/// threads are in, and looks again; so until it is told nothing, because nothing has changed. When
/// it returns the process goes on.
///
/// # Errors
/// Without permission, or when the process goes away.
pub fn capture_touched<T>(
    process: &Process,
    pause: Pause,
    patience: Duration,
    mut threads: Vec<Thread>,
    reading: impl FnOnce(&Touched, &mut dyn FnMut() -> io::Result<Option<Vec<Call>>>) -> io::Result<T>,
) -> Result<(Capture, T), OpenError> {
    let failed = |error: io::Error| refuse(process, &error);
    let mut problems = Problems::default();
    let mut timings = Vec::new();
    let mut clock = Clock::new();
    let touched = Touched::new(process, process.maps().map_err(failed)?).map_err(failed)?;
    let mut frozen = None;
    let mut started = None;
    let mut rounds = 0;
    let mut stop = || {
        let mut woken = Problems::default();
        match (started, &mut frozen) {
            (None, _) => {
                timings.push(clock.lap("look at stacks"));
                started = Some(Instant::now());
                if pause == Pause::Stop {
                    let hurry = Hurry::begin();
                    let stop = Freeze::stop(process, patience, Asleep::Spared, &mut problems)?;
                    frozen = Some((stop, hurry));
                }
                timings.push(clock.lap("stop"));
            }
            (Some(_), Some((freeze, _))) => freeze.keep_last(&mut woken),
            (Some(_), None) => {}
        }
        rounds += 1;
        let changed = !woken.is_empty();
        if rounds > 1 && (!changed || rounds > MOST_ROUNDS) {
            problems.absorb(woken);
            return Ok(None);
        }
        touched.again(process.maps()?);
        take_registers(process, frozen.as_ref().map(|(freeze, _)| freeze), &mut threads);
        touched.take_stacks(&threads);
        timings.push(clock.lap("copy"));
        Ok(Some(threads.iter().filter_map(|thread| thread.registers?.call()).collect()))
    };
    let read = reading(&touched, &mut stop).map_err(failed)?;
    drop(frozen);
    let stood = started.filter(|_| pause == Pause::Stop);
    let pause_ms = stood.map_or(0.0, |started| milliseconds(started.elapsed()));
    timings.push(clock.lap("read stacks"));
    if !process.alive() {
        return Err(OpenError::Gone { pid: process.pid });
    }
    let view = touched.into_view();
    let runs = view.pages().runs().iter().filter(|run| run.state == PageState::Anon);
    let copied = runs.map(|run| run.range.len()).sum();
    let moment = Moment { pause, pause_ms, copied: Bytes(copied), torn_reads: 0 };
    Ok((Capture { view, threads, moment, problems, timings }, read))
}
