//! A picture in the language of Graphviz.

use super::lines;
use memwhy_reason::picture::Picture;
use std::fmt::Write;

/// The picture as a DOT graph.
#[must_use]
pub fn dot(picture: &Picture) -> String {
    let mut out = String::from(
        "digraph objects {\n  node [shape=box, style=filled, fillcolor=\"#e3f2fd\", \
         fontname=\"monospace\"];\n",
    );
    for (at, node) in picture.nodes.iter().enumerate() {
        let text: Vec<String> = lines(node).iter().map(|line| escaped(line)).collect();
        let color = if node.in_cycle { ", color=red" } else { "" };
        let _ = writeln!(out, "  o{at} [label=\"{}\"{color}];", text.join("\\n"));
    }
    for edge in &picture.edges {
        let color = if edge.in_cycle { ", color=red" } else { "" };
        let (from, to) = (edge.from, edge.to);
        let _ = writeln!(out, "  o{from} -> o{to} [label=\"{}\"{color}];", escaped(&edge.label));
    }
    out + "}\n"
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
