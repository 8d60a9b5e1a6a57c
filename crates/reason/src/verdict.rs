//! Which finding is the answer, and how sure are we?
//!
//! The cause that explains most of RSS wins. `none` is an answer too: nothing out of the ordinary
//! was found although everything was seen. Where something that could decide was not seen, there
//! is no cause, and the verdict says what is missing.

use crate::analyses::SmapsView;
use crate::hypotheses::none;
use crate::wording::{amount, count, percent};
use crate::{Ask, Confidence, Finding, HYPOTHESES, Standing, finding, noteworthy};
use memwhy_model::{Bytes, Case, ProblemKind, Trust};

/// Part of RSS that may stay unexplained without a doubt: smaps and pages are read a moment apart.
const RESIDUAL_IS_FINE: f64 = 0.05;

/// Part of RSS from which on the unexplained could overturn the verdict.
const RESIDUAL_IS_MUCH: f64 = 0.25;

/// One object in so many that cannot be read is normal for a target that runs.
const OBJECTS_PER_PROBLEM: u64 = 1_000;

/// So few of anything weigh nothing, however small the heap.
const A_FEW: u64 = 16;

/// The findings ranked, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The cause; nothing where it could not be decided.
    pub cause: Option<&'static str>,
    /// How sure.
    pub confidence: Confidence,
    /// How much of RSS the cause explains.
    pub explains: Bytes,
    /// The answer in one sentence.
    pub summary: String,
    /// What lowered the confidence, a sentence each.
    pub doubts: Vec<String>,
    /// What every hypothesis says: those that hold first, most bytes first, then those undecided,
    /// then those refuted.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Judges and ranks.
    #[must_use]
    pub fn of(ask: &Ask<'_>) -> Self {
        let mut findings: Vec<Finding> = HYPOTHESES.iter().map(|h| h.judge(ask)).collect();
        findings.sort_by_key(|finding| {
            let standing = match finding.standing {
                Standing::Holds => 0,
                Standing::Undecided(_) => 1,
                Standing::Refuted => 2,
            };
            (
                standing,
                std::cmp::Reverse(finding.explains),
                std::cmp::Reverse(finding.could_explain),
            )
        });
        let (doubts, sureness) = doubts(ask);
        let memory = findings.first().filter(|f| f.holds() && f.explains > Bytes(0)).cloned();
        let open = findings.iter().find(|finding| {
            matches!(finding.standing, Standing::Undecided(_))
                && noteworthy(finding.could_explain, ask.rss())
                && memory.as_ref().is_none_or(|memory| finding.could_explain > memory.explains)
        });
        if let Some(withheld) = &ask.about.withheld {
            return Self::undecided(findings, doubts, from_smaps(ask, withheld));
        }
        match (memory, open) {
            (None, Some(open)) => {
                let Standing::Undecided(why) = &open.standing else {
                    return Self::undecided(findings, doubts, String::new());
                };
                let about = amount(open.could_explain, ask.rss());
                let summary = format!("undecided: {why}, and it may be {about} of all memory");
                Self::undecided(findings, doubts, summary)
            }
            (Some(memory), open) => {
                let mut doubts = doubts;
                let mut confidence = memory.confidence.min(sureness);
                if let Some(open) = open {
                    doubts.push(format!("{} is undecided and could be more", open.title()));
                    confidence = confidence.less();
                }
                Self {
                    cause: Some(memory.cause),
                    confidence,
                    explains: memory.explains,
                    summary: memory.summary,
                    doubts,
                    findings,
                }
            }
            (None, None) => Self::ordinary(ask, findings, doubts, sureness),
        }
    }

    /// No memory cause: the process is at work, or simply its size.
    fn ordinary(
        ask: &Ask<'_>,
        mut findings: Vec<Finding>,
        doubts: Vec<String>,
        sureness: Confidence,
    ) -> Self {
        let size = none::finding(ask);
        let busy = findings
            .iter()
            .find(|finding| finding.holds())
            .map(|busy| (busy.cause, format!("{}, and {}", busy.summary, size.summary)));
        let sureness = sureness.min(size.confidence);
        let (cause, summary) = busy.unwrap_or((size.cause, size.summary.clone()));
        if cause == size.cause {
            findings.insert(0, size);
        }
        let explains = Bytes(0);
        Self { cause: Some(cause), confidence: sureness, explains, summary, doubts, findings }
    }

    fn undecided(findings: Vec<Finding>, doubts: Vec<String>, summary: String) -> Self {
        let (cause, explains) = (None, Bytes(0));
        Self { cause, confidence: Confidence::Low, explains, summary, doubts, findings }
    }

    /// The cause as words; `undecided` where there is none.
    #[must_use]
    pub fn title(&self) -> String {
        self.cause.map_or_else(|| "undecided".into(), finding::title)
    }

    /// The finding of the cause.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| Some(finding.cause) == self.cause)
    }

    /// Other causes that hold.
    pub fn others(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.holds() && Some(f.cause) != self.cause)
    }

    /// What was ruled out, of what could have been.
    pub fn ruled_out(&self) -> impl Iterator<Item = &Finding> {
        let refuted = |finding: &&Finding| finding.standing == Standing::Refuted && !finding.moot;
        self.findings.iter().filter(refuted)
    }

    /// What could not be decided, and why.
    pub fn open(&self) -> impl Iterator<Item = (&Finding, &str)> {
        self.findings.iter().filter_map(|finding| match &finding.standing {
            Standing::Undecided(why) => Some((finding, why.as_str())),
            Standing::Holds | Standing::Refuted => None,
        })
    }
}

