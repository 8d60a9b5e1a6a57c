//! What happened to a program under each of several cures?

use crate::Bytes;
use serde::{Deserialize, Serialize};

/// One cure, tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its id: `glibc` for the program as it is, `arena-max=2`, `jemalloc`.
    pub cure: String,
    /// How a person sets it: environment variables, or what was done meanwhile.
    pub setting: String,
    /// Each time it was run.
    pub runs: Vec<Run>,
}

/// One run of the program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// RSS of the program and what it started, over time.
    pub samples: Vec<Sample>,
    /// Seconds of CPU time of all of them.
    pub cpu_s: f64,
    /// Seconds that the load took, or the program itself where there is none.
    pub work_s: f64,
    /// Why the run is not to be compared: it failed.
    pub failure: Option<String>,
}

/// RSS at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Milliseconds since the program was started.
    pub at_ms: u64,
    /// RSS of the program and of all that it started, added up.
    pub rss: Bytes,
}

/// How many of the last samples say where RSS stays.
const LAST: usize = 10;

impl Run {
    /// The highest RSS.
    #[must_use]
    pub fn peak(&self) -> Bytes {
        self.samples.iter().map(|sample| sample.rss).max().unwrap_or_default()
    }

    /// Where RSS stays at the end: the median of the last samples.
    #[must_use]
    pub fn end(&self) -> Bytes {
        let mut last: Vec<Bytes> =
            self.samples.iter().rev().take(LAST).map(|sample| sample.rss).collect();
        last.sort_unstable();
        last.get(last.len() / 2).copied().unwrap_or_default()
    }

    /// RSS as a mean over the samples.
    #[must_use]
    pub fn mean(&self) -> Bytes {
        let sum: Bytes = self.samples.iter().map(|sample| sample.rss).sum();
        Bytes(sum.0 / (self.samples.len() as u64).max(1))
    }

    /// RSS at `columns` moments that are equally far apart: the last one seen at each.
    #[must_use]
    pub fn curve(&self, columns: usize) -> Vec<Bytes> {
        let end = self.samples.last().map_or(0, |sample| sample.at_ms);
        let mut next = self.samples.iter().peekable();
        let mut now = Bytes(0);
        (1..=columns as u64)
            .map(|column| {
                let until = end * column / (columns as u64).max(1);
                while let Some(sample) = next.next_if(|sample| sample.at_ms <= until) {
                    now = sample.rss;
                }
                now
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Run, Sample};
    use crate::Bytes;

    #[test]
    fn a_run_is_told_by_its_peak_its_mean_and_where_it_ends() {
        let rss = [10, 50, 30, 20, 20];
        let samples =
            (0..).zip(rss).map(|(n, mib)| Sample { at_ms: n * 100, rss: Bytes::mib(mib) });
        let run = Run { samples: samples.collect(), ..Run::default() };
        assert_eq!(
            (run.peak(), run.mean(), run.end()),
            (Bytes::mib(50), Bytes::mib(26), Bytes::mib(20))
        );
        assert_eq!(run.curve(4), [50, 30, 20, 20].map(Bytes::mib));
        assert_eq!(Run::default().curve(2), [Bytes(0), Bytes(0)]);
    }
}
