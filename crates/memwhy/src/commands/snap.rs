//! `memwhy snap TARGET`: how is a moment kept, to be looked at later or elsewhere?

use super::failure::Failure;
use super::output::Out;
use super::target::{Place, Target};
use crate::{Values, WriteError, Written};
use clap::Args;
use memwhy_report::Kept;
use std::path::PathBuf;
use std::time::SystemTime;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Snap {
    #[command(flatten)]
    target: Target,
    /// Keep what objects look like and all keys of dicts, not only names of the program
    #[arg(long)]
    values: bool,
}

impl Snap {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let path = self.target.output.clone().unwrap_or_else(|| self.folder());
        if path.symlink_metadata().is_ok() {
            // Before the process is stopped for nothing.
            return Err(WriteError::Exists(path).into());
        }
        let values = if self.values { Values::Kept } else { Values::LeftOut };
        let (case, failure) = self.target.observe_to_keep(values)?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        let Written { objects, references, bytes } = crate::write(&case, &path, values)?;
        let kept = Kept {
            path: &path.display().to_string(),
            objects,
            references,
            bytes,
            values: self.values,
        };
        if self.target.json {
            out.json(&memwhy_report::json::snap(&case, &kept));
        } else {
            out.text(&memwhy_report::text::snap(&case, &kept, self.target.style()));
        }
        Ok(0)
    }

    /// A name that says which process, and when.
    fn folder(&self) -> PathBuf {
        let name = match &self.target.place {
            Place::Process(pid) => pid.to_string(),
            Place::Core(path) | Place::Snapshot(path) => {
                path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
            }
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        PathBuf::from(format!("{name}-{}.memwhy", now.as_secs()))
    }
}
