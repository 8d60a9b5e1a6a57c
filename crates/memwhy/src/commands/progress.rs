//! What does who waits at a terminal see meanwhile?
//!
//! A bar on standard error, if that is a terminal and the work takes longer than a moment; it is
//! gone before anything is printed.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use memwhy_target::progress::{Step, now};
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Nobody needs to be told why he waits for less.
const MOMENT: Duration = Duration::from_millis(800);
/// How often it is drawn.
const OFTEN: Duration = Duration::from_millis(100);
/// Parts of the bar: steps differ in what they count.
const PARTS: u64 = 1000;

/// Set when everything is to be off the screen.
static OVER: AtomicBool = AtomicBool::new(false);

/// The bar, while there is one on the screen.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Runs `work` with a bar beside it.
pub(super) fn beside<T>(work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let drawer = scope.spawn(draw);
        // Also where the work panics: the drawer would be waited for.
        let over = Over;
        let answer = work();
        drop(over);
        let _ = drawer.join();
        answer
    })
}

/// Takes the bar off the screen when it is dropped: something may be printed then.
pub(super) struct Cleared;

impl Drop for Cleared {
    fn drop(&mut self) {
        memwhy_target::progress::begin(Step::Nothing, 0);
        wipe(&mut bar());
    }
}

fn bar() -> MutexGuard<'static, Option<ProgressBar>> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wipe(bar: &mut Option<ProgressBar>) {
    if let Some(bar) = bar.take() {
        bar.finish_and_clear();
    }
}

/// Ends the bar when it is dropped.
struct Over;

impl Drop for Over {
    fn drop(&mut self) {
        OVER.store(true, Ordering::Relaxed);
        memwhy_target::progress::begin(Step::Nothing, 0);
    }
}

fn draw() {
    let mut began = Instant::now();
    while !OVER.load(Ordering::Relaxed) {
        let mut bar = bar();
        // Asked with the bar in hand: nobody prints meanwhile.
        let (step, done, all) = now();
        if step == Step::Nothing {
            wipe(&mut bar);
            began = Instant::now();
        } else if began.elapsed() > MOMENT {
            let bar = bar.get_or_insert_with(made);
            bar.set_message(step.said());
            bar.set_position(done.saturating_mul(PARTS).checked_div(all).unwrap_or(0));
        }
        drop(bar);
        thread::sleep(OFTEN);
    }
    wipe(&mut bar());
}

fn made() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(PARTS), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {msg}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("##-"));
    }
    bar
}
