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
