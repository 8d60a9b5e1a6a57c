//! `memwhy core PID -o FILE`: how do I keep this process as it is, for later and for other tools?

use super::failure::Failure;
use super::output::Out;
use super::target::duration;
use clap::Args;
use memwhy_model::Bytes;
use memwhy_target::core_file::write::{Existing, WriteError};
use std::path::PathBuf;
use std::time::Duration;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Core {
    /// Process to keep
    #[arg(value_name = "PID")]
    pid: u32,
    /// Where to write it [default: core.PID]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file of that name
    #[arg(long)]
    force: bool,
    /// Give up, and let the process go, when the copy takes longer: 200ms, 2s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    max_pause: Duration,
}

impl Core {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let path = self.output.unwrap_or_else(|| format!("core.{}", self.pid).into());
        let existing = if self.force { Existing::Replace } else { Existing::Keep };
        let written = crate::write_core(self.pid, &path, existing, self.max_pause);
        let written = written.map_err(|error| match error {
            WriteError::Open(error) => Failure::Open(error),
            WriteError::Exists => Failure::Exists { path: path.clone() },
            WriteError::NoRoom { wanted, free } => Failure::Other {
                what: format!("{} takes {wanted}, and its disk has {free}", path.display()),
                advice: "another disk with -o".into(),
            },
            WriteError::Io(error) => Failure::Write { path: Some(path.clone()), error },
        })?;
        out.text(&format!(
            "{}: {} on disk ({} with holes), {} threads, paused {:.0} ms",
            path.display(),
            written.data,
            written.len,
            written.threads,
            written.moment.pause_ms
        ));
        if written.swapped > Bytes(0) {
            out.text(&format!(
                "not in it: {} that were swapped out; reading them would have brought them in",
                written.swapped
            ));
        }
        for (kind, n, _) in written.problems.iter() {
            out.text(&format!("note: {}", memwhy_reason::verdict::said(kind, n)));
        }
        out.text(&format!(
            "NEXT     memwhy {0} · gdb -c {0} PROGRAM · py-spy dump --core {0}",
            path.display()
        ));
        Ok(0)
    }
}
