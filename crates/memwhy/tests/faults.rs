//! What if memory fails, or lies, now and then?
//!
//! A whole process, captured once for each version; then one read in so many fails, or has a bit
//! changed, at places that a seed decides. Whatever comes of it: no panic, an end, and owners that
//! add up. `MEMWHY_FAULT_ROUNDS` says how many seeds are tried, 2 if it does not.

use memwhy::model::{Owner, ProblemKind};
use memwhy::{CoreFiles, Options};
use memwhy_target::Memory;
use memwhy_target::core_file::{self, write::Existing};
use memwhy_testkit::{Flaky, Mishap, Turn, Workload, require, script};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// No walk of a heap as small takes as long, on a busy machine neither.
const ENDLESS: Duration = Duration::from_secs(120);

struct Kept(PathBuf);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn captured(label: &str) -> Option<Kept> {
    let python = require(&[label]).first().copied()?;
    let workload = Workload::start(&python.path, &script("ring.py"), &[]);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{label}.core"));
    let patience = Duration::from_secs(60);
    memwhy::write_core(workload.pid(), &path, Existing::Replace, patience).expect("room");
    Some(Kept(path))
}

fn rounds() -> u64 {
    let told = std::env::var("MEMWHY_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok());
    told.unwrap_or(2)
}

fn survive(path: &Path, mishap: Mishap, one_in: u64, seed: u64) -> u64 {
    let name = format!("{} {mishap:?} 1 in {one_in}, seed {seed}", path.display());
    let (mut taken, about) = core_file::open(path, &CoreFiles::default()).expect("a core");
    let mut objects = 0;
    let flaky = |view| -> Box<dyn Memory + Send + Sync> {
        Box::new(Flaky::new(view, mishap, one_in, seed))
    };
    taken.view = taken.view.through(flaky);
    let started = Instant::now();
    let case = memwhy::observe(taken, about, &Options::default());
    let owners: u64 = Owner::ALL.iter().map(|owner| case.resident(*owner).0).sum();
    assert_eq!(owners + case.accounting.unexplained.0, case.rss().0, "{name}");
    if let Some(heap) = &case.heap {
        objects = heap.len() as u64;
        let typed: u64 = heap.types().iter().map(|row| row.count).sum();
        assert_eq!(typed, objects, "{name}");
    } else {
        assert!(case.problems.count(ProblemKind::CalibrationFailed) > 0, "{name}");
    }
    let verdict = memwhy::explain(&case);
    let style = memwhy_report::Style { color: false, width: 100 };
    assert!(!memwhy_report::text::explain(&case, &verdict, style).is_empty(), "{name}");
    assert!(started.elapsed() < ENDLESS, "{name}: {:?}", started.elapsed());
    objects
}

#[test]
fn reads_that_fail_or_lie_end_no_walk_and_owners_still_add_up() {
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    for label in ["2.7", "3.8", "3.12", "3.13", "musl-3.13"] {
        let Some(core) = captured(label) else { continue };
        let whole = survive(&core.0, Mishap::Fail, 0, 0);
        assert!(whole > 10_000, "{label}: {whole} objects");
        let mut worse = 0;
        for seed in 0..rounds() {
            for one_in in [7, 300, 20_000] {
                for mishap in [Mishap::Fail, Mishap::Flip] {
                    let left = survive(&core.0, mishap, one_in, seed);
                    worse += u64::from(left != whole);
                }
            }
        }
        // If nothing ever changed nothing was tested.
        assert!(worse > 0, "{label}");
    }
}
