//! What may be fed to the readers of what others wrote?
//!
//! One function for each kind of input. They take any bytes; what they must not do is panic, run for
//! ever, or let owners not add up. `cargo fuzz` looks for bytes that make them; the tests of the
//! workspace run them on changed samples.

use memwhy::{CoreFiles, Options};
use memwhy_model::{Addr, Owner, Problems};
use memwhy_python::layout::Layouts;
use memwhy_python::layout::debug_offsets::DebugOffsets;
use memwhy_python::lines::{lnotab, v310, v311};
use memwhy_target::core_file::{self, headers::Headers, notes::Notes};
use memwhy_target::{Fault, Memory};
use std::path::Path;

/// The head of a core and its notes; of bytes that are no core all are taken for notes.
pub fn core_notes(bytes: &[u8]) {
    let mut problems = Problems::default();
    let places = match Headers::parse(bytes, &mut problems) {
        Ok(headers) => {
            let apart =
                headers.segments.windows(2).all(|two| two[0].range.end <= two[1].range.start);
            let len = bytes.len() as u64;
            assert!(
                apart
                    && headers
                        .segments
                        .iter()
                        .all(|one| one.offset.saturating_add(one.held) <= len.max(one.offset))
            );
            headers.notes
        }
        Err(_) => vec![(0, bytes.len() as u64)],
    };
    let notes = Notes::read(bytes, &places, &mut problems);
    assert!(notes.threads.len() <= bytes.len());
}

/// Tables of lines: one byte for the encoding, four for the place in the bytecode, then the table.
pub fn line_tables(bytes: &[u8]) {
    let Some((head, table)) = bytes.split_first_chunk::<5>() else { return };
    let offset = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    let first = i32::from(head[1]);
    let _ = match head[0] % 4 {
        0 => lnotab::line(table, first, offset, lnotab::Steps::Unsigned),
        1 => lnotab::line(table, first, offset, lnotab::Steps::Signed),
        2 => v310::line(table, first, offset),
        _ => v311::place(table, first, offset).0,
    };
}

/// What an interpreter publishes of its own layout, put into a table.
pub fn debug_offsets(bytes: &[u8]) {
    let Ok(Some(offsets)) = DebugOffsets::read(&Bytes(bytes), Addr(0x1000), None) else { return };
    let Ok((mut layouts, _)) = Layouts::for_build(offsets.build) else { return };
    offsets.apply(&mut layouts, &mut Problems::default());
}

/// The memory of a process, changed: each 14 bytes are a place and the word to have there. What
/// follows walks malloc's chunks, pymalloc's pools, objects, frames and locks.
pub fn heaps(core: &Path, changes: &[u8]) {
    let Ok((mut taken, about)) = core_file::open(core, &CoreFiles::default()) else { return };
    let parts: Vec<_> = taken.view.pages().runs().iter().map(|run| run.range).collect();
    let total: u64 = parts.iter().map(|range| range.len() / 8).sum();
    let place = |wanted: u64| {
        let mut left = wanted.checked_rem(total)?;
        parts.iter().find_map(|range| {
            let words = range.len() / 8;
            if left < words {
                return Some(range.start.at(left * 8));
            }
            left -= words;
            None
        })
    };
    let change = |bytes: &[u8; 14]| {
        let word = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        Some((place(word(0) & 0xffff_ffff_ffff)?.0, word(6)))
    };
    let changes: Vec<(u64, u64)> = changes.as_chunks().0.iter().filter_map(change).collect();
    taken.view = taken.view.through(|view| Box::new(Changed { memory: view, changes }));
    let case = memwhy::observe(taken, about, &Options::default());
    let owners: u64 = Owner::ALL.iter().map(|owner| case.resident(*owner).0).sum();
    assert_eq!(owners + case.accounting.unexplained.0, case.rss().0);
    let _ = memwhy::explain(&case);
}

/// One file of a snapshot, changed: a byte for which, then its new content.
pub fn snapshots(folder: &Path, bytes: &[u8]) {
    let Some((which, content)) = bytes.split_first() else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let Some(file) = files.get(usize::from(*which) % files.len().max(1)) else { return };
    let Ok(before) = std::fs::read(file) else { return };
    if std::fs::write(file, content).is_ok()
        && let Ok(case) = memwhy::open_snapshot(folder)
    {
        let _ = memwhy::explain(&case);
    }
    let _ = std::fs::write(file, before);
}

/// Bytes at 0x1000.
struct Bytes<'b>(&'b [u8]);

impl Memory for Bytes<'_> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let start = addr.checked_since(Addr(0x1000)).and_then(|at| usize::try_from(at).ok());
        let held = start.and_then(|at| self.0.get(at..)?.get(..buf.len()));
        buf.copy_from_slice(held.ok_or(Fault::unmapped(addr))?);
        Ok(())
    }
}

/// Memory of which some words are others.
struct Changed<M> {
    memory: M,
    changes: Vec<(u64, u64)>,
}

impl<M: Memory> Memory for Changed<M> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        self.memory.read(addr, buf)?;
        for (at, word) in &self.changes {
            for (n, byte) in word.to_le_bytes().into_iter().enumerate() {
                let place = at.saturating_add(n as u64).checked_sub(addr.0);
                let place = place.and_then(|place| usize::try_from(place).ok());
                if let Some(byte_there) = place.and_then(|place| buf.get_mut(place)) {
                    *byte_there = byte;
                }
            }
        }
        Ok(())
    }
}
