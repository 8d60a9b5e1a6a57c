//! Who waits for which lock, who has it, and who never goes on.

use super::header;
use crate::Style;
use crate::blocks::{Block, Side, Table, render};
use crate::style::Tone;
use memwhy_model::{Case, LockFacts, LockState};
use memwhy_reason::analyses::locks::{Waiting, waited};
use memwhy_reason::analyses::{KnotKind, Locks};
use memwhy_reason::lock_words::{
    asleep, fill, holder, holders, lock_name, thread_name, thread_place, wanted,
};
use memwhy_reason::{Ask, wording};

/// Whether all locks are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocksShown {
    /// Those that matter: waited for, held, or queues with something in them.
    #[default]
    Busy,
    /// All.
    All,
}

/// The screen.
#[must_use]
pub fn locks(case: &Case, shown: LocksShown, style: Style) -> String {
    let ask = Ask::new(case);
    let mut blocks = vec![header(case)];
    if case.threads.is_empty() || case.about.withheld.is_some() {
        let why = case.about.withheld.as_deref().unwrap_or("no threads were seen");
        blocks.push(Block::labelled("LOCKS", format!("not read: {why}")));
        return render(&blocks, style);
    }
    deadlocks(&ask, &mut blocks);
    waits(case, &mut blocks);
    held(case, &mut blocks);
    queues(case, &mut blocks);
    let free = case.locks.iter().filter(|lock| !matters(case, lock)).count() as u64;
    match shown {
        LocksShown::All => rest(case, &mut blocks),
        LocksShown::Busy => {
            blocks.push(Block::Gap);
            blocks.push(Block::Line(format!(
                "{} that nobody has or waits for not shown (--all)",
                wording::count(free, "lock")
            )));
        }
    }
    render(&blocks, style)
}

fn deadlocks(ask: &Ask<'_>, blocks: &mut Vec<Block>) {
    let case = ask.case();
    let found = ask.get::<Locks>();
    if found.knots.is_empty() {
        blocks.push(Block::labelled("DEADLOCK", "none"));
    }
    for knot in &found.knots {
        let title = match knot.kind {
            KnotKind::Circle => format!(
                "{} wait for each other:",
                wording::count(knot.steps.len() as u64, "thread")
            ),
            KnotKind::Itself => "a thread waits for what it has itself:".into(),
            KnotKind::Absent => "a lock is held by somebody who is not there:".into(),
            KnotKind::Nobody => "nobody is left that could give this lock back:".into(),
        };
        blocks.push(Block::toned("DEADLOCK", title, Tone::Verdict));
        for step in &knot.steps {
            let Some(lock) = case.locks.get(step.lock as usize) else { continue };
            let thread = case.threads.iter().find(|thread| thread.tid == step.tid);
            let place =
                thread.and_then(thread_place).map_or_else(String::new, |p| format!(", in {p}"));
            blocks.push(Block::labelled(
                "",
                format!(
                    "{} waits for {}{place}",
                    thread_name(case, step.tid),
                    lock_name(case, lock)
                ),
            ));
            let by = lock.holders.first().map_or_else(
                || "its holder is not recorded".to_owned(),
                |one| format!("held by {}", holder(case, one)),
            );
            blocks.push(Block::labelled("", format!("  └─ {by}")));
        }
        if !knot.behind.is_empty() {
            let who: Vec<String> = knot.behind.iter().map(|tid| thread_name(case, *tid)).collect();
            blocks.push(Block::labelled("", format!("behind them: {}", who.join(", "))));
        }
    }
}

fn waits(case: &Case, blocks: &mut Vec<Block>) {
    let columns = [
        ("THREAD", Side::Right),
        ("NAME", Side::Left),
        ("ASLEEP", Side::Right),
        ("WAITS FOR", Side::Left),
        ("HELD BY", Side::Left),
    ];
    let mut table = Table::new(&columns);
    let mut others = 0;
    for thread in &case.threads {
        let Some(Waiting { lock, wait, .. }) = waited(case, thread) else {
            others += 1;
            continue;
        };
        let timed = if wait.timed { ", for some time" } else { "" };
        table.row([
            thread.tid.to_string(),
            thread.name.clone(),
            asleep(wait).unwrap_or_default(),
            format!("{}{timed}", wanted(case, lock, wait)),
            holders(case, lock),
        ]);
    }
    blocks.push(Block::Gap);
    if table.is_empty() {
        blocks.push(Block::Line("No thread waits for a lock.".into()));
        return;
    }
    blocks.push(Block::Table(table));
    if others > 0 {
        let others = wording::count(others, "thread");
        blocks.push(Block::Line(format!("{others} not waiting for any lock")));
    }
}

fn is_waited(case: &Case, lock: &LockFacts) -> bool {
    case.threads
        .iter()
        .filter_map(|thread| waited(case, thread))
        .any(|waiting| std::ptr::eq(waiting.lock, lock))
}

/// Held, and neither a signal that was not given nor the inside of something.
fn is_held(lock: &LockFacts) -> bool {
    lock.state == LockState::Held && lock.kind.is_given_back()
}

fn matters(case: &Case, lock: &LockFacts) -> bool {
    is_waited(case, lock) || is_held(lock) || lock.items.is_some_and(|n| n > 0) && fills(lock)
}

const fn fills(lock: &LockFacts) -> bool {
    use memwhy_model::LockKind;
    matches!(lock.kind, LockKind::Queue | LockKind::SimpleQueue)
}

fn held(case: &Case, blocks: &mut Vec<Block>) {
    let mut table = Table::new(&[("HELD", Side::Left), ("BY", Side::Left)]);
    for lock in case.locks.iter().filter(|lock| is_held(lock) && !is_waited(case, lock)) {
        table.row([lock_name(case, lock), holders(case, lock)]);
    }
    if !table.is_empty() {
        blocks.push(Block::Gap);
        blocks.push(Block::Table(table));
    }
}

fn queues(case: &Case, blocks: &mut Vec<Block>) {
    let mut table =
        Table::new(&[("QUEUE", Side::Left), ("HOLDS", Side::Right), ("USED BY", Side::Left)]);
    let some = |lock: &&LockFacts| fills(lock) && lock.items.is_some_and(|items| items > 0);
    for lock in case.locks.iter().filter(some) {
        let user = |user: &memwhy_model::LockUser| {
            let does = match (user.takes, user.gives) {
                (true, false) => "takes",
                (false, true) => "puts",
                (true, true) | (false, false) => "uses it",
            };
            format!("{} {does} in {}", thread_name(case, user.tid), user.function)
        };
        let users: Vec<String> = lock.users.iter().map(user).collect();
        table.row([lock_name(case, lock), fill(lock).unwrap_or_default(), users.join("; ")]);
    }
    if !table.is_empty() {
        blocks.push(Block::Gap);
        blocks.push(Block::Table(table));
    }
}

fn rest(case: &Case, blocks: &mut Vec<Block>) {
    let mut table = Table::new(&[("FREE", Side::Left)]);
    for lock in case.locks.iter().filter(|lock| !matters(case, lock)) {
        table.row([lock_name(case, lock)]);
    }
    if !table.is_empty() {
        blocks.push(Block::Gap);
        blocks.push(Block::Table(table));
    }
}
