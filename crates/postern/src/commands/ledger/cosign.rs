//! One round of asking the witnesses, by hand.

use std::path::Path;

use super::folder;
use crate::{
    cli::CosignArgs,
    config,
    ui::{self, Outcome},
    witnessing::Witnesses,
};

pub(super) fn cosign(config: &Path, args: CosignArgs) -> anyhow::Result<Outcome> {
    let CosignArgs { witness, enough, ledger } = args;
    let (witnesses, enough) = if witness.is_empty() {
        let witness = config::load(config)?.settings.witness;
        (witness.witnesses, witness.enough)
    } else {
        (witness, enough)
    };
    anyhow::ensure!(!witnesses.is_empty(), "the configuration names no witness");
    let mut asking = Witnesses::open(&folder(config, ledger)?, &witnesses, enough)?;
    let before = asking.done();
    // Though all is cosigned: whether they have seen more than there is, is what somebody asks for
    // who does this by hand.
    let troubles = asking.first_round()?;
    if let Some(contradiction) = asking.contradiction() {
        ui::failure(&anyhow::anyhow!("{contradiction}"));
        return Ok(Outcome::No);
    }
    troubles.iter().for_each(ui::warning);
    let done = asking.done();
    ui::result(format!("witnessed up to {} entries", done.entries))?;
    // Others may have refused what is enough all the same.
    let is_new = done != before || troubles.is_empty();
    Ok(if is_new { Outcome::Yes } else { Outcome::No })
}
