//! What was written, what was left out, and what can be done with it.

use super::header;
use crate::blocks::{Block, render};
use crate::{Kept, Style};
use memwhy_model::{Bytes, Case};
use memwhy_reason::wording;

/// A few lines on a snapshot that was just written.
#[must_use]
pub fn snap(case: &Case, kept: &Kept<'_>, style: Style) -> String {
    let path = kept.path;
    let values = if kept.values {
        "previews of all objects and all keys are in it: whoever reads it reads the program's data"
    } else {
        "names of the program and keys that are plain words; no values. --values keeps them"
    };
    let wrote = format!(
        "{path}: {}, {}, {} on disk",
        wording::count(kept.objects, "object"),
        wording::count(kept.references, "reference"),
        Bytes(kept.bytes),
    );
    let again = case.about.target();
    let blocks = [
        header(case),
        Block::labelled("WROTE", wrote),
        Block::labelled("HAS", values),
        Block::labelled(
            "NEXT",
            format!("memwhy {path} · memwhy diff {path} {again}: what has grown since"),
        ),
    ];
    render(&blocks, style)
}
