//! Where in its Python code is each thread?

use crate::layout::tables::code_object::{Bytecode, LineTable, Variables};
use crate::layout::tables::frame_object::FrameContent;
use crate::layout::tables::interpreter_frame::Instruction;
use crate::layout::tables::thread_state::CurrentFrame;
use crate::layout::{Layouts, Ptr};
use crate::lines::{lnotab, v310, v311};
use crate::runtime::walk_list;
use crate::text;
use memwhy_model::{Addr, Frame, ProblemKind, Problems};
use memwhy_target::{Fault, Memory, MemoryExt};
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::Arc;

/// Names of functions, files and variables are cut here.
const LONGEST_NAME: usize = 512;
/// No code has more variables.
const MOST_VARIABLES: usize = 1 << 14;
/// No line table is longer.
const LONGEST_TABLE: usize = 8 << 20;
/// Stands for a text that could not be read.
const UNREADABLE: &str = "<unreadable>";
/// `CO_FAST_CELL | CO_FAST_FREE`: the slot has a cell with the value.
const IN_A_CELL: u8 = 0x40 | 0x80;
/// `_PyCodeArray`: its length, then the pointers.
const CODE_ARRAY_ENTRIES: u64 = 8;

/// Reads stacks; code that several frames run is read once.
pub struct Stacks<'a> {
    memory: &'a dyn Memory,
    layouts: &'a Layouts,
    codes: FxHashMap<Addr, Option<Arc<Code>>>,
}

impl fmt::Debug for Stacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stacks").field("codes", &self.codes.len()).finish_non_exhaustive()
    }
}

