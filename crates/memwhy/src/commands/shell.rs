//! `memwhy shell PID`: a console inside of the process.

use super::consent::Consent;
use super::exec::{STEPS, print, tell};
use super::failure::Failure;
use super::output::Out;
use clap::Args;
use memwhy_act::Session;
use memwhy_act::session::Ended;
use memwhy_target::sys::interrupt;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::{Context, Editor, Helper, Highlighter, Hinter, Validator};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Shell {
    #[command(flatten)]
    consent: Consent,
}

const WELCOME: &str = "`main` is the program's __main__; mem.rss(), mem.top() and \
                       mem.find(0x…) look at its memory. Ctrl-D leaves.";

impl Shell {
    pub(super) fn run(self, _: &mut Out) -> Result<u8, Failure> {
        let pid = self.consent.pid;
        let process = self.consent.given(&STEPS)?;
        let refused = |refusal| Failure::Refused { pid, refusal };
        let session = Session::open(process, self.consent.timeout).map_err(refused)?;
        if !self.consent.quiet {
            eprintln!("({}) {WELCOME}", session.injected.how);
        }
        interrupt::watch();
        let session = Rc::new(RefCell::new(session));
        let mut editor = Editor::<Words, _>::new().map_err(|error| Failure::Other {
            what: format!("cannot read lines: {error}"),
            advice: format!("`memwhy exec {pid} -` reads code from standard input"),
        })?;
        editor.set_helper(Some(Words(Rc::clone(&session))));
        let history = history();
        if let Some(history) = &history {
            // The first time there is none.
            let _ = editor.load_history(history);
        }
        let mut lines = String::new();
        loop {
            let prompt = if lines.is_empty() { ">>> " } else { "... " };
            match editor.readline(prompt) {
                Ok(line) => {
                    // Without a history nothing is lost but comfort.
                    let _ = editor.add_history_entry(&line);
                    // Between lines, and not behind the last: to Python, as to its own console, an
                    // empty line is what ends a block.
                    if !lines.is_empty() {
                        lines.push('\n');
                    }
                    lines.push_str(&line);
                }
                Err(ReadlineError::Interrupted) => {
                    eprintln!("KeyboardInterrupt");
                    lines.clear();
                    continue;
                }
                Err(_) => break,
            }
            if lines.trim().is_empty() {
                lines.clear();
                continue;
            }
            let ended = session.borrow_mut().interact(&lines, &interrupt::pressed, &mut print);
            match ended.map_err(refused)? {
                Ended::More => {}
                Ended::Status(_) | Ended::Interrupted => lines.clear(),
                Ended::GoesOn => {
                    eprintln!(
                        "memwhy: the code cannot be interrupted: it is in C code; its thread \
                         leaves once that ends"
                    );
                    return Ok(1);
                }
            }
        }
        if let Some(history) = &history {
            let _ = editor.save_history(history);
        }
        drop(editor);
        let Some(session) = Rc::into_inner(session) else { return Ok(0) };
        let left = session.into_inner().leave().map_err(refused)?;
        if !self.consent.quiet {
            tell(&left);
        }
        Ok(0)
    }
}

/// Where lines are kept from one console to the next, if there is a place for such things.
fn history() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state =
        state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    let folder = state.join("memwhy");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("shell-history"))
}

/// Completes words by asking the process.
#[derive(Helper, Hinter, Highlighter, Validator)]
struct Words(Rc<RefCell<Session>>);

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..position).unwrap_or_default();
        let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let start = before.rfind(|c| !inside(c)).map_or(0, |at| {
            at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        });
        let word = before.get(start..).unwrap_or_default();
        if word.is_empty() {
            // A tab at the beginning of a line is an indent.
            return Ok((position, vec!["    ".into()]));
        }
        let found = self.0.borrow_mut().completions(word).unwrap_or_default();
        Ok((start, found))
    }
}
