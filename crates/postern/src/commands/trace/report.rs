//! The report of a trace: a folder that can be handed on.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use postern_trace::Trace;

use super::plot;

/// Writes text, JSON, plots, and the customers who may be called next.
pub(super) fn write(folder: &Path, trace: &Trace, told: &str, json: &[u8]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("can't write `{}`", path.display()))
    };
    put("report.md", markdown(trace, told).as_bytes())?;
    put("trace.json", json)?;
    put("evidence.svg", plot::evidence(trace).as_bytes())?;
    put("probabilities.svg", plot::probabilities(trace).as_bytes())?;
    put("timeline.svg", plot::timeline(trace).as_bytes())?;
    let mut next = "subject\n".to_owned();
    for subject in trace.details.iter().flat_map(|details| &details.at_risk) {
        let _ = writeln!(next, "\"{}\"", subject.as_str().replace('"', "\"\""));
    }
    put("at-risk.csv", next.as_bytes())
}

fn markdown(trace: &Trace, told: &str) -> String {
    let mut text = format!(
        "# Trace\n\nAn account is named, never a person: a credential can be borrowed.\n\n\
         ```text\n{told}\n```\n\n![evidence by account](evidence.svg)\n\n\
         ![suspects and others by probability](probabilities.svg)\n\n\
         ![when](timeline.svg)\n\n## Evidence\n\n"
    );
    for access in &trace.evidence {
        let _ = writeln!(text, "- access `{access}`");
    }
    text
}
