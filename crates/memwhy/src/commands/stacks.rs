//! `memwhy stacks PID`: what is every thread doing?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use clap::Args;
use memwhy_report::text::StackOptions;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Stacks {
    #[command(flatten)]
    target: Target,
    /// Show only this thread
    #[arg(long, value_name = "TID")]
    thread: Option<u32>,
    /// Show threads without Python, too
    #[arg(long)]
    all_threads: bool,
    /// Name the local variables of every frame
    #[arg(long)]
    locals: bool,
}

impl Stacks {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (case, failure) = self.target.observe_python()?;
        out.redirect(&self.target);
        if self.target.json {
            out.json(&memwhy_report::json::stacks(&case, self.locals));
        } else {
            let options = StackOptions {
                locals: self.locals,
                thread: self.thread,
                all_threads: self.all_threads,
            };
            out.text(&memwhy_report::text::stacks(&case, options, self.target.style()));
        }
        done(out, failure)
    }
}
