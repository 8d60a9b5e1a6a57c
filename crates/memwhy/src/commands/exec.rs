//! `memwhy exec PID -c CODE | FILE`: what does this code say when it runs in there?

use super::consent::Consent;
use super::failure::Failure;
use super::output::Out;
use clap::Args;
use memwhy_act::Session;
use memwhy_act::session::Ended;
use memwhy_target::sys::interrupt;
use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

/// Exit status of code whose time was over, as `timeout(1)` has it.
const TIMED_OUT: u8 = 124;
/// That of code that the user interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Exec {
    #[command(flatten)]
    consent: Consent,
    /// Code to run
    #[arg(short, value_name = "CODE", required_unless_present = "file", conflicts_with = "file")]
    code: Option<String>,
    /// File with the code to run; - for standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What getting in does, for the user to agree to.
pub(super) const STEPS: [&str; 3] = [
    "borrow a thread that waits in the kernel, to start a thread of Python in it; its wait begins \
     anew",
    "connect that thread to this terminal, and run your code in it beside the program's own threads",
    "leave: the thread ends, the connection is closed; what your code changed stays changed",
];

impl Exec {
    pub(super) fn run(self, _: &mut Out) -> Result<u8, Failure> {
        let pid = self.consent.pid;
        let (source, name) = self.source()?;
        let process = self.consent.given(&STEPS)?;
        let refused = |refusal| Failure::Refused { pid, refusal };
        let mut session = Session::open(process, self.consent.timeout).map_err(refused)?;
        if !self.consent.quiet {
            eprintln!(
                "({}; the process stood still for {:.1} ms)",
                session.injected.how,
                session.injected.paused.as_secs_f64() * 1000.0
            );
        }
        interrupt::watch();
        let pressed = Cell::new(false);
        let stop = || {
            pressed.set(pressed.get() || interrupt::pressed());
            pressed.get()
        };
        let ended = session
            .run(&source, &name, Some(self.consent.timeout), &stop, &mut print)
            .map_err(refused)?;
        let (when, interrupted) = if pressed.get() {
            ("on your request".to_owned(), INTERRUPTED)
        } else {
            (format!("after {:?}", self.consent.timeout), TIMED_OUT)
        };
        let status = match ended {
            Ended::Status(status) => status,
            Ended::More => 0,
            Ended::Interrupted => {
                eprintln!("memwhy: the code was interrupted {when}");
                interrupted
            }
            Ended::GoesOn => {
                eprintln!(
                    "memwhy: the code was told to end {when}, and goes on: it is in C code, which \
                     does not see that; its thread leaves once that ends"
                );
                return Ok(interrupted);
            }
        };
        let left = session.leave().map_err(refused)?;
        if !self.consent.quiet {
            tell(&left);
        }
        Ok(status)
    }

    fn source(&self) -> Result<(String, String), Failure> {
        if let Some(code) = &self.code {
            return Ok((code.clone(), "<command>".into()));
        }
        let path = self.file.clone().unwrap_or_default();
        let mut source = String::new();
        let read = if path.as_os_str() == "-" {
            std::io::stdin().read_to_string(&mut source)
        } else {
            std::fs::File::open(&path).and_then(|mut file| file.read_to_string(&mut source))
        };
        match read {
            Ok(_) => Ok((source, path.display().to_string())),
            Err(error) => Err(Failure::Other {
                what: format!("cannot read {}: {error}", path.display()),
                advice: "name a file with Python code, or give it with -c".into(),
            }),
        }
    }
}

/// Prints what the code printed, as it comes.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever closed our output has seen enough; the code runs on.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says what is not as it was before.
pub(super) fn tell(left: &memwhy_act::session::Left) {
    let (before, after) = left.traces;
    if before == after {
        eprintln!("(threads and open files are as before: {}, {})", after.threads, after.files);
    } else {
        eprintln!(
            "(threads: {} before, {} after; open files: {} before, {} after)",
            before.threads, after.threads, before.files, after.files
        );
    }
    if !left.modules.is_empty() {
        eprintln!("(imported meanwhile: {})", left.modules.join(", "));
    }
}
