use std::{fs::File, io::BufWriter, path::Path, sync::atomic::Ordering};

use anyhow::Context as _;
use postern_feed::{Arrival, Folder, Options, Problems, write_findings};
use postern_watch::{Named, Watch, WatchConfig};

use crate::{
    cli::ReplayArgs,
    config,
    ui::{self, Outcome, Progress},
};

/// Runs the detectors over a feed folder, as they would have run live.
/// Only `[watch]` of the configuration is used, and a recording needs no configuration.
pub(crate) fn run(config: &Path, args: &ReplayArgs) -> anyhow::Result<Outcome> {
    let missing = config == Path::new("postern.toml") && !config.exists();
    let (config, rules) =
        if missing { (WatchConfig::default(), None) } else { config::watch_of(config)? };
    let mut rules = rules.map(|rules| rules.rules()).transpose()?;
    let path = args.findings.clone().unwrap_or_else(|| args.feed.join("findings.jsonl"));
    let written = || format!("can't write `{}`", path.display());
    let mut out = BufWriter::new(File::create(&path).with_context(written)?);
    let folder = Folder::open(&args.feed, Options::default())?;
    let (mut namer, mut judge) = Watch::new(&config).halves();
    let (mut events, mut found, mut alerts) = (0_u64, 0_usize, 0_usize);
    let mut failed = Ok(());
    let (bytes, read) = folder.progress();
    let mut progress = Progress::new("bytes");
    let name = |arrivals: &[Arrival], named: &mut Vec<Named>| {
        namer.name_all(arrivals.iter().map(|arrival| &arrival.event), named);
    };
    let problems = folder.for_each_ahead(name, |arrivals, named| {
        let both = arrivals.iter().zip(named);
        judge.expect(both.clone().map(|(arrival, named)| (arrival.seen, &arrival.event, named)));
        for (arrival, named) in both {
            let mut findings = judge.observe(arrival.seen, &arrival.event, named);
            if let Some(rules) = &mut rules {
                findings.extend(rules.observe(arrival.seen, &arrival.event));
            }
            found += findings.len();
            alerts += findings.iter().filter(|finding| finding.alert).count();
            if failed.is_ok() && !findings.is_empty() {
                failed = write_findings(&findings, &mut out);
            }
        }
        events += arrivals.len() as u64;
        progress.at(read.load(Ordering::Relaxed), bytes);
    });
    progress.end();
    let problems = problems?;
    failed.with_context(written)?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(written)?;
    ui::result(format!("{events} events, {found} findings, {alerts} of them alerts"))?;
    report(&problems)
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
