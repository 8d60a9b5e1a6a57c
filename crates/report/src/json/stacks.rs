//! The threads of a process: `memwhy.stacks/1`, and a part of `memwhy.report/1`.

use super::parts::wrapped;
use memwhy_model::{
    Addr, Case, Frame, LockKind, NativeFrame, Span, SystemCall, ThreadFacts, Untold, Wait, Waited,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Body<'a> {
    threads: Vec<ThreadOut<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sources: BTreeMap<&'a str, SourceOut<'a>>,
}

#[derive(Serialize)]
struct SourceOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    lines: &'a BTreeMap<u32, String>,
}

#[derive(Serialize)]
pub(super) struct ThreadOut<'a> {
    tid: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    state: &'static str,
    holds_gil: bool,
    is_python: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreter: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ident: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<LockOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<CallOut<'a>>,
    /// Python frames and, where they were asked for, C functions merged with them.
    frames: Vec<FrameOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unwinding_ended: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u32>,
}

#[derive(Serialize)]
struct LockOut<'a> {
    name: &'a str,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    type_name: &'a str,
    /// The function that calls it so, where no module leads to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_function: Option<&'a str>,
}

#[derive(Serialize)]
struct CallOut<'a> {
    number: u64,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    about: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum FrameOut<'a> {
    Python {
        function: &'a str,
        file: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        end_line: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        column: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        end_column: Option<u32>,
        code: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        instruction: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        locals: Option<Vec<LocalOut<'a>>>,
    },
    Native {
        #[serde(skip_serializing_if = "Option::is_none")]
        function: Option<&'a str>,
        address: String,
        offset: u64,
        #[serde(skip_serializing_if = "str::is_empty")]
        image: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u32>,
        inlined: bool,
        /// How many of the Python frames that follow it runs.
        runs: u32,
    },
}

#[derive(Serialize)]
struct LocalOut<'a> {
    name: &'a str,
    kind: &'static str,
    object: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<&'a str>,
}

/// How much is told of each thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadDetail {
    /// Local variables of Python frames.
    pub locals: bool,
    /// C functions.
    pub native: bool,
    /// Lines of source around frames, where the case has them.
    pub source: bool,
}

pub(super) fn threads(case: &Case, detail: ThreadDetail) -> Vec<ThreadOut<'_>> {
    case.threads.iter().map(|thread| one(case, thread, detail)).collect()
}

fn one<'a>(case: &'a Case, thread: &'a ThreadFacts, detail: ThreadDetail) -> ThreadOut<'a> {
    let python = |frame: &'a Frame| python(case, frame, detail);
    let mut rest = thread.frames.iter();
    let mut frames = Vec::new();
    if detail.native {
        for frame in &thread.native.frames {
            frames.push(native(frame));
            let runs = usize::try_from(frame.runs).unwrap_or(usize::MAX);
            frames.extend(rest.by_ref().take(runs).map(python));
        }
    }
    frames.extend(rest.map(python));
    ThreadOut {
        tid: thread.tid,
        name: &thread.name,
        state: thread.state.id(),
        holds_gil: thread.holds_gil,
        is_python: thread.is_python,
        interpreter: thread.is_python.then_some(thread.interpreter),
        ident: thread.is_python.then_some(thread.ident),
        cpu_share: case.about.tells(Untold::CpuUse).then_some(thread.cpu_share),
        waits_at: waits_at(case, thread).map(|at| at.to_string()),
        waits_for: thread.waits.as_ref().and_then(|wait| waits_for(case, wait)),
        call: thread.call.as_ref().map(call),
        frames,
        left_out: (thread.left_out > 0).then_some(thread.left_out),
        unwinding_ended: thread.native.ended.as_deref().filter(|_| detail.native),
    }
}

/// Where what a thread waits for is in memory.
fn waits_at(case: &Case, thread: &ThreadFacts) -> Option<Addr> {
    match &thread.waits.as_ref()?.waited {
        Waited::At { addr, .. } => Some(*addr),
        Waited::Lock(place) => {
            let lock = case.locks.get(*place as usize)?;
            let in_memory = !matches!(lock.kind, LockKind::File | LockKind::ThreadEnd);
            in_memory.then_some(lock.addr)
        }
    }
}

fn waits_for<'a>(case: &'a Case, wait: &'a Wait) -> Option<LockOut<'a>> {
    match &wait.waited {
        Waited::At { named, .. } => named.as_ref().map(|named| LockOut {
            name: &named.name,
            type_name: &named.type_name,
            in_function: Some(&named.function),
        }),
        Waited::Lock(place) => {
            let lock = case.locks.get(*place as usize)?;
            let name = lock.name.as_deref()?;
            Some(LockOut { name, type_name: &lock.type_name, in_function: None })
        }
    }
}

fn call(call: &SystemCall) -> CallOut<'_> {
    CallOut { number: call.number, name: &call.name, about: &call.about }
}

fn native(frame: &NativeFrame) -> FrameOut<'_> {
    FrameOut::Native {
        function: frame.function.as_deref(),
        address: frame.address.to_string(),
        offset: frame.offset,
        image: &frame.image,
        file: frame.source.as_ref().map(|(file, _)| file.as_str()),
        line: frame.source.as_ref().map(|(_, line)| *line),
        inlined: frame.inlined,
        runs: frame.runs,
    }
}

fn python<'a>(case: &'a Case, frame: &'a Frame, detail: ThreadDetail) -> FrameOut<'a> {
    let type_name = |addr| {
        let heap = case.heap.as_ref()?;
        Some(heap.type_row(heap.type_of(heap.find(addr)?))?.name.as_str())
    };
    let locals = || {
        let local = |local: &'a memwhy_model::Local| LocalOut {
            name: &local.name,
            kind: local.kind.id(),
            object: local.value.to_string(),
            type_name: type_name(local.value),
            preview: local.preview.as_deref(),
        };
        frame.locals.iter().map(local).collect()
    };
    let span = |of: fn(Span) -> u32| frame.span.map(of);
    FrameOut::Python {
        function: &frame.function,
        file: &frame.file,
        line: frame.line,
        end_line: span(|span| span.end_line),
        column: span(|span| span.column),
        end_column: span(|span| span.end_column),
        code: frame.code.to_string(),
        instruction: frame.instruction,
        locals: detail.locals.then(locals),
    }
}

/// What `memwhy stacks --json` prints.
#[must_use]
pub fn stacks(case: &Case, detail: ThreadDetail) -> Value {
    // A snapshot has them whether they were asked for or not.
    let sources = case.sources.iter().filter(|_| detail.source).map(|(file, source)| {
        let out = SourceOut { note: source.note.as_deref(), lines: &source.lines };
        (file.as_str(), out)
    });
    let body = Body { threads: threads(case, detail), sources: sources.collect() };
    wrapped("memwhy.stacks/1", case, body)
}
