//! Is there memory for it?
//!
//! A few kB can state, and encode, a heap of billions of objects. What a snapshot needs is known
//! before it is read, and what this machine has is in `/proc/meminfo`: a sentence is better than
//! being killed.

use memwhy_model::Bytes;

/// What one object takes while the graph is built: its row as found, and its columns.
const OBJECT: u64 = 24 + 17;

/// What one reference takes.
const REFERENCE: u64 = 4;

/// Why there is no room for a heap of that size, if there is none.
pub(crate) fn lacks(objects: u64, references: u64) -> Option<String> {
    lacks_of(available()?, objects, references)
}

fn lacks_of(available: Bytes, objects: u64, references: u64) -> Option<String> {
    let needed =
        objects.saturating_mul(OBJECT).saturating_add(references.saturating_mul(REFERENCE));
    (needed > available.0).then(|| {
        format!(
            "its {objects} objects and {references} references need {} of memory, and this \
             machine has {available} left",
            Bytes(needed)
        )
    })
}

/// What the kernel could give without swapping; unknown where there is no `/proc`.
fn available() -> Option<Bytes> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok().map(Bytes::kib)
}

#[cfg(test)]
mod tests {
    use super::{available, lacks_of};
    use memwhy_model::Bytes;

    #[test]
    fn a_heap_beyond_this_machine_is_refused_in_words() {
        assert_eq!(lacks_of(Bytes::mib(100), 1_000_000, 3_000_000), None);
        let why = lacks_of(Bytes::mib(100), 4_000_000_000, 1).expect("too much");
        assert!(why.contains("4000000000 objects") && why.contains("100 MiB"), "{why}");
        assert!(lacks_of(Bytes::mib(100), u64::MAX, u64::MAX).is_some());
    }

    #[test]
    fn the_kernel_says_what_is_left() {
        assert!(available().is_some_and(|bytes| bytes > Bytes::mib(1)));
    }
}
