//! `PyCodeObject`: compiled code.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | names of variables in three tuples, lines in `co_lnotab` |
//! | 3.6   | steps of `co_lnotab` are signed |
//! | 3.10  | `co_linetable`: ranges of bytecode with a step of the line |
//! | 3.11  | bytecode inside the object, one tuple of names, a location table |
//! | 3.14t | bytecode that each thread specialises for itself |
//!
//! Source: `Include/code.h`; `Include/cpython/code.h` from 3.8.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyCodeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeObject {
    /// `sizeof`; from 3.11 on with the first unit of bytecode and padding.
    pub size: u64,
    /// The file, a `str`.
    pub filename: Field<Ptr>,
    /// Name of the function.
    pub name: Field<Ptr>,
    /// Qualified name of the function.
    pub qualname: Option<Field<Ptr>>,
    /// The line of `def`.
    pub firstlineno: Field<i32>,
    /// Its constants.
    pub consts: Field<Ptr>,
    /// Names of globals and attributes.
    pub names: Field<Ptr>,
    /// Positional arguments.
    pub argcount: Field<i32>,
    /// Arguments by keyword only, 3.x.
    pub kwonlyargcount: Option<Field<i32>>,
    /// Local variables.
    pub nlocals: Field<i32>,
    /// Depth of the value stack.
    pub stacksize: Field<i32>,
    /// Which bytecode lies in a `with` or `try`, a bytes object, 3.11.
    pub exceptiontable: Option<Field<Ptr>>,
    /// `CO_*`.
    pub flags: Field<i32>,
    /// Which bytecode belongs to which line.
    pub lines: LineTable,
    /// Where the bytecode is.
    pub bytecode: Bytecode,
    /// The names of local variables.
    pub variables: Variables,
    /// Words that a frame takes.
    pub framesize: Option<Field<i32>>,
    /// What profilers attach.
    pub extra: Option<Field<Ptr>>,
    /// Which cells are arguments, an array beside the code, 3.x up to 3.10.
    pub cell2arg: Option<Field<Ptr>>,
    /// How many places the cache of global names has, 3.8 to 3.10.
    pub opcache_size: Option<Field<u8>>,
}

/// Which bytecode belongs to which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineTable {
    /// Location table, a bytes object (`Objects/locations.md`).
    Locations(Field<Ptr>),
    /// Pairs of bytes: length of bytecode, signed step of the line, -128 for none.
    Ranges(Field<Ptr>),
    /// Pairs of bytes: step of bytecode, signed step of the line.
    Signed(Field<Ptr>),
    /// Pairs of bytes, both unsigned.
    Unsigned(Field<Ptr>),
}

/// Where the bytecode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytecode {
    /// In the code object, at this place, `ob_size` units of 2 bytes. Without GIL from 3.14 on
    /// `tlbc` points at the copies of the threads.
    Inside {
        /// The bytecode.
        adaptive: Field<Inline>,
        /// `_PyCodeArray`: size, then pointers.
        tlbc: Option<Field<Ptr>>,
    },
    /// In a bytes object.
    Object(Field<Ptr>),
}

/// The names of local variables, in the order of `localsplus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variables {
    /// One tuple, and a bytes object with their kinds.
    Together {
        /// The names.
        names: Field<Ptr>,
        /// `CO_FAST_*`: 0x20 local, 0x40 cell, 0x80 free.
        kinds: Field<Ptr>,
        /// How many.
        count: Field<i32>,
    },
    /// Three tuples: locals, cells, free variables.
    Separate {
        /// Locals.
        varnames: Field<Ptr>,
        /// Cells.
        cellvars: Field<Ptr>,
        /// Free variables.
        freevars: Field<Ptr>,
    },
}

