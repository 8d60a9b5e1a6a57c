//! `PyFrameObject`: a frame as Python code sees it.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | every call has one |
//! | 3.6   | the open blocks moved |
//! | 3.10  | `f_lasti` counts instructions, no longer bytes |
//! | 3.11  | made on demand, it points at a `_PyInterpreterFrame` or contains it |
//!
//! Source: `Include/frameobject.h`; `Include/internal/pycore_frame.h` from 3.11.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `_frame`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameObject {
    /// `sizeof`, one slot included up to 3.10.
    pub size: u64,
    /// The caller; from 3.11 on only once the frame has ended.
    pub back: Field<Ptr>,
    /// The line, if a tracer set it.
    pub lineno: Field<i32>,
    /// Where the call is.
    pub content: FrameContent,
    /// Which blocks (`with`, `try`, loops) are open; from 3.11 on the code tells.
    pub blocks: Option<Blocks>,
    /// Bytes of bytecode that one step of `lasti` stands for.
    pub lasti_unit: i32,
}

/// What tells whether a frame is executing: the stack of one that is not any more is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executing {
    /// A byte that is not zero.
    Flag(Field<u8>),
    /// Its thread, which leads to it if it is.
    Thread(Field<Ptr>),
}

/// Which blocks are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// How many.
    pub iblock: Field<i32>,
    /// Each of them, [`BLOCK_SIZE`] bytes, the outermost first.
    pub blockstack: Field<Inline>,
}

/// Where the call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a build has one, and it is not copied about")]
pub enum FrameContent {
    /// In this object.
    Here {
        /// The code.
        code: Field<Ptr>,
        /// The dict of the module.
        globals: Field<Ptr>,
        /// The dict of builtins.
        builtins: Field<Ptr>,
        /// The dict of locals, for modules and classes.
        locals: Field<Ptr>,
        /// The last instruction that was started, -1 before the first.
        lasti: Field<i32>,
        /// Where the value stack begins, after the locals.
        valuestack: Field<Ptr>,
        /// Where it ends, null while executing.
        stacktop: Option<Field<Ptr>>,
        /// How deep it is, -1 while executing.
        stackdepth: Option<Field<i32>>,
        /// What tells whether it is executing; where the depth of its stack does, nothing else.
        executing: Option<Executing>,
        /// The generator that it is a call of, borrowed.
        generator: Option<Field<Ptr>>,
        /// Locals, cells and free variables, then the value stack.
        localsplus: Field<Inline>,
    },
    /// In a `_PyInterpreterFrame`.
    Elsewhere {
        /// Where that is.
        frame: Field<Ptr>,
        /// The place for it in this object, used once the call has ended.
        own: Field<Inline>,
    },
}

/// Bytes of a `PyTryBlock`: three `int`.
pub const BLOCK_SIZE: u64 = 12;
/// Where in it `b_level` is: how deep the value stack was when the block was opened.
pub const BLOCK_LEVEL: u64 = 8;

