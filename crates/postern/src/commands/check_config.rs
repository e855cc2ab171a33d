use std::path::Path;

use postern_gateway::{Settings as GatewaySettings, read_catalogue};
use postern_model::Actor;
use postern_policy::Policy;
use postern_session::{Kind, plan_rules};
use postern_sql::{Context, Remark, remarks};

use crate::{
    cli::CheckConfigArgs,
    config::{self, ConfigError, explain},
    serve,
    ui::{self, Outcome},
};

/// Explains a configuration, or says all that is wrong with it.
pub(crate) fn run(path: &Path, args: &CheckConfigArgs) -> anyhow::Result<Outcome> {
    match config::load(path) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(ui::problem);
            let remarks = if args.database {
                let basis = serve::basis(&loaded.settings)?;
                Some(of_database(&basis.gateway, &basis.policy)?)
            } else {
                None
            };
            for Remark { message, help } in remarks.iter().flatten() {
                ui::warning(message);
                ui::hint(help);
            }
            if args.json {
                ui::json(&explain::Report::usable(&loaded, remarks.as_deref()))?;
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

/// What the database makes of the configuration, for an account of the first restricted role.
fn of_database(gateway: &GatewaySettings, policy: &Policy) -> anyhow::Result<Vec<Remark>> {
    let role = gateway.roles.iter().find(|(_, role)| role.kind == Kind::Restricted);
    let role = role.map_or("", |(name, _)| name);
    let who = (&Actor::new("nobody"), role, Kind::Restricted);
    let (mut rules, _) = plan_rules(&gateway.tables, &gateway.reasons, policy, who);
    gateway.upstream.vouch(&mut rules);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let catalogue = runtime.block_on(read_catalogue(&gateway.upstream))?;
    // Nobody can make use of knowing the prefix here.
    let context = Context::new(&gateway.upstream.search_path, "postern_");
    Ok(remarks(&catalogue, &rules, context))
}
