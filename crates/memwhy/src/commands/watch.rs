//! `memwhy watch PID`: does it grow, and what grows?

use super::failure::Failure;
use super::output::Out;
use super::target::{Place, Target, duration};
use crate::OpenError;
use clap::Args;
use memwhy_model::Case;
use memwhy_reason::Ask;
use memwhy_reason::analyses::trend::{Sample, Trend};
use memwhy_reason::analyses::{Growth, native_growth};
use memwhy_reason::probe::call_site;
use memwhy_target::sys::interrupt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A look may take so much of the time between two: a large process is looked at less often.
const OUR_SHARE: u32 = 5;

/// How often Ctrl-C is asked for while we wait.
const NAP: Duration = Duration::from_millis(50);

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Watch {
    #[command(flatten)]
    target: Target,
    /// Time from one look to the next; longer where a look takes more than a fifth of it
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    every: Duration,
    /// How long to watch; Ctrl-C ends it with the verdict so far
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "5m")]
    length: Duration,
}

impl Watch {
    pub(super) fn run(self, _out: &mut Out) -> Result<u8, Failure> {
        let Place::Process(pid) = self.target.place else {
            return Err(Failure::Other {
                what: format!("{} does not change", self.target.place),
                advice: "`memwhy diff BEFORE AFTER` compares two moments".into(),
            });
        };
        interrupt::watch();
        let begun = Instant::now();
        let mut samples: Vec<Sample> = Vec::new();
        // The first look, for the names from which more is reachable at the end.
        let mut ends: (Option<Case>, Option<Case>) = (None, None);
        let gone = loop {
            let looked = Instant::now();
            let case = match self.target.observe() {
                Ok((case, None)) => case,
                Ok((_, Some(failure))) => return Err(failure),
                // It ended: what was seen until then counts.
                Err(failure) if samples.is_empty() => return Err(failure),
                Err(failure) => break Some(ended(pid, failure)),
            };
            let took = looked.elapsed();
            samples.push(Sample::of(&case));
            self.tell(pid, &samples, &case)?;
            let case = Case { details: None, ..case };
            if ends.0.is_none() {
                ends.0 = Some(case);
            } else {
                ends.1 = Some(case);
            }
            let pause = self.every.max(took * OUR_SHARE);
            let next = looked + pause;
            if next > begun + self.length || waited_until(next) {
                break None;
            }
        };
        let trend = Trend::of(&samples);
        let (answer, native) = match &ends {
            (Some(first), Some(last)) => {
                let ask = Ask::since(first, last);
                let native = native_growth::dominant(&ask);
                let native = native.map(|row| (call_site(last, row.sizes), row));
                (ask.get::<Growth>(), native.map(|(probe, row)| (row, probe)))
            }
            (Some(_) | None, Some(_) | None) => (Rc::default(), None),
        };
        let grown = answer.as_ref().as_ref();
        let style = self.target.style();
        let text = if self.target.json {
            memwhy_report::json::watch_verdict(pid, &trend, samples.len(), grown, native.as_ref())
                .to_string()
        } else {
            let target = pid.to_string();
            memwhy_report::text::watch_verdict(
                &trend,
                samples.len(),
                grown,
                native.as_ref(),
                &target,
                style,
            )
        };
        self.print(&text)?;
        match gone {
            Some(failure) => Err(failure),
            None => Ok(0),
        }
    }

    fn tell(&self, pid: u32, samples: &[Sample], case: &Case) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(()) };
        if self.target.json {
            return self.print(&memwhy_report::json::watch_look(pid, last).to_string());
        }
        if samples.len() == 1 {
            let style = self.target.style();
            self.print(&memwhy_report::text::watch_head(case, style))?;
        }
        self.print(&memwhy_report::text::watch_line(first, last))
    }

    /// At once: whoever watches waits for it.
    fn print(&self, text: &str) -> Result<(), Failure> {
        let path = self.target.output.clone();
        let line = text.trim_end_matches('\n');
        let written = if let Some(path) = &path {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.and_then(|mut file| writeln!(file, "{line}"))
        } else {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush())
        };
        written.map_err(|error| Failure::Write { path, error })
    }
}

/// A process that we have looked at before and that is not there any more went away.
fn ended(pid: u32, failure: Failure) -> Failure {
    let there = std::path::Path::new(&format!("/proc/{pid}")).exists();
    if there { failure } else { OpenError::Gone { pid }.into() }
}

/// Waits; says whether Ctrl-C was pressed meanwhile.
fn waited_until(then: Instant) -> bool {
    loop {
        if interrupt::pressed() {
            return true;
        }
        let left = then.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.min(NAP));
    }
}
