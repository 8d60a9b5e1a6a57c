//! Is another allocator than glibc's at work?
//!
//! Recognised by a symbol that each exports, whatever the file is called; their heaps are not
//! walked.

use crate::image::Images;

/// Exported symbols that tell an allocator, most specific first.
const SIGNS: [(&str, &str); 4] = [
    ("mallctl", "jemalloc"),
    ("MallocExtension_GetNumericProperty", "tcmalloc"),
    ("mi_version", "mimalloc"),
    // Its loader is the same file: ldso/dynlink.c.
    ("__dls3", "musl"),
];

/// The name of the allocator that stands in for glibc's, with the file that holds it.
///
/// Only an image that also exports `malloc` replaces it for all others; Arrow and friends carry
/// allocators for themselves.
#[must_use]
pub fn detect(images: &Images) -> Option<(&'static str, String)> {
    images.0.iter().find_map(|image| {
        let (_, name) = SIGNS.iter().find(|(sign, _)| image.exported(sign).is_some())?;
        image.exported("malloc")?;
        Some((*name, image.path.clone()))
    })
}
