//! `memwhy stacks PID`: what is every thread doing?

use super::failure::Failure;
use super::output::{Out, done};
use super::target::Target;
use crate::{NativeDetail, Options};
use clap::Args;
use memwhy_report::json::ThreadDetail;
use memwhy_report::text::StackOptions;

/// See the [module](self).
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct Stacks {
    #[command(flatten)]
    target: Target,
    /// Show only this thread
    #[arg(long, value_name = "TID")]
    thread: Option<u32>,
    /// Show only this frame of each thread, counted from the innermost, 0
    #[arg(long, value_name = "N")]
    frame: Option<usize>,
    /// Show threads without Python, too
    #[arg(long)]
    all_threads: bool,
    /// Show threads of sub-interpreters, too
    #[arg(long)]
    all_interpreters: bool,
    /// Show the variables of every frame: arguments, locals, cells, captured ones
    #[arg(long)]
    locals: bool,
    /// Show the lines of source around every frame
    #[arg(long)]
    source: bool,
    /// Show C functions, merged with the Python frames
    #[arg(long)]
    native: bool,
}

impl Stacks {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let native = if self.native { NativeDetail::Lines } else { NativeDetail::Names };
        let wanted =
            Options { native, previews: self.locals, sources: self.source, ..Options::default() };
        let (case, failure) = self.target.observe_threads(wanted)?;
        out.redirect(&self.target);
        if self.target.json {
            let detail =
                ThreadDetail { locals: self.locals, native: self.native, source: self.source };
            out.json(&memwhy_report::json::stacks(&case, detail));
        } else {
            let options = StackOptions {
                locals: self.locals,
                source: self.source,
                native: self.native,
                thread: self.thread,
                frame: self.frame,
                all_threads: self.all_threads,
                all_interpreters: self.all_interpreters,
            };
            out.text(&memwhy_report::text::stacks(&case, options, self.target.style()));
        }
        done(out, failure)
    }
}
