//! What was written of a case?

/// A snapshot as the one who asked for it is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Where it is.
    pub path: &'a str,
    /// Objects, if there was a heap.
    pub objects: u64,
    /// References among them.
    pub references: u64,
    /// On the disk.
    pub bytes: u64,
    /// Whether values are among it.
    pub values: bool,
}
