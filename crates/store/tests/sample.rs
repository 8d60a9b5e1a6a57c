//! Is the snapshot that the fuzzer changes one that is written today?
//!
//! `fuzz/snapshot` is small and of a heap made by hand; `fuzz/corpus/snapshots` has each of its files, after
//! the byte that says which. `UPDATE=1 cargo test --workspace --test sample` writes both.

#[path = "../../report/tests/cases/mod.rs"]
#[expect(dead_code, reason = "one of its cases is enough here")]
mod cases;
#[expect(dead_code, reason = "nothing is compared one by one here")]
mod heaps;

use heaps::{Folder, with_heap};
use memwhy_store::{Values, open};
use std::fs;
use std::path::{Path, PathBuf};

/// Objects of it: every way to refer, and a few more.
const OBJECTS: u32 = 40;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn the_sample_of_the_fuzzer_is_what_is_written_today() {
    let folder = Folder::new();
    let case = with_heap(cases::ordinary(), OBJECTS);
    let written = folder.snapshot("sample.memwhy", &case, Values::Kept);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let (sample, corpus) = (fuzz.join("snapshot"), fuzz.join("corpus/snapshots"));
    if std::env::var_os("UPDATE").is_some() {
        for folder in [&sample, &corpus] {
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder).expect("ours");
        }
        for (which, file) in (0u8..).zip(files(&written)) {
            let name = file.file_name().expect("it has one");
            let content = fs::read(&file).expect("just written");
            fs::write(sample.join(name), &content).expect("room");
            fs::write(corpus.join(name), [&[which], content.as_slice()].concat()).expect("room");
        }
    }
    let names = |folder: &Path| -> Vec<_> {
        files(folder).iter().map(|file| file.file_name().map(ToOwned::to_owned)).collect()
    };
    assert_eq!(names(&sample), names(&written));
    assert_eq!(names(&corpus), names(&written));
    let (ours, theirs) = (open(&written).expect("a snapshot"), open(&sample).expect("a snapshot"));
    let told = |case: &memwhy_model::Case| {
        let heap = case.heap.as_ref().expect("a heap");
        let objects =
            heap.ids().map(|id| (heap.addr(id), heap.size(id), heap.references(id).len()));
        objects.collect::<Vec<_>>()
    };
    assert_eq!(told(&ours), told(&theirs));
}
