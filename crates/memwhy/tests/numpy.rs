//! Are arrays of `NumPy` as large as they say, with their data, and do they lead to what they hold?

use memwhy::Options;
use memwhy::model::{Addr, Flags, PreviewLength};
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Turn, Workload, script};
use serde_json::Value;
use std::path::Path;

#[test]
fn arrays_are_as_large_as_they_say_and_lead_to_what_they_hold() {
    let Some(venv) = venv("parquet-venv", None) else { return };
    let python = venv.join("bin/python");
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let workload = Workload::start(&python, &script("arrays.py"), &[]);
    let case = memwhy::capture(workload.pid(), &Options::default());
    let case = case.unwrap_or_else(|error| panic!("{error}"));
    assert!(case.problems.is_empty(), "{:?}", case.problems);
    let heap = case.heap.as_ref().expect("a heap");
    let details = case.details.as_ref().expect("details");
    let ready = workload.ready();
    let mut faults = Vec::new();
    let rows = ready["arrays"].as_array().expect("rows");
    assert!(rows.len() > 30, "{rows:?}");
    for row in rows {
        let number = |index: usize| row[index].as_u64().unwrap_or_else(|| panic!("{row}"));
        let (name, size, own) = (row[0].as_str().unwrap_or_default(), number(2), number(3));
        let Some(id) = heap.find(Addr(number(1))) else {
            faults.push(format!("{name}: not found"));
            continue;
        };
        if heap.flags(id).has(Flags::PARTLY_READ) {
            faults.push(format!("{name}: only partly read"));
        }
        if heap.size(id).0 != size {
            faults.push(format!("{name}: {} instead of {size}", heap.size(id)));
        }
        // Data that nobody has touched takes no memory; what malloc adds is less than a page.
        let footprint = heap.footprint(id).0;
        if footprint > size + 4096 + 64 || (own > 0 && own < 1 << 17 && footprint < own) {
            faults.push(format!("{name}: {footprint} in memory, {own} of data"));
        }
        let leads =
            |to: u64| heap.references(id).iter().any(|target| heap.addr(*target) == Addr(to));
        if number(4) != 0 && !leads(number(4)) {
            faults.push(format!("{name}: does not lead to what its data belongs to"));
        }
        for held in ready["held"][name].as_array().into_iter().flatten().filter_map(Value::as_u64) {
            if !leads(held) {
                faults.push(format!("{name}: does not lead to {held:#x}"));
            }
        }
        let begins = row[5].as_str().unwrap_or_default();
        let said = details.preview(heap, id, PreviewLength::Long).unwrap_or_default();
        // What a class in Python prints is its own affair: there the array is told of inside.
        if !said.contains(begins) {
            faults.push(format!("{name}: {said}\n  instead of {begins}"));
        }
    }
    eprintln!("{} arrays of NumPy {}", rows.len(), ready["numpy"]);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
