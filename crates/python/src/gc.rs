//! What state is the cyclic garbage collector in, and do its lists agree with the objects found?
//!
//! Source: `Modules/gcmodule.c` up to 3.12, `Python/gc.c` from 3.13.

use crate::dict;
use crate::layout::Layouts;
use crate::layout::tables::gc_state::{GC_STATE_DEBIAN_3_13, GcHeads, GcState};
use memwhy_model::{Addr, Flags, GcDebug, GcFacts, HeapGraph, ObjectId, ProblemKind, Problems};
use memwhy_native::Image;
use memwhy_target::{Memory, MemoryExt};
use std::fmt;

/// Generations: `NUM_GENERATIONS`.
const GENERATIONS: u64 = 3;
/// Objects of each list that are looked at: enough to tell a right table from a wrong one.
const LOOKED_AT: usize = 2000;
/// Frozen objects that are looked at: what these are the others are too.
const MOST_LOOKED_AT: usize = 100_000;
/// Links followed to count what is on each list: one or two seconds of work.
const MOST_COUNTED: u64 = 4_000_000;

/// Where the collector keeps its state: in a struct since 3.7, in variables of its own before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collector {
    enabled: Option<Addr>,
    debug: Option<Addr>,
    collecting: Option<Addr>,
    /// Where the pointer to `gc.garbage` is.
    garbage: Option<Addr>,
    lists: Lists,
    /// The generation of what `gc.freeze` put aside.
    permanent: Option<Addr>,
}

/// Where the generations are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lists {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Three in a row.
    Three(Addr),
    /// A young one, and two halves of the old one in a row.
    YoungAndOld { young: Addr, old: Addr },
}

impl Lists {
    /// The address of each generation.
    fn each(self, size: u64) -> Vec<Addr> {
        match self {
            Self::Unknown => Vec::new(),
            Self::Three(first) => (0..GENERATIONS).map(|n| first.at(n * size)).collect(),
            Self::YoungAndOld { young, old } => vec![young, old, old.at(size)],
        }
    }
}

impl Collector {
    /// The state of an interpreter, laid out as `fields` say.
    fn in_state(fields: &GcState, state: Addr) -> Self {
        Self {
            enabled: Some(fields.enabled.addr(state)),
            debug: Some(fields.debug.addr(state)),
            collecting: Some(fields.collecting.addr(state)),
            garbage: Some(fields.garbage.addr(state)),
            lists: match fields.heads {
                GcHeads::Generations(first) => Lists::Three(first.addr(state)),
                GcHeads::YoungAndOld { young, old } => {
                    Lists::YoungAndOld { young: young.addr(state), old: old.addr(state) }
                }
            },
            permanent: Some(fields.permanent.addr(state)),
        }
    }

    /// The variables of 2.7 and 3.6: one of them is exported, the others have names only where
    /// the image was not stripped.
    fn in_variables(memory: &dyn Memory, image: &Image) -> Option<Self> {
        let first = memory.ptr(image.exported("_PyGC_generation0")?).ok()??;
        let variable = |name| image.local_symbol("gcmodule.c", name);
        Some(Self {
            enabled: variable("enabled"),
            debug: variable("debug"),
            collecting: variable("collecting"),
            garbage: variable("garbage"),
            lists: Lists::Three(first),
            permanent: None,
        })
    }
}

