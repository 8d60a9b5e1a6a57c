//! What has to lie on the stack of a blocked thread so that it calls functions and then goes on by
//! itself?
//!
//! A signal frame: the one the kernel would have written had it delivered a signal there. The
//! functions return into each other and the last one into `__restore_rt`, whose `rt_sigreturn`
//! takes every register back to what it was. So the thread restores itself; nobody has to be there
//! to do it, and we may be killed at any instant.
//!
//! Source: Linux `arch/x86/kernel/signal_64.c` (`restore_sigcontext`, `__NR_rt_sigreturn`),
//! `arch/x86/include/uapi/asm/sigcontext.h`, `arch/x86/kernel/fpu/signal.c`
//! (`check_xstate_in_sigframe`).

use crate::gadgets::Gadgets;
use memwhy_model::Addr;
use memwhy_target::{Register, Registers};

/// Below the stack pointer lie 128 bytes that a leaf function may use (System V ABI).
const RED_ZONE: u64 = 128;
/// `FP_XSTATE_MAGIC1`, `FP_XSTATE_MAGIC2`.
const MAGIC: (u32, u32) = (0x4650_5853, 0x4650_5845);
/// Where `sw_reserved` begins in the legacy area.
const SOFTWARE_BYTES: usize = 464;
/// `UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS`.
const CONTEXT_FLAGS: u64 = 7;
/// `struct ucontext` with `struct sigcontext_64` in it.
const CONTEXT_SIZE: u64 = 40 + 256 + 8;
/// Flags of an alternate stack that do not exist: with them `rt_sigreturn` leaves the one that the
/// thread has as it is, where any valid value would replace it.
const NO_SUCH_STACK: u32 = 0x40;

/// Arguments behind the first, and the number of vector registers that a function without a fixed
/// number of arguments is told.
const ARGUMENTS_LEFT: [Register; 6] =
    [Register::Rsi, Register::Rdx, Register::Rcx, Register::R8, Register::R9, Register::Rax];

/// A function of C and its argument, if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Where it is.
    pub(crate) function: Addr,
    /// What it is given.
    pub(crate) argument: Argument,
}

/// What a function is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// A number.
    Number(u64),
    /// Where the text is that was written beside the frame.
    Text,
}

/// Bytes for the stack, and the registers that start it all.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Where the bytes go.
    pub(crate) at: Addr,
    /// What goes there.
    pub(crate) bytes: Vec<u8>,
    /// The thread's next registers.
    pub(crate) registers: Registers,
}

/// What a thread is like that stands in the kernel.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Its registers; of an interrupted system call as the kernel left them.
    pub(crate) registers: Registers,
    /// Its extended state.
    pub(crate) extended: Vec<u8>,
    /// The signals that it blocks.
    pub(crate) mask: u64,
}

