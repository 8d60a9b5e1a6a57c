//! `memwhy trim PID`: what comes back when malloc is asked to give back what it keeps?

use super::consent::Consent;
use super::exec::STEPS;
use super::failure::Failure;
use super::output::Out;
use crate::Options;
use clap::Args;
use memwhy_act::Session;
use memwhy_act::allocator;
use memwhy_act::session::Ended;
use memwhy_model::{Bytes, MallocFacts};
use memwhy_target::Process;
use memwhy_target::sys::interrupt;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Trim {
    #[command(flatten)]
    consent: Consent,
    /// First collect garbage, with the program's own collector
    #[arg(long)]
    gc: bool,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl Trim {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let pid = self.consent.pid;
        let refused = |refusal| Failure::Refused { pid, refusal };
        let planned = allocator::planned(Process::open(pid)?).map_err(refused)?;
        let call = format!(
            "borrow a thread that waits in the kernel to call {}; its wait begins anew",
            planned.join(", then ")
        );
        let mut steps = Vec::new();
        if self.gc {
            steps.extend_from_slice(&STEPS[..1]);
            steps.push("run gc.collect() in it, and leave");
        }
        steps.push(&call);
        let process = self.consent.given(&steps)?;
        interrupt::watch();
        let at_first = process.quick_rss();
        let mut collected = None;
        if self.gc {
            let mut session =
                Session::open(process.clone(), self.consent.timeout).map_err(refused)?;
            let mut said = String::new();
            let code = "import gc\nprint(gc.collect())";
            let ended = session
                .run(code, "<gc>", Some(self.consent.timeout), &interrupt::pressed, &mut |text| {
                    said.push_str(text);
                })
                .map_err(refused)?;
            if ended == Ended::GoesOn {
                return Err(Failure::Other {
                    what: format!("gc.collect() did not end in {:?}", self.consent.timeout),
                    advice: "once more, with a longer --timeout; the collection goes on".into(),
                });
            }
            session.leave().map_err(refused)?;
            collected = said.trim().parse::<u64>().ok();
        }
        // After the collection: it is what the trim then finds.
        let predicted = predicted(
            crate::capture(pid, &Options { causes: false, ..Options::default() })?.malloc,
        );
        let trimmed = allocator::trim(process, self.consent.timeout).map_err(refused)?;
        let (before, after) = trimmed.rss;
        let returned = before.minus(after);
        if self.json {
            out.json(&serde_json::json!({
                "schema": "memwhy.trim/1",
                "pid": pid,
                "called": trimmed.called,
                "thread": trimmed.tid,
                "paused_ms": trimmed.paused.as_secs_f64() * 1000.0,
                "took_ms": trimmed.took.as_secs_f64() * 1000.0,
                "finished": trimmed.finished,
                "collected_objects": collected,
                "rss_at_first_bytes": at_first.0,
                "rss_before_bytes": before.0,
                "rss_after_bytes": after.0,
                "predicted_bytes": predicted.as_ref().ok().map(|bytes| bytes.0),
                "not_predicted_because": predicted.err(),
                "returned_bytes": returned.0,
            }));
            return Ok(0);
        }
        if let Some(collected) = collected {
            out.text(&format!(
                "gc.collect() found {collected} objects; RSS {at_first} before, {before} after"
            ));
        }
        let predicted = match predicted {
            Ok(bytes) => format!("predicted {bytes}"),
            Err(why) => format!("not predicted ({why})"),
        };
        out.text(&format!(
            "{} in thread {} ({:.0} ms; the process stood still for {:.1} ms)",
            trimmed.called.join(", then "),
            trimmed.tid,
            trimmed.took.as_secs_f64() * 1000.0,
            trimmed.paused.as_secs_f64() * 1000.0,
        ));
        out.text(&format!("{predicted}, returned {returned}: RSS {before} → {after}"));
        if !trimmed.finished {
            out.text("the thread has not come back yet: it may still give memory back");
        }
        Ok(0)
    }
}

/// What the call will return, or why that is not known.
fn predicted(malloc: Option<MallocFacts>) -> Result<Bytes, String> {
    match malloc {
        Some(MallocFacts { walked: true, glibc: Some(glibc), name })
            if name.starts_with("glibc") =>
        {
            Ok(glibc.trim_returns)
        }
        Some(MallocFacts { walked: true, name, .. }) => {
            Err(format!("what {name} gives back of its free memory is its own choice"))
        }
        Some(malloc) => Err(format!("the heap of {} was not walked", malloc.name)),
        None => Err("its heap was not found".into()),
    }
}
