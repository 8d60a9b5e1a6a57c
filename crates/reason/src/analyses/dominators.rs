//! Without which object would each object not be there?
//!
//! An object *dominates* another one if every path from a root to that one leads through it. The
//! nearest such object is the immediate dominator; what an object dominates would be freed if it
//! were. SEMI-NCA (Georgiadis, *Linear-Time Algorithms for Dominators and Related Problems*, 2005,
//! section 2.3) on flat columns of 4 bytes an object, in the order of a depth-first search, so that
//! neighbours in the graph are neighbours in memory.

use memwhy_model::ObjectId;

/// No object: what no root leads to has no dominator.
const NOBODY: u32 = u32::MAX;

/// The immediate dominator of every object, and an order in which dominators come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dominators {
    /// The objects that were reached, in the order of a depth-first search.
    order: Vec<ObjectId>,
    /// For each of them, the place in `order` of its immediate dominator; `NOBODY` for what only
    /// the roots as a whole dominate.
    above: Vec<u32>,
}

impl Dominators {
    /// Computes the dominators of `objects` objects, of which `entries` are kept by roots.
    #[must_use]
    pub fn of<'g>(
        objects: usize,
        entries: &[ObjectId],
        references: impl Fn(ObjectId) -> &'g [ObjectId],
    ) -> Self {
        let search = Search::new(objects, entries, &references);
        if search.order.len() < 2 {
            return Self::default();
        }
        let before = Rows::before(&search, entries, &references);
        let Search { order, parent, .. } = search;
        let dominators = semi_nca(parent, &before);
        // Number 0 stands for all roots together.
        let above = dominators.into_iter().skip(1).map(|at| at.wrapping_sub(1)).collect();
        let order = order.into_iter().skip(1).map(ObjectId).collect();
        Self { order, above }
    }

    /// Number of objects that a root leads to.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no root leads to any object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Every object that was reached with its immediate dominator, `None` where only the roots
    /// dominate it; dominators come before what they dominate.
    #[must_use]
    pub fn pairs(&self) -> impl DoubleEndedIterator<Item = (ObjectId, Option<ObjectId>)> + '_ {
        self.order
            .iter()
            .zip(&self.above)
            .map(|(object, above)| (*object, self.order.get(*above as usize).copied()))
    }
}

/// A depth-first search. Number 0 stands for all roots together; reached objects are numbered from
/// 1 on as they are met.
struct Search {
    /// The object of each number.
    order: Vec<u32>,
    /// From which number each was met.
    parent: Vec<u32>,
    /// The number of each object, 0 if it was not reached.
    number: Vec<u32>,
}

impl Search {
    fn new<'g>(
        objects: usize,
        entries: &[ObjectId],
        references: &impl Fn(ObjectId) -> &'g [ObjectId],
    ) -> Self {
        let mut search = Self { order: vec![NOBODY], parent: vec![0], number: vec![0; objects] };
        // Which reference of each number comes next. The way back is `parent`, so that a linked
        // list of ten million objects needs no stack of its own.
        let mut next: Vec<u32> = vec![0];
        for entry in entries {
            if !search.meet(*entry, 0) {
                continue;
            }
            next.push(0);
            let mut at = u32::try_from(search.order.len() - 1).unwrap_or(NOBODY);
            while at != 0 {
                let object = ObjectId(search.order[at as usize]);
                let reference = next[at as usize];
                match references(object).get(reference as usize) {
                    Some(to) => {
                        next[at as usize] = reference + 1;
                        if search.meet(*to, at) {
                            next.push(0);
                            at = u32::try_from(search.order.len() - 1).unwrap_or(NOBODY);
                        }
                    }
                    None => at = search.parent[at as usize],
                }
            }
        }
        search
    }

    /// Numbers an object, unless it has a number or is none.
    fn meet(&mut self, object: ObjectId, from: u32) -> bool {
        match self.number.get_mut(object.0 as usize) {
            Some(number) if *number == 0 => {
                *number = u32::try_from(self.order.len()).unwrap_or(NOBODY);
                self.order.push(object.0);
                self.parent.push(from);
                true
            }
            Some(_) | None => false,
        }
    }
}

