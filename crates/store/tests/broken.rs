//! Is a snapshot that was cut off, changed or made up refused in words?
//!
//! Nothing here may panic, and nothing may be answered: a case that can be read is the one that was
//! written.

#[path = "../../report/tests/cases/mod.rs"]
#[expect(dead_code, reason = "other tests have use for the other cases")]
mod cases;
#[expect(dead_code, reason = "other tests ask more of them")]
mod heaps;

use heaps::{Folder, with_heap};
use memwhy_model::PreviewLength;
use memwhy_store::{Values, open};
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Flips of bytes per file whose sum is mended, so that they come to those who read the tables; so
/// many more with `MEMWHY_FLIPS`.
const FLIPS: usize = 60;

fn snapshot(folder: &Folder) -> PathBuf {
    folder.snapshot("a.memwhy", &with_heap(cases::retention(), 3000), Values::Kept)
}

fn files(snapshot: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(snapshot)
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    files
}

/// It is refused, and the words name the file.
#[track_caller]
fn refused(snapshot: &Path, file: &Path, words: &[&str]) {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let error = open(snapshot).err().map(|error| error.to_string());
    let error = error.unwrap_or_else(|| panic!("{name} passes"));
    assert!(error.contains(&name), "{name}: {error}");
    assert!(words.iter().any(|word| error.contains(word)), "{name}: {error}");
    assert!(error.chars().count() < 300 && !error.contains('\n'), "{name}: {error}");
}

/// What is said of a snapshot that has to be refused.
#[track_caller]
fn said(snapshot: &Path, what: &str) -> String {
    match open(snapshot) {
        Ok(_) => panic!("{what} passes"),
        Err(error) => error.to_string(),
    }
}

/// Files that are read: of the others memwhy only knows that other programs want them.
fn is_read(file: &Path) -> bool {
    let views = [
        "snapshots",
        "owners",
        "regions",
        "arenas",
        "threads",
        "ways",
        "native_holders",
        "native_contents",
    ];
    !views.iter().any(|view| file.file_stem().is_some_and(|stem| stem == *view))
}

#[test]
fn a_file_that_is_missing_or_cut_off_is_named() {
    let folder = Folder::new();
    let path = snapshot(&folder);
    for file in files(&path).into_iter().filter(|file| is_read(file)) {
        let whole = fs::read(&file).expect("a file");
        for length in [0, 1, 4, whole.len() / 2, whole.len() - 2] {
            fs::write(&file, &whole[..length]).expect("writable");
            refused(&path, &file, &["cut off"]);
        }
        fs::write(&file, [whole.as_slice(), b"\n\n"].concat()).expect("writable");
        if file.file_name().is_some_and(|name| name != "manifest.json") {
            refused(&path, &file, &["changed"]);
        }
        fs::remove_file(&file).expect("there");
        refused(&path, &file, &["missing"]);
        fs::write(&file, &whole).expect("writable");
    }
    open(&path).expect("whole again");
}

#[test]
fn a_bit_that_was_flipped_is_found() {
    let folder = Folder::new();
    let path = snapshot(&folder);
    for file in files(&path).into_iter().filter(|file| is_read(file)) {
        let whole = fs::read(&file).expect("a file");
        for n in 0..24 {
            let mut flipped = whole.clone();
            let at = n * (whole.len() - 1) / 23;
            flipped[at] ^= 1 << (n % 8);
            fs::write(&file, &flipped).expect("writable");
            // In the manifest a space that became another one says nothing else.
            if let Ok(case) = open(&path) {
                assert!(file.ends_with("manifest.json"), "{} at {at}", file.display());
                assert_eq!(case.heap.map(|heap| heap.len()), Some(3000));
            }
        }
        fs::write(&file, &whole).expect("writable");
    }
}

/// Makes the manifest agree with the files again, as whoever forges a snapshot would.
fn mend(snapshot: &Path, change: impl FnOnce(&mut Value)) {
    let path = snapshot.join("manifest.json");
    let text = fs::read(&path).expect("a file");
    let mut manifest: Value = serde_json::from_slice(&text).expect("JSON");
    for file in manifest["files"].as_array_mut().expect("files") {
        let name = file["name"].as_str().expect("a name").to_owned();
        let Ok(content) = fs::read(snapshot.join(&name)) else { continue };
        file["bytes"] = content.len().into();
        file["crc32"] = crc32fast::hash(&content).into();
    }
    change(&mut manifest);
    // Its own sum is over its fields in their order, which a map of JSON has lost.
    let field = |key: &str| manifest[key].to_string();
    let list: Vec<String> = manifest["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| {
            format!(
                "{{\"name\":{},\"bytes\":{},\"crc32\":{}}}",
                file["name"], file["bytes"], file["crc32"]
            )
        })
        .collect();
    let sealed = |sum: u32| {
        format!(
            "{{\"format\":{},\"version\":{},\"memwhy\":{},\"values\":{},\"objects\":{},\
             \"references\":{},\"files\":[{}],\"crc32\":{sum}}}",
            field("format"),
            field("version"),
            field("memwhy"),
            field("values"),
            field("objects"),
            field("references"),
            list.join(",")
        )
    };
    let sum = crc32fast::hash(sealed(0).as_bytes());
    fs::write(&path, sealed(sum)).expect("writable");
}

