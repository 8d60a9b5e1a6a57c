//! What does the `.eh_frame` of one image say of the caller of a function?
//!
//! We run the rules with gimli and carry all sixteen registers: functions that align their stack
//! find their frame by `r10` or `rbx`, and an unwinder that knows `rsp` and `rbp` alone loses its
//! way there. Nor do we ever guess by frame pointers: where no rule is, the stack ends, and says so.

use crate::Image;
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, EvaluationResult,
    FrameDescriptionEntry, Location, Register, RegisterRule, UnwindContext, UnwindExpression,
    UnwindSection as _, Value,
};
use memwhy_model::{Addr, AddrRange};
use memwhy_target::{Memory, MemoryExt, Registers};
use std::fmt;

/// DWARF's numbers: the stack pointer, and the return address.
const STACK: u16 = 7;
const RETURN: u16 = 16;
/// What a function hands back as it got it, unless a rule says otherwise: rbx, rbp, r12 to r15.
const PRESERVED: [u16; 6] = [3, 6, 12, 13, 14, 15];
/// Steps of one expression; those of signal frames and PLTs take ten.
const LONGEST_EXPRESSION: u32 = 200;

type Slice<'a> = EndianSlice<'a, gimli::LittleEndian>;

/// The values of DWARF's registers 0 to 16, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known([Option<u64>; 17]);

impl Known {
    pub(super) fn of(registers: &Registers) -> Self {
        let mut known = Self::default();
        for (number, value) in (0..).zip(&mut known.0) {
            *value = registers.by_dwarf(number);
        }
        known
    }

    fn get(&self, number: u16) -> Option<u64> {
        self.0.get(usize::from(number)).copied().flatten()
    }

    fn set(&mut self, number: u16, value: Option<u64>) {
        if let Some(register) = self.0.get_mut(usize::from(number)) {
            *register = value;
        }
    }

    pub(super) fn instruction(&self) -> Option<Addr> {
        self.get(RETURN).map(Addr)
    }

    pub(super) fn stack(&self) -> Option<Addr> {
        self.get(STACK).map(Addr)
    }
}

/// Why a caller could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// No rule covers the address.
    NoRule,
    /// The rule is not one that we can follow.
    BadRule,
    /// A register that the rule needs is not known.
    Register(u16),
    /// Memory that the rule needs could not be read.
    Memory(Addr),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no unwind rules for this code"),
            Self::BadRule => f.write_str("unwind rules that cannot be followed"),
            Self::Register(number) => write!(f, "register {number} (DWARF) is not known"),
            Self::Memory(at) => write!(f, "the stack at {at} could not be read"),
        }
    }
}

/// One step outwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The registers of the caller; no program counter where there is no caller.
    pub(super) caller: Known,
    /// The canonical frame address: the callee's frame lies below.
    pub(super) frame: Addr,
    /// Whether a signal interrupted the caller: then its address is no return address.
    pub(super) signal: bool,
    /// The code that the rules are for, in the process.
    pub(super) code: AddrRange,
}

/// The rules of one image.
#[derive(Debug)]
pub(super) struct Table {
    rules: Vec<u8>,
    index: Option<Vec<u8>>,
    bases: BaseAddresses,
    bias: u64,
}

impl Table {
    /// Reads the rules; `None` if the image has none.
    pub(super) fn of(image: &Image) -> Option<Self> {
        let section = |name| Some((image.section(name)?, image.section_bytes(name)?));
        let (at, rules) = section(".eh_frame")?;
        Self::new(at, rules, section(".eh_frame_hdr"), image.section(".text"), image.bias)
    }

    /// The same of sections at places in the process.
    pub(super) fn new(
        at: AddrRange,
        rules: Vec<u8>,
        index: Option<(AddrRange, Vec<u8>)>,
        text: Option<AddrRange>,
        bias: u64,
    ) -> Option<Self> {
        // Everything in the file is relative to where the file says it is loaded.
        let place = |range: AddrRange| range.start.0.wrapping_sub(bias);
        let mut bases = BaseAddresses::default().set_eh_frame(place(at));
        if let Some(text) = text {
            bases = bases.set_text(place(text));
        }
        if let Some((at, _)) = &index {
            bases = bases.set_eh_frame_hdr(place(*at));
        }
        let index = index.map(|(_, bytes)| bytes);
        (!rules.is_empty()).then_some(Self { rules, index, bases, bias })
    }

