//! What every thread is doing.

use super::header;
use crate::Style;
use crate::blocks::{Block, render};
use memwhy_model::{Case, ThreadFacts, ThreadState};
use memwhy_reason::wording;

/// What is shown of the threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackOptions {
    /// Local variables of each frame, with the addresses of their objects.
    pub locals: bool,
    /// Only this thread.
    pub thread: Option<u32>,
    /// Threads without Python frames too.
    pub all_threads: bool,
}

/// The stacks, the innermost frame first.
#[must_use]
pub fn stacks(case: &Case, options: StackOptions, style: Style) -> String {
    let mut blocks = vec![header(case)];
    let wanted = |thread: &&ThreadFacts| {
        options.thread.map_or(options.all_threads || thread.is_python, |tid| tid == thread.tid)
    };
    let shown: Vec<&ThreadFacts> = case.threads.iter().filter(wanted).collect();
    for thread in &shown {
        blocks.push(Block::Gap);
        blocks.push(Block::Line(title(thread)));
        for frame in &thread.frames {
            let line = frame.line.map_or_else(String::new, |line| format!(", line {line}"));
            blocks.push(Block::Verbatim(
                2,
                format!("File \"{}\"{line}, in {}", frame.file, frame.function),
            ));
            if options.locals {
                for (name, addr) in &frame.locals {
                    let ty = case
                        .heap
                        .as_ref()
                        .and_then(|heap| heap.type_row(heap.type_of(heap.find(*addr)?)))
                        .map_or("object", |ty| wording::short_type(&ty.name));
                    blocks.push(Block::Indented(6, format!("{name} = <{ty} at {addr}>")));
                }
            }
        }
        if thread.frames.is_empty() {
            let none = if thread.is_python { "no frame" } else { "no Python frame" };
            blocks.push(Block::Indented(2, format!("({none})")));
        }
    }
    let left = case.threads.len() - shown.len();
    if left > 0 && options.thread.is_none() {
        blocks.push(Block::Gap);
        blocks.push(Block::Line(format!(
            "{} without Python not shown (--all-threads)",
            wording::count(left as u64, "thread")
        )));
    }
    if shown.is_empty() && case.threads.is_empty() {
        let why = case.about.withheld.as_deref().unwrap_or("no threads were seen");
        blocks.push(Block::labelled("STACKS", format!("not read: {why}")));
    } else if let Some(tid) = options.thread.filter(|_| shown.is_empty()) {
        blocks.push(Block::Line(format!("no thread {tid}")));
    }
    render(&blocks, style)
}

fn title(thread: &ThreadFacts) -> String {
    let name = if thread.name.is_empty() { String::new() } else { format!(" \"{}\"", thread.name) };
    let gil = if thread.holds_gil { ", holds the GIL" } else { "" };
    format!("Thread {}{name}: {}{gil}", thread.tid, doing(thread.state))
}

const fn doing(state: ThreadState) -> &'static str {
    match state {
        ThreadState::Running => "running",
        ThreadState::Idle => "idle",
        ThreadState::WaitingGil => "waiting for the GIL",
        ThreadState::Gc => "collecting garbage",
    }
}
