//! How do tests of the command line run the binary?

use serde_json::Value;
use std::process::{Command, Output, Stdio};

/// The binary, with nothing in its environment that would change what it prints.
pub(crate) fn memwhy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memwhy"));
    command.args(arguments).stdin(Stdio::null());
    command.env_remove("COLUMNS").env_remove("NO_COLOR");
    command
}

/// Runs it to its end.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Output {
    memwhy(arguments).output().unwrap_or_else(|error| panic!("memwhy {arguments:?}: {error}"))
}

/// Runs it to its end, which has to be success, and reads the JSON that it prints.
#[track_caller]
pub(crate) fn json(arguments: &[&str]) -> Value {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "memwhy {arguments:?}: {}: {said}", output.status);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("memwhy {arguments:?}: {error}"))
}
