//! May memwhy change this process, and has the user been told what it will do?

use super::failure::Failure;
use super::target::duration;
use clap::Args;
use memwhy_target::Process;
use std::time::Duration;

/// Of a command line so much is shown.
const LONGEST: usize = 100;

/// What all commands share that change a process.
#[derive(Debug, Args)]
pub(super) struct Consent {
    /// Process to act on
    #[arg(value_name = "PID")]
    pub(super) pid: u32,
    /// Allow memwhy to write into the process; without it, it only says what it would do
    #[arg(long)]
    allow_write: bool,
    /// How long to wait: for a moment in which it can be done, and for its end
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub(super) timeout: Duration,
    /// Do not say beforehand what will be done
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl Consent {
    /// The process, if the user agreed; says on standard error what will be done, in `steps`.
    pub(super) fn given(&self, steps: &[&str]) -> Result<Process, Failure> {
        let process = Process::open(self.pid)?;
        if !self.allow_write || !self.quiet {
            let verb = if self.allow_write { "will" } else { "would" };
            let command = process.command().join(" ");
            let mut short: String = command.chars().take(LONGEST).collect();
            if short.len() < command.len() {
                short.push('…');
            }
            eprintln!("memwhy {verb} change process {} ({short}):", self.pid);
            for step in steps {
                eprintln!("  - {step}");
            }
        }
        if !self.allow_write {
            return Err(Failure::NoConsent);
        }
        Ok(process)
    }
}
