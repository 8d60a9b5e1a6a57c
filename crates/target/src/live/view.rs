//! What can be read of a target, wherever its bytes are: in the process, in a copy of it, in a core,
//! in the files that it had mapped?
//!
//! A [`View`] never makes the kernel bring a page in: memory is read where pages are present, and
//! pages of files are read from the files, which `/proc/PID/map_files` reaches in any container.

use crate::captured::Captured;
use crate::core_file::CoreMemory;
use crate::core_file::files::Opened;
use crate::live::maps::{Mapping, Maps};
use crate::live::now::Now;
use crate::live::process::Process;
use crate::memory::{Fault, FaultKind, Memory};
use memwhy_model::{Addr, PageState, Residency};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

type FileKey = (String, u64);

/// The memory of a process through its present pages and its files.
#[derive(Debug)]
pub struct View {
    source: Source,
    maps: Maps,
    pages: Residency,
    /// Opened once each, by device and inode; `None` where that failed.
    files: Mutex<HashMap<FileKey, Option<Arc<File>>>>,
}

/// Where the bytes come from.
enum Source {
    /// The process as it is now.
    Live(Process),
    /// A copy of what could change in the process, which is then read instead of it.
    Copy(Process, Captured),
    /// A core; its files were opened with it.
    Core(CoreMemory),
    /// A copy of those pages that somebody asked for: what is not in it is not known.
    Parts(Process, Captured),
    /// Another view of the same target, through something that may answer otherwise.
    Through(Box<dyn Memory + Send + Sync>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live(_) => "Live",
            Self::Copy(..) => "Copy",
            Self::Core(_) => "Core",
            Self::Parts(..) => "Parts",
            Self::Through(_) => "Through",
        })
    }
}

impl View {
    /// Looks at `process` through the mappings and pages that it had a moment ago.
    #[must_use]
    pub fn live(process: Process, maps: Maps, pages: Residency) -> Self {
        Self { source: Source::Live(process), maps, pages, files: Mutex::default() }
    }

    /// Looks at a copy, and at the process's files where the copy has nothing.
    #[must_use]
    pub fn of_copy(process: Process, maps: Maps, pages: Residency, copy: Captured) -> Self {
        Self { source: Source::Copy(process, copy), maps, pages, files: Mutex::default() }
    }

    /// Looks at a core, and at `files` where the core has nothing.
    pub(crate) fn of_core(core: CoreMemory, maps: Maps, pages: Residency, files: Opened) -> Self {
        Self { source: Source::Core(core), maps, pages, files: Mutex::new(files) }
    }

    /// Looks at a copy of some pages, and at the process's files.
    #[must_use]
    pub(crate) fn of_parts(process: Process, maps: Maps, pages: Residency, copy: Captured) -> Self {
        Self { source: Source::Parts(process, copy), maps, pages, files: Mutex::default() }
    }

    /// Looks at the same target through `wrap`, which decides what is read: how a test has memory
    /// fail and lie.
    #[must_use]
    pub fn through(self, wrap: impl FnOnce(Self) -> Box<dyn Memory + Send + Sync>) -> Self {
        let (maps, pages) = (self.maps.clone(), self.pages.clone());
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { source: Source::Through(wrap(self)), maps, pages, files: Mutex::new(files) }
    }

    /// The mappings.
    #[must_use]
    pub const fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The present pages.
    #[must_use]
    pub const fn pages(&self) -> &Residency {
        &self.pages
    }

    /// The process, if it is one that runs.
    #[must_use]
    pub const fn process(&self) -> Option<&Process> {
        match &self.source {
            Source::Live(process) | Source::Copy(process, _) | Source::Parts(process, _) => {
                Some(process)
            }
            Source::Core(_) | Source::Through(_) => None,
        }
    }

    /// Below which the target has its files, if they are not where ours are: its root, or the copy
    /// of another machine's files.
    #[must_use]
    pub fn root(&self) -> Option<PathBuf> {
        match &self.source {
            Source::Live(process) | Source::Copy(process, _) | Source::Parts(process, _) => {
                Some(process.path("root"))
            }
            Source::Core(core) => core.lib_root().map(Path::to_owned),
            Source::Through(_) => None,
        }
    }

