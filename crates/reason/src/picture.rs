//! Which objects around one make a picture that people can read?
//!
//! No more than [`MOST`] of them: the nearest, and of many alike the largest. What is left out is
//! counted where it would be.

use crate::analyses::components;
use crate::analyses::{Reachability, Referrers, RetainedSizes};
use crate::closeup::{Related, related};
use crate::wording::short_type;
use crate::{Ask, Paths};
use memwhy_model::{HeapGraph, Label, ObjectId, PreviewLength};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// More nodes than that nobody reads.
pub const MOST: usize = 60;
/// Neighbours of one object; more are counted.
const NEIGHBOURS: usize = 8;
/// Neighbours looked at.
const LOOKED_AT: usize = 20_000;

/// In which direction references are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what the object refers to.
    Forward,
    /// To what refers to it.
    Back,
}

/// Objects and references to be drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// The nodes, those nearest to the object first.
    pub nodes: Vec<Node>,
    /// The references between them.
    pub edges: Vec<Edge>,
}

/// An object, or several that were left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The object; nothing stands for `more`.
    pub object: Option<Related>,
    /// How many objects were left out here.
    pub more: u64,
    /// How it is known, where it has a name.
    pub name: Option<String>,
    /// Steps from the object that was asked for.
    pub depth: usize,
    /// Whether it refers to itself in the end.
    pub in_cycle: bool,
}

/// A reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// The place in `nodes` of the object that refers.
    pub from: usize,
    /// That of what it refers to.
    pub to: usize,
    /// How.
    pub label: String,
    /// Whether it is part of a circle.
    pub in_cycle: bool,
}

/// Chooses what is around `object`, `depth` steps in one direction.
#[must_use]
pub fn picture(ask: &Ask<'_>, object: ObjectId, direction: Direction, depth: usize) -> Picture {
    let Some(heap) = &ask.case().heap else { return Picture::default() };
    let mut draw =
        Draw { ask, heap, chosen: vec![(object, 0)], places: HashMap::new(), left: Vec::new() };
    draw.places.insert(object, 0);
    let mut at = 0;
    while let Some((here, steps)) = draw.chosen.get(at).copied() {
        if steps < depth {
            draw.neighbours(here, at, steps, direction);
        }
        at += 1;
    }
    draw.finish(direction)
}

struct Draw<'d> {
    ask: &'d Ask<'d>,
    heap: &'d HeapGraph,
    chosen: Vec<(ObjectId, usize)>,
    places: HashMap<ObjectId, usize>,
    /// What was left out: beside which node, and how many.
    left: Vec<(usize, u64)>,
}

