//! How does a folder become a case again, whoever made it?

use crate::manifest::{CASE, Manifest};
use crate::stored::Stored;
use crate::tables::{captured, edges, names, objects, previews, roots, types};
use crate::write::{CaseFile, HeapFacts};
use crate::{FORMAT_VERSION, ReadError, room};
use memwhy_model::{Case, HeapBuilder, HeapGraph, TargetKind};
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

/// Reads the case that is in the folder `path`. It is the one that was written, but that it is a
/// snapshot now and has the path.
///
/// # Errors
/// If a file is missing, cut off, changed, of another form, or says what cannot be.
pub fn open(path: &Path) -> Result<Case, ReadError> {
    let manifest = Manifest::read(path)?;
    if let Some(lack) = room::lacks(manifest.objects, manifest.references) {
        return Err(ReadError::new(crate::manifest::MANIFEST, lack));
    }
    let file = manifest.open(path, CASE)?;
    let written: CaseFile<Case> = serde_json::from_reader(BufReader::new(file))
        .map_err(|error| ReadError::new(CASE, error))?;
    if written.version != FORMAT_VERSION {
        return Err(ReadError::new(CASE, "it is of another form than the manifest"));
    }
    let mut case = written.case;
    if let Some(facts) = written.heap {
        let (heap, stored) = read_heap(path, &manifest, facts)?;
        case.heap = Some(heap);
        case.details = Some(Arc::new(stored));
    }
    case.about.kind = TargetKind::Snapshot;
    case.about.path = Some(path.display().to_string());
    Ok(case)
}

fn read_heap(
    path: &Path,
    manifest: &Manifest,
    facts: HeapFacts,
) -> Result<(HeapGraph, Stored), ReadError> {
    let stated = types::read(path, manifest)?;
    let mut heap = HeapBuilder::default();
    if !facts.complete {
        heap.incomplete();
    }
    objects::read(path, manifest, stated.len(), &mut heap)?;
    let edges = edges::read(path, manifest, &mut heap)?;
    heap.roots(roots::read(path, manifest, heap.graph().len())?);
    let sums: Vec<_> = stated.iter().map(|ty| (ty.count, ty.bytes, ty.footprint)).collect();
    let heap = heap.finish(stated);
    let summed = heap.types().iter().map(|ty| (ty.count, ty.bytes, ty.footprint));
    if !summed.eq(sums) {
        return Err(ReadError::new(types::NAME, "its sums are not those of the objects"));
    }
    let names = names::open(path, manifest)?;
    let previews = previews::open(path, manifest)?;
    let captured = captured::open(path, manifest)?;
    Ok((heap, Stored::new(edges, names, captured, previews)))
}
