//! Which pages of the target are in memory, and what kind of page is each?

use crate::{Addr, AddrRange};

/// What a present page is. Pages that are not present have no state: they are not RSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageState {
    /// Private memory with content of its own: counted in RSS as anonymous.
    Anon,
    /// A page of a file or of shared memory, as the page cache has it.
    File,
    /// The kernel's page of zeroes: readable, present, and not part of RSS.
    Zero,
}

/// Neighbouring pages of one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRun {
    /// The pages, whole ones.
    pub range: AddrRange,
    /// What each of them is.
    pub state: PageState,
}

/// The present pages of a target, in ascending order, as runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    runs: Vec<PageRun>,
    huge: Option<Vec<AddrRange>>,
}

impl Residency {
    /// Takes runs that ascend and do not overlap; others are dropped.
    #[must_use]
    pub fn new(runs: impl IntoIterator<Item = PageRun>) -> Self {
        let mut kept: Vec<PageRun> = Vec::new();
        for run in runs {
            if run.range.is_empty() || kept.last().is_some_and(|k| k.range.end > run.range.start) {
                continue;
            }
            match kept.last_mut() {
                Some(last) if last.range.end == run.range.start && last.state == run.state => {
                    last.range.end = run.range.end;
                }
                _ => kept.push(run),
            }
        }
        Self { runs: kept, huge: None }
    }

    /// Says which ranges, ascending, consist of huge pages.
    #[must_use]
    pub fn with_huge(self, ranges: Vec<AddrRange>) -> Self {
        Self { huge: Some(ranges), ..self }
    }

    /// The ranges of huge pages, `None` where the kernel does not tell.
    #[must_use]
    pub fn huge(&self) -> Option<&[AddrRange]> {
        self.huge.as_deref()
    }

    /// Every run, ascending.
    #[must_use]
    pub fn runs(&self) -> &[PageRun] {
        &self.runs
    }

    /// The runs that overlap `range`, cut to it.
    pub fn within(&self, range: AddrRange) -> impl Iterator<Item = PageRun> + '_ {
        let first = self.runs.partition_point(|run| run.range.end <= range.start);
        self.runs
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take_while(move |run| run.range.start < range.end)
            .map(move |run| PageRun { range: run.range.overlap(range), ..*run })
    }

    /// The state of the page that holds `addr`, `None` if it is not present.
    #[must_use]
    pub fn state(&self, addr: Addr) -> Option<PageState> {
        self.within(AddrRange::sized(addr, 1)).next().map(|run| run.state)
    }

    /// The parts of `ranges` (ascending) that are present, each one piece whatever states its pages
    /// have, beginning at a whole word.
    #[must_use]
    pub fn present(&self, ranges: &[AddrRange]) -> Vec<AddrRange> {
        let mut parts: Vec<AddrRange> = Vec::new();
        for range in ranges {
            for run in self.within(AddrRange::new(range.start.align_up(8), range.end)) {
                match parts.last_mut() {
                    Some(last) if last.end == run.range.start => last.end = run.range.end,
                    _ => parts.push(run.range),
                }
            }
        }
        parts
    }

    /// Where the run of present pages of one state ends that `addr` lies in.
    #[must_use]
    pub fn run_end(&self, addr: Addr) -> Option<Addr> {
        let after = self.runs.partition_point(|run| run.range.end <= addr);
        let run = self.runs.get(after)?;
        run.range.contains(addr).then_some(run.range.end)
    }

    /// The first page at or after `addr` that holds anything but zeroes.
    #[must_use]
    pub fn filled_from(&self, addr: Addr) -> Option<Addr> {
        let after = self.runs.partition_point(|run| run.range.end <= addr);
        let mut runs = self.runs.get(after..)?.iter();
        let run = runs.find(|run| run.state != PageState::Zero)?;
        Some(run.range.start.max(addr.align_down(4096)))
    }

    /// How many bytes of `range` are resident, zero pages left out as RSS leaves them out.
    #[must_use]
    pub fn resident(&self, range: AddrRange) -> u64 {
        self.within(range).filter(|r| r.state != PageState::Zero).map(|r| r.range.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{PageRun, PageState, Residency};
    use crate::{Addr, AddrRange};

    fn run(start: u64, end: u64, state: PageState) -> PageRun {
        PageRun { range: AddrRange::new(Addr(start), Addr(end)), state }
    }

    #[test]
    fn neighbours_of_one_state_are_one_run() {
        let pages = Residency::new([
            run(0x1000, 0x2000, PageState::Anon),
            run(0x2000, 0x4000, PageState::Anon),
            run(0x4000, 0x5000, PageState::Zero),
        ]);
        assert_eq!(pages.runs().len(), 2);
        assert_eq!(pages.filled_from(Addr(0x10)), Some(Addr(0x1000)));
        assert_eq!(pages.filled_from(Addr(0x3fff)), Some(Addr(0x3000)));
        assert_eq!(pages.filled_from(Addr(0x4000)), None);
        assert_eq!(pages.resident(AddrRange::new(Addr(0), Addr(0x10_000))), 0x3000);
        assert_eq!(pages.resident(AddrRange::new(Addr(0x1800), Addr(0x2800))), 0x1000);
    }

    #[test]
    fn present_parts_are_whole_whatever_state_their_pages_have() {
        let pages = Residency::new([
            run(0x1000, 0x2000, PageState::Anon),
            run(0x2000, 0x3000, PageState::File),
            run(0x5000, 0x6000, PageState::Anon),
        ]);
        let range = |start, end| AddrRange::new(Addr(start), Addr(end));
        let parts = pages.present(&[range(0x1004, 0x5800)]);
        assert_eq!(parts, [range(0x1008, 0x3000), range(0x5000, 0x5800)]);
    }

    #[test]
    fn absent_pages_have_no_state() {
        let pages = Residency::new([run(0x1000, 0x2000, PageState::File)]);
        assert_eq!(pages.state(Addr(0x1fff)), Some(PageState::File));
        assert_eq!(pages.state(Addr(0x2000)), None);
    }
}
