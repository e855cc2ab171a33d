//! Moving segments that are never written again to another volume.

use std::path::Path;

use postern_ledger::move_segments;

use super::folder;
use crate::{
    cli::MoveSegmentsArgs,
    ui::{self, Outcome},
};

pub(super) fn run(config: &Path, args: MoveSegmentsArgs) -> anyhow::Result<Outcome> {
    let MoveSegmentsArgs { to, keep, ledger } = args;
    let moved = move_segments(&folder(config, ledger)?, &to, keep)?;
    let to = to.display();
    if moved.segments == 0 {
        ui::result(format!("no segment is to be moved to `{to}`"))?;
    } else {
        let megabytes = moved.bytes.div_ceil(1_000_000);
        ui::result(format!("{} segments moved to `{to}`, {megabytes} MB", moved.segments))?;
    }
    Ok(Outcome::Yes)
}