impl Draw<'_> {
    fn neighbours(&mut self, object: ObjectId, at: usize, steps: usize, direction: Direction) {
        let found: Vec<ObjectId> = match direction {
            Direction::Forward => {
                self.heap.references(object).iter().take(LOOKED_AT).copied().collect()
            }
            Direction::Back => {
                // Whoever has a name is the end of the question.
                let reached = self.ask.get::<Reachability>();
                if steps > 0 && reached.root_of(self.heap, object).is_some() {
                    return;
                }
                let referrers = self.ask.get::<Referrers>();
                let all = referrers.of(object).iter().take(LOOKED_AT).copied();
                // A module's functions refer to its dict: the module alone says more.
                let is_module = |id: &ObjectId| {
                    let row = self.heap.type_row(self.heap.type_of(*id));
                    row.is_some_and(|row| short_type(&row.name) == "module")
                };
                let modules: Vec<ObjectId> = all.clone().filter(is_module).collect();
                if modules.is_empty() { all.collect() } else { modules }
            }
        };
        let mut new: Vec<ObjectId> =
            found.into_iter().filter(|id| !self.places.contains_key(id)).collect();
        match direction {
            Direction::Forward => {
                let kept = self.ask.get::<RetainedSizes>();
                new.sort_by_key(|id| Reverse(kept.bytes(*id)));
            }
            Direction::Back => {
                let reached = self.ask.get::<Reachability>();
                let distance = |id: &ObjectId| match reached.way_to(*id).len() {
                    0 => usize::MAX,
                    steps => steps,
                };
                new.sort_by_cached_key(distance);
            }
        }
        new.dedup();
        let room = NEIGHBOURS.min(MOST.saturating_sub(self.chosen.len() + self.left.len() + 1));
        let more = new.len().saturating_sub(room);
        for id in new.into_iter().take(room) {
            if let std::collections::hash_map::Entry::Vacant(place) = self.places.entry(id) {
                place.insert(self.chosen.len());
                self.chosen.push((id, steps + 1));
            }
        }
        if more > 0 && self.chosen.len() + self.left.len() < MOST {
            self.left.push((at, more as u64));
        }
    }

    fn finish(self, direction: Direction) -> Picture {
        let Self { ask, heap, chosen, places, left } = self;
        let mut edges = Vec::new();
        for (from, (id, _)) in chosen.iter().enumerate() {
            let details = ask.case().details.as_ref();
            for (at, to) in heap.references(*id).iter().enumerate() {
                let Some(to) = places.get(to) else { continue };
                let label = details.and_then(|details| details.label(heap, *id, at));
                let label = label.filter(|label| *label != Label::IsKey);
                let label = label
                    .map_or_else(|| "key".to_owned(), |label| label.to_string().trim().to_owned());
                edges.push(Edge { from, to: *to, label, in_cycle: false });
            }
        }
        // What a buffer repeats of an object's own fields says nothing new.
        let named: HashSet<(usize, usize)> = edges
            .iter()
            .filter(|edge| !edge.label.starts_with('+'))
            .map(|edge| (edge.from, edge.to))
            .collect();
        edges.retain(|edge| !edge.label.starts_with('+') || !named.contains(&(edge.from, edge.to)));
        edges.sort_by(|a, b| (a.from, a.to, &a.label).cmp(&(b.from, b.to, &b.label)));
        edges.dedup();
        mark_cycles(chosen.len(), &mut edges);
        let in_cycle = |at: usize| edges.iter().any(|edge| edge.in_cycle && edge.from == at);
        let paths = Paths::new(ask);
        let reached = ask.get::<Reachability>();
        let mut nodes: Vec<Node> = chosen
            .iter()
            .enumerate()
            .map(|(at, (id, depth))| Node {
                object: Some(related(ask, *id, None, PreviewLength::Short)),
                more: 0,
                name: reached.root_of(heap, *id).map(|root| root.name.clone()).or_else(|| {
                    reached
                        .is_named(heap, *id)
                        .then(|| paths.to(*id))
                        .flatten()
                        .map(|path| path.text)
                }),
                depth: *depth,
                in_cycle: in_cycle(at),
            })
            .collect();
        for (beside, more) in left {
            let depth = nodes.get(beside).map_or(0, |node| node.depth) + 1;
            let (from, to) = match direction {
                Direction::Forward => (beside, nodes.len()),
                Direction::Back => (nodes.len(), beside),
            };
            nodes.push(Node { more, depth, ..Node::default() });
            edges.push(Edge { from, to, label: String::new(), in_cycle: false });
        }
        Picture { nodes, edges }
    }
}

/// Marks the references between objects that lead to each other.
fn mark_cycles(nodes: usize, edges: &mut [Edge]) {
    let mut rows: Vec<Vec<ObjectId>> = vec![Vec::new(); nodes];
    for edge in edges.iter() {
        if let (Some(row), Ok(to)) = (rows.get_mut(edge.from), u32::try_from(edge.to)) {
            row.push(ObjectId(to));
        }
    }
    let found = components(nodes, |id| rows.get(id.0 as usize).map_or(&[], Vec::as_slice));
    for edge in edges {
        edge.in_cycle = edge.from == edge.to || found.get(edge.from) == found.get(edge.to);
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, MOST, picture};
    use crate::Ask;
    use memwhy_model::{Addr, Case, Flags, HeapBuilder, ObjectId, TypeId, TypeRow};

    fn case(rows: &[Vec<u32>]) -> Case {
        let mut heap = HeapBuilder::default();
        for n in (1u64..).take(rows.len()) {
            heap.push(Addr(n * 64), TypeId(0), 64, Flags::default());
        }
        heap.seal_objects();
        for row in rows {
            heap.push_references(row.iter().map(|n| ObjectId(*n)));
        }
        Case { heap: Some(heap.finish(vec![TypeRow::default()])), ..Case::default() }
    }

    #[test]
    fn a_picture_is_small_and_counts_what_it_leaves_out() {
        let mut rows = vec![(1..1001).collect::<Vec<u32>>()];
        rows.resize(1001, Vec::new());
        let case = case(&rows);
        let ask = Ask::new(&case);
        let drawn = picture(&ask, ObjectId(0), Direction::Forward, 3);
        assert!(drawn.nodes.len() <= MOST);
        assert_eq!(drawn.nodes.iter().map(|node| node.more).sum::<u64>(), 992);
    }

    #[test]
    fn a_circle_is_marked_and_what_leads_to_it_is_not() {
        let case = case(&[vec![1], vec![2], vec![1]]);
        let ask = Ask::new(&case);
        let drawn = picture(&ask, ObjectId(0), Direction::Forward, 5);
        let marked: Vec<_> = drawn.edges.iter().map(|e| (e.from, e.to, e.in_cycle)).collect();
        assert_eq!(marked, [(0, 1, false), (1, 2, true), (2, 1, true)]);
        let back = picture(&ask, ObjectId(1), Direction::Back, 5);
        assert_eq!(back.nodes.len(), 3);
    }
}
