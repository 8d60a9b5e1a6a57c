//! How do tests that need much memory and time not all run at once?

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How many may run at once, in all test programs together.
const TURNS: usize = 2;

/// The right to run something heavy; another test has it when this is dropped.
#[derive(Debug)]
pub struct Turn {
    /// The lock ends with the file, whatever we die of.
    _lock: File,
}

impl Turn {
    /// Waits for a turn. `dir` is where all test programs of a run can see each other's locks,
    /// `CARGO_TARGET_TMPDIR`.
    ///
    /// # Panics
    /// If there can be no lock in `dir`.
    #[must_use]
    pub fn take(dir: &Path) -> Self {
        let open = |number: usize| {
            let path = dir.join(format!("turn-{number}.lock"));
            File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        loop {
            if let Some(lock) = (0..TURNS).map(open).find(|lock| lock.try_lock().is_ok()) {
                return Self { _lock: lock };
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TURNS, Turn};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn no_more_than_that_many_have_a_turn() {
        let dir = std::env::temp_dir().join(format!("memwhy-{}-turns", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..3 * TURNS {
                scope.spawn(|| {
                    let _turn = Turn::take(&dir);
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(5));
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=TURNS).contains(&most.into_inner()));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
