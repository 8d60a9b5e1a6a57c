//! `memwhy doctor [PID]`: which reads would work and, if not, what mends it?

use super::failure::Failure;
use super::output::Out;
use clap::Args;
use memwhy_target::{Access, Process};
use std::fmt::Write as _;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Process to try; without it, memwhy tries itself
    #[arg(value_name = "PID")]
    pid: Option<u32>,
}

impl Doctor {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let pid = self.pid.unwrap_or_else(std::process::id);
        let process = Process::open(pid)?;
        let access = Access::probe(&process);
        let mut text = String::new();
        let whom = if self.pid.is_some() { format!("process {pid}") } else { "itself".into() };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "memwhy {} reading {whom}", env!("CARGO_PKG_VERSION"));
        for probe in &access.probes {
            let answer = match &probe.answer {
                Ok(()) => "works".to_owned(),
                Err(why) => format!("REFUSED: {why}"),
            };
            let what = probe.what.replace("PID", &pid.to_string());
            let _ = writeln!(text, "  {what:<24} {:<28} {answer}", probe.purpose);
        }
        let yes = |is: bool| if is { "yes" } else { "no" };
        let _ = writeln!(text, "  {:<24} {}", "our uid", access.our_uid);
        let theirs = access.target_uid.map_or_else(|| "unknown".into(), |uid| uid.to_string());
        let _ = writeln!(text, "  {:<24} {theirs}", "its uid");
        let _ = writeln!(text, "  {:<24} {}", "CAP_SYS_PTRACE", yes(access.capable));
        let yama = access.yama.map_or_else(|| "not there".into(), |scope| scope.to_string());
        let _ = writeln!(text, "  {:<24} {yama}", "yama ptrace_scope");
        if access.tracer != 0 {
            let _ = writeln!(
                text,
                "  {:<24} process {} (it cannot be stopped by us meanwhile: use --pause none)",
                "traced by", access.tracer
            );
        }
        if let Some(seccomp) = process.status("Seccomp").filter(|mode| mode != "0") {
            let _ = writeln!(
                text,
                "  {:<24} mode {seccomp} (does not matter for reading)",
                "its seccomp"
            );
        }
        if access.memory() {
            let _ = writeln!(text, "all that memwhy needs works");
            out.text(&text);
            return Ok(0);
        }
        let (why, advice) = access.refusal(pid);
        let _ = writeln!(text, "memory cannot be read: {why}\n   try: {advice}");
        out.text(&text);
        Ok(4)
    }
}
