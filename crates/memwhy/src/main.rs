//! Reads the command line, runs one command, and turns its outcome into an exit status.
#![forbid(unsafe_code)]

use memwhy::commands::{Cli, EXIT_BUG};
use std::process::ExitCode;

fn main() -> ExitCode {
    memwhy_target::sys::resources::return_large_blocks();
    let cli = Cli::from_arguments(std::env::args_os());
    // The only place where a panic of ours is caught: the target has been let go by then (a drop
    // during unwinding does it), and the user gets a sentence instead of a backtrace.
    std::panic::set_hook(Box::new(|panic| {
        if memwhy_store::decoding() {
            return;
        }
        eprintln!("memwhy {}: this is a bug of memwhy: {panic}", env!("CARGO_PKG_VERSION"));
        eprintln!("please report it with the command line; the process you looked at is unharmed");
    }));
    let status = std::panic::catch_unwind(|| cli.run()).unwrap_or(EXIT_BUG);
    ExitCode::from(status)
}
