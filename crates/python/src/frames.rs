//! Where in its Python code is each thread?

use crate::code::{Code, Codes, MOST_VARIABLES};
use crate::layout::tables::code_object::Bytecode;
use crate::layout::tables::frame_object::FrameContent;
use crate::layout::tables::interpreter_frame::{Instruction, InterpreterFrame};
use crate::layout::tables::thread_state::CurrentFrame;
use crate::layout::{Layouts, Ptr};
use crate::runtime::walk_list;
use memwhy_model::{Addr, Frame, Local, Place, ProblemKind, Problems};
use memwhy_target::{Fault, Memory, MemoryExt};
use std::fmt;

/// `_PyCodeArray`: its length, then the pointers.
const CODE_ARRAY_ENTRIES: u64 = 8;
/// Entries into the interpreter before the innermost frame: one, while a call begins or ends.
const MOST_ENTRIES: usize = 4;
/// File and function of [`Link::Cleanup`].
const CLEANUP: &str = "__init__";
/// Frames of one of the interpreter's loops; the limit of recursion is far below.
const MOST_IN_ONE_LOOP: usize = 1 << 20;

/// Reads stacks; code that several frames run is read once.
pub struct Stacks<'a> {
    memory: &'a dyn Memory,
    layouts: &'a Layouts,
    codes: Codes<'a>,
}

impl fmt::Debug for Stacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks").field("codes", &self.codes).finish_non_exhaustive()
    }
}

/// The Python frames of one thread.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// The innermost first.
    pub frames: Vec<Frame>,
    /// The interpreter's loops that run them, the innermost first.
    pub loops: Vec<Loop>,
}

/// One run of the interpreter's loop, a function of C. Up to 3.10 each frame has its own; from 3.11
/// on Python code that calls Python code stays in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loop {
    /// How many of the frames it runs.
    pub frames: u32,
    /// Something of its own on the C stack, from 3.11 on.
    pub on_stack: Option<Addr>,
}

/// Where a frame is in its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Before the first instruction.
    Start,
    /// At so many bytes of bytecode.
    At(u32),
    /// Outside of it.
    Unknown,
}

/// One member of the list of frames.
enum Link {
    Frame(Frame),
    /// An entry into the interpreter, which is no call.
    Entry,
    /// What sees to it that `__init__` returns nothing, from 3.12 on: no call either, and in the same
    /// loop (`_Py_InitCleanup`, `Python/specialize.c`).
    Cleanup,
}

