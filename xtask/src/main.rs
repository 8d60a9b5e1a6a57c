//! Chores of the project that want the project's own code: `cargo xtask`.
#![forbid(unsafe_code)]

mod layout;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask layout dump [VERSION] ELF...  extract the structs of the tables from debug information
cargo xtask layout add [VERSION] ELF...   keep that extract, and paste the rows that changed
cargo xtask layout check                  compare every table with every dump in testdata/dwarf
cargo xtask layout show STRUCT            print a struct over all dumps
cargo xtask tidy                          check the rules that no compiler checks";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["layout", "dump", files @ ..] if !files.is_empty() => layout::dump::run(files),
        ["layout", "add", files @ ..] if !files.is_empty() => layout::add::run(files),
        ["layout", "check"] => layout::check::run(),
        ["layout", "show", name] => layout::show::run(name),
        ["tidy"] => tidy::run(),
        _ => Err(HELP.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
