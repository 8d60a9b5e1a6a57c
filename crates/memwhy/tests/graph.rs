//! Is what holds an object found where the program put it, and how much it keeps?
//!
//! `workloads/retainers.py` holds a buffer in every way that there is and says where. On every
//! interpreter the path must be what it says, word for word, an expression must lead back to the
//! object, and retained sizes must be the buffers' and little more.

use memwhy::Options;
use memwhy::model::{Addr, Bytes, Case};
use memwhy_reason::analyses::RetainedSizes;
use memwhy_reason::{Ask, Meant, Paths, Wanted, meant, ways};
use memwhy_testkit::{ORDINARY, Turn, Workload, require, script};
use serde_json::Value;
use std::path::Path;

/// What an object adds to its buffer: itself, its container's share, its key.
const BESIDE: u64 = 600;

fn capture(workload: &Workload) -> Case {
    memwhy::capture(workload.pid(), &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn paths_are_exact(python: &str, ask: &Ask<'_>, held: &[Value], faults: &mut Vec<String>) {
    let heap = ask.case().heap.as_ref().expect("a heap");
    for pair in held {
        let (path, addr) = (pair[0].as_str().expect("a path"), pair[1].as_u64().map(Addr));
        let object = match meant(ask, path) {
            Ok(Meant::Object(object)) => object,
            other => {
                faults.push(format!("{python}: {path} means {other:?}"));
                continue;
            }
        };
        if addr.is_some_and(|addr| addr != heap.addr(object)) {
            faults.push(format!("{python}: {path} leads to {}", heap.addr(object)));
        }
        let written = Paths::new(ask).to(object).map(|path| path.text);
        if written.as_deref() != Some(path) {
            faults.push(format!("{python}: {path} is written {written:?}"));
        }
    }
}

fn retained_sizes_are_exact(
    python: &str,
    ask: &Ask<'_>,
    retained: &[Value],
    payload: u64,
    faults: &mut Vec<String>,
) {
    let kept = ask.get::<RetainedSizes>();
    for pair in retained {
        let (path, bytes) = (pair[0].as_str().expect("a path"), pair[1].as_u64().expect("bytes"));
        let Ok(Meant::Object(object)) = meant(ask, path) else {
            faults.push(format!("{python}: {path} means nothing"));
            continue;
        };
        let ours = kept.bytes(object);
        // Pages of a large buffer that were never touched are not counted.
        let least = Bytes(bytes - bytes / 50);
        let most = Bytes(bytes + bytes / payload * BESIDE + 40_000);
        if ours < least || ours > most {
            faults.push(format!("{python}: {path} retains {ours}, not {}", Bytes(bytes)));
        }
    }
}

#[test]
fn what_holds_an_object_is_written_as_the_program_would() {
    let mut faults = Vec::new();
    for python in require(&ORDINARY) {
        let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let workload = Workload::start(&python.path, &script("retainers.py"), &[]);
        let case = capture(&workload);
        let ask = Ask::new(&case);
        let ready = workload.ready();
        let list = |name: &str| ready[name].as_array().cloned().unwrap_or_default();
        let payload = ready["payload"].as_u64().expect("a size");
        paths_are_exact(&python.label, &ask, &list("held"), &mut faults);
        retained_sizes_are_exact(&python.label, &ask, &list("retained"), payload, &mut faults);
        let all = meant(&ask, "__main__.Payload").expect("a type");
        let merged = ways(&ask, &all, &Wanted { top: 30, ..Wanted::default() });
        let rows: Vec<(String, u64)> =
            merged.rows.iter().map(|way| (way.path.text.clone(), way.objects)).collect();
        for wanted in [
            ("sys.modules['__main__'].QUEUE[…]", 200),
            ("sys.modules['__main__'].APP.cache[…][0]", 100),
        ] {
            if !rows.contains(&(wanted.0.to_owned(), wanted.1)) {
                faults.push(format!("{}: {wanted:?} is not among {rows:?}", python.label));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