/// What the mappings alone tell.
fn from_smaps(ask: &Ask<'_>, withheld: &str) -> String {
    let seen = ask.get::<SmapsView>();
    let rss = if seen.rss > Bytes(0) { seen.rss } else { ask.rss() };
    if seen.rss == Bytes(0) {
        return format!("undecided: {withheld}; only the RSS of {rss} is known");
    }
    let mut parts = vec![format!("anonymous {}", amount(seen.anon, rss))];
    for (bytes, name) in [(seen.file, "files"), (seen.shmem, "shared memory")] {
        if bytes > Bytes(0) {
            parts.push(format!("{name} {}", amount(bytes, rss)));
        }
    }
    let mut told = vec![parts.join(", ")];
    if seen.arena_like > 0 {
        let arenas = count(seen.arena_like, "mapping");
        told.push(format!("{} in {arenas} like malloc's thread arenas", seen.arena_like_rss));
    }
    if seen.huge > Bytes(0) {
        told.push(format!("{} in huge pages", amount(seen.huge, rss)));
    }
    format!("undecided: {withheld}; mappings tell {}", told.join("; "))
}

/// What makes any verdict on this case less sure, and how sure it can be at most.
fn doubts(case: &Case) -> (Vec<String>, Confidence) {
    let mut doubts = Vec::new();
    let mut most = Confidence::High;
    let residual = case.accounting.unexplained.share_of(case.rss());
    if residual > RESIDUAL_IS_FINE && case.about.withheld.is_none() {
        doubts.push(format!("{} of {} is unexplained", percent(residual), case.about.measure()));
        most = if residual > RESIDUAL_IS_MUCH { Confidence::Low } else { most.less() };
    }
    if let Some(python) = &case.about.python
        && python.layout == Trust::Extrapolated
    {
        doubts.push(format!(
            "CPython {} has not been checked: its layouts are taken from an older release",
            python.version
        ));
        most = most.less();
    }
    let torn = case.about.moment.torn_reads.max(case.problems.count(ProblemKind::TornRead));
    if torn > 0 {
        doubts.push(format!("{} changed while being read", count(torn, "place")));
        most = most.less();
    }
    let objects = case.heap.as_ref().map_or(0, |heap| heap.len() as u64);
    let counted = |kind: ProblemKind| torn > 0 && kind.comes_of_tearing();
    let heavy = case.problems.iter().filter(|(kind, n, _)| weighs(*kind, *n, objects));
    for (kind, n, _) in heavy.filter(|(kind, ..)| !counted(*kind)) {
        doubts.push(said(kind, n));
        most = most.less();
    }
    (doubts, most)
}