impl<'a> Stacks<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(memory: &'a dyn Memory, layouts: &'a Layouts) -> Self {
        Self { memory, layouts, codes: Codes::new(memory, layouts) }
    }

    /// The stack of the thread whose state is at `thread`, at most `most` frames of it.
    pub fn of(&mut self, thread: Addr, most: usize, problems: &mut Problems) -> Stack {
        let addresses = self.frame_addresses(thread, most, problems);
        let mut loops = Loops::new(self.layouts.thread_state.frame, self.cframes(thread, most));
        let mut frames = Vec::new();
        for at in addresses {
            loops.reach(at);
            match self.link(at) {
                Ok(Link::Frame(frame)) => {
                    frames.push(frame);
                    loops.frame();
                }
                Ok(Link::Entry) => loops.entry(at),
                Ok(Link::Cleanup) => {}
                Err(fault) => problems
                    .note(ProblemKind::UnreadablePointer, || format!("the frame at {at}: {fault}")),
            }
        }
        Stack { frames, loops: loops.done() }
    }

    /// Where a thread is, if it is in Python code.
    pub fn innermost_place(&mut self, thread: Addr) -> Option<Place> {
        let mut at = self.innermost(thread).ok()??;
        for _ in 0..MOST_ENTRIES {
            if let Link::Frame(frame) = self.link(at).ok()? {
                return Some(Place {
                    function: frame.function,
                    file: frame.file,
                    line: frame.line,
                });
            }
            at = self.layouts.interpreter_frame?.previous.read(self.memory, at).ok()??;
        }
        None
    }

    /// The code objects that were read.
    pub(crate) const fn codes(&self) -> &Codes<'a> {
        &self.codes
    }

    /// The objects that a thread's frames refer to are found from here: the address of each
    /// `_PyInterpreterFrame` (up to 3.10 each frame object), the innermost first.
    pub fn frame_addresses(&self, thread: Addr, most: usize, problems: &mut Problems) -> Vec<Addr> {
        let memory = self.memory;
        let head = match self.innermost(thread) {
            Ok(head) => head,
            Err(fault) => {
                problems.note(ProblemKind::UnreadablePointer, || {
                    format!("the innermost frame of the thread state at {thread}: {fault}")
                });
                return Vec::new();
            }
        };
        let mut broken = None;
        let (found, ended) = walk_list(head, most, |at| {
            let next = match self.layouts.interpreter_frame {
                Some(fields) => fields.previous.read(memory, at),
                None => self.layouts.frame_object.back.read(memory, at),
            };
            next.inspect_err(|fault| broken = Some(*fault)).ok().flatten()
        });
        if let Some(fault) = broken {
            problems.note(ProblemKind::UnreadablePointer, || {
                format!("the stack of the thread state at {thread}: {fault}")
            });
        }
        if !ended {
            problems.note(ProblemKind::BrokenList, || {
                format!(
                    "the stack of the thread state at {thread} does not end within {most} frames"
                )
            });
        }
        found
    }

    fn innermost(&self, thread: Addr) -> Result<Ptr, Fault> {
        let memory = self.memory;
        match self.layouts.thread_state.frame {
            CurrentFrame::Object(field) | CurrentFrame::Current(field) => {
                field.read(memory, thread)
            }
            CurrentFrame::Cframe { cframe, current_frame, previous } => {
                let Some(cframe) = cframe.read(memory, thread)? else { return Ok(None) };
                let first = current_frame.read(memory, cframe)?;
                // A loop that has just begun has put itself on the list before its frame: what it
                // says is then left over from whatever was on the C stack before.
                let around = previous.read(memory, cframe).ok().flatten();
                let outer = around.and_then(|at| current_frame.read(memory, at).ok().flatten());
                Ok(if self.leads_to(first, outer) { first } else { outer })
            }
        }
    }

    /// The `_PyCFrame` of each loop of the interpreter, the innermost last, with the frame that the
    /// loop is at. Empty where the build has none.
    fn cframes(&self, thread: Addr, most: usize) -> Vec<(Addr, Ptr)> {
        let memory = self.memory;
        let fields = self.layouts.thread_state.frame;
        let CurrentFrame::Cframe { cframe, current_frame, previous } = fields else {
            return Vec::new();
        };
        let head = cframe.read(memory, thread).ok().flatten();
        let next = |at| previous.read(memory, at).ok().flatten();
        let (cframes, _) = walk_list(head, most, next);
        let current = |at: Addr| (at, current_frame.read(memory, at).ok().flatten());
        // The last is a member of the thread's state, not on the C stack: no loop has it.
        let loops = cframes.len().saturating_sub(1);
        cframes.into_iter().take(loops).rev().map(current).collect()
    }

    /// Whether the frame at `first` is called, however indirectly, by the one at `outer`.
    fn leads_to(&self, first: Ptr, outer: Ptr) -> bool {
        let (Some(fields), Some(_)) = (self.layouts.interpreter_frame, outer) else { return true };
        let next = |at| fields.previous.read(self.memory, at).ok().flatten();
        let mut found = false;
        walk_list(first, MOST_IN_ONE_LOOP, |at| {
            found |= Some(at) == outer;
            if found { None } else { next(at) }
        });
        found
    }

    /// One frame; `None` for what is no call.
    pub(crate) fn frame(&mut self, at: Addr) -> Result<Option<Frame>, Fault> {
        self.link(at).map(|link| match link {
            Link::Frame(frame) => Some(frame),
            Link::Entry | Link::Cleanup => None,
        })
    }

    fn link(&mut self, at: Addr) -> Result<Link, Fault> {
        let Some(fields) = self.layouts.interpreter_frame else {
            return self.frame_of_object(at).map(Link::Frame);
        };
        if fields.owner.read(self.memory, at)? >= fields.shim_from {
            return Ok(Link::Entry);
        }
        self.running(at, &fields)
    }

    fn running(&mut self, at: Addr, fields: &InterpreterFrame) -> Result<Link, Fault> {
        let memory = self.memory;
        let code_at = Addr(fields.code.read(memory, at)? & !fields.tag_mask);
        let code = self.codes.at(code_at).ok_or(Fault::unmapped(code_at))?;
        if code.first_line == 0 && code.file == CLEANUP && code.function == CLEANUP {
            return Ok(Link::Cleanup);
        }
        let (Instruction::Previous(pointer) | Instruction::Current(pointer)) = fields.instruction;
        let pointer = pointer.read(memory, at)?;
        let copy = fields.tlbc_index.map(|field| field.read(memory, at)).transpose()?;
        let position = self.position(code_at, copy, pointer);
        let locals = self.locals(&code, fields.localsplus.addr(at), fields.tag_mask);
        Ok(Link::Frame(said(&code, code_at, position, locals)))
    }

    /// Up to 3.10: one frame object.
    fn frame_of_object(&mut self, at: Addr) -> Result<Frame, Fault> {
        let (memory, fields) = (self.memory, self.layouts.frame_object);
        let FrameContent::Here { code, lasti, localsplus, .. } = fields.content else {
            return Err(Fault::unmapped(at));
        };
        let code_at = code.read(memory, at)?.ok_or(Fault::unmapped(at))?;
        let code = self.codes.at(code_at).ok_or(Fault::unmapped(code_at))?;
        let instruction = lasti.read(memory, at)?.saturating_mul(fields.lasti_unit);
        let position = u32::try_from(instruction).map_or(Position::Start, Position::At);
        let locals = self.locals(&code, localsplus.addr(at), 0);
        Ok(said(&code, code_at, position, locals))
    }

    /// Where the instruction at `pointer` is in the code at `code`.
    fn position(&self, code: Addr, copy: Option<i32>, pointer: Ptr) -> Position {
        let memory = self.memory;
        let Bytecode::Inside { adaptive, tlbc } = self.layouts.code_object.bytecode else {
            return Position::Unknown;
        };
        let Some(pointer) = pointer else { return Position::Unknown };
        // Without GIL a thread may run a copy of its own, which other threads do not change.
        let own = || {
            let index = u64::try_from(copy?).ok().filter(|index| *index > 0)?;
            let array = tlbc?.read(memory, code).ok()??;
            let length = memory.u64(array).ok()?;
            let entry = array.at(CODE_ARRAY_ENTRIES).at(index.checked_mul(8)?);
            memory.ptr(entry).ok()?.filter(|_| index < length)
        };
        let start = own().unwrap_or_else(|| adaptive.addr(code));
        if pointer < start {
            return Position::Start;
        }
        let units = self.layouts.var_object.ob_size.read(memory, code);
        let bytes = units.ok().and_then(|units| u64::try_from(units).ok()?.checked_mul(2));
        let offset = pointer.checked_since(start);
        match (offset, bytes) {
            (Some(offset), Some(bytes)) if offset < bytes => {
                u32::try_from(offset).map_or(Position::Unknown, Position::At)
            }
            _ => Position::Unknown,
        }
    }

    /// The variables that have a value.
    fn locals(&self, code: &Code, slots: Addr, tag_mask: u64) -> Vec<Local> {
        let memory = self.memory;
        let count = code.variables.len() as u64;
        let values = memory.words(slots, count, MOST_VARIABLES).unwrap_or_default();
        let mut locals: Vec<Local> = Vec::new();
        for (variable, word) in code.variables.iter().zip(values) {
            // With all tag bits set it is a number of the interpreter's own.
            if tag_mask > 1 && word & tag_mask == tag_mask {
                continue;
            }
            let in_a_cell = variable.in_a_cell;
            let mut value = Some(Addr(word & !tag_mask)).filter(|value| value.0 != 0);
            if let Some(cell) = value.filter(|at| in_a_cell && self.codes.is_a(*at, "cell")) {
                value = self.layouts.cell.ob_ref.read(memory, cell).ok().flatten();
            }
            let Some(value) = value else { continue };
            // Up to 3.10 an argument in a cell has a slot as argument, too; the cell is newer.
            let older = locals.iter_mut().find(|known| in_a_cell && known.name == variable.name);
            match older {
                Some(older) => older.value = value,
                None => locals.push(Local {
                    name: variable.name.clone(),
                    kind: variable.kind,
                    value,
                    preview: None,
                }),
            }
        }
        locals
    }
}

