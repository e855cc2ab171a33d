use std::path::Path;

use crate::{
    cli::JsonArgs,
    config::{self, ConfigError, explain},
    ui::{self, Outcome},
};

/// Explains a configuration, or says all that is wrong with it.
pub(crate) fn run(path: &Path, args: &JsonArgs) -> anyhow::Result<Outcome> {
    match config::load(path) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(ui::problem);
            if args.json {
                ui::json(&explain::Report::usable(&loaded))?;
            } else {
                ui::result(explain::text(&loaded.settings).trim_end())?;
            }
            Ok(Outcome::Yes)
        }
        Err(error @ ConfigError::Wrong { .. }) => {
            if args.json {
                ui::json(&explain::Report::unusable(error.problems()))?;
            }
            ui::failure(&error.into());
            Ok(Outcome::No)
        }
        Err(error @ ConfigError::Unreadable { .. }) => Err(error.into()),
    }
}
