//! Which chunks does each chunk have the addresses of, and what does it begin with?
//!
//! The memory of all chunks in use is read once, in address order and in windows, by as many threads
//! as there are CPUs: a copy of a process is compressed, and expanding it is most of the work.
//! What stays is four bytes for each address found and eight for each chunk.

use super::chunk::Chunk;
use super::index::ChunkIndex;
use super::signature::{Begins, Key, Keys};
use memwhy_model::{Addr, AddrRange, PageState};
use memwhy_target::{Memory, View};
use std::num::NonZero;
use std::thread;

/// Bytes read at once.
const WINDOW: u64 = 256 << 10;
/// Below this much memory a second thread costs more than it saves.
const WORTH_SHARING: u64 = 16 << 20;
/// No more threads than this.
const MOST_THREADS: usize = 8;
/// What of a chunk is looked at to tell what it is.
pub(super) const BEGINNING: usize = 128;

/// What all chunks have in them.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Where the addresses of each chunk begin in `targets`; one more than there are chunks.
    offsets: Vec<u32>,
    targets: Vec<u32>,
    /// What each chunk begins with.
    begins: Vec<Begins>,
    /// What the numbers in `begins` mean.
    pub(super) keys: Keys,
    /// Bytes read.
    pub(super) read: u64,
    /// Bytes that should be there and could not be read.
    pub(super) unread: u64,
}

impl Contents {
    /// Reads the chunks. Of those that `told` is true for nobody asks what they begin with.
    pub(super) fn read(
        view: &View,
        index: &ChunkIndex<'_>,
        chunks: &[Chunk],
        begins: &(impl Fn(&[u8]) -> Key + Sync),
        told: &(impl Fn(usize) -> bool + Sync),
    ) -> Self {
        let all: u64 = chunks.iter().map(|chunk| chunk.size()).sum();
        let workers = if all < WORTH_SHARING {
            1
        } else {
            thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS)
        };
        let shares = shares(chunks, all, workers);
        let work = |(from, to): (usize, usize)| {
            let mut reader = Reader::new(view);
            let mut part = Self { offsets: Vec::with_capacity(to - from), ..Self::default() };
            for (number, chunk) in chunks.iter().enumerate().take(to).skip(from) {
                part.offsets.push(u32::try_from(part.targets.len()).unwrap_or(u32::MAX));
                part.chunk(&mut reader, index, *chunk, number, begins, told(number));
            }
            part.unread += reader.unread;
            part
        };
        let parts: Vec<Self> = thread::scope(|scope| {
            let mut shares = shares.into_iter();
            let first = shares.next();
            let others: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
            // This thread is one of them.
            let first = first.map(work);
            first
                .into_iter()
                .chain(others.into_iter().filter_map(|other| other.join().ok()))
                .collect()
        });
        Self::joined(parts)
    }

    fn chunk(
        &mut self,
        reader: &mut Reader<'_>,
        index: &ChunkIndex<'_>,
        chunk: Chunk,
        number: usize,
        begins: &impl Fn(&[u8]) -> Key,
        told: bool,
    ) {
        let own = u32::try_from(number).unwrap_or(u32::MAX);
        let memory = AddrRange::sized(chunk.memory(), chunk.usable());
        let (targets, mut hint, mut last) = (&mut self.targets, 0, own);
        let mut key = None;
        let read = reader.pieces(memory, &mut |at, bytes| {
            if !told && key.is_none() {
                // Memory that is not there yet was never written to.
                let head = bytes.get(..bytes.len().min(BEGINNING)).unwrap_or_default();
                key = Some(if at == memory.start { begins(head) } else { Key::Zeroes });
            }
            for word in words(bytes) {
                if let Some(target) = index.find(word, &mut hint)
                    && target != last
                    && target != own
                    && targets.len() < u32::MAX as usize
                {
                    targets.push(target);
                    last = target;
                }
            }
        });
        self.read += read;
        let key = if told { None } else { Some(key.unwrap_or(Key::Zeroes)) };
        self.begins.push(key.map_or(Begins::default(), |key| self.keys.number(key)));
    }

    fn joined(parts: Vec<Self>) -> Self {
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_default();
        for part in parts {
            let shift = u32::try_from(all.targets.len()).unwrap_or(u32::MAX);
            all.offsets.extend(part.offsets.iter().map(|offset| offset.saturating_add(shift)));
            all.targets.extend(part.targets);
            let renamed = all.keys.absorb(part.keys);
            let renamed = |old: &Begins| renamed.get(old.0 as usize).copied().unwrap_or_default();
            all.begins.extend(part.begins.iter().map(renamed));
            all.read += part.read;
            all.unread += part.unread;
        }
        all.offsets.push(u32::try_from(all.targets.len()).unwrap_or(u32::MAX));
        all
    }

    /// Of chunks of which only the links are known.
    #[cfg(test)]
    pub(super) fn of_links(links: &[&[u32]]) -> Self {
        let mut contents = Self { offsets: vec![0], ..Self::default() };
        for targets in links {
            contents.targets.extend_from_slice(targets);
            contents.offsets.push(u32::try_from(contents.targets.len()).unwrap());
        }
        contents
    }

    /// The chunks whose addresses are in a chunk; one may be there more than once.
    pub(super) fn targets(&self, chunk: u32) -> &[u32] {
        let at = chunk as usize;
        let (Some(from), Some(to)) = (self.offsets.get(at), self.offsets.get(at + 1)) else {
            return &[];
        };
        self.targets.get(*from as usize..*to as usize).unwrap_or_default()
    }

    /// What a chunk begins with.
    pub(super) fn begins(&self, chunk: u32) -> Begins {
        self.begins.get(chunk as usize).copied().unwrap_or_default()
    }
}