/// What is read, and where.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The target.
    pub memory: &'a dyn Memory,
    /// Where things are.
    pub layouts: &'a Layouts,
    /// The image that holds the interpreter.
    pub image: Option<&'a Image>,
    /// The collector's state, where there is such a struct.
    pub state: Option<Addr>,
    /// `sys.modules`.
    pub modules: Option<Addr>,
    /// Whether other interpreters have collectors, and tracked objects, of their own.
    pub one_of_several: bool,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Source<'_> {
    /// Reads the state of the collector, and checks the layout against the lists.
    #[must_use]
    pub fn facts(&self, graph: &mut HeapGraph, problems: &mut Problems) -> Option<GcFacts> {
        let tracked = graph.ids().filter(|id| graph.flags(*id).has(Flags::TRACKED)).count();
        let (collector, agree) = self.collector(graph)?;
        let number = |at: Option<Addr>| at.and_then(|at| self.memory.u32(at).ok());
        let collecting = number(collector.collecting).is_some_and(|word| word != 0);
        if agree == Some(false) && !collecting {
            problems.note(ProblemKind::CalibrationFailed, || {
                "the lists of the garbage collector do not close; objects were found without them"
                    .into()
            });
        }
        let mut facts = GcFacts {
            enabled: number(collector.enabled).map(|word| word != 0),
            collecting,
            debug: GcDebug(number(collector.debug).unwrap_or(0).cast_signed()),
            tracked: tracked as u64,
            garbage: self.garbage(&collector, graph),
            lists_agree: agree,
            ..GcFacts::default()
        };
        if agree == Some(false) {
            if !collecting {
                // Whatever is there is not the collector's.
                (facts.enabled, facts.debug) = (None, GcDebug::default());
                facts.garbage = self.garbage(&Collector::default(), graph);
            }
            return Some(facts);
        }
        let fields = &self.layouts.gc_generation;
        for at in collector.lists.each(fields.size) {
            let threshold = fields.threshold.read(self.memory, at).ok()?;
            let count = fields.count.read(self.memory, at).ok()?;
            facts.thresholds.push(i64::from(threshold));
            facts.counts.push(i64::from(count));
        }
        self.count(&collector, &mut facts, graph);
        if self.one_of_several && !facts.generations.is_empty() {
            facts.tracked = facts.generations.iter().sum::<u64>() + facts.frozen.unwrap_or(0);
        }
        if agree == Some(true)
            && let Some(head) = collector.permanent
        {
            facts.frozen_garbage = self.garbage_on(head, graph);
        }
        Some(facts)
    }

    /// Where the state is. Distributions move the heads: the layout whose lists close is right.
    fn collector(&self, graph: &HeapGraph) -> Option<(Collector, Option<bool>)> {
        let checked = |collector: Collector| (collector, self.lists_close(&collector, graph));
        let Some(state) = self.state else {
            return Collector::in_variables(self.memory, self.image?).map(checked);
        };
        let own = self.layouts.gc_state?;
        let of = |fields: &GcState| checked(Collector::in_state(fields, state));
        let closes = [own, GC_STATE_DEBIAN_3_13].iter().map(of).find(|(_, ok)| *ok == Some(true));
        Some(closes.unwrap_or_else(|| of(&own)))
    }

    /// Whether a collection is going on: without a graph to check the layout with, by the first
    /// list alone.
    #[must_use]
    pub fn is_collecting(&self) -> bool {
        let of = |fields: &GcState| Some(Collector::in_state(fields, self.state?));
        let is_list = |collector: &Collector| {
            let head = collector.lists.each(self.layouts.gc_generation.size).first().copied()?;
            let next = self.layouts.gc_head?.next.read(self.memory, head).ok()?;
            let back = self.layouts.gc_head?.prev.read(self.memory, Addr(next & !3)).ok()?;
            Some(back & !3 == head.0)
        };
        let collector = match (self.state, self.layouts.gc_state) {
            (Some(_), Some(own)) => [own, GC_STATE_DEBIAN_3_13]
                .iter()
                .filter_map(of)
                .find(|collector| is_list(collector) == Some(true))
                .or_else(|| of(&own)),
            _ => self.image.and_then(|image| Collector::in_variables(self.memory, image)),
        };
        let flag = collector.and_then(|collector| collector.collecting);
        flag.is_some_and(|at| self.memory.u32(at).is_ok_and(|word| word != 0))
    }

    /// The list `gc.garbage`: where the collector keeps it, or as a member of its module.
    fn garbage(&self, collector: &Collector, graph: &HeapGraph) -> Option<ObjectId> {
        let kept = collector.garbage.and_then(|at| self.memory.ptr(at).ok().flatten());
        let named = || {
            let module = dict::get(self.memory, self.layouts, self.modules?, "gc").ok()??;
            let members = self.layouts.module.md_dict.read(self.memory, module).ok()??;
            dict::get(self.memory, self.layouts, members, "garbage").ok()?
        };
        let list = graph.find(kept.or_else(named)?)?;
        let name = graph.type_row(graph.type_of(list)).map(|ty| ty.name.as_str());
        (name == Some("builtins.list")).then_some(list)
    }

    /// The next object on a list, `None` at its end.
    fn next(&self, head: Addr, at: Addr) -> Option<Addr> {
        // The low bits of both links are flags of the collector.
        let next = Addr(self.layouts.gc_head?.next.read(self.memory, at).ok()? & !3);
        (next != head && next.0 != 0).then_some(next)
    }

    /// Whether each generation's list leads over objects that were found and back to its head.
    /// `None` where the build has no such lists.
    fn lists_close(&self, collector: &Collector, graph: &HeapGraph) -> Option<bool> {
        let layout = self.layouts.gc_head?;
        let mut seen = 0usize;
        for head in collector.lists.each(self.layouts.gc_generation.size) {
            self.memory.u64(head).ok()?;
            let mut at = head;
            for _ in 0..LOOKED_AT {
                let Some(next) = self.next(head, at) else { break };
                if graph.find(next.at(layout.size)).is_none() {
                    return Some(false);
                }
                seen += 1;
                at = next;
            }
        }
        // A wrong place may hold an empty list that closes at once.
        Some(seen > 0)
    }

    /// How many of the first objects on a list are garbage.
    fn garbage_on(&self, head: Addr, graph: &HeapGraph) -> u64 {
        let size = self.layouts.gc_head.map_or(0, |layout| layout.size);
        let (mut at, mut found) = (head, 0);
        for _ in 0..MOST_LOOKED_AT {
            let Some(next) = self.next(head, at) else { break };
            let object = graph.find(next.at(size));
            found += u64::from(object.is_some_and(|id| graph.flags(id).has(Flags::GARBAGE)));
            at = next;
        }
        found
    }

    /// Counts what is on each list, and says of each object on which one it is. All are followed
    /// side by side, so that the longest need not be: it has the rest of what is tracked, unless
    /// that is tracked by several.
    fn count(&self, collector: &Collector, facts: &mut GcFacts, graph: &mut HeapGraph) {
        let lists = collector.lists.each(self.layouts.gc_generation.size);
        if facts.lists_agree != Some(true) {
            return;
        }
        let generations = lists.len();
        let mut walks: Vec<(Addr, Addr, u64, bool)> = lists
            .into_iter()
            .chain(collector.permanent)
            .map(|head| (head, head, 0, true))
            .collect();
        let size = self.layouts.gc_head.map_or(0, |layout| layout.size);
        let mut members: Vec<Vec<Addr>> = vec![Vec::new(); walks.len()];
        let mut left = MOST_COUNTED;
        let last = usize::from(!self.one_of_several);
        while walks.iter().filter(|walk| walk.3).count() > last {
            let each = walks.iter_mut().zip(&mut members).filter(|(walk, _)| walk.3);
            for ((head, at, count, open), members) in each {
                if left == 0 {
                    return;
                }
                left -= 1;
                match self.next(*head, *at) {
                    Some(next) => {
                        (*at, *count) = (next, *count + 1);
                        members.push(next.at(size));
                    }
                    None => *open = false,
                }
            }
        }
        let known: u64 = walks.iter().filter(|walk| !walk.3).map(|walk| walk.2).sum();
        for walk in walks.iter_mut().filter(|walk| walk.3) {
            walk.2 = facts.tracked.saturating_sub(known).max(walk.2);
        }
        let longest = walks.iter().position(|walk| walk.3);
        say_generations(&members, longest, graph);
        let counts: Vec<u64> = walks.iter().map(|walk| walk.2).collect();
        facts.frozen = counts.get(generations).copied();
        facts.generations = counts.into_iter().take(generations).collect();
    }
}

/// Says of each object on which list it is: of the longest, of which only the beginning was followed,
/// everything that is tracked and on none of the others.
fn say_generations(members: &[Vec<Addr>], longest: Option<usize>, graph: &mut HeapGraph) {
    let number = |list: usize| u8::try_from(list).unwrap_or(Flags::FROZEN).min(Flags::FROZEN);
    for (list, members) in members.iter().enumerate().filter(|(list, _)| Some(*list) != longest) {
        for at in members {
            if let Some(id) = graph.find(*at) {
                graph.set_generation(id, number(list));
            }
        }
    }
    let Some(longest) = longest else { return };
    for id in graph.ids() {
        let flags = graph.flags(id);
        if flags.has(Flags::TRACKED) && flags.generation().is_none() {
            graph.set_generation(id, number(longest));
        }
    }
}
