//! What every thread is doing.

use super::header;
use crate::Style;
use crate::blocks::{Block, render};
use memwhy_model::{
    Addr, Case, Frame, Local, LocalKind, NamedBy, NativeFrame, SourceFile, TargetKind, ThreadFacts,
    ThreadState, Waited,
};
use memwhy_reason::lock_words::lock_name;
use memwhy_reason::wording;
use std::collections::BTreeMap;

/// Threads named where several have the same stack.
const NAMED_TOGETHER: usize = 6;

/// What is shown of the threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command")]
pub struct StackOptions {
    /// Local variables of each frame.
    pub locals: bool,
    /// Lines of source around each frame.
    pub source: bool,
    /// C functions between the Python frames.
    pub native: bool,
    /// Only this thread.
    pub thread: Option<u32>,
    /// Only this frame of each thread, counted from the innermost, 0.
    pub frame: Option<usize>,
    /// Threads without Python frames too.
    pub all_threads: bool,
    /// Threads of other interpreters than the main one too.
    pub all_interpreters: bool,
}

/// The stacks, the innermost frame first.
#[must_use]
pub fn stacks(case: &Case, options: StackOptions, style: Style) -> String {
    let mut blocks = vec![header(case)];
    let chosen = |thread: &&ThreadFacts| options.thread.is_none_or(|tid| tid == thread.tid);
    let python =
        |thread: &&ThreadFacts| options.thread.is_some() || options.all_threads || thread.is_python;
    let own = |thread: &&ThreadFacts| {
        options.thread.is_some() || options.all_interpreters || thread.interpreter == 0
    };
    let threads: Vec<&ThreadFacts> = case.threads.iter().filter(chosen).collect();
    let shown = threads.iter().copied().filter(python).filter(own);
    let groups = together(shown, options);
    if threads.len() > 1 {
        blocks.push(Block::Line(summary(&threads)));
    }
    for group in &groups {
        let Some(thread) = group.first() else { continue };
        blocks.push(Block::Gap);
        blocks.push(Block::Line(title(case, group)));
        stack(&mut blocks, case, thread, options);
    }
    left_out(&mut blocks, case, &threads, options);
    if threads.is_empty() {
        match options.thread {
            Some(tid) if !case.threads.is_empty() => {
                blocks.push(Block::Line(format!("no thread {tid}")));
            }
            _ => {
                let why = case.about.withheld.as_deref().unwrap_or("no threads were seen");
                blocks.push(Block::labelled("STACKS", format!("not read: {why}")));
            }
        }
    }
    render(&blocks, style)
}

/// Threads that do the same at the same place, in the order of the first of each.
fn together<'a>(
    threads: impl Iterator<Item = &'a ThreadFacts>,
    options: StackOptions,
) -> Vec<Vec<&'a ThreadFacts>> {
    let mut groups: Vec<Vec<&ThreadFacts>> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for thread in threads {
        let alike = same(thread, options).filter(|_| !options.locals);
        if let Some(at) = alike.as_ref().and_then(|alike| known.get(alike)) {
            groups[*at].push(thread);
        } else {
            known.extend(alike.map(|alike| (alike, groups.len())));
            groups.push(vec![thread]);
        }
    }
    groups
}

/// What threads have in common whose stacks are shown once; `None` for one that is shown alone.
fn same(thread: &ThreadFacts, options: StackOptions) -> Option<String> {
    let frames = thread.frames.iter().map(|f| format!("{}:{}:{:?}", f.file, f.function, f.line));
    let native = thread.native.frames.iter().map(|frame| frame.address.to_string());
    let native: Vec<String> = native.filter(|_| options.native).collect();
    let call = thread.call.as_ref().map_or("", |call| call.name.as_str());
    let frames: Vec<String> = frames.collect();
    let waits = (thread.interpreter, thread.state.id(), call);
    (!thread.holds_gil).then(|| format!("{waits:?} {frames:?} {native:?}"))
}

/// `17 threads: 1 running, 3 waiting for the GIL, 12 waiting for a lock, 1 idle`.
fn summary(threads: &[&ThreadFacts]) -> String {
    let states = [
        ThreadState::Running,
        ThreadState::Gc,
        ThreadState::WaitingGil,
        ThreadState::WaitingLock,
        ThreadState::Idle,
    ];
    let counted = states.iter().filter_map(|state| {
        let count = threads.iter().filter(|thread| thread.state == *state).count();
        (count > 0).then(|| format!("{count} {}", doing(*state)))
    });
    let counted: Vec<String> = counted.collect();
    format!("{}: {}", wording::count(threads.len() as u64, "thread"), counted.join(", "))
}

