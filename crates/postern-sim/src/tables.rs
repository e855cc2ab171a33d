//! Scores as tables in Markdown.

use std::fmt::Write as _;

use postern_trace::Condition;

use crate::{
    leaks::{Kind, LENGTHS},
    scale::Measured,
    score::{Scores, Share},
};

/// All tables, of methods by name.
pub fn markdown(methods: &[(&str, Scores)]) -> String {
    let mut text = String::new();
    methods_table(&mut text, methods);
    if let Some((_, own)) = methods.first() {
        kinds_table(&mut text, own);
        lengths_table(&mut text, own);
        needed_table(&mut text, own);
        held_back_table(&mut text, own);
        bars_table(&mut text, own);
        reliability_table(&mut text, own);
    }
    text
}

/// One line for each style of world: the shares by length, then what was said wrongly.
pub fn styles(styles: &[(&str, Scores)]) -> String {
    let mut text = String::from("### By style of world\n\n");
    let mut cells = vec![""];
    let by_length = |what: &str| {
        let lengths = LENGTHS.map(|length| length.to_string());
        format!("{what}, {} rows", lengths.join(" / "))
    };
    let (first, named) = (by_length("first suspect right"), by_length("single source named"));
    cells.extend([
        first.as_str(),
        named.as_str(),
        "members of rings named",
        "innocents named, lists with a source",
        "somebody named, innocent lists",
        "calibration error",
    ]);
    head(&mut text, &cells);
    for (name, scores) in styles {
        let short = |share: Share| format!("{:.2}", share.value());
        let first = LENGTHS.map(|length| short(scores.first_right(None, Some(length))));
        let named = LENGTHS.map(|length| short(scores.named_rightly(None, Some(length))));
        let (all, innocent) = (scores.accused(None, None), scores.accused_innocent());
        let cells = [
            (*name).to_owned(),
            first.join(" / "),
            named.join(" / "),
            short(scores.members_named(None)),
            format!("{} of {}", all.hits - innocent.hits, all.of - innocent.of),
            format!("{} of {}", innocent.hits, innocent.of),
            format!("{:.3}", scores.calibration_error()),
        ];
        row(&mut text, cells);
    }
    text.push('\n');
    text
}

/// One line for each measurement.
pub fn scale(measured: impl Iterator<Item = Measured>) -> String {
    let mut text = String::from("### By disclosures\n\n");
    let cells = ["disclosures", "customers", "rows", "taking them", "first trace", "another"];
    head(&mut text, &[&cells[..], &["most memory", "first suspect"]].concat());
    for of in measured {
        let [taking, first, another] = of.seconds.map(|seconds| format!("{seconds:.2} s"));
        let memory = of.memory.map_or_else(String::new, |bytes| format!("{} MB", bytes >> 20));
        let counts = [of.disclosures, of.customers, of.rows].map(|count| count.to_string());
        let said = [taking, first, another, memory, of.first.unwrap_or_default()];
        row(&mut text, counts.into_iter().chain(said));
    }
    text
}

/// How long it took to prepare an index, and how much memory.
pub fn prepared(disclosures: usize, (seconds, memory): (f64, Option<u64>)) -> String {
    let memory = memory.unwrap_or(0) >> 20;
    format!("{disclosures} disclosures prepared in {seconds:.1} s; most memory {memory} MB\n")
}

/// How long traces from an index took, and how much memory.
pub fn from_index(
    ([open, first, another], suspect, memory): &([f64; 3], String, Option<u64>),
) -> String {
    let memory = memory.unwrap_or(0) >> 20;
    format!(
        "opened in {open:.2} s, first trace {first:.2} s, another {another:.2} s; most memory \
         {memory} MB; first suspect {suspect}\n"
    )
}

fn share(share: Share) -> String {
    if share.of == 0 { "–".to_owned() } else { format!("{:.3}", share.value()) }
}

