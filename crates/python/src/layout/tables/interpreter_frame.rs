//! `_PyInterpreterFrame`: a running call, on the data stack or in a generator.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 3.10  | none: frames are objects (`frame_object.rs`) |
//! | 3.11  | frames on a data stack; `prev_instr` is the last instruction started |
//! | 3.12  | frames of the C stack mark entries into the interpreter |
//! | 3.13  | `instr_ptr`: the instruction being executed; code may be another object |
//! | 3.14  | slots are tagged pointers; the value stack ends at a pointer |
//!
//! Source: `Include/internal/pycore_frame.h`; `pycore_interpframe_structs.h` from 3.14.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `_PyInterpreterFrame`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterpreterFrame {
    /// `sizeof`, one slot included.
    pub size: u64,
    /// The caller.
    pub previous: Field<Ptr>,
    /// The code, or what stands for it. The two low bits are tags from 3.14 on.
    pub code: Field<u64>,
    /// The function, tagged as `code`.
    pub function: Field<u64>,
    /// The dict of the module.
    pub globals: Field<Ptr>,
    /// The dict of builtins.
    pub builtins: Field<Ptr>,
    /// The dict of locals, for modules and classes.
    pub locals: Field<Ptr>,
    /// The frame object, null until asked for.
    pub frame_object: Field<Ptr>,
    /// Where it is.
    pub instruction: Instruction,
    /// Where the live slots end; not up to date while the frame executes.
    pub stack_end: StackEnd,
    /// Locals, cells and free variables, then the value stack.
    pub localsplus: Field<Inline>,
    /// Who keeps the frame.
    pub owner: Field<u8>,
    /// From this `owner` on a frame is no call of Python code but an entry into the
    /// interpreter.
    pub shim_from: u8,
    /// Bits of a slot that are no part of the address.
    pub tag_mask: u64,
    /// Which copy of the bytecode the thread runs.
    pub tlbc_index: Option<Field<i32>>,
}

/// What the pointer into the bytecode means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// The last instruction that was started.
    Previous(Field<Ptr>),
    /// The instruction being executed, or about to be.
    Current(Field<Ptr>),
}

/// Where the live slots end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackEnd {
    /// The slot after the last.
    Pointer(Field<Ptr>),
    /// How many slots are live, locals included; -1 while executing.
    Count(Field<i32>),
}

/// Every layout of the struct, oldest first.
pub const INTERPRETER_FRAME: Table<InterpreterFrame> = Table(&[
    Row {
        since: v3(11),
        free_threaded: false,
        layout: InterpreterFrame {
            size: 80,
            previous: at("previous", 48),
            code: at("f_code", 32),
            function: at("f_func", 0),
            globals: at("f_globals", 8),
            builtins: at("f_builtins", 16),
            locals: at("f_locals", 24),
            frame_object: at("frame_obj", 40),
            instruction: Instruction::Previous(at("prev_instr", 56)),
            stack_end: StackEnd::Count(at("stacktop", 64)),
            localsplus: at("localsplus", 72),
            owner: at("owner", 69),
            shim_from: 3,
            tag_mask: 0,
            tlbc_index: None,
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: InterpreterFrame {
            size: 80,
            previous: at("previous", 8),
            code: at("f_code", 0),
            function: at("f_funcobj", 16),
            globals: at("f_globals", 24),
            builtins: at("f_builtins", 32),
            locals: at("f_locals", 40),
            frame_object: at("frame_obj", 48),
            instruction: Instruction::Previous(at("prev_instr", 56)),
            stack_end: StackEnd::Count(at("stacktop", 64)),
            localsplus: at("localsplus", 72),
            owner: at("owner", 70),
            shim_from: 3,
            tag_mask: 0,
            tlbc_index: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: InterpreterFrame {
            size: 80,
            previous: at("previous", 8),
            code: at("f_executable", 0),
            function: at("f_funcobj", 16),
            globals: at("f_globals", 24),
            builtins: at("f_builtins", 32),
            locals: at("f_locals", 40),
            frame_object: at("frame_obj", 48),
            instruction: Instruction::Current(at("instr_ptr", 56)),
            stack_end: StackEnd::Count(at("stacktop", 64)),
            localsplus: at("localsplus", 72),
            owner: at("owner", 70),
            shim_from: 3,
            tag_mask: 0,
            tlbc_index: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: InterpreterFrame {
            size: 88,
            previous: at("previous", 8),
            code: at("f_executable", 0),
            function: at("f_funcobj", 16),
            globals: at("f_globals", 24),
            builtins: at("f_builtins", 32),
            locals: at("f_locals", 40),
            frame_object: at("frame_obj", 48),
            instruction: Instruction::Current(at("instr_ptr", 56)),
            stack_end: StackEnd::Pointer(at("stackpointer", 64)),
            localsplus: at("localsplus", 80),
            owner: at("owner", 74),
            shim_from: 3,
            tag_mask: 3,
            tlbc_index: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: InterpreterFrame {
            size: 80,
            previous: at("previous", 8),
            code: at("f_executable", 0),
            function: at("f_funcobj", 16),
            globals: at("f_globals", 24),
            builtins: at("f_builtins", 32),
            locals: at("f_locals", 40),
            frame_object: at("frame_obj", 48),
            instruction: Instruction::Current(at("instr_ptr", 56)),
            stack_end: StackEnd::Count(at("stacktop", 64)),
            localsplus: at("localsplus", 72),
            owner: at("owner", 70),
            shim_from: 3,
            tag_mask: 1,
            tlbc_index: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: InterpreterFrame {
            size: 88,
            previous: at("previous", 8),
            code: at("f_executable", 0),
            function: at("f_funcobj", 16),
            globals: at("f_globals", 24),
            builtins: at("f_builtins", 32),
            locals: at("f_locals", 40),
            frame_object: at("frame_obj", 48),
            instruction: Instruction::Current(at("instr_ptr", 56)),
            stack_end: StackEnd::Pointer(at("stackpointer", 64)),
            localsplus: at("localsplus", 80),
            owner: at("owner", 78),
            shim_from: 3,
            tag_mask: 3,
            tlbc_index: Some(at("tlbc_index", 72)),
        },
    },
]);

impl Shape for InterpreterFrame {
    const C_NAMES: &'static [&'static str] = &["_PyInterpreterFrame", "_interpreter_frame"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_PyInterpreterFrame";
        self.previous.visit_in(of, visit);
        self.code.visit_in(of, visit);
        self.function.visit_in(of, visit);
        self.globals.visit_in(of, visit);
        self.builtins.visit_in(of, visit);
        self.locals.visit_in(of, visit);
        self.frame_object.visit_in(of, visit);
        match &mut self.instruction {
            Instruction::Previous(field) | Instruction::Current(field) => field.visit_in(of, visit),
        }
        match &mut self.stack_end {
            StackEnd::Pointer(field) => field.visit_in(of, visit),
            StackEnd::Count(field) => field.visit_in(of, visit),
        }
        self.localsplus.visit_in(of, visit);
        self.owner.visit_in(of, visit);
        self.tlbc_index.visit_in(of, visit);
    }
}
