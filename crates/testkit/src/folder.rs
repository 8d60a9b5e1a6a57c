//! Where do tests put the files that they make?

use std::fs;
use std::path::{Path, PathBuf};

/// A folder that is gone when this is dropped.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// Makes an empty one of that name in `within`, which is `CARGO_TARGET_TMPDIR` for most.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(within: &str, name: &str) -> Self {
        let path = Path::new(within).join(name);
        // Left there by a run that was killed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder for tests");
        Self(path.canonicalize().expect("just made"))
    }

    /// The path of `name` in it, as an argument.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let gone = fs::remove_dir_all(&self.0);
        // A test that has failed already may have left anything.
        assert!(gone.is_ok() || std::thread::panicking(), "{}: {gone:?}", self.0.display());
    }
}
