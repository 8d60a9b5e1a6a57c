//! Which objects refer to each other in a circle?
//!
//! Strongly connected components (Tarjan 1972), without recursion.

use memwhy_model::ObjectId;

/// Not met yet.
const UNMET: u32 = u32::MAX;

/// For each object, the number of its component; numbers from 0 on, a component's number is less
/// than those of all that lead to it.
#[must_use]
pub fn components<'g>(objects: usize, references: impl Fn(ObjectId) -> &'g [ObjectId]) -> Vec<u32> {
    let mut tarjan = Tarjan {
        met: vec![UNMET; objects],
        low: vec![0; objects],
        component: vec![UNMET; objects],
        open: Vec::new(),
        clock: 0,
        count: 0,
    };
    let mut way: Vec<(u32, u32)> = Vec::new();
    for start in 0..u32::try_from(objects).unwrap_or(UNMET) {
        if tarjan.met[start as usize] != UNMET {
            continue;
        }
        tarjan.enter(start);
        way.push((start, 0));
        while let Some((object, reference)) = way.last_mut() {
            let (at, next) = (*object, references(ObjectId(*object)).get(*reference as usize));
            *reference += 1;
            match next {
                Some(to) if to.0 as usize >= objects => {}
                Some(to) if tarjan.met[to.0 as usize] == UNMET => {
                    tarjan.enter(to.0);
                    way.push((to.0, 0));
                }
                Some(to) => tarjan.meets(at, *to),
                None => {
                    way.pop();
                    tarjan.leave(at);
                    if let Some((from, _)) = way.last() {
                        let low = tarjan.low[at as usize];
                        let own = &mut tarjan.low[*from as usize];
                        *own = low.min(*own);
                    }
                }
            }
        }
    }
    tarjan.component
}

struct Tarjan {
    /// When each object was met.
    met: Vec<u32>,
    /// The earliest object that is open and that it leads to.
    low: Vec<u32>,
    component: Vec<u32>,
    /// Objects whose component is not known yet.
    open: Vec<u32>,
    clock: u32,
    count: u32,
}

impl Tarjan {
    fn enter(&mut self, object: u32) {
        self.met[object as usize] = self.clock;
        self.low[object as usize] = self.clock;
        self.clock += 1;
        self.open.push(object);
    }

    fn meets(&mut self, from: u32, to: ObjectId) {
        if self.component[to.0 as usize] == UNMET {
            let met = self.met[to.0 as usize];
            let own = &mut self.low[from as usize];
            *own = met.min(*own);
        }
    }

    fn leave(&mut self, object: u32) {
        if self.low[object as usize] != self.met[object as usize] {
            return;
        }
        while let Some(member) = self.open.pop() {
            self.component[member as usize] = self.count;
            if member == object {
                break;
            }
        }
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::components;
    use memwhy_model::ObjectId;
    use petgraph::algo::tarjan_scc;
    use petgraph::graph::DiGraph;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn components_are_those_of_another_algorithm(
            rows in vec(vec((0u32..30).prop_map(ObjectId), 0..4), 30)
        ) {
            let ours = components(rows.len(), |id| &rows[id.0 as usize]);
            let edges = (0u32..).zip(&rows).flat_map(|(from, row)| row.iter().map(move |to| (from, to.0)));
            let mut graph: DiGraph<(), ()> = DiGraph::from_edges(edges);
            while graph.node_count() < rows.len() {
                graph.add_node(());
            }
            let theirs = tarjan_scc(&graph);
            prop_assert_eq!(theirs.len(), ours.iter().collect::<std::collections::HashSet<_>>().len());
            for members in theirs {
                let number = ours[members[0].index()];
                prop_assert!(members.iter().all(|member| ours[member.index()] == number));
            }
        }
    }

    #[test]
    fn a_long_ring_is_one_component() {
        let count = 200_000;
        let rows: Vec<Vec<ObjectId>> =
            (0..count).map(|n| vec![ObjectId((n + 1) % count)]).collect();
        let found = components(rows.len(), |id| &rows[id.0 as usize]);
        assert!(found.iter().all(|component| *component == 0));
    }
}
