//! Is a case that was written down the case that was observed?

#[path = "../../report/tests/cases/mod.rs"]
mod cases;

use memwhy_model::{Accounting, Case, Owner, ProblemKind, Trust};

/// All that is written down: the heap has its own form on disk.
fn without_heap(case: Case) -> Case {
    Case { heap: None, details: None, ..case }
}

#[test]
fn a_case_comes_back_as_it_was_written() {
    for case in [
        cases::retention(),
        cases::fragmented_pools(),
        cases::growing_dict(),
        cases::ordinary(),
        cases::withheld(),
        Case::default(),
    ] {
        let written = serde_json::to_string(&case).expect("a case can be written");
        let read: Case = serde_json::from_str(&written).expect("what was written can be read");
        // `Debug` shows every field, also those that are added after this test.
        assert_eq!(format!("{read:?}"), format!("{:?}", without_heap(case)));
    }
}

#[test]
fn words_in_files_are_the_stable_ids() {
    for owner in Owner::ALL {
        assert_eq!(serde_json::to_value(owner).expect("a word"), owner.id());
    }
    for trust in [Trust::Extrapolated, Trust::Heuristic, Trust::Table, Trust::Target] {
        assert_eq!(serde_json::to_value(trust).expect("a word"), trust.id());
    }
    assert_eq!(
        serde_json::to_value(ProblemKind::BrokenMallocHeap).expect("a word"),
        ProblemKind::BrokenMallocHeap.id()
    );
}

#[test]
fn owners_that_do_not_add_up_to_rss_are_refused() {
    let mut written = serde_json::to_value(cases::ordinary().accounting).expect("written");
    written["rss"] = 1.into();
    let refused = serde_json::from_value::<Accounting>(written);
    assert!(refused.is_err_and(|error| error.to_string().contains("RSS")));
}
