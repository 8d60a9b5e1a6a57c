//! How does a case become a folder, whole or not at all?

use crate::manifest::{CASE, FileFacts, MANIFEST, Manifest, Summed, Values};
use crate::table::create;
use crate::tables::{
    captured, edges, names, native_memory, objects, previews, roots, types, views,
};
use crate::unfinished::Unfinished;
use crate::{FORMAT_VERSION, WriteError, redact};
use memwhy_model::{Case, HeapGraph};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Objects, if there was a heap.
    pub objects: u64,
    /// References among them.
    pub references: u64,
    /// All files together.
    pub bytes: u64,
}

/// `case.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct CaseFile<C> {
    /// The form, for those who read only this file.
    pub(crate) version: u32,
    /// What is known of the heap as a whole; nothing where there is none.
    pub(crate) heap: Option<HeapFacts>,
    pub(crate) case: C,
}

/// What is known of the heap as a whole.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct HeapFacts {
    /// Whether every place where objects can be was read.
    pub(crate) complete: bool,
}

/// Writes `case` as the new folder `path`.
///
/// The folder appears when all of it is written; until then it has another name beside, and that is
/// removed if anything fails. What writers have left beside it that were killed is removed before.
///
/// # Errors
/// If there is something at `path`, or it cannot be written.
pub fn write(case: &Case, path: &Path, values: Values) -> Result<Written, WriteError> {
    if path.symlink_metadata().is_ok() {
        return Err(WriteError::Exists(path.into()));
    }
    let unfinished = Unfinished::beside(path)?;
    let written = fill(unfinished.folder(), case, values)?;
    unfinished.become_whole(path)?;
    Ok(written)
}

fn fill(folder: &Path, case: &Case, values: Values) -> Result<Written, WriteError> {
    let none = HeapGraph::default();
    let heap = case.heap.as_ref().unwrap_or(&none);
    let details = case.details.as_deref();
    if i32::try_from(heap.len()).is_err() {
        return Err(WriteError::TooLarge(heap.len()));
    }
    let mut files = vec![write_case(folder, case, values)?];
    files.push(types::write(folder, heap)?);
    files.push(objects::write(folder, heap)?);
    files.push(roots::write(folder, heap)?);
    let mut words = names::Names::default();
    files.push(edges::write(folder, heap, details, values, &mut words)?);
    files.push(captured::write(folder, heap, details, &mut words)?);
    files.push(words.write(folder)?);
    files.push(previews::write(folder, heap, details, values)?);
    files.append(&mut views::write(folder, case)?);
    files.extend(native_memory::write(folder, case, values)?);
    let (objects, references) = (heap.len() as u64, heap.edge_count() as u64);
    let bytes = files.iter().map(|file| file.bytes).sum();
    let manifest = Manifest::new(values, objects, references, files);
    write_file(folder, MANIFEST, |file| file.write_all(&manifest.to_json()))?;
    // The names in the folder, too, are on the disk before it gets its own.
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(WriteError::io(folder))?;
    Ok(Written { objects, references, bytes })
}

fn write_case(folder: &Path, case: &Case, values: Values) -> Result<FileFacts, WriteError> {
    let heap = case.heap.as_ref().map(|heap| HeapFacts { complete: heap.complete() });
    let path = folder.join(CASE);
    let case = serde_json::to_value(case).map_err(|error| WriteError::io(&path)(error.into()))?;
    let case = match values {
        Values::Kept => case,
        Values::LeftOut => redact::without_previews(case),
    };
    let written = CaseFile { version: FORMAT_VERSION, heap, case };
    write_file(folder, CASE, |file| {
        serde_json::to_writer_pretty(&mut *file, &written)?;
        file.write_all(b"\n")
    })
}

fn write_file(
    folder: &Path,
    name: &str,
    content: impl FnOnce(&mut BufWriter<Summed<File>>) -> io::Result<()>,
) -> Result<FileFacts, WriteError> {
    let path = folder.join(name);
    let write = || {
        let mut file = BufWriter::new(Summed::new(create(&path)?));
        content(&mut file)?;
        let summed = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let (file, facts) = summed.facts(name);
        file.sync_data()?;
        Ok(facts)
    };
    write().map_err(WriteError::io(&path))
}