/// Rows of numbers: those of `n` are `items[offsets[n]..offsets[n + 1]]`.
struct Rows {
    offsets: Vec<u32>,
    items: Vec<u32>,
}

impl Rows {
    /// For each number, the numbers that refer to it.
    fn before<'g>(
        search: &Search,
        entries: &[ObjectId],
        references: &impl Fn(ObjectId) -> &'g [ObjectId],
    ) -> Self {
        let each = |visit: &mut dyn FnMut(u32, u32)| {
            let mut visit = |from: u32, to: ObjectId| {
                if let Some(number) = search.number.get(to.0 as usize).filter(|n| **n != 0) {
                    visit(from, *number);
                }
            };
            for entry in entries {
                visit(0, *entry);
            }
            for (from, object) in (0u32..).zip(&search.order).skip(1) {
                for to in references(ObjectId(*object)) {
                    visit(from, *to);
                }
            }
        };
        let mut offsets = vec![0u32; search.order.len() + 1];
        each(&mut |_, to| offsets[to as usize + 1] += 1);
        for n in 1..offsets.len() {
            offsets[n] += offsets[n - 1];
        }
        let mut items = vec![0; offsets.last().map_or(0, |end| *end as usize)];
        // Each offset moves to the end of its row while the row is filled, and so becomes that of
        // the next one.
        each(&mut |from, to| {
            let at = &mut offsets[to as usize];
            items[*at as usize] = from;
            *at += 1;
        });
        offsets.rotate_right(1);
        offsets[0] = 0;
        Self { offsets, items }
    }

    fn row(&self, n: u32) -> &[u32] {
        let n = n as usize;
        &self.items[self.offsets[n] as usize..self.offsets[n + 1] as usize]
    }
}

/// Immediate dominators of numbers, from the tree of a depth-first search and who refers to whom.
fn semi_nca(parent: Vec<u32>, before: &Rows) -> Vec<u32> {
    let count = u32::try_from(parent.len()).unwrap_or(NOBODY);
    let mut ancestor = parent.clone();
    let mut label: Vec<u32> = (0..count).collect();
    let mut semi: Vec<u32> = (0..count).collect();
    let mut path: Vec<u32> = Vec::new();
    for n in (1..count).rev() {
        let mut least = n;
        for &from in before.row(n) {
            if from > n {
                compress(from, n, &mut ancestor, &mut label, &mut path);
            }
            least = least.min(label[from as usize]);
        }
        semi[n as usize] = least;
        label[n as usize] = least;
    }
    drop((ancestor, label));
    let mut dominator = parent;
    for n in 1..count as usize {
        let mut at = dominator[n];
        while at > semi[n] {
            at = dominator[at as usize];
        }
        dominator[n] = at;
    }
    dominator
}

/// Makes `label[from]` the least of all labels on the way from `from` up to `limit`, and the way
/// shorter for whoever comes next.
fn compress(from: u32, limit: u32, ancestor: &mut [u32], label: &mut [u32], path: &mut Vec<u32>) {
    let mut at = from;
    while ancestor[at as usize] > limit {
        path.push(at);
        at = ancestor[at as usize];
    }
    let top = ancestor[at as usize];
    let mut least = label[at as usize];
    while let Some(n) = path.pop() {
        let own = &mut label[n as usize];
        *own = least.min(*own);
        least = *own;
        ancestor[n as usize] = top;
    }
}

#[cfg(test)]
mod tests {
    use super::Dominators;
    use memwhy_model::ObjectId;
    use petgraph::algo::dominators::simple_fast;
    use petgraph::graph::{DiGraph, NodeIndex};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::HashSet;

    type Rows = Vec<Vec<ObjectId>>;

    fn ours(rows: &Rows, entries: &[ObjectId]) -> Vec<(u32, Option<u32>)> {
        let dominators = Dominators::of(rows.len(), entries, |id| &rows[id.0 as usize]);
        let mut pairs: Vec<_> =
            dominators.pairs().map(|(id, up)| (id.0, up.map(|up| up.0))).collect();
        pairs.sort_unstable();
        pairs
    }