/// What a code object says of itself.
#[derive(Debug)]
struct Code {
    function: String,
    file: String,
    first_line: i32,
    table: Vec<u8>,
    /// Each variable, in the order of the slots, and whether it is in a cell.
    variables: Vec<(String, bool)>,
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

impl<'a> Stacks<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(memory: &'a dyn Memory, layouts: &'a Layouts) -> Self {
        Self { memory, layouts, codes: FxHashMap::default() }
    }

    /// The frames of the thread whose state is at `thread`, the innermost first, at most `most`.
    pub fn of(&mut self, thread: Addr, most: usize, problems: &mut Problems) -> Vec<Frame> {
        let frames = self.frame_addresses(thread, most, problems);
        let mut stack = Vec::new();
        for at in frames {
            match self.frame(at) {
                Ok(Some(frame)) => stack.push(frame),
                Ok(None) => {}
                Err(fault) => problems
                    .note(ProblemKind::UnreadablePointer, || format!("the frame at {at}: {fault}")),
            }
        }
        stack
    }

    /// The objects that a thread's frames refer to are found from here: the address of each
    /// `_PyInterpreterFrame` (up to 3.10 each frame object), the innermost first.
    pub fn frame_addresses(&self, thread: Addr, most: usize, problems: &mut Problems) -> Vec<Addr> {
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
                Some(fields) => fields.previous.read(self.memory, at),
                None => self.layouts.frame_object.back.read(self.memory, at),
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
        match self.layouts.thread_state.frame {
            CurrentFrame::Object(field) | CurrentFrame::Current(field) => {
                field.read(self.memory, thread)
            }
            CurrentFrame::Cframe { cframe, current_frame } => {
                match cframe.read(self.memory, thread)? {
                    Some(cframe) => current_frame.read(self.memory, cframe),
                    None => Ok(None),
                }
            }
        }
    }

    /// One frame; `None` for an entry into the interpreter, which is no call.
    pub(crate) fn frame(&mut self, at: Addr) -> Result<Option<Frame>, Fault> {
        let Some(fields) = self.layouts.interpreter_frame else {
            return self.frame_of_object(at).map(Some);
        };
        if fields.owner.read(self.memory, at)? >= fields.shim_from {
            return Ok(None);
        }
        let code_at = Addr(fields.code.read(self.memory, at)? & !fields.tag_mask);
        let code = self.code(code_at).ok_or(Fault::unmapped(code_at))?;
        let (Instruction::Previous(pointer) | Instruction::Current(pointer)) = fields.instruction;
        let pointer = pointer.read(self.memory, at)?;
        let copy = fields.tlbc_index.map(|field| field.read(self.memory, at)).transpose()?;
        let position = self.position(code_at, copy, pointer);
        let slots = fields.localsplus.addr(at);
        let locals = self.locals(&code, slots, fields.tag_mask);
        Ok(Some(self.said(&code, position, locals)))
    }

    /// Up to 3.10: one frame object.
    fn frame_of_object(&mut self, at: Addr) -> Result<Frame, Fault> {
        let fields = self.layouts.frame_object;
        let FrameContent::Here { code, lasti, localsplus, .. } = fields.content else {
            return Err(Fault::unmapped(at));
        };
        let code = code.read(self.memory, at)?.ok_or(Fault::unmapped(at))?;
        let code = self.code(code).ok_or(Fault::unmapped(code))?;
        let instruction = lasti.read(self.memory, at)?.saturating_mul(fields.lasti_unit);
        let position = u32::try_from(instruction).map_or(Position::Start, Position::At);
        let locals = self.locals(&code, localsplus.addr(at), 0);
        Ok(self.said(&code, position, locals))
    }

    /// Where the instruction at `pointer` is in the code at `code`.
    fn position(&self, code: Addr, copy: Option<i32>, pointer: Ptr) -> Position {
        let Bytecode::Inside { adaptive, tlbc } = self.layouts.code_object.bytecode else {
            return Position::Unknown;
        };
        let Some(pointer) = pointer else { return Position::Unknown };
        // Without GIL a thread may run a copy of its own, which other threads do not change.
        let own = || {
            let index = u64::try_from(copy?).ok().filter(|index| *index > 0)?;
            let array = tlbc?.read(self.memory, code).ok()??;
            let length = self.memory.u64(array).ok()?;
            let entry = array.at(CODE_ARRAY_ENTRIES).at(index.checked_mul(8)?);
            self.memory.ptr(entry).ok()?.filter(|_| index < length)
        };
        let start = own().unwrap_or_else(|| adaptive.addr(code));
        if pointer < start {
            return Position::Start;
        }
        let units = self.layouts.var_object.ob_size.read(self.memory, code);
        let bytes = units.ok().and_then(|units| u64::try_from(units).ok()?.checked_mul(2));
        let offset = pointer.checked_since(start);
        match (offset, bytes) {
            (Some(offset), Some(bytes)) if offset < bytes => {
                u32::try_from(offset).map_or(Position::Unknown, Position::At)
            }
            _ => Position::Unknown,
        }
    }

    fn said(&self, code: &Code, position: Position, locals: Vec<(String, Addr)>) -> Frame {
        let (table, first) = (code.table.as_slice(), code.first_line);
        let line = match (position, self.layouts.code_object.lines) {
            (Position::Start, _) => u32::try_from(first).ok(),
            (Position::Unknown, _) => None,
            (Position::At(offset), LineTable::Unsigned(_)) => {
                lnotab::line(table, first, offset, lnotab::Steps::Unsigned)
            }
            (Position::At(offset), LineTable::Signed(_)) => {
                lnotab::line(table, first, offset, lnotab::Steps::Signed)
            }
            (Position::At(offset), LineTable::Ranges(_)) => v310::line(table, first, offset),
            (Position::At(offset), LineTable::Locations(_)) => v311::line(table, first, offset),
        };
        Frame { function: code.function.clone(), file: code.file.clone(), line, locals }
    }

    /// The variables that have a value.
    fn locals(&self, code: &Code, slots: Addr, tag_mask: u64) -> Vec<(String, Addr)> {
        let count = code.variables.len() as u64;
        let values = self.memory.words(slots, count, MOST_VARIABLES).unwrap_or_default();
        let mut locals: Vec<(String, Addr)> = Vec::new();
        for ((name, in_a_cell), word) in code.variables.iter().zip(values) {
            // With all tag bits set it is a number of the interpreter's own.
            if tag_mask > 1 && word & tag_mask == tag_mask {
                continue;
            }
            let mut value = Some(Addr(word & !tag_mask)).filter(|value| value.0 != 0);
            if let Some(cell) = value.filter(|value| *in_a_cell && self.is_a(*value, "cell")) {
                value = self.layouts.cell.ob_ref.read(self.memory, cell).ok().flatten();
            }
            let Some(value) = value else { continue };
            // Up to 3.10 an argument in a cell has a slot as argument, too; the cell is newer.
            let older = locals.iter_mut().find(|(known, _)| *in_a_cell && known == name);
            match older {
                Some(older) => older.1 = value,
                None => locals.push((name.clone(), value)),
            }
        }
        locals
    }

    fn is_a(&self, object: Addr, type_name: &str) -> bool {
        let name = || {
            let ty = self.layouts.object.ob_type.read(self.memory, object).ok()??;
            let name = self.layouts.type_object.tp_name.read(self.memory, ty).ok()??;
            self.memory.c_string(name, 64).ok()
        };
        name().is_some_and(|name| name == type_name)
    }

    /// The code at `at`, `None` if it is none.
    fn code(&mut self, at: Addr) -> Option<Arc<Code>> {
        if let Some(known) = self.codes.get(&at) {
            return known.clone();
        }
        let code = if self.is_a(at, "code") { self.read_code(at).ok().map(Arc::new) } else { None };
        self.codes.insert(at, code.clone());
        code
    }

    fn read_code(&self, at: Addr) -> Result<Code, Fault> {
        let (memory, fields) = (self.memory, &self.layouts.code_object);
        let qualified = fields.qualname.map(|field| field.read(memory, at)).transpose()?.flatten();
        let name = match qualified {
            Some(name) => Some(name),
            None => fields.name.read(memory, at)?,
        };
        let (LineTable::Unsigned(lines)
        | LineTable::Signed(lines)
        | LineTable::Ranges(lines)
        | LineTable::Locations(lines)) = fields.lines;
        let lines = lines.read(memory, at)?.ok_or(Fault::unmapped(at))?;
        Ok(Code {
            function: self.text(name),
            file: self.text(fields.filename.read(memory, at)?),
            first_line: fields.firstlineno.read(memory, at)?,
            table: self.bytes(lines)?,
            variables: self.variables(at)?,
        })
    }

    pub(crate) fn variables(&self, code: Addr) -> Result<Vec<(String, bool)>, Fault> {
        let memory = self.memory;
        match self.layouts.code_object.variables {
            Variables::Together { names, kinds, .. } => {
                let names = self.names(names.read(memory, code)?)?;
                let kinds = kinds.read(memory, code)?.ok_or(Fault::unmapped(code))?;
                let kinds = self.bytes(kinds)?;
                let in_cells = kinds.iter().map(|kind| kind & IN_A_CELL != 0);
                Ok(names.into_iter().zip(in_cells).collect())
            }
            Variables::Separate { varnames, cellvars, freevars } => {
                let mut variables = Vec::new();
                for (field, in_a_cell) in [(varnames, false), (cellvars, true), (freevars, true)] {
                    let names = self.names(field.read(memory, code)?)?;
                    variables.extend(names.into_iter().map(|name| (name, in_a_cell)));
                }
                Ok(variables)
            }
        }
    }

    fn names(&self, tuple: Ptr) -> Result<Vec<String>, Fault> {
        let Some(tuple) = tuple else { return Ok(Vec::new()) };
        let count = self.layouts.var_object.ob_size.read(self.memory, tuple)?;
        let count = u64::try_from(count).map_err(|_| Fault::too_long(tuple))?;
        let items = self.layouts.tuple_object.ob_item.addr(tuple);
        let words = self.memory.words(items, count, MOST_VARIABLES)?;
        Ok(words.into_iter().map(|name| self.text(Some(Addr(name)))).collect())
    }

    fn text(&self, at: Ptr) -> String {
        let text = at.and_then(|at| text::read(self.memory, self.layouts, at, LONGEST_NAME).ok());
        text.unwrap_or_else(|| UNREADABLE.to_owned())
    }

    fn bytes(&self, object: Addr) -> Result<Vec<u8>, Fault> {
        let length = self.layouts.var_object.ob_size.read(self.memory, object)?;
        let length = u64::try_from(length).map_err(|_| Fault::too_long(object))?;
        self.memory.bytes(self.layouts.bytes_object.ob_sval.addr(object), length, LONGEST_TABLE)
    }
}
