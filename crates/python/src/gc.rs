//! What state is the cyclic garbage collector in, and do its lists agree with the objects found?
//!
//! Source: `Modules/gcmodule.c` up to 3.12, `Python/gc.c` from 3.13.

use crate::layout::Layouts;
use crate::layout::tables::gc_state::{GC_STATE_DEBIAN_3_13, GcHeads, GcState};
use memwhy_model::{Addr, Flags, GcFacts, HeapGraph, ProblemKind, Problems};
use memwhy_target::{Memory, MemoryExt};

/// Generations: `NUM_GENERATIONS`.
const GENERATIONS: u64 = 3;
/// Objects of each list that are looked at: enough to tell a right table from a wrong one.
const LOOKED_AT: usize = 2000;

/// Reads the state of the collector at `state`, and checks the layout against the lists.
#[must_use]
pub fn facts(
    memory: &dyn Memory,
    layouts: &Layouts,
    state: Addr,
    graph: &HeapGraph,
    problems: &mut Problems,
) -> Option<GcFacts> {
    let tracked = graph.ids().filter(|id| graph.flags(*id).has(Flags::TRACKED)).count();
    // Distributions move the heads: the layout whose lists close is the right one.
    let vendor = GC_STATE_DEBIAN_3_13;
    let own = layouts.gc_state?;
    let (fields, agree) = [own, vendor]
        .into_iter()
        .map(|fields| (fields, lists_close(memory, layouts, &fields, state, graph)))
        .find(|(_, agree)| *agree == Some(true))
        .unwrap_or((own, lists_close(memory, layouts, &own, state, graph)));
    let collecting = fields.collecting.read(memory, state).ok()? != 0;
    if agree == Some(false) && !collecting {
        problems.note(ProblemKind::CalibrationFailed, || {
            "the lists of the garbage collector do not close; objects were found without them"
                .into()
        });
    }
    let mut facts = GcFacts {
        enabled: fields.enabled.read(memory, state).ok()? != 0,
        collecting,
        tracked: tracked as u64,
        lists_agree: agree,
        ..GcFacts::default()
    };
    if let (GcHeads::Generations(first), Some(true)) = (fields.heads, agree) {
        for generation in 0..GENERATIONS {
            let at = first.addr(state).at(generation * layouts.gc_generation.size);
            let threshold = layouts.gc_generation.threshold.read(memory, at).ok()?;
            let count = layouts.gc_generation.count.read(memory, at).ok()?;
            facts.thresholds.push(i64::from(threshold));
            facts.counts.push(i64::from(count));
        }
    }
    Some(facts)
}

/// Whether each generation's list leads over objects that were found and back to its head.
/// `None` where the build has no such lists.
fn lists_close(
    memory: &dyn Memory,
    layouts: &Layouts,
    fields: &GcState,
    state: Addr,
    graph: &HeapGraph,
) -> Option<bool> {
    let GcHeads::Generations(first) = fields.heads else { return None };
    let head_layout = layouts.gc_head?;
    let mut seen = 0usize;
    for generation in 0..GENERATIONS {
        let head = first.addr(state).at(generation * layouts.gc_generation.size);
        let mut at = head;
        for _ in 0..LOOKED_AT {
            // The low bits of both links are flags of the collector.
            let next = Addr(head_layout.next.read(memory, at).ok()? & !3);
            if next == head {
                break;
            }
            let object = next.at(head_layout.size);
            if memory.u64(next).is_err() || graph.find(object).is_none() {
                return Some(false);
            }
            seen += 1;
            at = next;
        }
    }
    // A wrong place may hold an empty list that closes at once.
    Some(seen > 0)
}
