//! `memwhy try -- COMMAND`: which cure would really help this program?

use super::failure::Failure;
use super::output::{ColorChoice, Out};
use super::target::duration;
use crate::Options;
use clap::Args;
use memwhy_act::trial::{self, CURES, Missing, Plan, Ready};
use memwhy_model::{Case, Trial};
use memwhy_reason::trials::compare;
use memwhy_report::{Explained, Style};
use memwhy_target::sys::interrupt;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Try {
    /// Cures to try; without it, all that are installed. arena-max, trim-threshold and
    /// mmap-threshold take a number: arena-max=2
    #[arg(long, value_name = "CURE", value_delimiter = ',')]
    with: Vec<String>,
    /// A command of the shell that makes the program work; the program is explained and ended
    /// afterwards. Without it the program is a job that ends by itself
    #[arg(long, value_name = "COMMAND")]
    load: Option<String>,
    /// How often each cure is run; the runs take turns
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeats: u32,
    /// How long the program has to get ready before the load
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s")]
    settle: Duration,
    /// How long it is watched after the load
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "3s")]
    rest: Duration,
    /// How often RSS is looked at
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "50ms")]
    every: Duration,
    /// A run that takes longer is ended, and does not count
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    limit: Duration,
    /// Draw the curves into a file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// When to use colours
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Explains the largest of a program's processes that is Python's.
fn explain(cure: &str, pids: &[u32]) -> Option<Explained> {
    let cases = pids.iter().filter_map(|pid| crate::capture(*pid, &Options::default()).ok());
    let case = cases.filter(|case| case.about.python.is_some()).max_by_key(Case::rss)?;
    let verdict = crate::explain(&case);
    Some(Explained { cure: cure.to_owned(), case, verdict })
}

impl Try {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let (ready, missing) = self.cures()?;
        let plan = Plan {
            command: self.command.clone(),
            load: self.load.clone(),
            settle: self.settle,
            rest: self.rest,
            every: self.every.max(Duration::from_millis(1)),
            limit: self.limit,
        };
        interrupt::watch();
        let stopped = std::cell::Cell::new(false);
        let stop = || {
            if interrupt::pressed() {
                stopped.set(true);
            }
            stopped.get()
        };
        let mut explained: Vec<Explained> = Vec::new();
        let mut trials: Vec<Trial> = ready
            .iter()
            .map(|cure| Trial {
                cure: cure.id.clone(),
                setting: cure.setting.clone(),
                runs: Vec::new(),
            })
            .collect();
        // In turn, so that what changes meanwhile on the machine changes for all.
        'all: for round in 1..=self.repeats.max(1) {
            for (cure, trial) in ready.iter().zip(&mut trials) {
                eprintln!("run {round} of {}: {} ({})", self.repeats, cure.id, cure.setting);
                // Once is enough to say what is left under a cure.
                let mut look = |pids: &[u32]| {
                    if explained.iter().all(|one| one.cure != cure.id) {
                        explained.extend(explain(&cure.id, pids));
                    }
                };
                let run =
                    trial::run(&plan, cure, &stop, &mut look).map_err(|error| Failure::Other {
                        what: format!("cannot start {}: {error}", self.command[0].display()),
                        advice: "the program and its arguments come after --".into(),
                    })?;
                if stopped.get() {
                    eprintln!("interrupted: what follows is of the runs that ended before");
                    break 'all;
                }
                if let Some(failure) = &run.failure {
                    eprintln!("   {failure}");
                }
                trial.runs.push(run);
            }
        }
        let comparison = compare(&trials);
        if let Some(path) = &self.svg {
            std::fs::write(path, memwhy_report::curves(&trials))
                .map_err(|error| Failure::Write { path: Some(path.clone()), error })?;
        }
        if self.json {
            out.json(&memwhy_report::json::trial(&trials, &comparison, &missing, &explained));
        } else {
            let terminal = std::io::stdout().is_terminal();
            let style = Style { color: self.color.wanted(terminal), width: 100 };
            out.text(&memwhy_report::text::trial(
                &trials,
                &comparison,
                &missing,
                &explained,
                style,
            ));
        }
        // Without a run of the program as it is nothing was learnt.
        Ok(u8::from(comparison.rows.first().is_none_or(|row| row.runs.0 == 0)))
    }

    /// What can be tried, the program as it is first, and what cannot, a sentence each.
    fn cures(&self) -> Result<(Vec<Ready>, Vec<String>), Failure> {
        let all: Vec<String> = CURES.iter().map(|cure| cure.id.to_owned()).collect();
        let mut wanted = if self.with.is_empty() { all.clone() } else { self.with.clone() };
        if wanted.first().is_none_or(|first| first != "glibc") {
            wanted.retain(|cure| cure != "glibc");
            wanted.insert(0, "glibc".into());
        }
        let (mut ready, mut missing) = (Vec::new(), Vec::new());
        for cure in &wanted {
            match trial::ready(cure) {
                Ok(one) => ready.push(one),
                Err(Missing::NotInstalled(cure, package)) => missing.push(format!(
                    "{cure}: its library is not installed; Debian's package is {package}"
                )),
                Err(Missing::Unknown(cure)) => {
                    return Err(Failure::Usage(format!(
                        "there is no cure {cure}; there are {}",
                        all.join(", ")
                    )));
                }
                Err(Missing::BadNumber(cure)) => {
                    return Err(Failure::Usage(format!(
                        "{cure} is no number of a cure that has one"
                    )));
                }
            }
        }
        Ok((ready, missing))
    }
}
