//! The reliability diagram.

use std::fmt::Write as _;

use crate::score::Scores;

const SIZE: f64 = 360.0;
const MARGIN: f64 = 50.0;

/// How often the first suspect is right, by how probable that was said to be; an SVG.
pub fn reliability(scores: &Scores) -> String {
    let at = |x: f64, y: f64| (MARGIN + x * SIZE, MARGIN + (1.0 - y) * SIZE);
    let side = SIZE + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{side}\" height=\"{side}\" \
         fill=\"#fff\"/>\n"
    );
    for tick in 0..=5 {
        let value = f64::from(tick) / 5.0;
        let ((x, bottom), (left, y)) = (at(value, 0.0), at(0.0, value));
        let _ = writeln!(
            svg,
            "<path d=\"M{x} {bottom}V{MARGIN}M{left} {y}H{}\" stroke=\"#ddd\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{value}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value}</text>",
            MARGIN + SIZE,
            bottom + 18.0,
            left - 8.0,
            y + 4.0
        );
    }
    let ((x0, y0), (x1, y1)) = (at(0.0, 0.0), at(1.0, 1.0));
    let _ = writeln!(svg, "<path d=\"M{x0} {y0}L{x1} {y1}\" stroke=\"#888\"/>");
    let most = scores.reliability().iter().map(|bin| bin.2).max().unwrap_or(1).max(1) as f64;
    for (mean, right, of) in scores.reliability().into_iter().filter(|bin| bin.2 > 0) {
        let (x, y) = at(mean, right);
        let radius = 3.0 + 9.0 * (of as f64 / most).sqrt();
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"#2458a6\" \
             fill-opacity=\".75\"><title>{of} lists: said {mean:.3}, right {right:.3}</title>\
             </circle>"
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">probability said of the first \
         suspect</text>\n<text transform=\"translate(14 {}) rotate(-90)\" \
         text-anchor=\"middle\">share of lists in which it was right</text>\n</svg>",
        side / 2.0,
        side - 8.0,
        side / 2.0
    );
    svg
}

/// A line of a plot: name, colour, points.
pub type Line = (String, &'static str, Vec<(f64, f64)>);

/// Lines over a logarithmic axis; an SVG.
pub fn lines(across: &str, up: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|(_, _, points)| points);
    let left = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min).log10();
    let right = points().map(|(x, _)| *x).fold(0.0, f64::max).log10();
    let top = points().map(|(_, y)| *y).fold(1e-9, f64::max);
    let at = |x: f64, y: f64| {
        let across = (x.log10() - left) / (right - left).max(1e-9);
        (MARGIN + across * SIZE, MARGIN + (1.0 - y / top) * SIZE)
    };
    let (wide, high) = (SIZE + 2.0 * MARGIN + 130.0, SIZE + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{wide}\" height=\"{high}\" \
         fill=\"#fff\"/>\n"
    );
    let ticks: std::collections::BTreeSet<u64> = points().map(|(x, _)| x.to_bits()).collect();
    for x in ticks.into_iter().map(f64::from_bits) {
        let (place, bottom) = at(x, 0.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{place:.1} {bottom}V{MARGIN}\" stroke=\"#ddd\"/><text x=\"{place:.1}\" \
             y=\"{}\" text-anchor=\"middle\">{x}</text>",
            bottom + 18.0
        );
    }
    for tick in 0..=5 {
        let value = top * f64::from(tick) / 5.0;
        let y = MARGIN + (1.0 - value / top) * SIZE;
        let _ = writeln!(
            svg,
            "<path d=\"M{MARGIN} {y:.1}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{:.2}</text>",
            MARGIN + SIZE,
            MARGIN - 6.0,
            y + 4.0,
            value
        );
    }
    for (place, (name, colour, points)) in lines.iter().enumerate() {
        let path: Vec<String> =
            points.iter().map(|(x, y)| at(*x, *y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>",
            path.join(" "),
            MARGIN + SIZE + 10.0,
            MARGIN + 14.0 + 18.0 * place as f64
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{across}</text>\n<text \
         transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{up}</text>\n</svg>",
        MARGIN + SIZE / 2.0,
        high - 8.0,
        MARGIN + SIZE / 2.0
    );
    svg
}
