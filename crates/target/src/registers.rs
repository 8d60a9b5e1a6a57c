//! What did a thread have in its registers when it stood still?

use memwhy_model::Addr;

/// Words of the kernel's `struct user_regs_struct` on x86-64, which `PTRACE_GETREGS` and the
/// `NT_PRSTATUS` notes of cores have alike.
pub const WORDS: usize = 27;

/// One of them, in the order of that struct: <sys/user.h>.
#[expect(missing_docs, reason = "the processor's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    R15,
    R14,
    R13,
    R12,
    Rbp,
    Rbx,
    R11,
    R10,
    R9,
    R8,
    Rax,
    Rcx,
    Rdx,
    Rsi,
    Rdi,
    OrigRax,
    Rip,
    Cs,
    Eflags,
    Rsp,
    Ss,
    FsBase,
    GsBase,
    Ds,
    Es,
    Fs,
    Gs,
}

/// DWARF's numbers of the registers 0 to 15: System V ABI, figure 3.36.
const BY_DWARF: [Register; 16] = [
    Register::Rax,
    Register::Rdx,
    Register::Rcx,
    Register::Rbx,
    Register::Rsi,
    Register::Rdi,
    Register::Rbp,
    Register::Rsp,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
/// Where a system call of six arguments has them.
const ARGUMENTS: [Register; 6] =
    [Register::Rdi, Register::Rsi, Register::Rdx, Register::R10, Register::R8, Register::R9];

/// What a call returns that has to begin again: `EINTR`, `ERESTARTSYS`, `ERESTARTNOINTR`,
/// `ERESTARTNOHAND`, `ERESTART_RESTARTBLOCK`; the last four are the kernel's own, <linux/errno.h>.
const INTERRUPTED: [i64; 5] = [-4, -512, -513, -514, -516];

/// The general registers of one thread.
///
/// Of a thread that was not stopped the kernel tells some only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    words: [Option<u64>; WORDS],
}

/// A system call that a thread is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub number: u64,
    /// Its six arguments, meaningful or not.
    pub arguments: [u64; 6],
}

impl Registers {
    /// All of them, as the kernel lays them out.
    #[must_use]
    pub fn new(words: [u64; WORDS]) -> Self {
        Self { words: words.map(Some) }
    }

