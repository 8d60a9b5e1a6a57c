//! Which files on this disk are the ones that the process had mapped?
//!
//! A core leaves out what its files have. A file is taken when its build id is the one that the
//! core holds on the file's first page; one that differs is refused and named, because code and
//! data of another build would be read as if they were the process's. A file whose identity the
//! core does not hold is taken and counted.

use crate::core_file::CoreMemory;
use crate::live::maps::{Mapping, Maps};
use crate::memory::Memory as _;
use memwhy_model::{Addr, ProblemKind, Problems};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Program headers looked at in one ELF file.
const MOST_HEADERS: u16 = 256;
/// Bytes of notes looked at in one ELF file.
const MOST_NOTES: u64 = 1 << 16;

/// Where the files are that a core refers to.
#[derive(Clone, Debug, Default)]
pub struct CoreFiles {
    /// The program that ran, where it is not at the path that the core states.
    pub exe: Option<PathBuf>,
    /// A folder under which all paths of the core are looked up first.
    pub lib_root: Option<PathBuf>,
}

/// Opened files by device and inode, as mappings name them.
pub(crate) type Opened = HashMap<(String, u64), Option<Arc<File>>>;

impl CoreFiles {
    /// Opens every file that `maps` names.
    pub(crate) fn open(
        &self,
        core: &CoreMemory,
        maps: &Maps,
        exe: &str,
        problems: &mut Problems,
    ) -> Opened {
        let mut opened = Opened::new();
        for mapping in maps.0.iter().filter(|mapping| mapping.facts.file) {
            let key = (mapping.device.clone(), mapping.inode);
            if opened.contains_key(&key) {
                continue;
            }
            let first = maps
                .0
                .iter()
                .find(|m| (m.inode, &m.device, m.offset) == (mapping.inode, &mapping.device, 0));
            let wanted = first.and_then(|first| build_id(core_bytes(core, first)));
            opened.insert(key, self.find(mapping, wanted.as_deref(), exe, problems));
        }
        opened
    }

    fn find(
        &self,
        mapping: &Mapping,
        wanted: Option<&[u8]>,
        exe: &str,
        problems: &mut Problems,
    ) -> Option<Arc<File>> {
        let name = mapping.facts.name.as_str();
        let path = name.trim_end_matches(" (deleted)");
        let mut different = None;
        for candidate in self.candidates(path, path == exe, wanted.is_some()) {
            // Devices and pipes do things when they are opened.
            if !candidate.metadata().is_ok_and(|facts| facts.is_file()) {
                continue;
            }
            let Ok(file) = File::open(&candidate) else { continue };
            let has = build_id(|at, buf| file.read_exact_at(buf, at).is_ok());
            if wanted.is_none() || wanted == has.as_deref() {
                return Some(Arc::new(file));
            }
            different = Some((candidate, has));
        }
        problems.note(ProblemKind::FileNotFound, || match (different, wanted) {
            (Some((candidate, has)), Some(wanted)) => format!(
                "{} is another build than the core's: {} here, {} there",
                candidate.display(),
                has.as_deref().map_or_else(|| "no build id".into(), hex),
                hex(wanted)
            ),
            _ => format!("{name} is not there"),
        });
        None
    }

    /// Where a file may be, best first. Of a process in a container debuggers write paths as they see
    /// them, from outside; where the file can be told by its build id, the ends of its path are
    /// looked up too.
    fn candidates(&self, path: &str, is_exe: bool, told: bool) -> Vec<PathBuf> {
        let inner = path.trim_start_matches('/');
        let mut found: Vec<PathBuf> = self.exe.iter().filter(|_| is_exe).cloned().collect();
        if let Some(root) = &self.lib_root {
            let ends = inner.match_indices('/').filter_map(|(at, _)| inner.get(at + 1..));
            let ends = ends.filter(|_| told);
            found.extend([inner].into_iter().chain(ends).map(|end| root.join(end)));
        }
        found.push(Path::new(path).to_owned());
        found
    }
}

/// Reads the core where the file of `first`, its first mapping, was.
fn core_bytes(core: &CoreMemory, first: &Mapping) -> impl Fn(u64, &mut [u8]) -> bool {
    let (start, len) = (first.range().start, first.range().len());
    move |at, buf| {
        let inside = at.checked_add(buf.len() as u64).is_some_and(|end| end <= len);
        inside && start.checked_add(at).is_some_and(|at: Addr| core.read(at, buf).is_ok())
    }
}

/// The build id of an ELF file that `read` gives the bytes of, by their place in the file.
fn build_id(read: impl Fn(u64, &mut [u8]) -> bool) -> Option<Vec<u8>> {
    let mut head = [0; 64];
    if !read(0, &mut head) || !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 8).and_then(|w| w.try_into().ok()).map(u64::from_le_bytes)
    };
    let half = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|w| w.try_into().ok()).map(u32::from_le_bytes)
    };
    let table = word(&head, 32)?;
    let count = head.get(56..58).and_then(|w| w.try_into().ok()).map(u16::from_le_bytes)?;
    for n in 0..u64::from(count.min(MOST_HEADERS)) {
        let mut header = [0; 56];
        if !read(table.checked_add(n * 56)?, &mut header) {
            return None;
        }
        if half(&header, 0) != Some(object::elf::PT_NOTE) {
            continue;
        }
        let (offset, len) = (word(&header, 8)?, word(&header, 32)?);
        let mut notes = vec![0; usize::try_from(len.min(MOST_NOTES)).ok()?];
        if read(offset, &mut notes) {
            let found = super::notes::find(&notes, b"GNU", object::elf::NT_GNU_BUILD_ID);
            if let Some(id) = found {
                return Some(id.to_vec());
            }
        }
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().take(20).flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}
