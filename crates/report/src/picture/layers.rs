//! Where does each node of a picture go?

use super::lines;
use memwhy_reason::picture::Picture;

/// Width of one character of the font at the size used, and height of a line, in pixels.
pub(super) const CHARACTER: f64 = 7.25;
pub(super) const LINE: f64 = 16.0;
/// Between text and frame.
pub(super) const INSIDE: f64 = 8.0;
/// Between neighbours, and between layers: labels of references stand there.
const BESIDE: f64 = 28.0;
const BETWEEN: f64 = 74.0;
/// Around everything.
const MARGIN: f64 = 20.0;
/// Nodes of one layer beside each other; further ones go below.
const WIDEST: usize = 7;
/// Times that neighbours are moved together.
const SWEEPS: usize = 8;

/// A node's place and size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spot {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The place of every node, and the size of the whole.
pub(super) fn place(picture: &Picture) -> (Vec<Spot>, f64, f64) {
    let mut spots: Vec<Spot> = picture
        .nodes
        .iter()
        .map(|node| {
            let lines = lines(node);
            let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
            Spot {
                width: number(longest) * CHARACTER + 2.0 * INSIDE,
                height: number(lines.len()) * LINE + 2.0 * INSIDE,
                ..Spot::default()
            }
        })
        .collect();
    // Whoever refers stands above: depth grows downwards or upwards.
    let upwards = picture.edges.iter().filter(|edge| {
        let depth = |at: usize| picture.nodes.get(at).map_or(0, |node| node.depth);
        depth(edge.from) > depth(edge.to)
    });
    let upwards = upwards.count() * 2 > picture.edges.len();
    let deepest = picture.nodes.iter().map(|node| node.depth).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for depth in 0..=deepest {
        let depth = if upwards { deepest - depth } else { depth };
        let layer: Vec<usize> = (0..picture.nodes.len())
            .filter(|at| picture.nodes.get(*at).is_some_and(|node| node.depth == depth))
            .collect();
        let chunks = layer.len().div_ceil(WIDEST).max(1);
        rows.extend(layer.chunks(layer.len().div_ceil(chunks).max(1)).map(<[usize]>::to_vec));
    }
    order(picture, &mut rows);
    let mut y = MARGIN;
    let widths: Vec<f64> = rows.iter().map(|row| width(row, &spots)).collect();
    let whole = widths.iter().copied().fold(0.0, f64::max);
    for (row, own) in rows.iter().zip(&widths) {
        let mut x = MARGIN + (whole - own) / 2.0;
        let mut tallest: f64 = 0.0;
        for at in row {
            if let Some(spot) = spots.get_mut(*at) {
                (spot.x, spot.y) = (x, y);
                x += spot.width + BESIDE;
                tallest = tallest.max(spot.height);
            }
        }
        y += tallest + BETWEEN;
    }
    (spots, whole + 2.0 * MARGIN, y - BETWEEN + MARGIN)
}

fn width(row: &[usize], spots: &[Spot]) -> f64 {
    let all: f64 = row.iter().filter_map(|at| spots.get(*at)).map(|spot| spot.width + BESIDE).sum();
    (all - BESIDE).max(0.0)
}

/// Moves every node below the middle of those that it is joined with (Sugiyama's barycenters).
fn order(picture: &Picture, rows: &mut [Vec<usize>]) {
    let mut position = vec![0.0; picture.nodes.len()];
    for sweep in 0..SWEEPS {
        for row in rows.iter() {
            for (place, at) in row.iter().enumerate() {
                if let Some(position) = position.get_mut(*at) {
                    *position = (number(place) + 0.5) / number(row.len().max(1));
                }
            }
        }
        let down = sweep % 2 == 0;
        let count = rows.len();
        for step in 0..count {
            let at = if down { step } else { count - 1 - step };
            let Some(row) = rows.get_mut(at) else { continue };
            let middle = |node: &usize| {
                let joined = picture.edges.iter().filter_map(|edge| {
                    (edge.from == *node)
                        .then_some(edge.to)
                        .or((edge.to == *node).then_some(edge.from))
                });
                let places: Vec<f64> =
                    joined.filter_map(|other| position.get(other).copied()).collect();
                let own = position.get(*node).copied().unwrap_or(0.0);
                if places.is_empty() {
                    return own;
                }
                let sum: f64 = places.iter().sum();
                sum / number(places.len())
            };
            row.sort_by(|a, b| middle(a).total_cmp(&middle(b)));
            for (place, node) in row.iter().enumerate() {
                if let Some(position) = position.get_mut(*node) {
                    *position = (number(place) + 0.5) / number(row.len().max(1));
                }
            }
        }
    }
}

/// A count of nodes or characters: far below where a float would round it.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