#[test]
fn another_form_and_another_folder_are_told_apart() {
    let folder = Folder::new();
    let path = snapshot(&folder);
    mend(&path, |_| {});
    open(&path).expect("the forger of this test does it right");
    mend(&path, |manifest| manifest["version"] = 2.into());
    let error = said(&path, "a newer one");
    assert!(error.contains("form 2") && error.contains("reads form 1"), "{error}");
    mend(&path, |manifest| manifest["format"] = "something.else".into());
    assert!(said(&path, "another").contains("not that of a memwhy"));
    fs::write(path.join("manifest.json"), "{}").expect("writable");
    assert!(open(&path).is_err());
    fs::write(path.join("manifest.json"), "[".repeat(100_000)).expect("writable");
    assert!(open(&path).is_err());
    assert!(said(&folder.path("nothing"), "nothing").contains("missing"));
}

#[test]
fn links_and_pipes_are_not_followed() {
    let folder = Folder::new();
    let path = snapshot(&folder);
    for name in ["manifest.json", "case.json", "objects.parquet"] {
        let file = path.join(name);
        let whole = fs::read(&file).expect("a file");
        fs::remove_file(&file).expect("there");
        for target in ["/dev/zero", "/etc/passwd", "a.memwhy"] {
            std::os::unix::fs::symlink(target, &file).expect("a link");
            refused(&path, &file, &["a link"]);
            fs::remove_file(&file).expect("there");
        }
        // Opening a pipe that nobody writes to would wait for ever.
        let made = Command::new("mkfifo").arg(&file).stdin(Stdio::null()).status();
        assert!(made.is_ok_and(|status| status.success()));
        refused(&path, &file, &["not a file"]);
        fs::remove_file(&file).expect("there");
        fs::create_dir(&file).expect("a folder");
        refused(&path, &file, &["not a file"]);
        fs::remove_dir(&file).expect("there");
        fs::write(&file, &whole).expect("writable");
    }
    // A name in the manifest leads nowhere else: only known names are opened.
    mend(&path, |manifest| manifest["files"][0]["name"] = "../../../etc/passwd".into());
    assert!(open(&path).is_err());
}

#[test]
fn counts_that_nobody_has_memory_for_are_refused_before_it_is_taken() {
    let folder = Folder::new();
    let path = snapshot(&folder);
    for (objects, references) in [(u64::MAX, 1), (4_000_000_000_000, 1), (3000, u64::MAX)] {
        mend(&path, |manifest| {
            manifest["objects"] = objects.into();
            manifest["references"] = references.into();
        });
        assert!(said(&path, "too large").contains("need"));
    }
    mend(&path, |manifest| {
        manifest["objects"] = 2999.into();
        manifest["references"] = 3008.into();
    });
    assert!(said(&path, "other counts").contains("rows"));
    mend(&path, |manifest| {
        manifest["objects"] = 3000.into();
        manifest["references"] = 1.into();
    });
    assert!(open(&path).is_err());
}

#[test]
fn tables_of_another_snapshot_do_not_pass_for_its_own() {
    let folder = Folder::new();
    let path = snapshot(&folder);
    let other = folder.snapshot("b.memwhy", &with_heap(cases::retention(), 2000), Values::Kept);
    for name in ["objects.parquet", "edges.parquet", "types.parquet", "roots.parquet"] {
        let whole = fs::read(path.join(name)).expect("a file");
        fs::copy(other.join(name), path.join(name)).expect("writable");
        assert!(said(&path, name).contains(name));
        // The sums do not save a forger.
        mend(&path, |_| {});
        match open(&path) {
            Err(_) => {}
            // Its roots are of objects that both have.
            Ok(case) => assert!(name == "roots.parquet" && case.heap.is_some(), "{name}"),
        }
        fs::write(path.join(name), &whole).expect("writable");
        mend(&path, |_| {});
    }
    open(&path).expect("whole again");
}

/// A generator of numbers that is the same in every run.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn what_gets_past_the_sums_is_still_no_panic() {
    let more = std::env::var("MEMWHY_FLIPS").ok().and_then(|text| text.parse().ok());
    let flips = more.unwrap_or(FLIPS);
    let folder = Folder::new();
    let path = snapshot(&folder);
    let (mut seed, mut passed) = (7u64, 0);
    let read: Vec<PathBuf> = files(&path).into_iter().filter(|file| is_read(file)).collect();
    for file in read.iter().filter(|file| file.extension() != Some(&OsString::from("json"))) {
        let whole = fs::read(file).expect("a file");
        for n in 0..flips {
            let mut changed = whole.clone();
            // The end is where a table says what it is: half of the flips go there.
            let last = if n % 2 == 0 { whole.len() } else { whole.len().min(600) };
            for _ in 0..=next(&mut seed) % 3 {
                let back = usize::try_from(next(&mut seed)).expect("a number") % last;
                changed[whole.len() - 1 - back] = next(&mut seed).to_le_bytes()[0];
            }
            fs::write(file, &changed).expect("writable");
            mend(&path, |_| {});
            if let Ok(case) = open(&path) {
                passed += 1;
                let (heap, details) = (case.heap.expect("a heap"), case.details.expect("details"));
                for id in heap.ids().step_by(101) {
                    assert!(heap.references(id).iter().all(|to| (to.0 as usize) < heap.len()));
                    let _ = (
                        details.labels(&heap, id),
                        details.preview(&heap, id, PreviewLength::Short),
                    );
                    let _ = details.captured(&heap, id);
                }
            }
        }
        fs::write(file, &whole).expect("writable");
    }
    eprintln!("{passed} changed snapshots still said something");
}