    /// What became of the core while it was read, if it is one and something did.
    #[must_use]
    pub fn spoiled(&self) -> Option<String> {
        match &self.source {
            Source::Core(core) => core.spoiled(),
            Source::Live(_) | Source::Copy(..) | Source::Parts(..) | Source::Through(_) => None,
        }
    }

    /// Opens the very file that is mapped, also if it was deleted or lies in another container.
    #[must_use]
    pub fn file(&self, mapping: &Mapping) -> Option<Arc<File>> {
        if mapping.facts.file { self.opened(mapping) } else { None }
    }

    /// Opens shared memory, which has a file too, if only in the kernel.
    pub(crate) fn shared_file(&self, mapping: &Mapping) -> Option<Arc<File>> {
        if mapping.facts.shmem { self.opened(mapping) } else { None }
    }

    fn opened(&self, mapping: &Mapping) -> Option<Arc<File>> {
        let key = (mapping.device.clone(), mapping.inode);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(key).or_insert_with(|| self.open(mapping).map(Arc::new)).clone()
    }

    fn open(&self, mapping: &Mapping) -> Option<File> {
        // map_files needs a capability that an ordinary user lacks; the path through the target's
        // root is then as good, if the inode there is still the one that is mapped.
        let process = match &self.source {
            Source::Live(process) | Source::Copy(process, _) | Source::Parts(process, _) => process,
            Source::Core(_) | Source::Through(_) => return None,
        };
        let exact = process.path("map_files").join(mapping.range().to_string());
        if let Ok(file) = File::open(exact) {
            return Some(file);
        }
        let path = mapping.facts.name.trim_start_matches('/');
        let file = File::open(process.path("root").join(path)).ok()?;
        (file.metadata().ok()?.ino() == mapping.inode).then_some(file)
    }

    fn read_piece(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let fault = |why| Fault { at: addr, why };
        let state = self.pages.state(addr);
        match state {
            Some(PageState::Anon | PageState::Zero) => {
                let process = match &self.source {
                    Source::Copy(_, copy) | Source::Parts(_, copy) => return copy.read(addr, buf),
                    Source::Core(core) => return core.read(addr, buf),
                    Source::Through(memory) => return memory.read(addr, buf),
                    Source::Live(process) => process,
                };
                Now(process).read(addr, buf)
            }
            Some(PageState::File) | None => {
                if let Source::Core(core) = &self.source
                    && core.read(addr, buf).is_ok()
                {
                    return Ok(());
                }
                let mapping = self.maps.find(addr).ok_or(fault(FaultKind::Unmapped))?;
                // Anonymous memory that was never touched is zero for whoever looks; smaps tells
                // it from memory that was swapped out. (A view without a copy has no smaps.)
                let untouched = state.is_none()
                    && matches!(self.source, Source::Copy(..))
                    && mapping.anonymous()
                    && mapping.private()
                    && mapping.readable()
                    && mapping.facts.swap.0 == 0;
                if untouched {
                    buf.fill(0);
                    return Ok(());
                }
                let file = self.file(mapping).ok_or(fault(FaultKind::NotCaptured))?;
                let into = addr.0 - mapping.range().start.0 + mapping.offset;
                file.read_exact_at(buf, into).map_err(|_| fault(FaultKind::NotCaptured))
            }
        }
    }
}

impl Memory for View {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        // One piece a page run: neighbours may come from different places.
        let whole = match &self.source {
            Source::Live(_) => false,
            Source::Copy(_, copy) | Source::Parts(_, copy) => copy.read(addr, buf).is_ok(),
            Source::Core(core) => core.read(addr, buf).is_ok(),
            Source::Through(memory) => return memory.read(addr, buf),
        };
        if whole {
            return Ok(());
        }
        let (mut at, mut rest) = (addr, buf);
        while !rest.is_empty() {
            // Of a run of present pages all at once, of others one by one.
            let end = self.pages.run_end(at).unwrap_or_else(|| at.align_down(4096).at(4096));
            let here = usize::try_from(end.0.saturating_sub(at.0)).unwrap_or(usize::MAX).max(1);
            let (now, later) = rest.split_at_mut(here.min(rest.len()));
            self.read_piece(at, now)?;
            at = at.checked_add(now.len() as u64).ok_or(Fault::unmapped(at))?;
            rest = later;
        }
        Ok(())
    }
}
