//! Is another allocator than glibc's at work?
//!
//! Recognised by a symbol that each exports, whatever the file is called; musl's, which may be linked
//! into a program that exports nothing, by what it has in memory.

use super::{glibc, musl};
use crate::image::Images;
use memwhy_target::View;

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
/// allocators for themselves. One that is preloaded replaces musl's, too.
#[must_use]
pub fn detect(view: &View, images: &Images) -> Option<(&'static str, String)> {
    let exported = SIGNS.iter().find_map(|(sign, name)| {
        let mut all = images.0.iter();
        let image = all.find(|i| i.exported(sign).is_some() && i.exported("malloc").is_some())?;
        Some((*name, image.path.clone()))
    });
    exported.or_else(|| {
        if glibc::libc(images).is_some() {
            return None;
        }
        let image = images.0.iter().find(|image| musl::is_in(view, image))?;
        Some(("musl", image.path.clone()))
    })
}
