//! What do a process of ours and all that it started take together?

use memwhy_model::Bytes;
use std::collections::BTreeSet;
use std::fs;

/// Processes of one tree; nobody starts more for a trial.
const MOST: usize = 4096;

/// What a tree takes at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Family {
    /// RSS, added up: pages that processes share count for each.
    pub(super) rss: Bytes,
    /// CPU time so far, of those that were waited for too, in clock ticks.
    pub(super) ticks: u64,
}

/// Looks at `root` and its descendants.
pub(super) fn look(root: u32) -> Family {
    let mut family = Family::default();
    let mut waiting = vec![root];
    let mut seen = 0;
    while let Some(pid) = waiting.pop() {
        seen += 1;
        if seen > MOST {
            break;
        }
        family.rss += rss(pid);
        family.ticks += ticks(pid);
        waiting.extend(children(pid));
    }
    family
}

/// The processes of the tree, the root first.
pub(super) fn members(root: u32) -> Vec<u32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(pid) = members.get(next).copied().filter(|_| members.len() < MOST) {
        members.extend(children(pid));
        next += 1;
    }
    members
}

fn rss(pid: u32) -> Bytes {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    Bytes(pages.unwrap_or(0u64).saturating_mul(4096))
}

fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    // utime, stime, cutime and cstime are fields 14 to 17; the state is the third.
    fields.split_ascii_whitespace().skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum()
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let mut children = BTreeSet::new();
    for list in lists {
        for child in list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
            children.insert(child);
        }
    }
    children.into_iter().collect()
}
