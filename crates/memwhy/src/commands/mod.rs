//! Which commands are there?
//!
//! A command is one file with its flags and their help, and one line in `commands!`.

mod consent;
mod core;
mod demo;
mod diff;
mod doctor;
mod exec;
mod explain;
mod failure;
mod garbage;
mod heap;
mod locks;
mod malloc;
mod maps;
mod object;
mod output;
mod paths;
mod progress;
mod ps;
mod refs;
mod shell;
mod show;
mod snap;
mod stacks;
mod target;
mod tasks;
mod trial;
mod trim;
mod watch;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use output::Out;
use std::ffi::OsString;
use std::path::Path;

/// Exit status of a panic.
pub const EXIT_BUG: u8 = 70;
/// Exit status when a cause named by `--fail-on` holds.
pub const EXIT_CAUSE_HOLDS: u8 = 10;

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident => $args:ty),* $(,)?) => {
        #[derive(Debug, Subcommand)]
        enum Command {
            $($(#[$doc])* $name($args)),*
        }

        impl Command {
            fn run(self, out: &mut Out) -> Result<u8, Failure> {
                match self {
                    $(Self::$name(command) => command.run(out)),*
                }
            }
        }
    };
}

commands! {
    /// Says what the memory is, which cause holds, what was ruled out, and the cure (the default)
    Explain => explain::Explain,
    /// Lists Python processes, workers below their parent
    Ps => ps::Ps,
    /// Says which reads would work and, if not, what mends it
    Doctor => doctor::Doctor,
    /// Shows what every thread is doing
    Stacks => stacks::Stacks,
    /// Shows who waits for which lock, and who has it
    Locks => locks::Locks,
    /// Shows asyncio tasks and greenlets, and where each waits
    Tasks => tasks::Tasks,
    /// Groups Python objects by type, owner, referrer and more, with what each group keeps alive
    Heap => heap::Heap,
    /// Says why objects are alive: the paths from roots to them
    Paths => paths::Paths,
    /// Shows one object: its fields or items, who refers to it, what it keeps alive
    Show => show::Show,
    /// Draws what refers to what around one object: SVG, PNG or DOT
    Refs => refs::Refs,
    /// Shows unreachable cycles, gc.garbage, and objects that only a wrong count keeps
    Garbage => garbage::Garbage,
    /// Shows what malloc and pymalloc keep, and what a trim would return
    Malloc => malloc::Malloc,
    /// Shows every mapping with its owners
    Maps => maps::Maps,
    /// Writes what was seen to a folder, to look at later or elsewhere
    Snap => snap::Snap,
    /// Runs code inside of the process (needs --allow-write)
    Exec => exec::Exec,
    /// Opens a Python console inside of the process (needs --allow-write)
    Shell => shell::Shell,
    /// Has malloc give back what it keeps (needs --allow-write)
    Trim => trim::Trim,
    /// Runs a program under each cure and compares: which one would help?
    Try => trial::Try,
    /// Writes a core file of a process, for later and for other tools; gdb reads it
    Core => core::Core,
    /// Says what has grown between two moments, and whether a cure kept its promise
    Diff => diff::Diff,
    /// Looks again and again: does it grow, what grows, how fast?
    Watch => watch::Watch,
    /// Starts a service whose memory stays, explains it and cures it
    Demo => demo::Demo,
}

/// Explains from outside why a CPython process has grown, and what to do about it.
///
/// Reads only: nothing is installed in the process, nothing in it is changed, and it is stopped
/// for no longer than copying its own memory takes.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    override_usage = "memwhy TARGET [OPTIONS]\n       memwhy <COMMAND> [OPTIONS]",
    after_help = "TARGET is a pid, a core file, or a snapshot's folder.\n\n\
                  Exit status: 0 done; 1 memwhy failed; 2 bad arguments; 3 not a Python process; \
                  4 not permitted (what /proc alone tells is printed); 5 the process went away; \
                  10 a --fail-on cause holds."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    /// Parses the command line; `memwhy 4711` and `memwhy FILE` are those of `explain`.
    #[must_use]
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let is_pid = |word: &OsString| {
            word.to_str().is_some_and(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit()))
        };
        let is_target = |word: &OsString| is_pid(word) || Path::new(word).exists();
        let first = arguments.get(1);
        let named = Self::command()
            .get_subcommands()
            .any(|command| first.is_some_and(|word| *word == *command.get_name()));
        // The kernel calls its cores `core`, too: without a pid to write a core of it is that file.
        let help = |word: &OsString| matches!(word.to_str(), Some("-h" | "--help"));
        let own_core = first.is_some_and(|word| word == "core")
            && Path::new("core").is_file()
            && !arguments.iter().skip(2).any(|word| is_pid(word) || help(word));
        let named = named && !own_core;
        if !named && arguments.iter().skip(1).any(is_target) {
            arguments.insert(1, "explain".into());
        }
        Self::parse_from(arguments)
    }

    /// Runs the command; returns the exit status.
    #[must_use]
    pub fn run(self) -> u8 {
        let mut out = Out::new();
        let result = progress::beside(|| self.command.run(&mut out));
        let result = result.and_then(|status| out.flush().map(|()| status));
        target::tell_what_was_used();
        match result {
            Ok(status) => status,
            Err(failure) => failure.report(),
        }
    }
}
