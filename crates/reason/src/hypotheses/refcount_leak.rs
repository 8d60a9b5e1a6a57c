//! Hypothesis: objects are alive only because C code counted a reference that it does not have.
//!
//! The complaint: objects pile up that nothing leads to, and `gc.collect()` does not free them.
//!
//! *Speaks for it:* objects whose reference count is higher than the references to them, in objects,
//! in variables of C, on stacks, in any memory of malloc. *Speaks against it:* such an address is
//! somewhere, or the count is what was found. Immortal objects and those whose count is put off
//! (builds without GIL) are left out.

use super::Hypothesis;
use crate::analyses::origin::at;
use crate::analyses::{Garbage, Leak, Origin};
use crate::wording::{amount, count, digits, of_all, short_type};
use crate::{Ask, Finding, Holder, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, HeapGraph, Owner, Trust};
use std::collections::BTreeSet;

/// Types listed.
const HOLDERS: usize = 5;
/// Extensions named.
const EXTENSIONS: usize = 3;

/// See the [module](self).
#[derive(Debug)]
pub struct RefcountLeak;

impl Hypothesis for RefcountLeak {
    fn id(&self) -> &'static str {
        "refcount-leak"
    }

    fn claim(&self) -> &'static str {
        "C code counted references that it does not have"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let rss = ask.rss();
        let Some(heap) = &ask.heap else {
            let unseen = ask.resident(Owner::AnonOther) + ask.accounting.unexplained;
            return Finding::refuted(self.id(), "reference counts were not read")
                .undecided("the Python heap was not read", unseen);
        };
        let resident = ask.resident(Owner::PythonOrphans);
        let summary = if resident == Bytes(0) {
            "orphans 0".to_owned()
        } else {
            format!("orphaned objects {}", amount(resident, rss))
        };
        let mut finding = Finding::refuted(self.id(), summary);
        if !heap.complete() {
            return finding
                .undecided("not every place that may refer to objects was read", Bytes(0));
        }
        if !noteworthy(resident, rss) {
            return finding;
        }
        finding.standing = Standing::Holds;
        finding.explains = resident;
        weigh(&mut finding, ask, heap);
        finding
    }
}

fn weigh(finding: &mut Finding, ask: &Ask<'_>, heap: &HeapGraph) {
    let rss = ask.rss();
    let trust = ask.about.python.as_ref().map_or(Trust::Heuristic, |python| python.layout);
    let unfreed = ask.get::<Garbage>();
    let origin = ask.get::<Origin>();
    for leak in unfreed.leaks.iter().take(HOLDERS) {
        let Some(ty) = leak.ty.and_then(|ty| heap.type_row(ty)) else { continue };
        let place = leak.example.and_then(|example| origin.of(ask, example));
        finding.holders.push(Holder {
            path: None,
            object: leak.example.map_or_else(Default::default, |id| heap.addr(id)),
            type_name: Some(ty.name.clone()),
            file: place.map(|place| place.file.to_owned()),
            line: place.and_then(|place| place.line),
            hold: crate::Hold::Retains,
            objects: leak.objects,
            bytes: leak.bytes,
            also_reached_from: 0,
        });
        let written = place.map_or_else(String::new, |place| format!(" ({})", at(&place)));
        let by = ty.library.as_ref().map_or_else(String::new, |file| format!(", made by {file}"));
        finding.saw(
            trust,
            format!(
                "{} of type {}{written}{by}: {} counted that are nowhere in memory; with what they \
                 hold {}",
                count(leak.count, "object"),
                short_type(&ty.name),
                count(leak.excess, "reference"),
                leak.bytes
            ),
            "in the program: gc.collect() does not free them, gc.get_referrers() of one is empty",
        );
    }
    let suspects = suspects(ask, heap, unfreed.leaks.first());
    finding.summary = format!(
        "{} is {} that only a wrong reference count keeps alive: {suspects}",
        of_all(finding.explains, ask),
        count(unfreed.orphans, "object"),
    );
    finding.remedies.push(Remedy {
        action: format!("fix or upgrade the extension that misses a Py_DECREF: {suspects}"),
        expected_rss: Some(rss.minus(finding.explains)),
        note: format!(
            "memory comes back only with a new process; {} lost so far",
            digits(unfreed.leaks.iter().map(|leak| leak.count).sum())
        ),
        verify: format!(
            "memwhy garbage {}: orphans near 0 after the same work",
            ask.about.running()
        ),
    });
}

/// Which library it may be: that of the type, else what is loaded.
fn suspects(ask: &Ask<'_>, heap: &HeapGraph, leak: Option<&Leak>) -> String {
    let ty = leak.and_then(|leak| heap.type_row(leak.ty?));
    let own = ask.about.python.as_ref().map(|python| python.image.as_str());
    let library = ty.and_then(|ty| ty.library.as_deref()).filter(|library| Some(*library) != own);
    if let Some(library) = library {
        return format!("{library}, whose type it is");
    }
    // Those that came with the program tell more than those of the interpreter.
    let loaded = |wanted: &dyn Fn(&str) -> bool| {
        let names = ask.mappings.iter().map(|mapping| mapping.name.as_str());
        let names = names.filter(|name| is_extension(name) && wanted(name)).map(module);
        names.collect::<BTreeSet<&str>>()
    };
    let mut named = loaded(&|name| name.contains("-packages/"));
    if named.is_empty() {
        named = loaded(&|name| name.contains("lib-dynload/"));
    }
    // What can be told to count by hand comes first.
    let mut named: Vec<&str> = named.into_iter().collect();
    named.sort_by_key(|name| !name.contains("ctypes") && !name.contains("cffi"));
    let more = named.len().saturating_sub(EXTENSIONS);
    named.truncate(EXTENSIONS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if named.is_empty() {
        return "some C code".into();
    }
    format!("one of the extensions {}{more}", named.join(", "))
}

/// Whether a file is a shared library, as Linux names them.
fn is_extension(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|extension| extension == "so")
}

/// `_ctypes` of `/usr/lib/…/_ctypes.cpython-312-x86_64-linux-gnu.so`.
fn module(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}