/// Every layout of the struct, oldest first.
pub const FRAME_OBJECT: Table<FrameObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: FrameObject {
            size: 384,
            back: at("f_back", 24),
            lineno: at("f_lineno", 124),
            content: FrameContent::Here {
                code: at("f_code", 32),
                globals: at("f_globals", 48),
                builtins: at("f_builtins", 40),
                locals: at("f_locals", 56),
                lasti: at("f_lasti", 120),
                valuestack: at("f_valuestack", 64),
                stacktop: Some(at("f_stacktop", 72)),
                stackdepth: None,
                executing: Some(Executing::Thread(at("f_tstate", 112))),
                generator: None,
                localsplus: at("f_localsplus", 376),
            },
            blocks: Some(Blocks {
                iblock: at("f_iblock", 128),
                blockstack: at("f_blockstack", 132),
            }),
            lasti_unit: 1,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: FrameObject {
            size: 384,
            back: at("f_back", 24),
            lineno: at("f_lineno", 124),
            content: FrameContent::Here {
                code: at("f_code", 32),
                globals: at("f_globals", 48),
                builtins: at("f_builtins", 40),
                locals: at("f_locals", 56),
                lasti: at("f_lasti", 120),
                valuestack: at("f_valuestack", 64),
                stacktop: Some(at("f_stacktop", 72)),
                stackdepth: None,
                executing: Some(Executing::Flag(at("f_executing", 132))),
                generator: Some(at("f_gen", 112)),
                localsplus: at("f_localsplus", 376),
            },
            blocks: Some(Blocks {
                iblock: at("f_iblock", 128),
                blockstack: at("f_blockstack", 136),
            }),
            lasti_unit: 1,
        },
    },
    Row {
        since: v3(7),
        free_threaded: false,
        layout: FrameObject {
            size: 368,
            back: at("f_back", 24),
            lineno: at("f_lineno", 108),
            content: FrameContent::Here {
                code: at("f_code", 32),
                globals: at("f_globals", 48),
                builtins: at("f_builtins", 40),
                locals: at("f_locals", 56),
                lasti: at("f_lasti", 104),
                valuestack: at("f_valuestack", 64),
                stacktop: Some(at("f_stacktop", 72)),
                stackdepth: None,
                executing: Some(Executing::Flag(at("f_executing", 116))),
                generator: Some(at("f_gen", 96)),
                localsplus: at("f_localsplus", 360),
            },
            blocks: Some(Blocks {
                iblock: at("f_iblock", 112),
                blockstack: at("f_blockstack", 120),
            }),
            lasti_unit: 1,
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: FrameObject {
            size: 360,
            back: at("f_back", 24),
            lineno: at("f_lineno", 100),
            content: FrameContent::Here {
                code: at("f_code", 32),
                globals: at("f_globals", 48),
                builtins: at("f_builtins", 40),
                locals: at("f_locals", 56),
                lasti: at("f_lasti", 96),
                valuestack: at("f_valuestack", 64),
                stacktop: None,
                stackdepth: Some(at("f_stackdepth", 80)),
                executing: None,
                generator: Some(at("f_gen", 88)),
                localsplus: at("f_localsplus", 352),
            },
            blocks: Some(Blocks {
                iblock: at("f_iblock", 104),
                blockstack: at("f_blockstack", 112),
            }),
            lasti_unit: 2,
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: FrameObject {
            size: 56,
            back: at("f_back", 16),
            lineno: at("f_lineno", 40),
            content: FrameContent::Elsewhere {
                frame: at("f_frame", 24),
                own: at("_f_frame_data", 48),
            },
            blocks: None,
            lasti_unit: 2,
        },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: FrameObject {
            size: 72,
            back: at("f_back", 16),
            lineno: at("f_lineno", 40),
            content: FrameContent::Elsewhere {
                frame: at("f_frame", 24),
                own: at("_f_frame_data", 64),
            },
            blocks: None,
            lasti_unit: 2,
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: FrameObject {
            size: 80,
            back: at("f_back", 16),
            lineno: at("f_lineno", 40),
            content: FrameContent::Elsewhere {
                frame: at("f_frame", 24),
                own: at("_f_frame_data", 72),
            },
            blocks: None,
            lasti_unit: 2,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: FrameObject {
            size: 88,
            back: at("f_back", 32),
            lineno: at("f_lineno", 56),
            content: FrameContent::Elsewhere {
                frame: at("f_frame", 40),
                own: at("_f_frame_data", 80),
            },
            blocks: None,
            lasti_unit: 2,
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: FrameObject {
            size: 96,
            back: at("f_back", 32),
            lineno: at("f_lineno", 56),
            content: FrameContent::Elsewhere {
                frame: at("f_frame", 40),
                own: at("_f_frame_data", 88),
            },
            blocks: None,
            lasti_unit: 2,
        },
    },
]);

impl Shape for FrameObject {
    const C_NAMES: &'static [&'static str] = &["_frame", "PyFrameObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_frame";
        self.back.visit_in(of, visit);
        self.lineno.visit_in(of, visit);
        if let Some(blocks) = &mut self.blocks {
            blocks.iblock.visit_in(of, visit);
            blocks.blockstack.visit_in(of, visit);
        }
        match &mut self.content {
            FrameContent::Here {
                code,
                globals,
                builtins,
                locals,
                lasti,
                valuestack,
                stacktop,
                stackdepth,
                executing,
                generator,
                localsplus,
            } => {
                code.visit_in(of, visit);
                globals.visit_in(of, visit);
                builtins.visit_in(of, visit);
                locals.visit_in(of, visit);
                lasti.visit_in(of, visit);
                valuestack.visit_in(of, visit);
                stacktop.visit_in(of, visit);
                stackdepth.visit_in(of, visit);
                match executing {
                    Some(Executing::Flag(field)) => field.visit_in(of, visit),
                    Some(Executing::Thread(field)) => field.visit_in(of, visit),
                    None => {}
                }
                generator.visit_in(of, visit);
                localsplus.visit_in(of, visit);
            }
            FrameContent::Elsewhere { frame, own } => {
                frame.visit_in(of, visit);
                own.visit_in(of, visit);
            }
        }
    }
}