    fn section(&self) -> EhFrame<Slice<'_>> {
        let mut section = EhFrame::new(&self.rules, gimli::LittleEndian);
        section.set_address_size(8);
        section
    }

    fn entry(&self, at: Addr) -> Option<FrameDescriptionEntry<Slice<'_>>> {
        let (vaddr, section) = (at.0.wrapping_sub(self.bias), self.section());
        if let Some(index) = &self.index
            && let Ok(index) = EhFrameHdr::new(index, gimli::LittleEndian).parse(&self.bases, 8)
            && let Some(sorted) = index.table()
        {
            let found =
                sorted.fde_for_address(&section, &self.bases, vaddr, EhFrame::cie_from_offset);
            return found.ok();
        }
        section.fde_for_address(&self.bases, vaddr, EhFrame::cie_from_offset).ok()
    }

    /// The code that one entry covers: a function, or the part of one that was moved away.
    pub(super) fn code_at(&self, at: Addr) -> Option<AddrRange> {
        self.entry(at).map(|entry| self.code_of(&entry))
    }

    fn code_of(&self, entry: &FrameDescriptionEntry<Slice<'_>>) -> AddrRange {
        let start = Addr(entry.initial_address().wrapping_add(self.bias));
        AddrRange::new(start, Addr(start.0.saturating_add(entry.len())))
    }

    /// From a place in a function to the place that called it. `at` is in the instruction that the
    /// function is at: for a return address, one byte before.
    pub(super) fn step(
        &self,
        memory: &dyn Memory,
        callee: &Known,
        at: Addr,
        context: &mut UnwindContext<usize>,
    ) -> Result<Step, Lost> {
        let entry = self.entry(at).ok_or(Lost::NoRule)?;
        let section = self.section();
        let vaddr = at.0.wrapping_sub(self.bias);
        let row = entry
            .unwind_info_for_address(&section, &self.bases, context, vaddr)
            .map_err(|_| Lost::BadRule)?;
        let run = |expression: &UnwindExpression<usize>, frame: Option<u64>| {
            evaluate(&section, &entry, expression, callee, memory, frame)
        };
        let frame = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let base = callee.get(register.0).ok_or(Lost::Register(register.0))?;
                base.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => run(expression, None)?,
        };
        let read = |at: u64| memory.u64(Addr(at)).map_err(|_| Lost::Memory(Addr(at)));
        let mut known = Known::default();
        for number in 0..=RETURN {
            let value = match row.register(Register(number)) {
                None if PRESERVED.contains(&number) => callee.get(number),
                None if number == STACK => Some(frame),
                None | Some(RegisterRule::Undefined) => None,
                Some(RegisterRule::SameValue) => callee.get(number),
                Some(RegisterRule::Offset(offset)) => {
                    Some(read(frame.wrapping_add_signed(offset))?)
                }
                Some(RegisterRule::ValOffset(offset)) => Some(frame.wrapping_add_signed(offset)),
                Some(RegisterRule::Register(other)) => callee.get(other.0),
                Some(RegisterRule::Expression(expression)) => {
                    Some(read(run(&expression, Some(frame))?)?)
                }
                Some(RegisterRule::ValExpression(expression)) => {
                    Some(run(&expression, Some(frame))?)
                }
                Some(RegisterRule::Constant(constant)) => Some(constant),
                Some(_) => return Err(Lost::BadRule),
            };
            known.set(number, value);
        }
        Ok(Step {
            caller: known,
            frame: Addr(frame),
            signal: entry.is_signal_trampoline(),
            code: self.code_of(&entry),
        })
    }
}

/// Runs an expression: a calculator with a stack, whose inputs are registers and memory.
fn evaluate(
    section: &EhFrame<Slice<'_>>,
    entry: &FrameDescriptionEntry<Slice<'_>>,
    expression: &UnwindExpression<usize>,
    registers: &Known,
    memory: &dyn Memory,
    frame: Option<u64>,
) -> Result<u64, Lost> {
    let expression = expression.get(section).map_err(|_| Lost::BadRule)?;
    let mut evaluation = expression.evaluation(entry.cie().encoding());
    evaluation.set_max_iterations(LONGEST_EXPRESSION);
    if let Some(frame) = frame {
        evaluation.set_initial_value(frame);
    }
    let mut state = evaluation.evaluate().map_err(|_| Lost::BadRule)?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = registers.get(register.0).ok_or(Lost::Register(register.0))?;
                evaluation.resume_with_register(Value::Generic(value))
            }
            EvaluationResult::RequiresMemory { address, size, .. } => {
                let mut word = [0; 8];
                let wanted = word.get_mut(..usize::from(size)).ok_or(Lost::BadRule)?;
                let fault = |_| Lost::Memory(Addr(address));
                memory.read(Addr(address), wanted).map_err(fault)?;
                evaluation.resume_with_memory(Value::Generic(u64::from_le_bytes(word)))
            }
            // The others belong to descriptions of variables.
            _ => return Err(Lost::BadRule),
        }
        .map_err(|_| Lost::BadRule)?;
    }
    match evaluation.as_result() {
        [piece] => match piece.location {
            Location::Address { address } => Ok(address),
            Location::Value { value } => value.to_u64(u64::MAX).map_err(|_| Lost::BadRule),
            _ => Err(Lost::BadRule),
        },
        _ => Err(Lost::BadRule),
    }
}
