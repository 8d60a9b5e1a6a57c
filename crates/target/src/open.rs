//! Why can a target not be read, and what helps?

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A target could not be opened. Each kind has a cause and a way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There is no such process.
    NoProcess {
        /// The number asked for.
        pid: u32,
    },
    /// It has exited and waits for its parent.
    Zombie {
        /// The number asked for.
        pid: u32,
    },
    /// The number is that of a thread.
    IsThread {
        /// The number asked for.
        pid: u32,
        /// The process that the thread belongs to.
        tgid: u32,
    },
    /// It is part of the kernel.
    KernelThread {
        /// The number asked for.
        pid: u32,
    },
    /// It runs 32-bit code.
    Not64Bit {
        /// The number asked for.
        pid: u32,
    },
    /// It runs code for another processor.
    OtherMachine {
        /// The number asked for.
        pid: u32,
        /// ELF's number of the machine.
        machine: u16,
    },
    /// The kernel does not let us read its memory.
    NotPermitted {
        /// The number asked for.
        pid: u32,
        /// What stands in the way, as far as it can be told.
        why: String,
        /// What helps.
        advice: String,
    },
    /// The file is not a core that can be read.
    NotACore {
        /// The file asked for.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file belongs to somebody else.
    Unreadable {
        /// The file asked for.
        path: PathBuf,
    },
    /// The folder is not a snapshot that can be read.
    NotASnapshot {
        /// The folder asked for.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It went away while it was read.
    Gone {
        /// The number asked for.
        pid: u32,
    },
    /// The copy took longer than it may; the process was let go.
    TooSlow {
        /// The number asked for.
        pid: u32,
        /// How long it may take.
        patience: Duration,
    },
}

impl OpenError {
    /// The exit status of the command.
    #[must_use]
    pub const fn exit_status(&self) -> u8 {
        match self {
            Self::NoProcess { .. }
            | Self::Zombie { .. }
            | Self::IsThread { .. }
            | Self::KernelThread { .. }
            | Self::Not64Bit { .. }
            | Self::OtherMachine { .. }
            | Self::NotACore { .. }
            | Self::NotASnapshot { .. } => 3,
            Self::NotPermitted { .. } | Self::Unreadable { .. } => 4,
            Self::Gone { .. } => 5,
            Self::TooSlow { .. } => 1,
        }
    }

    /// What to try, a sentence.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::NoProcess { .. } => "`memwhy ps` lists the Python processes here; in another \
                 container, run memwhy there or use the pid that the host sees"
                .into(),
            Self::Zombie { .. } => "its memory is gone already; look at its parent, or start \
                 memwhy before it ends"
                .into(),
            Self::IsThread { tgid, .. } => format!("try `memwhy {tgid}`"),
            Self::KernelThread { .. } => "`memwhy ps` lists the Python processes here".into(),
            Self::Not64Bit { .. } | Self::OtherMachine { .. } => {
                "memwhy reads 64-bit x86 processes; `memwhy maps` needs no more than /proc".into()
            }
            Self::NotPermitted { advice, .. } => advice.clone(),
            Self::TooSlow { pid, .. } => format!(
                "`memwhy {pid} --max-pause 60s`, or without a stop: `memwhy {pid} --pause none`"
            ),
            Self::NotACore { .. } => "a core comes from the kernel, from gdb's gcore or from \
                 `memwhy core PID -o FILE`; compressed ones are read as they are"
                .into(),
            Self::Unreadable { .. } => {
                "as root, or as who owns it: cores are readable by their owner only".into()
            }
            Self::NotASnapshot { .. } => "a snapshot is the folder that memwhy wrote".into(),
            Self::Gone { .. } => "start again with the pid of a process that lives on".into(),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProcess { pid } => write!(f, "there is no process {pid}"),
            Self::Zombie { pid } => write!(f, "process {pid} has exited (zombie)"),
            Self::IsThread { pid, tgid } => write!(f, "{pid} is a thread of process {tgid}"),
            Self::KernelThread { pid } => write!(f, "{pid} is a thread of the kernel"),
            Self::Not64Bit { pid } => write!(f, "process {pid} is 32-bit"),
            Self::OtherMachine { pid, machine } => {
                write!(f, "process {pid} runs code for another machine (ELF machine {machine})")
            }
            Self::NotPermitted { pid, why, .. } => {
                write!(f, "the memory of process {pid} cannot be read: {why}")
            }
            Self::TooSlow { pid, patience } => write!(
                f,
                "copying process {pid} took more than --max-pause {} s; it was let go",
                patience.as_secs_f64()
            ),
            Self::NotACore { path, why } | Self::NotASnapshot { path, why } => {
                write!(f, "{}: {why}", path.display())
            }
            Self::Unreadable { path } => write!(f, "{}: you may not read it", path.display()),
            Self::Gone { pid } => write!(f, "process {pid} went away while it was read"),
        }
    }
}

impl std::error::Error for OpenError {}
