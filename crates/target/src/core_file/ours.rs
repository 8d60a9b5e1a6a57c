//! What did memwhy itself write into a core that no core has?
//!
//! What the kernel said in the moment of the copy: mappings with their sizes, present pages, threads
//! with their names and their use of CPUs. Others skip notes of an owner that they do not know. The format is
//! described in `docs/core.md`.

use crate::core_file::notes::{Notes, OUR_ABOUT, OUR_MAPS, OUR_PAGES, OUR_THREADS};
use crate::live::capture::Capture;
use crate::live::file_locks::FileLock;
use crate::live::maps::{Mapping, Maps};
use crate::live::process::Thread;
use memwhy_model::{
    About, Addr, AddrRange, PageRun, PageState, ProblemKind, Problems, Residency, TargetKind,
    Untold,
};
use serde::{Deserialize, Serialize};

/// Everything of ours in one core.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    about: About,
    pub(crate) maps: Maps,
    pub(crate) pages: Residency,
    threads: Vec<ThreadRow>,
}

/// A thread, without the registers that other notes have.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct ThreadRow {
    tid: u32,
    inner_tid: u32,
    comm: String,
    state: char,
    cpu_share: f64,
    cpu_wait: f64,
    asleep_s: Option<f64>,
    file_lock: Option<FileLock>,
}

impl Ours {
    /// Reads what there is; nothing of it counts where a part is missing or broken.
    pub(crate) fn read(notes: &Notes, problems: &mut Problems) -> Option<Self> {
        let head = notes.of_ours(OUR_ABOUT)?;
        let ours = || {
            let maps = Maps(serde_json::from_slice(notes.of_ours(OUR_MAPS)?).ok()?);
            let ascending = maps.0.is_sorted_by(|a, b| a.range().end <= b.range().start);
            Some(Self {
                about: serde_json::from_slice(head).ok()?,
                maps: ascending.then_some(maps)?,
                pages: pages(notes.of_ours(OUR_PAGES)?),
                threads: serde_json::from_slice(notes.of_ours(OUR_THREADS)?).ok()?,
            })
        };
        let ours = ours();
        if ours.is_none() {
            problems.note(ProblemKind::CoreIncomplete, || "memwhy's own notes".into());
        }
        ours
    }

    /// The path of the program.
    pub(crate) fn exe(&self) -> &str {
        &self.about.exe
    }

    /// Replaces what notes of others only say in part.
    pub(crate) fn tell(self, about: &mut About, threads: &mut Vec<Thread>) {
        let path = about.path.take();
        let untold = vec![Untold::OpenFiles];
        *about = About { kind: TargetKind::Core, path, untold, ..self.about };
        let told = std::mem::take(threads);
        threads.extend(self.threads.into_iter().map(|row| Thread {
            tid: row.tid,
            inner_tid: row.inner_tid,
            comm: row.comm,
            state: row.state,
            cpu_share: row.cpu_share,
            cpu_wait: row.cpu_wait,
            asleep_s: row.asleep_s,
            file_lock: row.file_lock,
            registers: told.iter().find(|t| t.tid == row.inner_tid).and_then(|t| t.registers),
        }));
    }
}

fn pages(bytes: &[u8]) -> Residency {
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let runs = bytes.as_chunks::<24>().0.iter().filter_map(|run| {
        let state = match word(run.get(16..)?) {
            0 => PageState::Anon,
            1 => PageState::File,
            2 => PageState::Zero,
            _ => return None,
        };
        let (start, end) = (Addr(word(run.get(..8)?)), Addr(word(run.get(8..16)?)));
        (start < end).then(|| PageRun { range: AddrRange::new(start, end), state })
    });
    Residency::new(runs)
}

/// The notes to write: kind and content.
///
/// # Errors
/// If something of it has no JSON.
pub(crate) fn notes(
    about: &About,
    maps: &[Mapping],
    taken: &Capture,
) -> serde_json::Result<Vec<(u32, Vec<u8>)>> {
    let rows = taken.threads.iter().map(|thread| ThreadRow {
        tid: thread.tid,
        inner_tid: thread.inner_tid,
        comm: thread.comm.clone(),
        state: thread.state,
        cpu_share: thread.cpu_share,
        cpu_wait: thread.cpu_wait,
        asleep_s: thread.asleep_s,
        file_lock: thread.file_lock.clone(),
    });
    let rows: Vec<ThreadRow> = rows.collect();
    let mut runs = Vec::with_capacity(taken.view.pages().runs().len() * 24);
    for run in taken.view.pages().runs() {
        let state = match run.state {
            PageState::Anon => 0u64,
            PageState::File => 1,
            PageState::Zero => 2,
        };
        for word in [run.range.start.0, run.range.end.0, state] {
            runs.extend(word.to_le_bytes());
        }
    }
    Ok(vec![
        (OUR_ABOUT, serde_json::to_vec(about)?),
        (OUR_MAPS, serde_json::to_vec(maps)?),
        (OUR_PAGES, runs),
        (OUR_THREADS, serde_json::to_vec(&rows)?),
    ])
}
