//! Does a snapshot answer as the case did that it was written of?

#[path = "../../report/tests/cases/mod.rs"]
mod cases;
mod heaps;

use heaps::{Answers, FUNCTION, Folder, HOLDER, labels, with_heap};
use memwhy_model::{Case, Details, HeapGraph, Label, ObjectId, PreviewLength, TargetKind};
use memwhy_store::{Values, WriteError, open, write};
use std::os::unix::fs::PermissionsExt;

/// Everything that a graph tells, in one text.
fn told(heap: &HeapGraph) -> String {
    let object = |id| {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}\n",
            heap.addr(id),
            heap.type_of(id),
            heap.size(id),
            heap.footprint(id),
            heap.flags(id),
            heap.reference_count(id),
            heap.references(id),
        )
    };
    let whole = format!("{:?} {:?} {}\n", heap.types(), heap.roots(), heap.complete());
    heap.ids().map(object).fold(whole, |text, line| text + &line)
}

#[test]
fn a_snapshot_has_all_that_the_case_had() {
    let folder = Folder::new();
    // More than one batch of rows.
    for (n, case) in
        [with_heap(cases::retention(), 70_000), cases::growing_dict(), cases::withheld()]
            .into_iter()
            .enumerate()
    {
        let path = folder.snapshot(&format!("{n}.memwhy"), &case, Values::LeftOut);
        let mut read = open(&path).expect("what was written can be read");
        match (&read.heap, &case.heap) {
            (Some(read), Some(written)) => assert!(told(read) == told(written), "{n}"),
            (None, None) => {}
            (read, _) => panic!("{n}: a heap: {}", read.is_some()),
        }
        assert_eq!(read.about.kind, TargetKind::Snapshot);
        assert_eq!(read.about.path.as_deref(), path.to_str());
        read.about.kind = case.about.kind;
        read.about.path = None;
        let rest = |case: Case| format!("{:?}", Case { heap: None, details: None, ..case });
        assert_eq!(rest(read), rest(case), "{n}");
    }
}

#[test]
fn references_keep_their_names_and_keys_that_are_no_words_are_left_out() {
    let folder = Folder::new();
    let case = with_heap(cases::ordinary(), 70_000);
    let read = open(&folder.snapshot("a.memwhy", &case, Values::LeftOut)).expect("it is one");
    let (heap, details) = (read.heap.expect("a heap"), read.details.expect("details"));
    let mut expected = labels();
    expected[4] = Label::Key("<str>".into());
    assert_eq!(details.labels(&heap, HOLDER), expected);
    for (at, label) in expected.iter().enumerate() {
        assert_eq!(details.label(&heap, HOLDER, at).as_ref(), Some(label));
    }
    assert_eq!(details.label(&heap, HOLDER, expected.len()), None);
    assert_eq!(details.captured(&heap, FUNCTION), ["size", "rows"]);
    assert_eq!(details.captured(&heap, HOLDER), [""; 0]);
    // It had none when it was asked for.
    assert_eq!(details.labels(&heap, ObjectId(5)), []);
    assert_eq!(details.preview(&heap, ObjectId(5), PreviewLength::Short), None);
}

#[test]
fn no_value_is_in_any_file_unless_it_is_asked_for() {
    let folder = Folder::new();
    let case = with_heap(cases::ordinary(), 3000);
    let without = folder.snapshot("without.memwhy", &case, Values::LeftOut);
    let read = open(&without).expect("it is one");
    let (heap, details) = (read.heap.expect("a heap"), read.details.expect("details"));
    for id in heap.ids() {
        // A function is part of the program, whatever it is called.
        assert_eq!(
            details.preview(&heap, id, PreviewLength::Short).is_some(),
            id == FUNCTION,
            "{id:?}"
        );
    }
    let with = folder.snapshot("with.memwhy", &case, Values::Kept);
    let read = open(&with).expect("it is one");
    let (heap, details) = (read.heap.expect("a heap"), read.details.expect("details"));
    assert_eq!(details.labels(&heap, HOLDER), labels());
    assert_eq!(details.preview(&heap, HOLDER, PreviewLength::Short), None);
    for id in heap.ids().skip(1).step_by(997) {
        for length in PreviewLength::ALL {
            assert_eq!(details.preview(&heap, id, length), Answers.preview(&heap, id, length));
        }
    }
}

#[test]
fn nothing_is_overwritten_and_nobody_else_may_look() {
    let folder = Folder::new();
    let case = with_heap(cases::ordinary(), 10);
    let path = folder.snapshot("a.memwhy", &case, Values::LeftOut);
    let before = std::fs::read(path.join("case.json")).expect("a file");
    assert!(matches!(write(&case, &path, Values::Kept), Err(WriteError::Exists(_))));
    assert_eq!(std::fs::read(path.join("case.json")).expect("a file"), before);
    std::fs::create_dir(folder.path("empty")).expect("a folder");
    let onto = write(&case, &folder.path("empty"), Values::Kept);
    assert!(matches!(onto, Err(WriteError::Exists(_))));
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode();
    assert_eq!(mode(&path) & 0o777, 0o700);
    for file in std::fs::read_dir(&path).expect("a folder") {
        assert_eq!(mode(&file.expect("a file").path()) & 0o777, 0o600);
    }
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let folder = Folder::new();
    let case = with_heap(cases::ordinary(), 100);
    let nowhere = write(&case, &folder.path("no/such/a.memwhy"), Values::LeftOut);
    assert!(matches!(nowhere, Err(WriteError::Io { .. })));
    let left: Vec<_> = std::fs::read_dir(folder.as_path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_same_case_is_written_the_same() {
    let folder = Folder::new();
    let case = with_heap(cases::ordinary(), 5000);
    let [a, b] = ["a", "b"].map(|name| folder.snapshot(name, &case, Values::Kept));
    for file in std::fs::read_dir(&a).expect("a folder") {
        let name = file.expect("a file").file_name();
        let read = |folder: &std::path::Path| std::fs::read(folder.join(&name)).expect("a file");
        assert!(read(&a) == read(&b), "{}", name.display());
    }
}