fn said(code: &Code, at: Addr, position: Position, locals: Vec<Local>) -> Frame {
    let (line, span) = match position {
        Position::Start => (u32::try_from(code.first_line).ok(), None),
        Position::Unknown => (None, None),
        Position::At(offset) => code.place(offset),
    };
    let instruction = match position {
        Position::At(offset) => Some(offset),
        Position::Start | Position::Unknown => None,
    };
    let (function, file) = (code.function.clone(), code.file.clone());
    Frame { function, file, line, span, code: at, instruction, locals }
}

/// Gathers which of the interpreter's loops runs which frames, along the list of frames.
struct Loops {
    how: CurrentFrame,
    /// Those still to come, the next one last.
    cframes: Vec<(Addr, Ptr)>,
    current: Option<Loop>,
    done: Vec<Loop>,
}

impl Loops {
    fn new(how: CurrentFrame, mut cframes: Vec<(Addr, Ptr)>) -> Self {
        // The innermost loop has begun, also while its first frame is not on the list yet.
        let first = cframes.pop();
        let current = first.map(|(at, _)| Loop { frames: 0, on_stack: Some(at) });
        Self { how, cframes, current, done: Vec::new() }
    }

    /// Comes to the next member of the list.
    fn reach(&mut self, at: Addr) {
        if let Some((cframe, _)) = self.cframes.pop_if(|(_, first)| *first == Some(at)) {
            let next = Loop { frames: 0, on_stack: Some(cframe) };
            self.done.extend(self.current.replace(next));
        }
    }

    fn frame(&mut self) {
        self.current.get_or_insert_default().frames += 1;
        if let CurrentFrame::Object(_) = self.how {
            self.done.extend(self.current.take());
        }
    }

    /// The list says itself where the loops are, unless something else does.
    fn entry(&mut self, at: Addr) {
        if let CurrentFrame::Current(_) = self.how {
            let entered = Loop { on_stack: Some(at), ..self.current.take().unwrap_or_default() };
            self.done.push(entered);
        }
    }

    fn done(mut self) -> Vec<Loop> {
        self.done.extend(self.current);
        self.done
    }
}