    /// What a line of `/proc/PID/task/TID/syscall` tells: the call with its arguments, the stack
    /// pointer and the program counter; nothing of a thread that runs.
    #[must_use]
    pub fn of_syscall_line(line: &str) -> Option<Self> {
        let mut numbers = line.split_ascii_whitespace().map(|word| match word.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => word.parse().ok().map(i64::cast_unsigned),
        });
        let mut registers = Self::default();
        let number = numbers.next()??;
        registers.set(Register::OrigRax, number);
        // Outside of a call (-1) there are no arguments.
        if number.cast_signed() >= 0 {
            for register in ARGUMENTS {
                registers.set(register, numbers.next()??);
            }
        }
        registers.set(Register::Rsp, numbers.next()??);
        registers.set(Register::Rip, numbers.next()??);
        Some(registers)
    }

    /// What is in one of them, if that is known.
    #[must_use]
    pub fn get(&self, register: Register) -> Option<u64> {
        self.words.get(register as usize).copied().flatten()
    }

    /// Puts a value into one of them; the thread's are as they were.
    pub fn set(&mut self, register: Register, value: u64) {
        if let Some(word) = self.words.get_mut(register as usize) {
            *word = Some(value);
        }
    }

    /// All of them, as the kernel lays them out, if all are known.
    #[must_use]
    pub fn words(&self) -> Option<[u64; WORDS]> {
        let mut words = [0; WORDS];
        for (word, known) in words.iter_mut().zip(self.words) {
            *word = known?;
        }
        Some(words)
    }

    /// The program counter.
    #[must_use]
    pub fn instruction_pointer(&self) -> Option<Addr> {
        self.get(Register::Rip).map(Addr)
    }

    /// The stack pointer.
    #[must_use]
    pub fn stack_pointer(&self) -> Option<Addr> {
        self.get(Register::Rsp).map(Addr)
    }

    /// Where its thread-local storage is, on glibc its `struct pthread`.
    #[must_use]
    pub fn thread_pointer(&self) -> Option<Addr> {
        self.get(Register::FsBase).filter(|base| *base != 0).map(Addr)
    }

    /// What is known to be in any of them.
    pub fn values(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().copied().flatten()
    }

    /// The register that DWARF calls `number`: 0 to 15, and 16 for the program counter.
    #[must_use]
    pub fn by_dwarf(&self, number: u16) -> Option<u64> {
        match BY_DWARF.get(usize::from(number)) {
            Some(register) => self.get(*register),
            None => (number == 16).then(|| self.get(Register::Rip)).flatten(),
        }
    }

    /// The system call that the thread is in. The kernel keeps the call's number beside `rax` for
    /// as long as it may have to begin it again.
    #[must_use]
    pub fn call(&self) -> Option<Call> {
        let number = self.get(Register::OrigRax).filter(|number| number.cast_signed() >= 0)?;
        let mut arguments = [0; 6];
        for (argument, register) in arguments.iter_mut().zip(ARGUMENTS) {
            *argument = self.get(register)?;
        }
        Some(Call { number, arguments })
    }

    /// Whether the call that the thread is in was interrupted by our stop: it will go on waiting.
    /// One that had done its work, and was only about to return, does not wait.
    #[must_use]
    pub fn waits(&self) -> bool {
        let result = self.get(Register::Rax).map(u64::cast_signed);
        // Without the result it is the kernel that says that the thread sleeps in the call.
        self.call().is_some() && result.is_none_or(|result| INTERRUPTED.contains(&result))
    }

    /// Whether they were read from the stopped thread.
    #[must_use]
    pub fn are_exact(&self) -> bool {
        self.get(Register::Rax).is_some()
    }

    /// All words as they would be if the call that the thread is in were interrupted; 0 for those
    /// that are not known.
    #[must_use]
    pub fn interrupted(&self) -> [u64; WORDS] {
        let mut words = self.words;
        if let (Some(result @ None), Some(_)) = (words.get_mut(Register::Rax as usize), self.call())
        {
            *result = Some(INTERRUPTED[0].cast_unsigned());
        }
        words.map(Option::unwrap_or_default)
    }

    /// Every word that is known: what conservative readers look for addresses in.
    pub fn all(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Registers, WORDS};
    use memwhy_model::Addr;

    #[test]
    fn the_registers_are_where_the_kernel_has_them() {
        let words: [u64; WORDS] = std::array::from_fn(|at| 100 + at as u64);
        let registers = Registers::new(words);
        assert_eq!(registers.instruction_pointer(), Some(Addr(116)));
        assert_eq!(registers.stack_pointer(), Some(Addr(119)));
        assert_eq!(registers.thread_pointer(), Some(Addr(121)));
        // rbx, rbp, rsp, r12 and the return address, by DWARF's numbers.
        let by = [3, 6, 7, 12, 16, 17].map(|number| registers.by_dwarf(number));
        assert_eq!(by, [Some(105), Some(104), Some(119), Some(103), Some(116), None]);
        assert_eq!(registers.get(super::Register::Gs), Some(126));
        assert_eq!(registers.words(), Some(words));
    }

    #[test]
    fn a_line_of_proc_tells_the_call_and_where_the_stack_is() {
        let line = "202 0x7f00 0x189 0x0 0x0 0x0 0xffffffff 0x7ffe0 0x7f12";
        let registers = Registers::of_syscall_line(line).expect("it waits");
        let arguments = [0x7f00, 0x189, 0, 0, 0, 0xffff_ffff];
        assert_eq!(registers.call(), Some(Call { number: 202, arguments }));
        assert_eq!(registers.stack_pointer(), Some(Addr(0x7ffe0)));
        assert_eq!(registers.by_dwarf(6), None);
        let kept = Registers::new(registers.interrupted());
        assert!(kept.waits() && kept.call() == registers.call());
        let outside = Registers::of_syscall_line("-1 0x7ffe0 0x7f12").expect("it is stopped");
        assert_eq!((outside.call(), outside.instruction_pointer()), (None, Some(Addr(0x7f12))));
        assert_eq!(Registers::of_syscall_line("running"), None);
    }
}