fn title(case: &Case, group: &[&ThreadFacts]) -> String {
    let name = |thread: &ThreadFacts| {
        let name = &thread.name;
        if name.is_empty() { String::new() } else { format!(" \"{name}\"") }
    };
    let Some(first) = group.first() else { return String::new() };
    let mut said = vec![doing(first.state).to_owned()];
    let waited = first.waits.as_ref().map(|wait| &wait.waited);
    match waited.filter(|_| group.len() == 1 && first.state != ThreadState::WaitingGil) {
        Some(Waited::Lock(place)) => {
            let lock = case.locks.get(*place as usize).map(|lock| lock_name(case, lock));
            said = lock.map(|lock| vec![format!("waiting for {lock}")]).unwrap_or(said);
        }
        Some(Waited::At { addr, named: None }) => said.push(format!(" at {addr}")),
        Some(Waited::At { addr, named: Some(named) }) => said = vec![called(*addr, named)],
        None => {}
    }
    if let Some(call) = &first.call {
        let about = if group.len() == 1 { call.about.as_str() } else { "" };
        match (first.state, about) {
            (ThreadState::WaitingGil | ThreadState::WaitingLock, _) => {}
            (_, "") => said.push(format!(" in {}", call.name)),
            (_, about) => said.push(format!(" in {} ({about})", call.name)),
        }
    }
    if first.holds_gil {
        said.push(", holds the GIL".to_owned());
    }
    if first.interpreter > 0 {
        said.push(format!(", sub-interpreter {}", first.interpreter));
    }
    let doing = said.concat();
    if let [only] = group {
        return format!("Thread {}{}: {doing}", only.tid, name(only));
    }
    let names = group.iter().take(NAMED_TOGETHER).map(|one| format!("{}{}", one.tid, name(one)));
    let names: Vec<String> = names.collect();
    let more = group.len() - names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} threads {}{more}: {doing}", group.len(), names.join(", "))
}

/// `waiting for Queue self.queue of consume at 0x7f…`: in the words of the function.
fn called(addr: Addr, named: &NamedBy) -> String {
    let NamedBy { name, type_name, function } = named;
    let own = wording::short_type(type_name).rsplit('.').next().unwrap_or_default();
    let own = own.trim_start_matches('_');
    format!("waiting for {own} {name} of {function} at {addr}")
}

const fn doing(state: ThreadState) -> &'static str {
    match state {
        ThreadState::Running => "running",
        ThreadState::Idle => "idle",
        ThreadState::WaitingGil => "waiting for the GIL",
        ThreadState::WaitingLock => "waiting for a lock",
        ThreadState::Gc => "collecting garbage",
    }
}

fn stack(blocks: &mut Vec<Block>, case: &Case, thread: &ThreadFacts, options: StackOptions) {
    let mut frames = thread.frames.iter().enumerate();
    let mut shown = 0;
    let mut python = |blocks: &mut Vec<Block>, (at, frame): (usize, &Frame)| {
        if options.frame.is_none_or(|wanted| wanted == at) {
            shown += 1;
            self::frame(blocks, case, at, frame, options);
        }
    };
    if options.native {
        for native in &thread.native.frames {
            // The interpreter's loop is shown as the Python frames that it runs.
            let runs = usize::try_from(native.runs).unwrap_or(usize::MAX);
            if runs == 0 && options.frame.is_none() {
                blocks.push(Block::Verbatim(2, self::native(native)));
            }
            for each in frames.by_ref().take(runs) {
                python(blocks, each);
            }
        }
        if let Some(ended) = &thread.native.ended {
            blocks.push(Block::Verbatim(2, format!("  C  unwinding ended here: {ended}")));
        }
        let rest = frames.len();
        if rest > 0 && rest < thread.frames.len() {
            let told = "C functions of the frames below were not found";
            blocks.push(Block::Verbatim(2, format!("  C  {told}")));
        }
    }
    for each in frames {
        python(blocks, each);
    }
    if let Some(wanted) = options.frame.filter(|_| shown == 0) {
        blocks.push(Block::Indented(2, format!("(no frame {wanted})")));
    } else if thread.frames.is_empty() && (!options.native || thread.native.frames.is_empty()) {
        let none = if thread.is_python { "no frame" } else { "no Python frame" };
        let hint = if thread.native.frames.is_empty() { "" } else { "; C functions with --native" };
        blocks.push(Block::Indented(2, format!("({none}{hint})")));
    }
}

fn frame(blocks: &mut Vec<Block>, case: &Case, at: usize, frame: &Frame, options: StackOptions) {
    let line = frame.line.map_or_else(String::new, |line| format!(", line {line}"));
    let place = format!("{at:>3}  File \"{}\"{line}, in {}", frame.file, frame.function);
    blocks.push(Block::Verbatim(2, place));
    if options.source {
        source(blocks, case, frame);
    }
    if options.locals {
        for kind in [LocalKind::Argument, LocalKind::Local, LocalKind::Cell, LocalKind::Free] {
            for local in frame.locals.iter().filter(|local| local.kind == kind) {
                blocks.push(Block::Verbatim(9, self::local(case, local)));
            }
        }
    }
}