/// Whether problems of a kind are so many that they touch the verdict.
fn weighs(kind: ProblemKind, n: u64, objects: u64) -> bool {
    match kind {
        ProblemKind::BrokenMallocHeap
        | ProblemKind::CalibrationFailed
        | ProblemKind::LayoutDisagrees
        | ProblemKind::ThreadNotStopped
        | ProblemKind::CoreIncomplete => true,
        ProblemKind::UnreadablePointer
        | ProblemKind::AbsurdLength
        | ProblemKind::BrokenList
        | ProblemKind::TornPool
        | ProblemKind::OwnersConflict => n > A_FEW.max(objects / OBJECTS_PER_PROBLEM),
        // Counted above, or felt as a residual, or without consequence for what was read.
        ProblemKind::TornRead
        | ProblemKind::ResidencyMismatch
        | ProblemKind::KernelRefused
        | ProblemKind::FileNotFound => false,
    }
}

/// A kind of problem as a sentence.
#[must_use]
pub fn said(kind: ProblemKind, n: u64) -> String {
    match kind {
        ProblemKind::UnreadablePointer => format!("{} led nowhere", count(n, "pointer")),
        ProblemKind::AbsurdLength => format!("{} could not be true", count(n, "length")),
        ProblemKind::BrokenList => format!("{} did not close", count(n, "linked list")),
        ProblemKind::TornPool => format!("{} of pymalloc did not add up", count(n, "pool")),
        ProblemKind::BrokenMallocHeap => {
            format!("{} could not be walked to the end", count(n, "malloc heap"))
        }
        ProblemKind::TornRead => format!("{} changed while being read", count(n, "place")),
        ProblemKind::OwnersConflict => format!("{} claimed twice", count(n, "range")),
        ProblemKind::LayoutDisagrees => {
            format!("{} where the target contradicts our layout table", count(n, "field"))
        }
        ProblemKind::CalibrationFailed => {
            format!("{} of the interpreter failed, that part is left out", count(n, "check"))
        }
        ProblemKind::KernelRefused => format!("the kernel refused {}", count(n, "request")),
        ProblemKind::ThreadNotStopped => format!("{} did not stop", count(n, "thread")),
        ProblemKind::ResidencyMismatch => {
            format!("{} where smaps and page facts differ", count(n, "mapping"))
        }
        ProblemKind::CoreIncomplete => {
            format!("{} of the core missing or broken", count(n, "part"))
        }
        ProblemKind::FileNotFound => {
            format!("{} that the core refers to not found", count(n, "file"))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Confidence, explain};
    use memwhy_model::{
        About, Addr, AddrRange, ArenaFacts, Bytes, Case, GlibcFacts, HeapBuilder, MallocFacts,
        MappingFacts, Owner, ProblemKind, PymallocFacts, ThreadFacts, ThreadState,
    };

    /// Everything was read; owners in MiB.
    fn case(owners: &[(Owner, u64)]) -> Case {
        let glibc = GlibcFacts { arenas: vec![ArenaFacts::default()], ..GlibcFacts::default() };
        let mut glibc = glibc;
        glibc.arenas[0].complete = true;
        let malloc = MallocFacts { name: "glibc 2.36".into(), walked: true, glibc: Some(glibc) };
        let mut case = Case {
            malloc: Some(malloc),
            pymalloc: Some(PymallocFacts::default()),
            heap: Some(HeapBuilder::default().finish(Vec::new())),
            threads: vec![ThreadFacts::default()],
            ..Case::default()
        };
        for (owner, mib) in owners {
            case.accounting = case.accounting.with(*owner, Bytes::mib(*mib));
        }
        case
    }

    #[test]
    fn the_cause_that_explains_most_wins_and_others_stay() {
        let verdict = explain(&case(&[
            (Owner::MallocFree, 100),
            (Owner::PymallocFree, 150),
            (Owner::FileClean, 20),
        ]));
        assert_eq!(verdict.cause, Some("pymalloc-fragmentation"));
        assert_eq!(verdict.explains, Bytes::mib(150));
        assert_eq!(verdict.others().next().map(|f| f.cause), Some("allocator-retention"));
    }

    #[test]
    fn a_process_of_ordinary_size_has_no_cause_but_a_composition() {
        let verdict = explain(&case(&[(Owner::FileClean, 12), (Owner::PythonObjects, 9)]));
        assert_eq!((verdict.cause, verdict.confidence), (Some("none"), Confidence::High));
        assert!(verdict.summary.contains("files 12.0 MiB (57%)"), "{}", verdict.summary);
    }

    #[test]
    fn work_is_the_answer_only_without_a_memory_cause() {
        let mut busy = case(&[(Owner::FileClean, 30)]);
        busy.threads[0].state = ThreadState::Running;
        busy.threads[0].cpu_share = 0.9;
        assert_eq!(explain(&busy).cause, Some("busy"));
        busy.accounting = busy.accounting.with(Owner::MallocFree, Bytes::mib(60));
        assert_eq!(explain(&busy).cause, Some("allocator-retention"));
    }

    #[test]
    fn what_was_not_seen_leaves_the_verdict_open() {
        let mut unseen = case(&[(Owner::OtherAllocator, 400), (Owner::FileClean, 30)]);
        unseen.malloc = Some(MallocFacts { name: "jemalloc".into(), ..MallocFacts::default() });
        let verdict = explain(&unseen);
        assert_eq!((verdict.cause, verdict.confidence), (None, Confidence::Low));
        assert!(verdict.summary.contains("jemalloc"), "{}", verdict.summary);
    }

    #[test]
    fn mappings_alone_decide_nothing_but_are_told() {
        let arena = MappingFacts {
            range: AddrRange::sized(Addr(64 << 20), 60 << 20),
            permissions: "rw-p".into(),
            rss: Bytes::mib(50),
            ..MappingFacts::default()
        };
        let about = About { withheld: Some("another user's process".into()), ..About::default() };
        let verdict = explain(&Case { about, mappings: vec![arena], ..Case::default() });
        assert_eq!(verdict.cause, None);
        assert_eq!(
            verdict.summary,
            "undecided: another user's process; mappings tell anonymous 50.0 MiB (100%); \
             50.0 MiB in 1 mapping like malloc's thread arenas"
        );
    }

    #[test]
    fn doubts_are_named_and_lower_confidence() {
        let mut torn = case(&[(Owner::MallocFree, 100)]);
        torn.about.moment.torn_reads = 3;
        let verdict = explain(&torn);
        assert_eq!(verdict.confidence, Confidence::Medium);
        assert_eq!(verdict.doubts, ["3 places changed while being read"]);
        torn.problems.note(ProblemKind::BrokenMallocHeap, String::new);
        assert_eq!(explain(&torn).confidence, Confidence::Low);
    }

    #[test]
    fn a_large_residual_is_a_doubt() {
        let mut vague = case(&[(Owner::MallocFree, 100)]);
        vague.accounting.unexplained = Bytes::mib(60);
        vague.accounting.rss = Bytes::mib(160);
        let verdict = explain(&vague);
        assert_eq!(verdict.confidence, Confidence::Low);
        assert_eq!(verdict.doubts, ["38% of RSS is unexplained"]);
    }
}
