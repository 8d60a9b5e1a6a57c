//! A picture as SVG.

use super::layers::{CHARACTER, INSIDE, LINE, Spot, place};
use super::lines;
use memwhy_reason::picture::Picture;
use std::fmt::Write;

/// The font that `png` has; browsers take another one of fixed width.
pub(super) const FONT: &str = "DejaVu Sans Mono";
/// Characters of a label.
const LABEL: usize = 26;
/// What is part of a circle, and what is not.
const CIRCLE: &str = "#c62828";
const PLAIN: &str = "#455a64";

/// The picture as an SVG document.
#[must_use]
pub fn svg(picture: &Picture) -> String {
    let (spots, width, height) = place(picture);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"{FONT}, monospace\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (name, color) in [("plain", PLAIN), ("circle", CIRCLE)] {
        let _ = writeln!(
            out,
            "<marker id=\"{name}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" \
             markerHeight=\"8\" orient=\"auto\"><path d=\"M0 1 L9 5 L0 9 z\" fill=\"{color}\"/>\
             </marker>"
        );
    }
    let mut labels = String::new();
    for (number, edge) in picture.edges.iter().enumerate() {
        if let (Some(from), Some(to)) = (spots.get(edge.from), spots.get(edge.to)) {
            let color = if edge.in_cycle { CIRCLE } else { PLAIN };
            let marker = if edge.in_cycle { "circle" } else { "plain" };
            let (curve, middle) = curve(*from, *to, number);
            let _ = writeln!(
                out,
                "<path d=\"{curve}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.3\" \
                 marker-end=\"url(#{marker})\"/>"
            );
            label(&edge.label, middle, color, &mut labels);
        }
    }
    for (node, spot) in picture.nodes.iter().zip(&spots) {
        let fill = match (&node.object, node.depth) {
            (None, _) => "#eeeeee",
            (Some(_), 0) => "#fff3c4",
            (Some(_), _) if node.name.is_some() => "#dcedc8",
            (Some(_), _) => "#e3f2fd",
        };
        let stroke = if node.in_cycle { CIRCLE } else { "#90a4ae" };
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"4\" \
             fill=\"{fill}\" stroke=\"{stroke}\"/>",
            spot.x, spot.y, spot.width, spot.height
        );
        let mut y = spot.y + INSIDE + LINE * 0.75;
        for (at, line) in lines(node).iter().enumerate() {
            let weight = if at == 0 { "#000000" } else { "#37474f" };
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{y:.1}\" fill=\"{weight}\" xml:space=\"preserve\">{}</text>",
                spot.x + INSIDE,
                escaped(line)
            );
            y += LINE;
        }
    }
    out + &labels + "</svg>\n"
}

/// A line from the lower edge of one node to the upper edge of another, and its middle. Lines
/// between the same rows have their labels at different heights.
fn curve(from: Spot, to: Spot, number: usize) -> (String, (f64, f64)) {
    let center = |spot: Spot| spot.x + spot.width / 2.0;
    let shift = [0.42, 0.54, 0.48, 0.60].get(number % 4).copied().unwrap_or(0.5);
    let between = |a: f64, b: f64| a + (b - a) * shift;
    if (from.y - to.y).abs() < 1.0 {
        // In one row, or to itself: a bow below.
        let (x1, x2) = (center(from), center(to) + 12.0);
        let low = from.y + from.height.max(to.height) + 34.0;
        let (y1, y2) = (from.y + from.height, to.y + to.height);
        let path = format!("M{x1:.1} {y1:.1} C{x1:.1} {low:.1} {x2:.1} {low:.1} {x2:.1} {y2:.1}");
        return (path, (between(x1, x2), low - 9.0));
    }
    let (y1, y2) =
        if from.y < to.y { (from.y + from.height, to.y) } else { (from.y, to.y + to.height) };
    let (x1, x2) = (center(from), center(to));
    let half = f64::midpoint(y1, y2);
    let path = format!("M{x1:.1} {y1:.1} C{x1:.1} {half:.1} {x2:.1} {half:.1} {x2:.1} {y2:.1}");
    (path, (between(x1, x2), between(y1, y2)))
}

fn label(text: &str, (x, y): (f64, f64), color: &str, out: &mut String) {
    if text.is_empty() {
        return;
    }
    let mut shown: String = text.chars().take(LABEL).collect();
    if text.chars().count() > LABEL {
        shown.pop();
        shown.push('…');
    }
    let width = f64::from(u32::try_from(shown.chars().count()).unwrap_or(0)) * CHARACTER * 0.92;
    let _ = writeln!(
        out,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"14\" fill=\"#ffffff\" \
         fill-opacity=\"0.85\"/>\n<text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"{color}\" \
         text-anchor=\"middle\">{}</text>",
        x - width / 2.0,
        y - 10.0,
        y + 1.0,
        escaped(&shown)
    );
}

/// Text of the target, which must not become markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
