//! Which files does the process have in its memory, and how much of each?
//!
//! By file, not by mapping: one file may be mapped in many pieces. Programs and libraries, of which
//! some piece may be run, are told from data.

use super::Analysis;
use crate::Ask;
use memwhy_model::{Bytes, MappingFacts};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// See the [module](self).
#[derive(Debug)]
pub struct MappedFiles;

/// Files in memory, each kind most resident first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Programs and libraries.
    pub images: Vec<FileShare>,
    /// Other files on disks.
    pub data: Vec<FileShare>,
    /// Files in memory: tmpfs, `memfd`, System V segments, anonymous shared memory.
    pub shared: Vec<FileShare>,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileShare {
    /// Its path, or what the kernel calls it.
    pub name: String,
    /// Whether its name is gone.
    pub deleted: bool,
    /// Resident.
    pub resident: Bytes,
    /// The part of it that no other process has.
    pub private: Bytes,
    /// The part of it that differs from the file and is this process's alone.
    pub changed: Bytes,
}

impl FileShare {
    /// What of `files` is resident, together.
    #[must_use]
    pub fn resident(files: &[Self]) -> Bytes {
        files.iter().map(|file| file.resident).sum()
    }

    /// `largest: /dev/shm/psm_1 128 MiB, memfd buffer 64.0 MiB`: the first of `files`.
    #[must_use]
    pub fn largest(files: &[Self]) -> String {
        /// Files named.
        const NAMED: usize = 3;
        let named: Vec<String> = files.iter().take(NAMED).map(ToString::to_string).collect();
        format!("largest: {}", named.join(", "))
    }
}

impl fmt::Display for FileShare {
    /// `/dev/shm/psm_1 128 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deleted = if self.deleted { " (deleted)" } else { "" };
        write!(f, "{}{deleted} {}", self.name, self.resident)
    }
}

impl Analysis for MappedFiles {
    type Answer = Files;
    const NAME: &'static str = "mapped-files";

    fn compute(ask: &Ask<'_>) -> Files {
        let runs = |map: &&MappingFacts| map.permissions.as_bytes().get(2) == Some(&b'x');
        let images: BTreeSet<&str> =
            ask.mappings.iter().filter(runs).map(|map| map.name.as_str()).collect();
        let mut by_name: [BTreeMap<&str, FileShare>; 3] = Default::default();
        let [in_images, in_data, in_shared] = &mut by_name;
        for map in &ask.mappings {
            let files = match (map.shmem, map.file) {
                (true, _) => &mut *in_shared,
                (false, true) if images.contains(map.name.as_str()) => &mut *in_images,
                (false, true) => &mut *in_data,
                (false, false) => continue,
            };
            let file = files.entry(map.name.as_str()).or_default();
            file.resident += map.rss;
            file.private += map.private();
            if map.permissions.ends_with('p') {
                file.changed += map.private_dirty;
            }
        }
        let [images, data, shared] = by_name.map(|files| {
            let named = files.into_iter().map(|(name, file)| {
                let (name, deleted) = called(name);
                FileShare { name, deleted, ..file }
            });
            let mut files: Vec<FileShare> = named.filter(|file| file.resident > Bytes(0)).collect();
            files.sort_by(|a, b| b.resident.cmp(&a.resident).then_with(|| a.name.cmp(&b.name)));
            files
        });
        Files { images, data, shared }
    }
}

/// What a person calls it, and whether its name is gone.
fn called(name: &str) -> (String, bool) {
    let (plain, deleted) = match name.strip_suffix(" (deleted)") {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    let said = if let Some(name) = plain.strip_prefix("/memfd:") {
        format!("memfd {name}")
    } else if let Some(key) = plain.strip_prefix("/SYSV") {
        format!("System V segment with key 0x{key}")
    } else if plain == "/dev/zero" {
        "shared anonymous memory".to_owned()
    } else {
        plain.to_owned()
    };
    (said, deleted)
}

#[cfg(test)]
mod tests {
    use super::called;

    #[test]
    fn memory_without_a_path_has_a_name_nevertheless() {
        assert_eq!(called("/memfd:arrow (deleted)"), ("memfd arrow".into(), true));
        assert_eq!(called("/SYSV00000007 (deleted)").0, "System V segment with key 0x00000007");
        assert_eq!(called("/dev/zero (deleted)").0, "shared anonymous memory");
        assert_eq!(called("/dev/shm/x"), ("/dev/shm/x".into(), false));
    }
}
