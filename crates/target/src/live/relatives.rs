//! Which processes were forked by whom?

use crate::live::process::{Process, StatFields};
use std::collections::BTreeMap;
use std::fs;

/// Parents of all processes that can be seen.
#[derive(Clone, Debug, Default)]
pub struct Relatives {
    parents: BTreeMap<u32, u32>,
}

impl Relatives {
    /// Looks through `/proc` once.
    #[must_use]
    pub fn look() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let parents = pids.filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, StatFields::parse(&stat)?.parent))
        });
        Self { parents: parents.collect() }
    }

    /// The process that started `pid`.
    #[must_use]
    pub fn parent(&self, pid: u32) -> Option<u32> {
        self.parents.get(&pid).copied()
    }

    /// Those that `pid` started, ascending.
    pub fn children(&self, pid: u32) -> impl Iterator<Item = u32> + '_ {
        self.parents.iter().filter(move |(_, parent)| **parent == pid).map(|(child, _)| *child)
    }

    /// `pid` and all that it and its children started, each after its parent.
    #[must_use]
    pub fn family(&self, pid: u32) -> Vec<u32> {
        let mut family = vec![pid];
        let mut at = 0;
        while let Some(parent) = family.get(at).copied() {
            // A number that was used again could close a ring.
            let children: Vec<u32> =
                self.children(parent).filter(|child| !family.contains(child)).collect();
            family.extend(children);
            at += 1;
        }
        family
    }

    /// Processes that were forked by the parent of `process` and have not started another program
    /// since, `process` itself left out.
    #[must_use]
    pub fn siblings(&self, process: &Process) -> Vec<Process> {
        let Some(parent) = self.parent(process.pid).filter(|parent| *parent > 1) else {
            return Vec::new();
        };
        let others = self.children(parent).filter(|pid| *pid != process.pid);
        let others = others.filter_map(|pid| Process::open(pid).ok());
        others.filter(|other| other.forked() == Some(true)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Relatives;

    #[test]
    fn a_family_is_a_process_and_all_below_it_once() {
        let parents = [(2, 1), (3, 2), (4, 2), (5, 3), (9, 8), (8, 9)].into_iter().collect();
        let all = Relatives { parents };
        assert_eq!(all.family(2), [2, 3, 4, 5]);
        assert_eq!(all.family(8), [8, 9]);
        assert_eq!(all.family(7), [7]);
    }

    #[test]
    fn we_have_a_parent_that_has_us() {
        let us = std::process::id();
        let all = Relatives::look();
        let parent = all.parents.get(&us).copied().expect("we are there");
        assert!(all.children(parent).any(|pid| pid == us));
    }
}