fn local(case: &Case, local: &Local) -> String {
    let kind = match local.kind {
        LocalKind::Argument => "argument",
        LocalKind::Local => "local",
        LocalKind::Cell => "cell",
        LocalKind::Free => "captured",
    };
    let value = local.preview.clone().unwrap_or_else(|| {
        let row = case
            .heap
            .as_ref()
            .and_then(|heap| heap.type_row(heap.type_of(heap.find(local.value)?)));
        let ty = row.map_or("object", |ty| wording::short_type(&ty.name));
        format!("<{ty} at {}>", local.value)
    });
    format!("{kind:<8}  {} = {value}", local.name)
}

/// The lines around a frame, the one it is at marked, and its part of that underlined.
fn source(blocks: &mut Vec<Block>, case: &Case, frame: &Frame) {
    let Some(file) = case.sources.get(&frame.file) else { return };
    if let Some(note) = &file.note {
        blocks.push(Block::Indented(9, format!("({note})")));
    }
    let Some(line) = frame.line else { return };
    let around = line.saturating_sub(SourceFile::AROUND)..=line.saturating_add(SourceFile::AROUND);
    for (number, text) in file.lines.range(around) {
        let mark = if *number == line { ">" } else { " " };
        blocks.push(Block::Verbatim(7, format!("{mark} {number:>5}  {text}")));
        let span = frame.span.filter(|span| *number == line && span.end_line == line);
        let carets = span.and_then(|span| {
            let before = text.get(..usize::try_from(span.column).ok()?)?;
            let part = text.get(before.len()..usize::try_from(span.end_column).ok()?)?;
            let is_all = before.trim().is_empty() && part.len() == text.trim().len();
            let indent: String =
                before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            (!is_all && !part.is_empty()).then(|| indent + &"^".repeat(part.chars().count()))
        });
        if let Some(carets) = carets {
            blocks.push(Block::Verbatim(7, format!("{:7}  {carets}", "")));
        }
    }
}

/// `  C  sem_wait+0x1c  libc.so.6`, with the source line where that is known.
fn native(frame: &NativeFrame) -> String {
    let image = frame.image.rsplit('/').next().unwrap_or_default();
    let offset = frame.offset;
    let place = match &frame.source {
        Some((file, line)) => format!("  {}:{line}", short_path(file)),
        None => format!("  {image}"),
    };
    match (&frame.function, frame.inlined) {
        (Some(function), true) => format!("  C  {function} (inlined){place}"),
        (Some(function), false) => format!("  C  {function}+{offset:#x}{place}"),
        (None, _) if image.is_empty() => format!("  C  {} in code made at run time", frame.address),
        (None, _) => format!("  C  {image}+{offset:#x}"),
    }
}

/// A source file as people know it: the folder that it is in, and its name. Before that is where
/// somebody once compiled it.
fn short_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    parts.get(parts.len().saturating_sub(2)..).unwrap_or_default().join("/")
}

/// What was not shown, and how to see it.
fn left_out(blocks: &mut Vec<Block>, case: &Case, threads: &[&ThreadFacts], options: StackOptions) {
    let mut hints = Vec::new();
    let unnamed = |thread: &&ThreadFacts| {
        let at = thread.waits.as_ref().is_some_and(|wait| wait.lock().is_none());
        at && thread.state == ThreadState::WaitingLock
    };
    if case.about.kind == TargetKind::Process && threads.iter().any(unnamed) {
        hints.push(format!(
            "who has these locks, and their names in the program: memwhy locks {}",
            case.about.pid
        ));
    }
    if options.thread.is_none() {
        hints.extend(not_shown(case, threads, options));
    }
    if !hints.is_empty() {
        blocks.push(Block::Gap);
        blocks.extend(hints.into_iter().map(Block::Line));
    }
}

/// Which threads were not shown.
fn not_shown(case: &Case, threads: &[&ThreadFacts], options: StackOptions) -> Vec<String> {
    let mut hints = Vec::new();
    let native = threads.iter().filter(|thread| !thread.is_python).count();
    if native > 0 && !options.all_threads {
        hints.push(format!(
            "{} without Python not shown (--all-threads)",
            wording::count(native as u64, "thread")
        ));
    }
    let others = threads.iter().filter(|thread| thread.interpreter > 0).count();
    if others > 0 && !options.all_interpreters {
        hints.push(format!(
            "{} of sub-interpreters not shown (--all-interpreters)",
            wording::count(others as u64, "thread")
        ));
    }
    let unknown = case.threads.iter().map(|thread| u64::from(thread.left_out)).sum();
    if unknown > 0 {
        hints.push(format!(
            "{} of sub-interpreters not shown: up to 3.10 nothing says which thread runs them",
            wording::count(unknown, "stack")
        ));
    }
    hints
}
