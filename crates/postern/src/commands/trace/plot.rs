//! The plots of a report, as SVG.

use std::fmt::Write as _;

use postern_model::Timestamp;
use postern_trace::Trace;

const WIDTH: f64 = 720.0;
const LABELS: f64 = 220.0;
const LINE: f64 = 24.0;
/// Parts of the time that are told apart.
const TIMES: usize = 30;

fn open(height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" \
         height=\"{height}\" fill=\"#fff\"/>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Bars with their names: value between 0 and 1, and what is written behind.
fn bars(title: &str, bars: &[(String, f64, String)]) -> String {
    let mut svg = open(LINE * (bars.len() as f64 + 2.0));
    let _ = writeln!(svg, "<text x=\"8\" y=\"18\" font-weight=\"bold\">{title}</text>");
    for (place, (name, value, told)) in bars.iter().enumerate() {
        let y = LINE * (place as f64 + 1.5);
        let width = (WIDTH - LABELS - 170.0) * value.clamp(0.0, 1.0);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect x=\"{LABELS}\" \
             y=\"{y}\" width=\"{width:.1}\" height=\"14\" fill=\"#2458a6\"/><text \
             x=\"{:.1}\" y=\"{}\">{}</text>",
            LABELS - 8.0,
            y + 12.0,
            escaped(name),
            LABELS + width + 6.0,
            y + 12.0,
            escaped(told)
        );
    }
    svg + "</svg>\n"
}

/// How many powers of ten speak for each account against its best rival.
pub(super) fn evidence(trace: &Trace) -> String {
    let tens = |log: f64| log / f64::ln(10.0);
    let rows = trace.suspects.iter().map(|suspect| {
        let ratio = tens(suspect.log_likelihood_ratio);
        let told = format!("10^{ratio:.1}, {} matched", suspect.matched);
        (suspect.actor.to_string(), ratio / 6.0, told)
    });
    bars("Likelihood ratio against the best rival", &rows.collect::<Vec<_>>())
}

/// The accounts and the other sources by probability.
pub(super) fn probabilities(trace: &Trace) -> String {
    let suspects = trace.suspects.iter().map(|s| (s.actor.to_string(), s.probability));
    let others = trace.others.iter().map(|o| (o.source.to_string(), o.probability));
    let rows = suspects
        .chain(others)
        .map(|(name, probability)| (name, probability, format!("{probability:.4}")));
    bars("Probability", &rows.collect::<Vec<_>>())
}

/// When the first suspect was shown the customers that speak for it.
pub(super) fn timeline(trace: &Trace) -> String {
    let readings = trace.details.as_ref().map(|details| details.readings.as_slice());
    let (Some(first), Some(last)) = (
        readings.and_then(<[Timestamp]>::first).copied(),
        readings.and_then(<[Timestamp]>::last).copied(),
    ) else {
        return bars("No reading speaks for anybody", &[]);
    };
    let span = (last.0 - first.0 + 1) as f64;
    let mut counts = [0_u32; TIMES];
    for reading in readings.unwrap_or_default() {
        let place = ((reading.0 - first.0) as f64 / span * TIMES as f64) as usize;
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
    }
    let most = f64::from(counts.iter().copied().max().unwrap_or(1).max(1));
    let rows = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(place, count)| {
        let from = Timestamp(first.0 + (span * place as f64 / TIMES as f64) as i64);
        (from.to_string(), f64::from(*count) / most, count.to_string())
    });
    bars("Readings that speak for the first suspect", &rows.collect::<Vec<_>>())
}
