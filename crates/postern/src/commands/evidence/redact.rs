//! Evidence without the customers' names, for whom they are not meant.
//!
//! Nothing is signed anew: the manifest, and what a time-stamping authority said of it, stay as
//! they are. The list and the trace, which name customers, are taken out. Of the proofs, which hold
//! by the ledger's own signature, the dictionary's rows with names are taken out. The analysis has
//! no names. So whoever has evidence can redact it, and the verifier still computes the
//! likelihoods from the proved entries.

use anyhow::{Context as _, bail};
use postern_ledger::redact_range;
use postern_model::Subject;

use super::bundle::Bundle;
use crate::{
    cli::RedactArgs,
    ui::{self, Outcome},
};

/// The parts that name customers and can be done without.
const NAMING: [&str; 2] = ["leak.csv", "trace.json"];

pub(super) fn run(args: &RedactArgs) -> anyhow::Result<Outcome> {
    let RedactArgs { from, keep, out } = args;
    if out.exists() {
        bail!("`{}` exists; evidence is not overwritten", out.display());
    }
    let keep = keep.iter().map(|name| Subject::new(name.as_str())).collect();
    let mut bundle = Bundle::read(from)?;
    let parts = bundle.parts_mut();
    NAMING.iter().for_each(|name| drop(parts.remove(*name)));
    let mut proofs = 0;
    for (name, bytes) in parts.iter_mut().filter(|(name, _)| name.starts_with("proofs/")) {
        let text = std::str::from_utf8(bytes).with_context(|| format!("`{name}` is no text"))?;
        let redacted = redact_range(text, &keep);
        *bytes = redacted.with_context(|| format!("`{name}` is no proof"))?.into_bytes();
        proofs += 1;
    }
    bundle.pack(out)?;
    ui::result(format!(
        "`{}` has {proofs} proofs without names, and neither the list nor the trace; it is checked \
         like the whole",
        out.display()
    ))?;
    Ok(Outcome::Yes)
}
