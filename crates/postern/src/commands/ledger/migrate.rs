//! What a ledger needs to be written by this version of Postern, which opening does by itself.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use postern_ledger::{Ledger, Options, Survey, VerifyOptions, origin, survey, verify};

use super::folder;
use crate::{
    cli::MigrateArgs,
    clock::SystemClock,
    ui::{self, Outcome, Progress},
};

pub(super) fn migrate(config: &Path, args: MigrateArgs) -> anyhow::Result<Outcome> {
    let MigrateArgs { dry_run, ledger } = args;
    let folder = folder(config, ledger)?;
    let mut bar = Progress::new("entries");
    let verified = verify(&folder, &VerifyOptions::default(), &mut |progress| {
        bar.at(progress.entries, progress.signed.max(progress.entries));
    });
    bar.end();
    if let Err(damage) = verified {
        ui::failure(&anyhow::Error::from(damage).context("the ledger does not hold"));
        return Ok(Outcome::No);
    }
    let found = survey(&folder)?;
    ui::result(text(&found))?;
    if dry_run || found.is_clean() {
        return Ok(Outcome::Yes);
    }
    let options = Options::new(origin(&folder)?, Arc::new(SystemClock));
    let ledger = Ledger::open(&folder, options, Arc::new(|_| {}))
        .with_context(|| format!("can't open the ledger in `{}`", folder.display()))?;
    ledger.close().context("the ledger's last entries have no checkpoint")?;
    ui::result("done")?;
    Ok(Outcome::Yes)
}

fn text(survey: &Survey) -> String {
    let Survey { entries, first_version, begins_segment, unfinished, to_erase, to_forget } = survey;
    let mut text = format!("{entries} entries, {first_version} of them of the first format");
    if *begins_segment {
        text.push_str("\nthe next entry will begin a segment of the present format");
    }
    if *unfinished {
        text.push_str("\nan unfinished write at the end is to be removed");
    }
    if *to_erase > 0 {
        text.push_str(&format!(
            "\n{to_erase} customers whose erasure is recorded are to be erased"
        ));
    }
    if *to_forget {
        text.push_str("\nwhat is past retention by an entry is to be made unreadable");
    }
    if survey.is_clean() {
        text.push_str("\nnothing is to be done");
    }
    text
}
