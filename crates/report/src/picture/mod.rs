//! How are objects and references drawn?
//!
//! In layers: the object that was asked for at one end, whoever is so many steps away in one row,
//! neighbours near to each other. SVG is written by hand, and PNG made of it, with a font of our own
//! (`scripts/font` made it), because a server has none.

mod dot;
mod layers;
mod png;
mod svg;

pub use dot::dot;
pub use png::png;
pub use svg::svg;

use memwhy_reason::picture::Node;
use memwhy_reason::wording::{digits, short_type};

/// Characters of a line in a node.
const COLUMNS: usize = 34;

/// The lines of a node.
fn lines(node: &Node) -> Vec<String> {
    let Some(object) = &node.object else {
        return vec![format!("… {} more", digits(node.more))];
    };
    let mut lines = vec![cut(short_type(&object.type_name))];
    if let Some(name) = &node.name {
        lines.push(cut_front(name));
    } else if let Some(preview) = object.preview.as_ref().filter(|text| !text.is_empty()) {
        lines.push(cut(preview));
    }
    let mut sizes = object.footprint.to_string();
    if object.retained > object.footprint {
        sizes = format!("{sizes}, keeps {}", object.retained);
    }
    lines.push(cut(&sizes));
    lines
}

/// The first characters, without those that would not be seen.
fn cut(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { '·' } else { c });
    let mut cut: String = clean.clone().take(COLUMNS).collect();
    if clean.count() > COLUMNS {
        cut.pop();
        cut.push('…');
    }
    cut
}

/// The last characters: the end of a path tells more than its beginning.
fn cut_front(text: &str) -> String {
    let count = text.chars().count();
    if count <= COLUMNS {
        return cut(text);
    }
    let end: String = text.chars().skip(count - COLUMNS + 1).collect();
    format!("…{}", cut(&end))
}
