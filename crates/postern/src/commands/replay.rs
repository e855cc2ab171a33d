use std::{fs::File, io::BufWriter};

use anyhow::Context as _;
use postern_feed::{Folder, Options, Problems, write_findings};
use postern_watch::{Watch, WatchConfig};

use crate::{
    cli::ReplayArgs,
    ui::{self, Outcome},
};

/// Runs the detectors over a feed folder, as they would have run live.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<Outcome> {
    let mut folder = Folder::open(&args.feed, Options::default())?;
    let mut watch = Watch::new(WatchConfig::default());
    let mut findings = Vec::new();
    let mut events = 0_u64;
    for arrival in &mut folder {
        findings.extend(watch.observe(&arrival?.event));
        events += 1;
    }
    let path = args.out.clone().unwrap_or_else(|| args.feed.join("findings.jsonl"));
    let written = || format!("can't write `{}`", path.display());
    let mut out = BufWriter::new(File::create(&path).with_context(written)?);
    write_findings(&findings, &mut out).with_context(written)?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(written)?;

    let alerts = findings.iter().filter(|finding| finding.alert).count();
    let found = findings.len();
    ui::result(format!("{events} events, {found} findings, {alerts} of them alerts"))?;
    report(folder.problems())
}

/// Says which lines could not be used; too many of them are a failure.
pub(crate) fn report(problems: &Problems) -> anyhow::Result<Outcome> {
    for bad in &problems.shown {
        ui::warning(bad);
    }
    for ((source, event), times) in &problems.unknown_events {
        ui::warning(format!("unknown event `{event}` in {}, {times} times", source.as_str()));
    }
    if problems.out_of_order > 0 {
        ui::warning(format!("{} lines were out of order", problems.out_of_order));
    }
    anyhow::ensure!(
        !problems.too_many(),
        "{} of {} lines could not be read",
        problems.bad,
        problems.lines
    );
    Ok(Outcome::Yes)
}
