//! How long does a process with many threads stand still for its stacks?

use memwhy::Options;
use memwhy_testkit::{Workload, require, script};
use std::time::Duration;

/// What 200 threads may cost the process.
const BUDGET_MS: f64 = 20.0;
/// Other tests run at the same time: one of so many looks has to be undisturbed.
const LOOKS: usize = 40;
/// Those of the workload, beside its main thread and its heart.
const THREADS: usize = 200;

#[test]
fn two_hundred_threads_stand_still_for_less_than_twenty_milliseconds() {
    for python in require(&["2.7", "3.6", "3.12", "3.13t", "debian-3.15"]) {
        let workload = Workload::start(&python.path, &script("waiting_threads.py"), &[]);
        let mut best = f64::MAX;
        for _ in 0..LOOKS {
            let options = Options { look: Duration::ZERO, ..Options::default() };
            let case = memwhy::look(workload.pid(), &options).expect("it runs");
            assert_eq!(case.threads.len(), THREADS + 2, "{}", python.label);
            let whole = case.threads.iter().filter(|thread| thread.frames.len() > 10).count();
            assert_eq!(whole, THREADS, "{}", python.label);
            // Its 64 MiB of data were not copied.
            assert!(case.about.moment.copied.0 < 16 << 20, "{}", case.about.moment.copied);
            best = best.min(case.about.moment.pause_ms);
            if best < BUDGET_MS {
                break;
            }
        }
        eprintln!("{}: 200 threads stood still for {best:.1} ms", python.label);
        assert!(best < BUDGET_MS, "{}: {best} ms at best", python.label);
    }
}