fn row(text: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn head(text: &mut String, cells: &[&str]) {
    row(text, cells.iter().map(|cell| (*cell).to_owned()));
    row(
        text,
        cells.iter().enumerate().map(|(n, _)| if n == 0 { "---" } else { "---:" }.to_owned()),
    );
}

fn methods_table(text: &mut String, methods: &[(&str, Scores)]) {
    text.push_str("### Methods\n\n");
    let mut cells = vec!["", "Postern"];
    cells.truncate(1);
    cells.extend(methods.iter().map(|(name, _)| *name));
    head(text, &cells);
    let mut line = |name: &str, of: &dyn Fn(&Scores) -> String| {
        let cells = methods.iter().map(|(_, scores)| of(scores));
        row(text, std::iter::once(name.to_owned()).chain(cells));
    };
    for length in LENGTHS {
        let name = format!("first suspect right, {length} rows");
        line(&name, &|s| share(s.first_right(None, Some(length))));
    }
    for length in LENGTHS {
        let name = format!("single source named, {length} rows");
        line(&name, &|s| share(s.named_rightly(None, Some(length))));
    }
    line("members of rings named, 100 rows", &|s| share(s.members_named(Some(100))));
    line("members of rings named, all lengths", &|s| share(s.members_named(None)));
    line("somebody innocent named, all lists", &|s| {
        let accused = s.accused(None, None);
        format!("{} of {}", accused.hits, accused.of)
    });
    line("somebody named, innocent lists", &|s| {
        let accused = s.accused_innocent();
        format!("{} of {}", accused.hits, accused.of)
    });
    line("Brier score", &|s| format!("{:.3}", s.brier()));
    line("Cllr (bits)", &|s| format!("{:.3}", s.cllr()));
    line("calibration error", &|s| format!("{:.3}", s.calibration_error()));
    text.push('\n');
}

fn kinds_table(text: &mut String, scores: &Scores) {
    text.push_str("### By kind of leak\n\n");
    head(text, &["", "lists", "first right", "named rightly", "accused falsely", "something said"]);
    for kind in Kind::ALL {
        let named = if kind == Kind::Ring {
            scores.members_named(None)
        } else {
            scores.named_rightly(Some(kind), None)
        };
        let guilty = |cell: String| if kind.is_guilty() { cell } else { "–".to_owned() };
        let accused = scores.accused(Some(kind), None);
        row(
            text,
            [
                kind.to_string(),
                accused.of.to_string(),
                guilty(share(scores.first_right(Some(kind), None))),
                guilty(share(named)),
                format!("{}", accused.hits),
                share(scores.coverage(Some(kind))),
            ],
        );
    }
    text.push('\n');
}

fn lengths_table(text: &mut String, scores: &Scores) {
    text.push_str("### Named rightly, by rows (of rings: the members named)\n\n");
    let lengths = LENGTHS.map(|length| length.to_string());
    let mut cells = vec![""];
    cells.extend(lengths.iter().map(String::as_str));
    head(text, &cells);
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_guilty()) {
        let cell = |length: usize| {
            share(if kind == Kind::Ring {
                scores.members_named(Some(length))
            } else {
                scores.named_rightly(Some(kind), Some(length))
            })
        };
        row(text, std::iter::once(kind.to_string()).chain(LENGTHS.map(cell)));
    }
    text.push('\n');
}

fn needed_table(text: &mut String, scores: &Scores) {
    text.push_str("### Rows needed until the source is named\n\n");
    head(text, &["", "in half of the cases", "in nine of ten"]);
    for kind in [Kind::Bulk, Kind::Drip, Kind::Own, Kind::Framing, Kind::Merged] {
        let cell = |share| {
            scores.rows_needed(kind, share).map_or("more".to_owned(), |rows| rows.to_string())
        };
        row(text, [kind.to_string(), cell(0.5), cell(0.9)]);
    }
    text.push('\n');
}

fn held_back_table(text: &mut String, scores: &Scores) {
    text.push_str("### What held a name back (and nothing else did)\n\n");
    let lengths = LENGTHS.map(|length| format!("{length} rows"));
    let mut cells = vec![""];
    cells.extend(lengths.iter().map(String::as_str));
    head(text, &cells);
    let lists = LENGTHS.map(|length| scores.held_back(Condition::Best, length).0.to_string());
    row(text, std::iter::once("right suspects not named".to_owned()).chain(lists));
    for condition in Condition::ALL {
        let cell = |length: usize| {
            let (_, by, only) = scores.held_back(condition, length);
            format!("{by} ({only})")
        };
        row(text, std::iter::once(condition.as_str().to_owned()).chain(LENGTHS.map(cell)));
    }
    text.push('\n');
}

fn bars_table(text: &mut String, scores: &Scores) {
    text.push_str("### If a probability of the first suspect sufficed\n\n");
    let lengths = LENGTHS.map(|length| format!("named rightly, {length} rows"));
    let mut cells = vec!["probability at least"];
    cells.extend(lengths.iter().map(String::as_str));
    cells.push("somebody else accused, all lists");
    head(text, &cells);
    for bar in [0.5, 0.8, 0.9, 0.99, 0.999] {
        let cell = |length: usize| share(scores.at_bar(bar, Some(length)).0);
        let (_, wrong) = scores.at_bar(bar, None);
        let cells = std::iter::once(bar.to_string()).chain(LENGTHS.map(cell));
        row(text, cells.chain([format!("{} of {}", wrong.hits, wrong.of)]));
    }
    text.push('\n');
}

fn reliability_table(text: &mut String, scores: &Scores) {
    text.push_str("### Reliability\n\n");
    head(text, &["probability of the first suspect", "mean", "right", "lists"]);
    for (bin, (mean, right, of)) in scores.reliability().into_iter().enumerate() {
        let range = format!("{:.1} to {:.1}", bin as f64 / 10.0, (bin + 1) as f64 / 10.0);
        row(text, [range, format!("{mean:.3}"), format!("{right:.3}"), of.to_string()]);
    }
    text.push('\n');
}