    /// With node `n` standing for all roots.
    fn petgraphs(rows: &Rows, entries: &[ObjectId]) -> Vec<(u32, Option<u32>)> {
        let root = u32::try_from(rows.len()).expect("small");
        let mut graph: DiGraph<(), ()> = DiGraph::new();
        for _ in 0..=rows.len() {
            graph.add_node(());
        }
        for (from, row) in (0u32..).zip(rows) {
            for to in row {
                graph.add_edge(NodeIndex::new(from as usize), NodeIndex::new(to.0 as usize), ());
            }
        }
        for entry in entries {
            graph.add_edge(NodeIndex::new(root as usize), NodeIndex::new(entry.0 as usize), ());
        }
        let found = simple_fast(&graph, NodeIndex::new(root as usize));
        let above = |n: u32| {
            let up = found.immediate_dominator(NodeIndex::new(n as usize))?;
            let up = u32::try_from(up.index()).expect("small");
            Some((n, Some(up).filter(|up| *up != root)))
        };
        (0..root).filter_map(above).collect()
    }

    fn reached(rows: &Rows, entries: &[ObjectId], without: Option<u32>) -> HashSet<u32> {
        let mut todo: Vec<u32> = entries.iter().map(|id| id.0).collect();
        let mut seen = HashSet::new();
        while let Some(n) = todo.pop() {
            if Some(n) != without && seen.insert(n) {
                todo.extend(rows[n as usize].iter().map(|id| id.0));
            }
        }
        seen
    }

    /// The definition: `d` dominates `n` if `n` is not reached any more without `d`.
    fn by_deletion(rows: &Rows, entries: &[ObjectId]) -> Vec<(u32, HashSet<u32>)> {
        let all = reached(rows, entries, None);
        let lost = |d: u32| {
            let left = reached(rows, entries, Some(d));
            (d, all.iter().copied().filter(|n| !left.contains(n)).collect())
        };
        let mut all: Vec<u32> = all.iter().copied().collect();
        all.sort_unstable();
        all.into_iter().map(lost).collect()
    }

    fn graphs(nodes: usize) -> impl Strategy<Value = (Rows, Vec<ObjectId>)> {
        (1..=nodes).prop_flat_map(|count| {
            let last = u32::try_from(count - 1).expect("small");
            let id = (0..=last).prop_map(ObjectId);
            (vec(vec(id.clone(), 0..5), count), vec(id, 0..4))
        })
    }

    proptest! {
        #[test]
        fn dominators_are_those_of_another_algorithm((rows, entries) in graphs(40)) {
            prop_assert_eq!(ours(&rows, &entries), petgraphs(&rows, &entries));
        }

        #[test]
        fn what_is_lost_without_an_object_is_what_it_dominates((rows, entries) in graphs(14)) {
            let pairs = ours(&rows, &entries);
            let above = |n: u32| {
                let at = pairs.binary_search_by_key(&n, |pair| pair.0).expect("reached");
                pairs[at].1
            };
            let chain = |n: u32| std::iter::successors(Some(n), |n| above(*n)).collect::<HashSet<_>>();
            for (d, lost) in by_deletion(&rows, &entries) {
                let dominated: HashSet<u32> =
                    pairs.iter().map(|pair| pair.0).filter(|n| chain(*n).contains(&d)).collect();
                prop_assert_eq!(lost, dominated);
            }
        }
    }

    #[test]
    fn a_long_list_needs_no_stack() {
        let count = 300_000;
        let rows: Rows =
            (1..=count).map(|n| if n < count { vec![ObjectId(n)] } else { vec![] }).collect();
        let dominators = Dominators::of(rows.len(), &[ObjectId(0)], |id| &rows[id.0 as usize]);
        assert!(dominators.pairs().skip(1).all(|(id, up)| up == Some(ObjectId(id.0 - 1))));
        assert_eq!(dominators.len(), rows.len());
    }

    #[test]
    fn ids_that_are_none_are_left_out() {
        let rows: Rows = vec![vec![ObjectId(7)], vec![]];
        assert_eq!(ours(&rows, &[ObjectId(0), ObjectId(9)]), [(0, None)]);
        assert_eq!(ours(&vec![], &[]), []);
    }
}
