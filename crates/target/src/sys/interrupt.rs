//! Has the user pressed Ctrl-C? `SIGINT`, noted instead of obeyed, for what ends in good order.

use std::sync::atomic::{AtomicBool, Ordering};

static PRESSED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    PRESSED.store(true, Ordering::Relaxed);
}

/// From now on Ctrl-C does not end us; [`pressed`] tells of it.
pub fn watch() {
    let handler: extern "C" fn(libc::c_int) = note;
    // SAFETY: the handler stores to an atomic, which a signal handler may do, and lives for ever.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
}

/// Whether Ctrl-C was pressed since this was asked last.
pub fn pressed() -> bool {
    PRESSED.swap(false, Ordering::Relaxed)
}
