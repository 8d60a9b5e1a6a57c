//! What does a code object say of itself: its names, its variables, its lines?

use crate::layout::tables::code_object::{LineTable, Variables};
use crate::layout::{Layouts, Ptr};
use crate::lines::{lnotab, v310, v311};
use crate::text;
use memwhy_model::{Addr, LocalKind, Span};
use memwhy_target::{Fault, Memory, MemoryExt};
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::Arc;

/// Names of functions, files and variables are cut here.
const LONGEST_NAME: usize = 512;
/// No code has more variables.
pub(crate) const MOST_VARIABLES: usize = 1 << 14;
/// No line table is longer.
const LONGEST_TABLE: usize = 8 << 20;
/// Stands for a text that could not be read.
const UNREADABLE: &str = "<unreadable>";
/// `CO_FAST_CELL` and `CO_FAST_FREE`, `Include/internal/pycore_code.h`: the slot has a cell with
/// the value, of this function or of one around it.
const CELL: u8 = 0x40;
const FREE: u8 = 0x80;
/// `CO_VARARGS` and `CO_VARKEYWORDS`, `Include/code.h`: one more argument each.
const VARIABLE_ARGUMENTS: [i32; 2] = [4, 8];

/// A code object.
#[derive(Debug)]
pub struct Code {
    /// The qualified name where the version has one.
    pub function: String,
    /// `co_filename`.
    pub file: String,
    /// The line of `def`.
    pub first_line: i32,
    /// Each variable, in the order of the slots.
    pub variables: Vec<Variable>,
    lines: Lines,
}

/// A variable of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What kind it is.
    pub kind: LocalKind,
    /// Whether its slot has a cell that has the value.
    pub in_a_cell: bool,
}

#[derive(Debug)]
enum Lines {
    Locations(Vec<u8>),
    Ranges(Vec<u8>),
    Steps(Vec<u8>, lnotab::Steps),
}

impl Code {
    /// The line of the instruction at `offset`, in bytes, and its part of the source where that is
    /// recorded.
    #[must_use]
    pub fn place(&self, offset: u32) -> (Option<u32>, Option<Span>) {
        match &self.lines {
            Lines::Locations(table) => v311::place(table, self.first_line, offset),
            Lines::Ranges(table) => (v310::line(table, self.first_line, offset), None),
            Lines::Steps(table, steps) => {
                (lnotab::line(table, self.first_line, offset, *steps), None)
            }
        }
    }
}

/// Reads code objects, each once.
pub struct Codes<'a> {
    memory: &'a dyn Memory,
    layouts: &'a Layouts,
    known: FxHashMap<Addr, Option<Arc<Code>>>,
}

impl fmt::Debug for Codes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codes").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl<'a> Codes<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(memory: &'a dyn Memory, layouts: &'a Layouts) -> Self {
        Self { memory, layouts, known: FxHashMap::default() }
    }

    /// The code at `at`, `None` if it is none.
    pub fn at(&mut self, at: Addr) -> Option<Arc<Code>> {
        if let Some(known) = self.known.get(&at) {
            return known.clone();
        }
        let code = if self.is_a(at, "code") { self.read(at).ok().map(Arc::new) } else { None };
        self.known.insert(at, code.clone());
        code
    }

    /// Whether the type of `object` has this name.
    pub(crate) fn is_a(&self, object: Addr, type_name: &str) -> bool {
        let name = || {
            let ty = self.layouts.object.ob_type.read(self.memory, object).ok()??;
            let name = self.layouts.type_object.tp_name.read(self.memory, ty).ok()??;
            self.memory.c_string(name, 64).ok()
        };
        name().is_some_and(|name| name == type_name)
    }

    fn read(&self, at: Addr) -> Result<Code, Fault> {
        let (memory, fields) = (self.memory, &self.layouts.code_object);
        let qualified = fields.qualname.map(|field| field.read(memory, at)).transpose()?.flatten();
        let name = match qualified {
            Some(name) => Some(name),
            None => fields.name.read(memory, at)?,
        };
        let lines = match fields.lines {
            LineTable::Unsigned(table) => {
                Lines::Steps(self.table(table.read(memory, at)?)?, lnotab::Steps::Unsigned)
            }
            LineTable::Signed(table) => {
                Lines::Steps(self.table(table.read(memory, at)?)?, lnotab::Steps::Signed)
            }
            LineTable::Ranges(table) => Lines::Ranges(self.table(table.read(memory, at)?)?),
            LineTable::Locations(table) => Lines::Locations(self.table(table.read(memory, at)?)?),
        };
        Ok(Code {
            function: self.text(name),
            file: self.text(fields.filename.read(memory, at)?),
            first_line: fields.firstlineno.read(memory, at)?,
            variables: self.variables(at)?,
            lines,
        })
    }

    /// How many of the first variables are arguments.
    fn arguments(&self, code: Addr) -> Result<usize, Fault> {
        let (memory, fields) = (self.memory, &self.layouts.code_object);
        let by_name = fields.kwonlyargcount.map(|field| field.read(memory, code)).transpose()?;
        let flags = fields.flags.read(memory, code)?;
        let rest = VARIABLE_ARGUMENTS.iter().filter(|flag| flags & **flag != 0).count();
        let number = |count: i32| usize::try_from(count).unwrap_or(0);
        let positional = number(fields.argcount.read(memory, code)?);
        Ok(positional.saturating_add(number(by_name.unwrap_or(0))).saturating_add(rest))
    }

    /// The variables of the code at `code`.
    pub(crate) fn variables(&self, code: Addr) -> Result<Vec<Variable>, Fault> {
        let memory = self.memory;
        let arguments = self.arguments(code)?;
        let kind = |place: usize, cell: bool, free: bool| match (free, cell) {
            (true, _) => LocalKind::Free,
            _ if place < arguments => LocalKind::Argument,
            (false, true) => LocalKind::Cell,
            (false, false) => LocalKind::Local,
        };
        match self.layouts.code_object.variables {
            Variables::Together { names, kinds, .. } => {
                let names = self.names(names.read(memory, code)?)?;
                let kinds = self.table(kinds.read(memory, code)?)?;
                let known = names.into_iter().zip(kinds).enumerate();
                let variable = |(place, (name, bits)): (usize, (String, u8))| Variable {
                    name,
                    kind: kind(place, bits & CELL != 0, bits & FREE != 0),
                    in_a_cell: bits & (CELL | FREE) != 0,
                };
                Ok(known.map(variable).collect())
            }
            Variables::Separate { varnames, cellvars, freevars } => {
                let own = self.names(varnames.read(memory, code)?)?;
                let cells = self.names(cellvars.read(memory, code)?)?;
                let free = self.names(freevars.read(memory, code)?)?;
                let own = own.into_iter().enumerate();
                let own = own.map(|(place, name)| (name, kind(place, false, false), false));
                let cells = cells.into_iter().map(|name| (name, LocalKind::Cell, true));
                let free = free.into_iter().map(|name| (name, LocalKind::Free, true));
                let all = own.chain(cells).chain(free);
                Ok(all.map(|(name, kind, in_a_cell)| Variable { name, kind, in_a_cell }).collect())
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

    /// The content of a bytes object.
    fn table(&self, object: Ptr) -> Result<Vec<u8>, Fault> {
        let object = object.ok_or(Fault::unmapped(Addr(0)))?;
        let length = self.layouts.var_object.ob_size.read(self.memory, object)?;
        let length = u64::try_from(length).map_err(|_| Fault::too_long(object))?;
        self.memory.bytes(self.layouts.bytes_object.ob_sval.addr(object), length, LONGEST_TABLE)
    }
}