impl Frame {
    /// Lays out a frame in which the thread makes `calls`, one after another, and then goes on
    /// where it stands, asking the kernel once more for what it was waiting for.
    ///
    /// `None` without calls, or if the extended state has a size that cannot be.
    pub(crate) fn build(
        standing: &Standing,
        gadgets: &Gadgets,
        calls: &[Call],
        text: &[u8],
    ) -> Option<Self> {
        let (first, rest) = calls.split_first()?;
        let extended_size = u32::try_from(standing.extended.len()).ok()?;
        if standing.extended.len() < 512 + 64 {
            return None;
        }
        // From the top down: extended state, text, context, the chain of returns.
        let stack = standing.registers.stack_pointer()?;
        let below = stack.0.checked_sub(RED_ZONE + 256)?;
        let state_at = below.checked_sub(u64::from(extended_size) + 4)? & !63;
        let text_at = state_at.checked_sub(text.len() as u64 + 1)? & !15;
        // The chain: for each further call its argument, an odd `ret` to keep the stack aligned,
        // and the function; at last `__restore_rt`, which finds the context right above itself.
        let chain_words = 4 * rest.len() as u64 + 1;
        // At the entry of a function the stack pointer is 8 more than a multiple of 16.
        let start =
            (text_at.checked_sub(CONTEXT_SIZE + 128 + 8 * chain_words)? & !15).checked_sub(8)?;
        let context_at = start + 8 * chain_words;

        let value = |argument| match argument {
            Argument::Number(number) => number,
            Argument::Text => text_at,
        };
        let mut bytes = Vec::new();
        let mut push = |word: u64| bytes.extend_from_slice(&word.to_le_bytes());
        for call in rest {
            push(gadgets.pop_rdi.0);
            push(value(call.argument));
            push(gadgets.ret.0);
            push(call.function.0);
        }
        push(gadgets.restore.0);
        context(standing, state_at, &mut bytes)?;
        let mut put = |at: u64, what: &[u8]| {
            let from = usize::try_from(at - start).unwrap_or(usize::MAX);
            bytes.resize(bytes.len().max(from.saturating_add(what.len())), 0);
            if let Some(place) = bytes.get_mut(from..from.saturating_add(what.len())) {
                place.copy_from_slice(what);
            }
        };
        put(text_at, text);
        put(text_at + text.len() as u64, &[0]);
        put(state_at, &extended_state(&standing.extended, extended_size)?);
        debug_assert!(context_at.is_multiple_of(8));

        let mut registers = standing.registers;
        registers.set(Register::Rip, first.function.0);
        registers.set(Register::Rdi, value(first.argument));
        registers.set(Register::Rsp, start);
        // Further arguments of the first function, if it has any, are zero.
        for register in ARGUMENTS_LEFT {
            registers.set(register, 0);
        }
        // The ABI wants the direction flag clear at a call.
        let flags = registers.get(Register::Eflags)? & !(1 << 10);
        registers.set(Register::Eflags, flags);
        // No system call is to be restarted: the kernel would change rax and rip once more.
        registers.set(Register::OrigRax, u64::MAX);
        Some(Self { at: Addr(start), bytes, registers })
    }
}

/// The registers to go on with: at the system call again, if one was interrupted.
fn resumed(mut registers: Registers) -> Option<Registers> {
    if let Some(call) = registers.call().filter(|_| registers.waits()) {
        registers.set(Register::Rax, call.number);
        // `syscall` is two bytes long.
        registers.set(Register::Rip, registers.get(Register::Rip)?.wrapping_sub(2));
    }
    Some(registers)
}

/// `struct ucontext`, without the pointer that precedes it: that is a link of the chain.
fn context(standing: &Standing, state_at: u64, bytes: &mut Vec<u8>) -> Option<()> {
    use Register::{
        Cs, Eflags, R8, R9, R10, R11, R12, R13, R14, R15, Rax, Rbp, Rbx, Rcx, Rdi, Rdx, Rip, Rsi,
        Rsp, Ss,
    };
    let registers = resumed(standing.registers)?;
    let mut push = |word: u64| bytes.extend_from_slice(&word.to_le_bytes());
    push(CONTEXT_FLAGS);
    push(0);
    push(0);
    push(u64::from(NO_SUCH_STACK));
    push(0);
    for register in
        [R8, R9, R10, R11, R12, R13, R14, R15, Rdi, Rsi, Rbp, Rbx, Rdx, Rax, Rcx, Rsp, Rip, Eflags]
    {
        push(registers.get(register)?);
    }
    push((registers.get(Cs)? & 0xffff) | (registers.get(Ss)? & 0xffff) << 48);
    push(0);
    push(0);
    push(0);
    push(0);
    push(state_at);
    for _ in 0..8 {
        push(0);
    }
    push(standing.mask);
    Some(())
}

