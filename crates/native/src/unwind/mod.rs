//! Through which C functions did a thread come to where it is?
//!
//! From its registers outwards, by the rules of each image's `.eh_frame` and of the kernel's page
//! of code; through signal handlers, too. Where there is no rule, as in code made at run time, the
//! stack ends and says why.

mod table;

use crate::Images;
use gimli::UnwindContext;
use memwhy_model::{Addr, AddrRange};
use memwhy_target::{Memory as _, Registers, View};
use object::{Object as _, ObjectSection as _};
use rustc_hash::FxHashMap;
use std::fmt;
use table::{Known, Table};

/// The kernel's page of code is small.
const LARGEST_VDSO: u64 = 64 << 10;

/// One C function on a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NativeCall {
    /// The program counter: of all but the innermost the address to return to.
    pub address: Addr,
    /// An address inside of the instruction that it is at; what symbols and lines are looked up by.
    pub inside: Addr,
    /// The lowest address of its frame, as far as it is known.
    pub frame: AddrRange,
    /// The code that its unwind rules are for: the function, or a part of it.
    pub code: Option<AddrRange>,
}

/// The C functions of one thread.
#[derive(Clone, Debug, Default)]
pub struct NativeCalls {
    /// The innermost first.
    pub calls: Vec<NativeCall>,
    /// Why it does not lead to the function that the thread began with; `None` if it does.
    pub ended: Option<String>,
}

/// Unwinds stacks; what an image says is read once.
pub struct Unwinder<'a> {
    view: &'a View,
    images: &'a Images,
    /// By the start of the image.
    tables: FxHashMap<Addr, Option<Table>>,
    vdso: Option<(AddrRange, Table)>,
    context: UnwindContext<usize>,
}

impl fmt::Debug for Unwinder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unwinder").field("tables", &self.tables.len()).finish_non_exhaustive()
    }
}

impl<'a> Unwinder<'a> {
    /// Nothing is read yet but the kernel's code.
    #[must_use]
    pub fn new(view: &'a View, images: &'a Images) -> Self {
        Self {
            view,
            images,
            tables: FxHashMap::default(),
            vdso: vdso(view),
            context: UnwindContext::new(),
        }
    }

    /// The functions of the thread with `registers`, at most `most`.
    pub fn unwind(&mut self, registers: &Registers, most: usize) -> NativeCalls {
        let mut known = Known::of(registers);
        let mut found = NativeCalls::default();
        let mut returned = false;
        let mut low = known.stack();
        loop {
            let Some(at) = known.instruction().filter(|at| at.0 != 0) else {
                if found.calls.is_empty() {
                    found.ended = Some("its registers are not known".into());
                }
                return found;
            };
            if found.calls.len() >= most {
                found.ended = Some(format!("more than {most} frames"));
                return found;
            }
            // A call may be a function's last instruction: then the return address is the next
            // function's.
            let inside = if returned { Addr(at.0.saturating_sub(1)) } else { at };
            let mut call = NativeCall {
                address: at,
                inside,
                frame: AddrRange::new(low.unwrap_or_default(), low.unwrap_or_default()),
                code: None,
            };
            let stepped = self.step(&known, inside);
            if let Ok(step) = &stepped {
                call.code = Some(step.code);
                if step.frame >= call.frame.start {
                    call.frame = AddrRange::new(call.frame.start, step.frame);
                }
            }
            found.calls.push(call);
            match stepped {
                Ok(step) => {
                    // A stack that does not shrink is a loop; a signal may be on a stack of its own.
                    let shrinks = step.caller.stack() > known.stack();
                    if !shrinks && !step.signal && returned {
                        found.ended =
                            Some(format!("{}: the stack goes in circles", self.at(inside)));
                        return found;
                    }
                    returned = !step.signal;
                    known = step.caller;
                    low = known.stack();
                }
                Err(lost) => {
                    found.ended = Some(format!("{}: {lost}", self.at(inside)));
                    return found;
                }
            }
        }
    }

    /// The code that the rules for `at` cover: a function, or the part of one that was moved away.
    pub fn code_at(&mut self, at: Addr) -> Option<AddrRange> {
        self.table(at)?.code_at(at)
    }

    fn step(&mut self, known: &Known, inside: Addr) -> Result<table::Step, table::Lost> {
        let view = self.view;
        let mut context = std::mem::take(&mut self.context);
        let table = self.table(inside).ok_or(table::Lost::NoRule);
        let step = table.and_then(|table| table.step(view, known, inside, &mut context));
        self.context = context;
        step
    }

    fn table(&mut self, at: Addr) -> Option<&Table> {
        if let Some((range, table)) = &self.vdso
            && range.contains(at)
        {
            return Some(table);
        }
        let image = self.images.containing(at)?;
        self.tables.entry(image.span.start).or_insert_with(|| Table::of(image)).as_ref()
    }

    /// Names a place.
    fn at(&self, at: Addr) -> String {
        match self.images.containing(at) {
            Some(image) => format!("{at} in {}", image.file_name()),
            None => match self.view.maps().find(at) {
                None => format!("{at}, which is not mapped"),
                Some(mapping) if mapping.facts.name.is_empty() => {
                    format!("{at} in anonymous memory")
                }
                Some(mapping) => format!("{at} in {}", mapping.facts.name),
            },
        }
    }
}

/// The kernel's page of code: an ELF image that is in memory only.
fn vdso(view: &View) -> Option<(AddrRange, Table)> {
    let mapping = view.maps().0.iter().find(|mapping| mapping.facts.name == "[vdso]")?;
    let range = mapping.range();
    let mut bytes = vec![0; usize::try_from(range.len().min(LARGEST_VDSO)).ok()?];
    view.read(range.start, &mut bytes).ok()?;
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(bytes.as_slice()).ok()?;
    let section = |name| {
        let section = elf.section_by_name(name)?;
        let place = AddrRange::sized(range.start.at(section.address()), section.size());
        Some((place, section.data().ok()?.to_vec()))
    };
    let (at, rules) = section(".eh_frame")?;
    let text = section(".text").map(|(at, _)| at);
    Some((range, Table::new(at, rules, section(".eh_frame_hdr"), text, range.start.0)?))
}