/// The words of some bytes.
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}

/// Cuts the chunks into parts of equally much memory.
fn shares(chunks: &[Chunk], all: u64, workers: usize) -> Vec<(usize, usize)> {
    let share = all / workers.max(1) as u64 + 1;
    let (mut shares, mut from, mut sum) = (Vec::new(), 0, 0);
    for (number, chunk) in chunks.iter().enumerate() {
        sum += chunk.size();
        if sum >= share && shares.len() + 1 < workers {
            shares.push((from, number + 1));
            (from, sum) = (number + 1, 0);
        }
    }
    shares.push((from, chunks.len()));
    shares
}

/// Reads memory that is present, in windows.
pub(super) struct Reader<'v> {
    view: &'v View,
    window: Vec<u8>,
    start: Addr,
    pub(super) unread: u64,
}

impl<'v> Reader<'v> {
    pub(super) fn new(view: &'v View) -> Self {
        Self { view, window: Vec::new(), start: Addr(0), unread: 0 }
    }

    /// Hands out what is present of a range, piece by piece; returns how much that is. Both ends of
    /// the range are whole words.
    pub(super) fn pieces(&mut self, range: AddrRange, each: &mut dyn FnMut(Addr, &[u8])) -> u64 {
        let mut read = 0;
        // Pages of files cannot have addresses of chunks: nobody has written to them.
        let runs = self.view.pages().within(range).filter(|run| run.state == PageState::Anon);
        let runs: Vec<AddrRange> = runs.map(|run| run.range).collect();
        for run in runs {
            let mut at = run.start;
            while at < run.end {
                let Some(bytes) = self.at(at, run.end) else {
                    self.unread += run.end.0 - at.0;
                    break;
                };
                each(at, bytes);
                read += bytes.len() as u64;
                at = at.at(bytes.len() as u64);
            }
        }
        read
    }

    /// The bytes at `at`, up to `end` or to the end of a window.
    fn at(&mut self, at: Addr, end: Addr) -> Option<&[u8]> {
        let here = |start: Addr, window: &[u8]| {
            let from = at.checked_since(start)?;
            let left = (window.len() as u64).checked_sub(from).filter(|left| *left > 0)?;
            let to = from + left.min(end.0 - at.0);
            Some((usize::try_from(from).ok()?, usize::try_from(to).ok()?))
        };
        if here(self.start, &self.window).is_none() {
            // What lies between chunks in use may have been left out of the copy: then only what
            // was asked for.
            let run = self.view.pages().run_end(at).unwrap_or(end);
            let far = Addr(at.at(WINDOW).0.min(run.0.max(end.0)));
            if !self.fill(at, far) && !self.fill(at, Addr(far.0.min(end.0))) {
                return None;
            }
        }
        let (from, to) = here(self.start, &self.window)?;
        self.window.get(from..to)
    }

    fn fill(&mut self, start: Addr, end: Addr) -> bool {
        let len = usize::try_from(end.0.saturating_sub(start.0)).unwrap_or(0);
        self.window.resize(len, 0);
        self.start = start;
        let read = len > 0 && self.view.read(start, &mut self.window).is_ok();
        if !read {
            self.window.clear();
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunk, shares};
    use memwhy_model::{Addr, AddrRange};

    #[test]
    fn shares_are_all_chunks_once_and_about_equal() {
        let chunks: Vec<Chunk> = (0..1000u64)
            .map(|n| Chunk::block(AddrRange::sized(Addr(n << 12), 64 + n % 7 * 16)))
            .collect();
        let all: u64 = chunks.iter().map(|chunk| chunk.size()).sum();
        for workers in [1, 2, 3, 8] {
            let shares = shares(&chunks, all, workers);
            assert_eq!(shares.len(), workers);
            assert_eq!(shares.first().map(|share| share.0), Some(0));
            assert_eq!(shares.last().map(|share| share.1), Some(1000));
            assert!(shares.windows(2).all(|pair| pair[0].1 == pair[1].0));
        }
    }
}
