//! Why does memwhy not act on a process, and what can be tried instead?

use std::fmt;
use std::io;

/// Why nothing was done, or why it is not known whether it was.
#[derive(Debug)]
pub enum Refusal {
    /// The process has no Python interpreter that can be read.
    NotPython(String),
    /// Something that the method needs is not there.
    Lacks(&'static str),
    /// Its allocator has no function that gives memory back.
    KeepsAll {
        /// Its name, where that is known.
        allocator: Option<&'static str>,
        /// Whether it is linked into the program: then none can be preloaded.
        linked: bool,
    },
    /// It was stopped, by `SIGSTOP` or its terminal: nothing would run in it.
    Stopped,
    /// Shadow stacks are on: a chain of returns would be a crime there.
    ShadowStack,
    /// No thread stood where it may be borrowed, within the time given; why not, by thread.
    NoThread(Vec<String>),
    /// The code was handed over, but did not begin in time.
    NotBegun {
        /// How it was handed over.
        how: String,
    },
    /// It began, and then the connection ended.
    Lost(io::Error),
    /// The kernel does not permit it.
    NotPermitted(io::Error),
    /// Another error of the system.
    System(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted(error),
            _ => Self::System(error),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPython(why) => f.write_str(why),
            Self::Lacks(what) => write!(f, "the process has no {what}"),
            Self::KeepsAll { allocator: Some(name), .. } => {
                write!(f, "its malloc is {name}'s, which has no function that gives memory back")
            }
            Self::KeepsAll { allocator: None, .. } => f.write_str(
                "its malloc is none that is known to have a function that gives memory back \
                 (glibc's, jemalloc's, tcmalloc's and mimalloc's have)",
            ),
            Self::Stopped => f.write_str(
                "it is stopped (SIGSTOP, or Ctrl-Z at its terminal): nothing would run in it; \
                 nothing was done",
            ),
            Self::ShadowStack => {
                f.write_str("its threads have shadow stacks, which allow no borrowed calls")
            }
            Self::NoThread(reasons) => {
                f.write_str("no thread stands where it may be borrowed")?;
                for reason in reasons.iter().take(5) {
                    write!(f, "; {reason}")?;
                }
                Ok(())
            }
            Self::NotBegun { how } => write!(
                f,
                "the code was handed over ({how}) and has not begun: the interpreter is busy in C \
                 code, or another thread keeps the GIL"
            ),
            Self::Lost(error) => {
                write!(f, "the connection to the code in the target ended: {error}")
            }
            Self::NotPermitted(error) => write!(f, "not permitted: {error}"),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// What to try instead.
    #[must_use]
    pub fn advice(&self, pid: u32) -> String {
        match self {
            Self::NotPython(_) => "`memwhy ps` lists the Python processes".into(),
            Self::Lacks(_) | Self::ShadowStack => format!(
                "`memwhy {pid}` and the other reading commands work; start the program with what \
                 they recommend"
            ),
            Self::Stopped => format!(
                "`kill -CONT {pid}`, then once more; `memwhy {pid}` and the other reading commands \
                 work as it is"
            ),
            Self::KeepsAll { linked: true, .. } => {
                "another allocator, linked into the program: nothing is preloaded to one that is \
                 linked statically"
                    .into()
            }
            Self::KeepsAll { linked: false, .. } => {
                "another allocator, preloaded: `memwhy try -- COMMAND` says which one \
                                  would help"
                    .into()
            }
            Self::NoThread(_) => format!(
                "once more, with a longer --timeout; `memwhy stacks {pid}` says what the threads do"
            ),
            Self::NotBegun { .. } => format!(
                "nothing: it will find nobody at the other end and do nothing; `memwhy stacks \
                 {pid}` says what the threads do"
            ),
            Self::Lost(_) => format!("`memwhy ps` says whether process {pid} is still there"),
            Self::NotPermitted(_) => format!("`memwhy doctor {pid}` says what is missing"),
            Self::System(_) => "once more".into(),
        }
    }
}