/// Every layout of the struct, oldest first.
pub const CODE_OBJECT: Table<CodeObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: CodeObject {
            size: 128,
            filename: at("co_filename", 80),
            name: at("co_name", 88),
            qualname: None,
            firstlineno: at("co_firstlineno", 96),
            consts: at("co_consts", 40),
            names: at("co_names", 48),
            argcount: at("co_argcount", 16),
            kwonlyargcount: None,
            nlocals: at("co_nlocals", 20),
            stacksize: at("co_stacksize", 24),
            exceptiontable: None,
            flags: at("co_flags", 28),
            lines: LineTable::Unsigned(at("co_lnotab", 104)),
            bytecode: Bytecode::Object(at("co_code", 32)),
            variables: Variables::Separate {
                varnames: at("co_varnames", 56),
                cellvars: at("co_cellvars", 72),
                freevars: at("co_freevars", 64),
            },
            framesize: None,
            extra: None,
            cell2arg: None,
            opcache_size: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: CodeObject {
            size: 144,
            filename: at("co_filename", 96),
            name: at("co_name", 104),
            qualname: None,
            firstlineno: at("co_firstlineno", 36),
            consts: at("co_consts", 48),
            names: at("co_names", 56),
            argcount: at("co_argcount", 16),
            kwonlyargcount: Some(at("co_kwonlyargcount", 20)),
            nlocals: at("co_nlocals", 24),
            stacksize: at("co_stacksize", 28),
            exceptiontable: None,
            flags: at("co_flags", 32),
            lines: LineTable::Signed(at("co_lnotab", 112)),
            bytecode: Bytecode::Object(at("co_code", 40)),
            variables: Variables::Separate {
                varnames: at("co_varnames", 64),
                cellvars: at("co_cellvars", 80),
                freevars: at("co_freevars", 72),
            },
            framesize: None,
            extra: Some(at("co_extra", 136)),
            cell2arg: Some(at("co_cell2arg", 88)),
            opcache_size: None,
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: CodeObject {
            size: 176,
            filename: at("co_filename", 104),
            name: at("co_name", 112),
            qualname: None,
            firstlineno: at("co_firstlineno", 40),
            consts: at("co_consts", 56),
            names: at("co_names", 64),
            argcount: at("co_argcount", 16),
            kwonlyargcount: Some(at("co_kwonlyargcount", 24)),
            nlocals: at("co_nlocals", 28),
            stacksize: at("co_stacksize", 32),
            exceptiontable: None,
            flags: at("co_flags", 36),
            lines: LineTable::Signed(at("co_lnotab", 120)),
            bytecode: Bytecode::Object(at("co_code", 48)),
            variables: Variables::Separate {
                varnames: at("co_varnames", 72),
                cellvars: at("co_cellvars", 88),
                freevars: at("co_freevars", 80),
            },
            framesize: None,
            extra: Some(at("co_extra", 144)),
            cell2arg: Some(at("co_cell2arg", 96)),
            opcache_size: Some(at("co_opcache_size", 172)),
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: CodeObject {
            size: 176,
            filename: at("co_filename", 104),
            name: at("co_name", 112),
            qualname: None,
            firstlineno: at("co_firstlineno", 40),
            consts: at("co_consts", 56),
            names: at("co_names", 64),
            argcount: at("co_argcount", 16),
            kwonlyargcount: Some(at("co_kwonlyargcount", 24)),
            nlocals: at("co_nlocals", 28),
            stacksize: at("co_stacksize", 32),
            exceptiontable: None,
            flags: at("co_flags", 36),
            lines: LineTable::Ranges(at("co_linetable", 120)),
            bytecode: Bytecode::Object(at("co_code", 48)),
            variables: Variables::Separate {
                varnames: at("co_varnames", 72),
                cellvars: at("co_cellvars", 88),
                freevars: at("co_freevars", 80),
            },
            framesize: None,
            extra: Some(at("co_extra", 144)),
            cell2arg: Some(at("co_cell2arg", 96)),
            opcache_size: Some(at("co_opcache_size", 172)),
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: CodeObject {
            size: 192,
            filename: at("co_filename", 112),
            name: at("co_name", 120),
            qualname: Some(at("co_qualname", 128)),
            firstlineno: at("co_firstlineno", 72),
            consts: at("co_consts", 24),
            names: at("co_names", 32),
            argcount: at("co_argcount", 56),
            kwonlyargcount: Some(at("co_kwonlyargcount", 64)),
            nlocals: at("co_nlocals", 80),
            stacksize: at("co_stacksize", 68),
            exceptiontable: Some(at("co_exceptiontable", 40)),
            flags: at("co_flags", 48),
            lines: LineTable::Locations(at("co_linetable", 136)),
            bytecode: Bytecode::Inside { adaptive: at("co_code_adaptive", 184), tlbc: None },
            variables: Variables::Together {
                names: at("co_localsplusnames", 96),
                kinds: at("co_localspluskinds", 104),
                count: at("co_nlocalsplus", 76),
            },
            framesize: None,
            extra: Some(at("co_extra", 176)),
            cell2arg: None,
            opcache_size: None,
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: CodeObject {
            size: 200,
            filename: at("co_filename", 112),
            name: at("co_name", 120),
            qualname: Some(at("co_qualname", 128)),
            firstlineno: at("co_firstlineno", 68),
            consts: at("co_consts", 24),
            names: at("co_names", 32),
            argcount: at("co_argcount", 52),
            kwonlyargcount: Some(at("co_kwonlyargcount", 60)),
            nlocals: at("co_nlocals", 80),
            stacksize: at("co_stacksize", 64),
            exceptiontable: Some(at("co_exceptiontable", 40)),
            flags: at("co_flags", 48),
            lines: LineTable::Locations(at("co_linetable", 136)),
            bytecode: Bytecode::Inside { adaptive: at("co_code_adaptive", 192), tlbc: None },
            variables: Variables::Together {
                names: at("co_localsplusnames", 96),
                kinds: at("co_localspluskinds", 104),
                count: at("co_nlocalsplus", 72),
            },
            framesize: Some(at("co_framesize", 76)),
            extra: Some(at("co_extra", 184)),
            cell2arg: None,
            opcache_size: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: CodeObject {
            size: 208,
            filename: at("co_filename", 112),
            name: at("co_name", 120),
            qualname: Some(at("co_qualname", 128)),
            firstlineno: at("co_firstlineno", 68),
            consts: at("co_consts", 24),
            names: at("co_names", 32),
            argcount: at("co_argcount", 52),
            kwonlyargcount: Some(at("co_kwonlyargcount", 60)),
            nlocals: at("co_nlocals", 80),
            stacksize: at("co_stacksize", 64),
            exceptiontable: Some(at("co_exceptiontable", 40)),
            flags: at("co_flags", 48),
            lines: LineTable::Locations(at("co_linetable", 136)),
            bytecode: Bytecode::Inside { adaptive: at("co_code_adaptive", 200), tlbc: None },
            variables: Variables::Together {
                names: at("co_localsplusnames", 96),
                kinds: at("co_localspluskinds", 104),
                count: at("co_nlocalsplus", 72),
            },
            framesize: Some(at("co_framesize", 76)),
            extra: Some(at("co_extra", 192)),
            cell2arg: None,
            opcache_size: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: CodeObject {
            size: 216,
            filename: at("co_filename", 112),
            name: at("co_name", 120),
            qualname: Some(at("co_qualname", 128)),
            firstlineno: at("co_firstlineno", 68),
            consts: at("co_consts", 24),
            names: at("co_names", 32),
            argcount: at("co_argcount", 52),
            kwonlyargcount: Some(at("co_kwonlyargcount", 60)),
            nlocals: at("co_nlocals", 80),
            stacksize: at("co_stacksize", 64),
            exceptiontable: Some(at("co_exceptiontable", 40)),
            flags: at("co_flags", 48),
            lines: LineTable::Locations(at("co_linetable", 136)),
            bytecode: Bytecode::Inside { adaptive: at("co_code_adaptive", 208), tlbc: None },
            variables: Variables::Together {
                names: at("co_localsplusnames", 96),
                kinds: at("co_localspluskinds", 104),
                count: at("co_nlocalsplus", 72),
            },
            framesize: Some(at("co_framesize", 76)),
            extra: Some(at("co_extra", 200)),
            cell2arg: None,
            opcache_size: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: CodeObject {
            size: 224,
            filename: at("co_filename", 128),
            name: at("co_name", 136),
            qualname: Some(at("co_qualname", 144)),
            firstlineno: at("co_firstlineno", 84),
            consts: at("co_consts", 40),
            names: at("co_names", 48),
            argcount: at("co_argcount", 68),
            kwonlyargcount: Some(at("co_kwonlyargcount", 76)),
            nlocals: at("co_nlocals", 96),
            stacksize: at("co_stacksize", 80),
            exceptiontable: Some(at("co_exceptiontable", 56)),
            flags: at("co_flags", 64),
            lines: LineTable::Locations(at("co_linetable", 152)),
            bytecode: Bytecode::Inside { adaptive: at("co_code_adaptive", 216), tlbc: None },
            variables: Variables::Together {
                names: at("co_localsplusnames", 112),
                kinds: at("co_localspluskinds", 120),
                count: at("co_nlocalsplus", 88),
            },
            framesize: Some(at("co_framesize", 92)),
            extra: Some(at("co_extra", 208)),
            cell2arg: None,
            opcache_size: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: CodeObject {
            size: 240,
            filename: at("co_filename", 128),
            name: at("co_name", 136),
            qualname: Some(at("co_qualname", 144)),
            firstlineno: at("co_firstlineno", 84),
            consts: at("co_consts", 40),
            names: at("co_names", 48),
            argcount: at("co_argcount", 68),
            kwonlyargcount: Some(at("co_kwonlyargcount", 76)),
            nlocals: at("co_nlocals", 96),
            stacksize: at("co_stacksize", 80),
            exceptiontable: Some(at("co_exceptiontable", 56)),
            flags: at("co_flags", 64),
            lines: LineTable::Locations(at("co_linetable", 152)),
            bytecode: Bytecode::Inside {
                adaptive: at("co_code_adaptive", 232),
                tlbc: Some(at("co_tlbc", 224)),
            },
            variables: Variables::Together {
                names: at("co_localsplusnames", 112),
                kinds: at("co_localspluskinds", 120),
                count: at("co_nlocalsplus", 88),
            },
            framesize: Some(at("co_framesize", 92)),
            extra: Some(at("co_extra", 216)),
            cell2arg: None,
            opcache_size: None,
        },
    },
]);

impl Shape for CodeObject {
    const C_NAMES: &'static [&'static str] = &["PyCodeObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyCodeObject";
        self.filename.visit_in(of, visit);
        self.name.visit_in(of, visit);
        self.qualname.visit_in(of, visit);
        self.firstlineno.visit_in(of, visit);
        self.consts.visit_in(of, visit);
        self.names.visit_in(of, visit);
        self.argcount.visit_in(of, visit);
        self.kwonlyargcount.visit_in(of, visit);
        self.nlocals.visit_in(of, visit);
        self.stacksize.visit_in(of, visit);
        self.exceptiontable.visit_in(of, visit);
        self.flags.visit_in(of, visit);
        match &mut self.lines {
            LineTable::Locations(field)
            | LineTable::Ranges(field)
            | LineTable::Signed(field)
            | LineTable::Unsigned(field) => field.visit_in(of, visit),
        }
        match &mut self.bytecode {
            Bytecode::Inside { adaptive, tlbc } => {
                adaptive.visit_in(of, visit);
                tlbc.visit_in(of, visit);
            }
            Bytecode::Object(field) => field.visit_in(of, visit),
        }
        match &mut self.variables {
            Variables::Together { names, kinds, count } => {
                names.visit_in(of, visit);
                kinds.visit_in(of, visit);
                count.visit_in(of, visit);
            }
            Variables::Separate { varnames, cellvars, freevars } => {
                varnames.visit_in(of, visit);
                cellvars.visit_in(of, visit);
                freevars.visit_in(of, visit);
            }
        }
        self.framesize.visit_in(of, visit);
        self.extra.visit_in(of, visit);
        self.cell2arg.visit_in(of, visit);
        self.opcache_size.visit_in(of, visit);
    }
}
