//! RSS over time under each cure, as a picture: SVG without anything outside of it.

use memwhy_model::{Bytes, Trial};
use std::fmt::Write as _;

/// Pixels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
/// Around the curves: for the numbers at the left, and for the names at the right.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 40.0;

/// Colours that people who do not see all colours can tell apart (Okabe and Ito).
const COLOURS: [&str; 8] =
    ["#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7", "#999999"];

/// A second round of the colours is dashed, a third dotted; there are fewer cures than that.
const DASHES: [&str; 3] = ["none", "7 3", "2 3"];

/// One line a run, runs of one cure in one colour and dash.
#[must_use]
pub fn curves(trials: &[Trial]) -> String {
    let runs = || trials.iter().flat_map(|trial| &trial.runs).filter(|run| run.failure.is_none());
    let highest = runs().map(memwhy_model::Run::peak).max().unwrap_or_default().0.max(1);
    let last =
        runs().filter_map(|run| run.samples.last()).map(|s| s.at_ms).max().unwrap_or(1).max(1);
    let x = |at_ms: u64| LEFT + ratio(at_ms, last) * (WIDTH - LEFT - RIGHT);
    let y = |rss: u64| HEIGHT - BOTTOM - ratio(rss, highest) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    // Writing to a String cannot fail.
    for step in 0..=4u64 {
        let (rss, at) = (highest / 4 * step, y(highest / 4 * step));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            Bytes(rss)
        );
        let (ms, at) = (last / 4 * step, x(last / 4 * step));
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}.{} s</text>",
            HEIGHT - BOTTOM + 18.0,
            ms / 1000,
            ms % 1000 / 100
        );
    }
    let mut names: Vec<(f64, String, String)> = Vec::new();
    let strokes = DASHES.iter().flat_map(|dash| COLOURS.iter().map(move |colour| (colour, dash)));
    for (trial, (colour, dash)) in trials.iter().zip(strokes.cycle()) {
        let stroke =
            format!("stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"{dash}\"");
        for run in trial.runs.iter().filter(|run| run.failure.is_none()) {
            let points: Vec<String> = run
                .samples
                .iter()
                .map(|sample| format!("{:.1},{:.1}", x(sample.at_ms), y(sample.rss.0)))
                .collect();
            let _ =
                writeln!(svg, "<polyline points=\"{}\" fill=\"none\" {stroke}/>", points.join(" "));
        }
        if let Some(run) = trial.runs.iter().find(|run| run.failure.is_none()) {
            names.push((y(run.end().0), format!("{} {}", trial.cure, run.end()), stroke));
        }
    }
    // Names stand where their curves end, and not upon each other.
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = TOP;
    for (at, name, stroke) in names {
        let at = at.max(free);
        free = at + 15.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" {stroke}/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT + 8.0,
            WIDTH - RIGHT + 36.0,
            WIDTH - RIGHT + 42.0,
            at + 4.0,
            escaped(&name)
        );
    }
    svg + "</svg>\n"
}

#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::curves;
    use memwhy_model::{Bytes, Run, Sample, Trial};

    #[test]
    fn every_run_is_a_line_and_every_cure_a_name() {
        let samples = (0..3).map(|n| Sample { at_ms: n * 100, rss: Bytes::mib(n + 1) }).collect();
        let run = Run { samples, ..Run::default() };
        let cure = |name: &str| Trial {
            cure: name.into(),
            setting: String::new(),
            runs: vec![run.clone(), run.clone()],
        };
        let svg = curves(&[cure("glibc"), cure("a<b")]);
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert!(svg.contains(">glibc 2.0 MiB<") && svg.contains("a&lt;b"), "{svg}");
        assert!(curves(&[]).ends_with("</svg>\n"));

        // Ten cures, as there are, are told apart: by colour, or by dash where a colour comes again.
        let many: Vec<Trial> = (0..10).map(|n| cure(&n.to_string())).collect();
        let svg = curves(&many);
        let strokes = svg.lines().filter_map(|line| {
            line.strip_prefix("<polyline").and_then(|line| line.split_once(" stroke="))
        });
        let strokes: std::collections::BTreeSet<&str> = strokes.map(|(_, stroke)| stroke).collect();
        assert_eq!(strokes.len(), 10);
    }
}
