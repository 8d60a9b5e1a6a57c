//! Is it known what Python 2 keeps of the numbers it had, and what brings it back?

use memwhy::Options;
use memwhy::model::{Bytes, Owner};
use memwhy_report::Style;
use memwhy_testkit::{Turn, Workload, require, script};
use std::path::Path;

#[test]
fn freed_integers_of_python_2_are_named_and_their_return_is_predicted() {
    for python in require(&["2.7.18"]) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let mut workload = Workload::start(&python.path, &script("python2_free_lists.py"), &[]);
        let case = memwhy::capture(workload.pid(), &Options::default());
        let case = case.unwrap_or_else(|error| panic!("{error}"));
        let verdict = memwhy::explain(&case);
        eprintln!("{}", memwhy_report::text::explain(&case, &verdict, Style::default()));
        assert_eq!(verdict.cause, Some("python2-free-lists"));
        let free = case.resident(Owner::PythonFree);
        assert!(free > Bytes::mib(40), "{free}");
        let finding = verdict.finding().unwrap_or_else(|| panic!("no finding"));
        let predicted = finding.remedies[0].expected_rss.unwrap_or_else(|| panic!("no figure")).0;

        // Either alone does nothing.
        let trimmed = workload.command("trim")["after_rss_kib"].as_u64().unwrap_or(0) << 10;
        assert!(trimmed + free.0 / 10 > case.rss().0, "{trimmed} after a trim alone");
        let both = workload.command("collect");
        let collected = both["collected_rss_kib"].as_u64().unwrap_or(0) << 10;
        let after = both["after_rss_kib"].as_u64().unwrap_or(0) << 10;
        eprintln!(
            "{} B: {trimmed} trimmed, {collected} collected, {after} both; predicted {predicted}",
            case.rss().0
        );
        assert!(after.abs_diff(predicted) * 10 < after.max(predicted), "{after}, not {predicted}");
    }
}
