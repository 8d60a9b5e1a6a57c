//! Which asyncio tasks and greenlets there are, and where each waits.

use super::header;
use crate::Style;
use crate::blocks::{Block, render};
use memwhy_model::{Awaits, AwaitsOf, Case, Frame, TaskFacts, TaskKind, TaskState};
use memwhy_reason::analyses::Stayed;
use memwhy_reason::lock_words::thread_name;
use memwhy_reason::wording::{count, digits};
use std::collections::BTreeMap;

/// Which tasks are listed one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TasksShown {
    /// One of each place where tasks wait, with how many are there.
    #[default]
    ByPlace,
    /// Each.
    All,
}

/// The screen. With an earlier look at the same process it says which tasks were there then, too.
#[must_use]
pub fn tasks(case: &Case, shown: TasksShown, stayed: Option<&Stayed>, style: Style) -> String {
    let mut blocks = vec![header(case), Block::labelled("TASKS", summary(case))];
    if let Some(stayed) = stayed {
        let said = format!(
            "{} at the same lines {:.0} s before, too",
            count(stayed.count(), "task"),
            stayed.seconds
        );
        blocks.push(Block::labelled("STAYED", said));
    }
    match shown {
        TasksShown::All => {
            for task in &case.tasks {
                one(task, title(case, task, stayed), &mut blocks);
            }
        }
        TasksShown::ByPlace => {
            for alike in by_place(case, stayed) {
                let Some(first) = alike.first() else { continue };
                let title = if alike.len() == 1 {
                    title(case, first, stayed)
                } else {
                    let names: Vec<String> = alike.iter().take(3).map(|task| name(task)).collect();
                    let more = if alike.len() > names.len() { ", …" } else { "" };
                    format!(
                        "{} {} like this: {}{more}{}{}",
                        digits(alike.len() as u64),
                        first.state.id(),
                        names.join(", "),
                        awaits_of_all(case, &alike),
                        before(first, stayed)
                    )
                };
                one(first, title, &mut blocks);
            }
        }
    }
    render(&blocks, style)
}

fn summary(case: &Case) -> String {
    if case.tasks.is_empty() {
        let why = case.about.withheld.as_deref();
        return why.map_or_else(
            || "no asyncio task, no greenlet".into(),
            |why| format!("not read: {why}"),
        );
    }
    let mut kinds: BTreeMap<(TaskKind, TaskState), u64> = BTreeMap::new();
    for task in &case.tasks {
        *kinds.entry((task.kind, task.state)).or_default() += 1;
    }
    let said = |((kind, state), n): ((TaskKind, TaskState), u64)| {
        let held = if state.is_over() { ", still held" } else { "" };
        format!("{} {}{held}", count(n, kind.id()), state.id())
    };
    kinds.into_iter().map(said).collect::<Vec<_>>().join(" · ")
}

/// Tasks that are in the same functions at the same lines, the largest group first.
fn by_place<'c>(case: &'c Case, stayed: Option<&Stayed>) -> Vec<Vec<&'c TaskFacts>> {
    let place = |frame: &Frame| (frame.function.clone(), frame.file.clone(), frame.line);
    let mut groups: BTreeMap<_, Vec<&TaskFacts>> = BTreeMap::new();
    for task in &case.tasks {
        let there = stayed.is_some_and(|stayed| stayed.has(task));
        let key = (task.state, there, task.frames.iter().map(place).collect::<Vec<_>>());
        groups.entry(key).or_default().push(task);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

fn name(task: &TaskFacts) -> String {
    match (&task.name, task.kind) {
        (Some(name), _) => name.clone(),
        (None, kind) => format!("{} at {}", kind.id(), task.addr),
    }
}

/// That a task was where it is.
fn before(task: &TaskFacts, stayed: Option<&Stayed>) -> String {
    let there = stayed.filter(|stayed| stayed.has(task));
    there.map_or_else(String::new, |stayed| format!(", there {:.0} s before, too", stayed.seconds))
}

fn title(case: &Case, task: &TaskFacts, stayed: Option<&Stayed>) -> String {
    let by = task.awaited_by.and_then(|place| case.tasks.get(place as usize));
    let by = by.map_or_else(String::new, |by| format!(", awaited by {}", name(by)));
    let thread =
        task.tid.map_or_else(String::new, |tid| format!(", loop of {}", thread_name(case, tid)));
    let there = before(task, stayed);
    format!("{}: {}{}{there}{by}{thread}", name(task), task.state.id(), awaits(case, task))
}

/// What each of them waits for; nothing where they differ in that.
fn awaits_of_all(case: &Case, alike: &[&TaskFacts]) -> String {
    let mut said = alike.iter().map(|task| awaits(case, task));
    let first = said.next().unwrap_or_default();
    if said.all(|other| other == first) { first } else { String::new() }
}

fn awaits(case: &Case, task: &TaskFacts) -> String {
    let called = |place: u32| case.tasks.get(place as usize).map(name).unwrap_or_default();
    match &task.awaits {
        None => String::new(),
        Some(Awaits::Task(other)) => format!(" for {}", called(*other)),
        Some(Awaits::Several { tasks, of }) => {
            let names: Vec<String> = tasks.iter().take(3).map(|place| called(*place)).collect();
            let more = if tasks.len() > names.len() { ", …" } else { "" };
            format!(" for {} of {of} tasks ({}{more})", tasks.len(), names.join(", "))
        }
        Some(Awaits::Time(None)) => " for some time".into(),
        Some(Awaits::Time(Some(seconds))) if *seconds >= 0.0 => format!(" for {seconds:.1} s more"),
        Some(Awaits::Time(Some(seconds))) => {
            format!(" for a moment that is {:.1} s past: its loop does not get to it", -seconds)
        }
        Some(Awaits::Shared { kind, addr, wants }) => {
            let of = match wants {
                AwaitsOf::Item => "an item of",
                AwaitsOf::Room => "room in",
                AwaitsOf::Turn => "its turn with",
            };
            format!(" for {of} the {} at {addr}", kind.rsplit('.').next().unwrap_or(kind))
        }
        Some(Awaits::Future(kind)) => format!(" for a {}", kind.rsplit('.').next().unwrap_or(kind)),
    }
}

fn one(task: &TaskFacts, title: String, blocks: &mut Vec<Block>) {
    blocks.push(Block::Gap);
    blocks.push(Block::Line(title));
    for frame in &task.frames {
        let line = frame.line.map_or_else(String::new, |line| format!(", line {line}"));
        blocks.push(Block::Verbatim(
            2,
            format!("File \"{}\"{line}, in {}", frame.file, frame.function),
        ));
    }
    if task.frames.is_empty() && !task.state.is_over() {
        let why = match task.kind {
            TaskKind::Task => "(no Python frame)",
            TaskKind::Greenlet => "(no frame found: it runs, has not begun, or keeps it elsewhere)",
        };
        blocks.push(Block::Indented(2, why.into()));
    }
}
