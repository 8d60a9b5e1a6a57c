//! Do the entry points of `fuzz/` survive changed samples, on any toolchain?
//!
//! The samples are the corpus of `fuzz/`; a seed decides what is changed, so a failure comes back.
//! `MEMWHY_FUZZ_ROUNDS` multiplies how many are tried. Looking for what samples do not lead to takes
//! `cargo fuzz`.

#[expect(unreachable_pub, reason = "the crate of the fuzzer has them public")]
#[path = "../../../fuzz/src/lib.rs"]
mod entries;

use memwhy::{Options, Values};
use memwhy_target::core_file::write::Existing;
use memwhy_testkit::{Turn, Workload, require, script};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Numbers that look like chance and are the same each time (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.throw() % end.max(1) as u64).expect("below a usize")
    }

    /// `sample` with some bytes changed, cut, doubled or made extreme.
    fn change(&mut self, sample: &[u8]) -> Vec<u8> {
        let mut bytes = sample.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_within(at..),
                2 => {
                    let word = [0, 1, u64::MAX, i64::MAX.cast_unsigned(), 1 << 32][self.below(5)];
                    for (byte, new) in bytes.iter_mut().skip(at).zip(word.to_le_bytes()) {
                        *byte = new;
                    }
                }
                _ => {
                    let new = self.throw().to_le_bytes()[0];
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = new;
                    }
                }
            }
        }
        bytes
    }
}

fn rounds(ordinary: u64) -> u64 {
    let told = std::env::var("MEMWHY_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok());
    ordinary * told.unwrap_or(1)
}

fn samples(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

fn try_changed(target: &str, ordinary: u64, entry: fn(&[u8])) {
    let samples = samples(target);
    assert!(!samples.is_empty(), "{target}");
    for sample in &samples {
        entry(sample);
        for seed in 0..rounds(ordinary) {
            entry(&Dice(seed).change(sample));
        }
    }
}

#[test]
fn heads_and_notes_of_cores_may_hold_anything() {
    try_changed("core_notes", 20_000, entries::core_notes);
}

#[test]
fn tables_of_lines_may_hold_anything() {
    try_changed("line_tables", 20_000, entries::line_tables);
}

#[test]
fn what_an_interpreter_publishes_may_be_anything() {
    try_changed("debug_offsets", 5000, entries::debug_offsets);
}

#[test]
fn each_file_of_a_small_snapshot_may_hold_anything() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/snapshot");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzzed-small.memwhy");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for tests");
    for entry in fs::read_dir(&sample).expect("the sample") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, folder.join(path.file_name().expect("it has one"))).expect("room");
    }
    let samples = samples("snapshots");
    assert!(samples.len() > 5, "{} files", samples.len());
    for sample in samples {
        entries::snapshots(&folder, &sample);
        for seed in 0..rounds(100) {
            let mut changed = Dice(seed).change(sample.get(1..).unwrap_or_default());
            changed.insert(0, sample[0]);
            entries::snapshots(&folder, &changed);
        }
    }
    memwhy::open_snapshot(&folder).expect("it was mended each time");
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn chunks_pools_and_objects_and_files_of_a_snapshot_may_hold_anything() {
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzzed");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for tests");
    for label in ["2.7", "3.13"] {
        let Some(python) = require(&[label]).first().copied() else { continue };
        let workload = Workload::start(&python.path, &script("ring.py"), &[]);
        let core = folder.join("core");
        let patience = Duration::from_secs(60);
        memwhy::write_core(workload.pid(), &core, Existing::Replace, patience).expect("room");
        let case = memwhy::capture(workload.pid(), &Options::default()).expect("it can be read");
        drop(workload);
        for changes in samples("heaps") {
            entries::heaps(&core, &changes);
        }
        for seed in 0..rounds(10) {
            let mut dice = Dice(seed);
            let changes: Vec<u8> = (0..14 * 400).map(|_| dice.throw().to_le_bytes()[3]).collect();
            entries::heaps(&core, &changes);
        }
        let kept = folder.join(format!("{label}.memwhy"));
        memwhy::write(&case, &kept, Values::Kept).expect("room");
        let names = fs::read_dir(&kept).expect("a snapshot").count();
        let mut paths: Vec<PathBuf> =
            fs::read_dir(&kept).expect("it").map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        for seed in 0..rounds(10) {
            for (which, path) in paths.iter().enumerate().take(names) {
                let content = fs::read(path).expect("a file of it");
                let mut bytes = vec![u8::try_from(which).expect("few files")];
                bytes.extend(Dice(seed).change(&content));
                entries::snapshots(&kept, &bytes);
            }
        }
        memwhy::open_snapshot(&kept).expect("it was mended each time");
    }
    let _ = fs::remove_dir_all(&folder);
}
