//! What is each thread doing, in Python, in C and in the kernel?

use crate::{Addr, Wait};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThreadState {
    /// On a CPU, or ready for one.
    Running,
    /// Waiting in the kernel.
    #[default]
    Idle,
    /// Waiting for the GIL.
    WaitingGil,
    /// Waiting for a lock, of Python or of C: [`ThreadFacts::waits`].
    WaitingLock,
    /// In the garbage collector.
    Gc,
}

impl ThreadState {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Idle => "idle",
            Self::WaitingGil => "waiting-gil",
            Self::WaitingLock => "waiting-lock",
            Self::Gc => "gc",
        }
    }
}

/// One thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreadFacts {
    /// Its number in our pid namespace.
    pub tid: u32,
    /// The name that Python knows, or that the kernel does.
    pub name: String,
    /// What it is doing.
    pub state: ThreadState,
    /// Which share of one CPU it used while it was looked at, just before the stop; 0 to 1.
    pub cpu_share: f64,
    /// For which share of that time it was ready for a CPU and had none; 0 to 1.
    pub cpu_wait: f64,
    /// Whether it has a Python thread state.
    pub is_python: bool,
    /// Which interpreter its Python frames belong to: 0 is the main one, then in order of age.
    pub interpreter: u32,
    /// `threading.get_ident()`, if it has a Python thread state.
    pub ident: u64,
    /// Whether it holds the GIL.
    pub holds_gil: bool,
    /// What it waits for, where that is known.
    pub waits: Option<Wait>,
    /// Python frames, the innermost first.
    pub frames: Vec<Frame>,
    /// The C functions below and between them.
    pub native: NativeStack,
    /// The system call that it is in.
    pub call: Option<SystemCall>,
    /// Stacks of other interpreters that are left out: up to 3.10 nothing says which thread runs
    /// them, only that this one created the interpreter, and it has frames of its own.
    pub left_out: u32,
    /// Where it was when it was looked at before the stop, the most often seen first: the
    /// innermost function, its file and line, and how often.
    pub seen: Vec<(Place, u32)>,
}

/// A place in Python code.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The function.
    pub function: String,
    /// `co_filename`.
    pub file: String,
    /// 1-based; `None` for code without a line.
    pub line: Option<u32>,
}

/// One Python frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The qualified name where the version has one.
    pub function: String,
    /// `co_filename`.
    pub file: String,
    /// 1-based; `None` for code without a line.
    pub line: Option<u32>,
    /// Which part of the source it is at, where the version records columns.
    pub span: Option<Span>,
    /// The code object.
    pub code: Addr,
    /// `f_lasti`: the byte of bytecode that it is at; `None` before the first.
    pub instruction: Option<u32>,
    /// Variables that have a value: arguments first.
    pub locals: Vec<Local>,
}

/// A part of a source line: `code.co_positions()` from its line on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The line that it ends on.
    pub end_line: u32,
    /// Where on the first line it begins, in bytes from 0.
    pub column: u32,
    /// Where on the last line it ends, in bytes from 0.
    pub end_column: u32,
}

/// One variable of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// Its name.
    pub name: String,
    /// What kind of variable it is.
    pub kind: LocalKind,
    /// The object that it refers to.
    pub value: Addr,
    /// What `repr()` of that begins with, where it was asked for and could be read.
    pub preview: Option<String>,
}

/// What kind of variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalKind {
    /// The function was called with it.
    Argument,
    /// The function's own.
    #[default]
    Local,
    /// The function's own, and functions inside of it use it.
    Cell,
    /// A function's around it.
    Free,
}

impl LocalKind {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Argument => "argument",
            Self::Local => "local",
            Self::Cell => "cell",
            Self::Free => "free",
        }
    }
}

/// The C functions of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeStack {
    /// The innermost first; functions that were inlined into one before it.
    pub frames: Vec<NativeFrame>,
    /// Why it does not lead to the function that the thread began with; `None` if it does.
    pub ended: Option<String>,
}

/// One C function on a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeFrame {
    /// The program counter: of all but the innermost the address to return to.
    pub address: Addr,
    /// The function, if a symbol covers the address.
    pub function: Option<String>,
    /// How far into the function, or else into the image.
    pub offset: u64,
    /// The file that has the code; empty for code made at run time.
    pub image: String,
    /// The source file and line, where DWARF tells.
    pub source: Option<(String, u32)>,
    /// Whether it has no frame of its own: its code is part of the next one's.
    pub inlined: bool,
    /// How many of [`ThreadFacts::frames`] it runs, if it is the interpreter's loop: those that
    /// the loops before it do not.
    pub runs: u32,
}

/// A system call that a thread is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCall {
    /// Its number on x86-64.
    pub number: u64,
    /// Its name, `syscall 999` for one that we do not know.
    pub name: String,
    /// Its six arguments, meaningful or not.
    pub arguments: [u64; 6],
    /// What it is about: a path, a socket with its peer, for how long.
    pub about: String,
}

/// Lines of source around the places where frames are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// By number, from 1; those that were asked for.
    pub lines: BTreeMap<u32, String>,
    /// What to keep in mind: that the file is newer than the process, or why it was not read.
    pub note: Option<String>,
}

impl SourceFile {
    /// How many lines before and after one are shown with it.
    pub const AROUND: u32 = 3;
}
