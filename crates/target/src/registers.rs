//! What did a thread have in its registers when it stood still?

use memwhy_model::Addr;

/// Words of the kernel's `struct user_regs_struct` on x86-64, which `PTRACE_GETREGS` and the
/// `NT_PRSTATUS` notes of cores have alike.
pub const WORDS: usize = 27;

// Places in that struct: <sys/user.h>.
const RBP: usize = 4;
const RBX: usize = 5;
const RAX: usize = 10;
const ORIG_RAX: usize = 15;
const RIP: usize = 16;
const RSP: usize = 19;
const FS_BASE: usize = 21;

/// DWARF's numbers of the registers 0 to 15, as places in the struct: System V ABI, figure 3.36.
const BY_DWARF: [usize; 16] = [RAX, 12, 11, RBX, 13, 14, RBP, RSP, 9, 8, 7, 6, 3, 2, 1, 0];
/// Where a system call of six arguments has them: rdi, rsi, rdx, r10, r8, r9.
const ARGUMENTS: [usize; 6] = [14, 13, 12, 7, 9, 8];

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
        let mut set = |place: usize, value: u64| {
            if let Some(word) = registers.words.get_mut(place) {
                *word = Some(value);
            }
        };
        let number = numbers.next()??;
        set(ORIG_RAX, number);
        // Outside of a call (-1) there are no arguments.
        if number.cast_signed() >= 0 {
            for place in ARGUMENTS {
                set(place, numbers.next()??);
            }
        }
        set(RSP, numbers.next()??);
        set(RIP, numbers.next()??);
        Some(registers)
    }

    fn word(&self, place: usize) -> Option<u64> {
        self.words.get(place).copied().flatten()
    }

    /// The program counter.
    #[must_use]
    pub fn instruction_pointer(&self) -> Option<Addr> {
        self.word(RIP).map(Addr)
    }

    /// The stack pointer.
    #[must_use]
    pub fn stack_pointer(&self) -> Option<Addr> {
        self.word(RSP).map(Addr)
    }

    /// Where its thread-local storage is, on glibc its `struct pthread`.
    #[must_use]
    pub fn thread_pointer(&self) -> Option<Addr> {
        self.word(FS_BASE).filter(|base| *base != 0).map(Addr)
    }

    /// The register that DWARF calls `number`: 0 to 15, and 16 for the program counter.
    #[must_use]
    pub fn by_dwarf(&self, number: u16) -> Option<u64> {
        match BY_DWARF.get(usize::from(number)) {
            Some(place) => self.word(*place),
            None => (number == 16).then(|| self.word(RIP)).flatten(),
        }
    }

    /// The system call that the thread is in. The kernel keeps the call's number beside `rax` for
    /// as long as it may have to begin it again.
    #[must_use]
    pub fn call(&self) -> Option<Call> {
        let number = self.word(ORIG_RAX).filter(|number| number.cast_signed() >= 0)?;
        let mut arguments = [0; 6];
        for (argument, place) in arguments.iter_mut().zip(ARGUMENTS) {
            *argument = self.word(place)?;
        }
        Some(Call { number, arguments })
    }

    /// Whether the call that the thread is in was interrupted by our stop: it will go on waiting.
    /// One that had done its work, and was only about to return, does not wait.
    #[must_use]
    pub fn waits(&self) -> bool {
        let result = self.word(RAX).map(u64::cast_signed);
        // Without the result it is the kernel that says that the thread sleeps in the call.
        self.call().is_some() && result.is_none_or(|result| INTERRUPTED.contains(&result))
    }

    /// Whether they were read from the stopped thread.
    #[must_use]
    pub fn are_exact(&self) -> bool {
        self.word(RAX).is_some()
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
    }

    #[test]
    fn a_line_of_proc_tells_the_call_and_where_the_stack_is() {
        let line = "202 0x7f00 0x189 0x0 0x0 0x0 0xffffffff 0x7ffe0 0x7f12";
        let registers = Registers::of_syscall_line(line).expect("it waits");
        let arguments = [0x7f00, 0x189, 0, 0, 0, 0xffff_ffff];
        assert_eq!(registers.call(), Some(Call { number: 202, arguments }));
        assert_eq!(registers.stack_pointer(), Some(Addr(0x7ffe0)));
        assert_eq!(registers.by_dwarf(6), None);
        let outside = Registers::of_syscall_line("-1 0x7ffe0 0x7f12").expect("it is stopped");
        assert_eq!((outside.call(), outside.instruction_pointer()), (None, Some(Addr(0x7f12))));
        assert_eq!(Registers::of_syscall_line("running"), None);
    }
}