/// The extended state as a signal frame has it: the kernel's magic numbers around what it stated.
fn extended_state(state: &[u8], size: u32) -> Option<Vec<u8>> {
    let mut bytes = state.to_vec();
    // Of ptrace the first eight of these bytes are the features that the kernel supports.
    let features = state.get(SOFTWARE_BYTES..SOFTWARE_BYTES + 8)?.to_vec();
    let mut software = Vec::with_capacity(48);
    software.extend_from_slice(&MAGIC.0.to_le_bytes());
    software.extend_from_slice(&(size + 4).to_le_bytes());
    software.extend_from_slice(&features);
    software.extend_from_slice(&size.to_le_bytes());
    software.resize(48, 0);
    bytes.get_mut(SOFTWARE_BYTES..SOFTWARE_BYTES + 48)?.copy_from_slice(&software);
    bytes.extend_from_slice(&MAGIC.1.to_le_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Argument, Call, Frame, Standing, resumed};
    use crate::gadgets::Gadgets;
    use memwhy_model::Addr;
    use memwhy_target::{Register, Registers};

    const GADGETS: Gadgets = Gadgets { pop_rdi: Addr(0x10), ret: Addr(0x20), restore: Addr(0x30) };

    fn standing() -> Standing {
        // Interrupted in `poll`, with registers that tell themselves apart.
        let mut registers = Registers::new(std::array::from_fn(|at| 100 + at as u64));
        registers.set(Register::Rax, (-516i64).cast_unsigned());
        registers.set(Register::OrigRax, 7);
        registers.set(Register::Rip, 0x4002);
        registers.set(Register::Eflags, 0x246);
        registers.set(Register::Rsp, 0x7fff_0000_1238);
        let mut extended = vec![0; 2696];
        extended[464] = 7;
        Standing { registers, extended, mask: 0x4000 }
    }

    fn word(frame: &Frame, at: u64) -> u64 {
        let from = usize::try_from(at - frame.at.0).unwrap();
        u64::from_le_bytes(frame.bytes[from..from + 8].try_into().unwrap())
    }

    #[test]
    fn every_call_finds_the_stack_aligned_as_the_abi_wants_it() {
        let call = |function, argument| Call { function: Addr(function), argument };
        let calls = [
            call(0x100, Argument::Number(0)),
            call(0x200, Argument::Text),
            call(0x300, Argument::Number(1)),
        ];
        let frame = Frame::build(&standing(), &GADGETS, &calls, b"pass").unwrap();
        // What the processor does: a return takes one word, a pop another.
        let register = |register| frame.registers.get(register).unwrap();
        let (mut rsp, mut rdi) = (register(Register::Rsp), register(Register::Rdi));
        let (mut rip, mut entered) = (register(Register::Rip), vec![]);
        while rip != GADGETS.restore.0 {
            let mut take = || {
                rsp += 8;
                word(&frame, rsp - 8)
            };
            match rip {
                0x10 => rdi = take(),
                0x20 => {}
                function => entered.push((function, rdi)),
            }
            if rip >= 0x100 {
                assert_eq!(rsp % 16, 8, "at the entry of {rip:#x}");
            }
            rip = word(&frame, rsp);
            rsp += 8;
        }
        assert_eq!(entered.len(), 3);
        assert_eq!((entered[0], entered[2]), ((0x100, 0), (0x300, 1)));
        let text = usize::try_from(entered[1].1 - frame.at.0).unwrap();
        assert_eq!(&frame.bytes[text..text + 5], b"pass\0");
        // `rt_sigreturn` finds its context where the stack pointer now is.
        assert_eq!(word(&frame, rsp), 7);
        assert_eq!(word(&frame, rsp + 40 + 15 * 8), 0x7fff_0000_1238);
        assert_eq!(word(&frame, rsp + 40 + 16 * 8), 0x4000, "before the system call");
        assert_eq!(word(&frame, rsp + 40 + 13 * 8), 7, "its number");
        let state = word(&frame, rsp + 40 + 23 * 8);
        assert_eq!(state % 64, 0);
        assert_eq!(word(&frame, state + 464) & 0xffff_ffff, 0x4650_5853);
        assert!(state + 2700 <= 0x7fff_0000_1238 - 128, "the red zone stays as it is");
    }

    #[test]
    fn a_finished_system_call_is_not_made_again() {
        let goes_on_at = |rax: i64, call: u64| {
            let mut registers = standing().registers;
            registers.set(Register::Rax, rax.cast_unsigned());
            registers.set(Register::OrigRax, call);
            resumed(registers).and_then(|after| after.get(Register::Rip))
        };
        assert_eq!(goes_on_at(-516, 7), Some(0x4000));
        assert_eq!(goes_on_at(1, 7), Some(0x4002));
        assert_eq!(goes_on_at(-516, u64::MAX), Some(0x4002));
    }
}
