//! `postern reasons`: the SQL that has the guarded database tell what has changed of reasons.

use std::path::Path;

use postern_gateway::changes_sql;

use crate::{
    config, serve,
    ui::{self, Outcome},
};

pub(crate) fn run(config: &Path) -> anyhow::Result<Outcome> {
    let settings = config::load(config)?.settings;
    if settings.reasons.is_empty() {
        ui::hint("no reason is declared, so there is nothing that could change");
        return Ok(Outcome::No);
    }
    let sql = changes_sql(&serve::reasons(&settings), &settings.upstream.user);
    ui::result(sql.trim_end())?;
    Ok(Outcome::Yes)
}
