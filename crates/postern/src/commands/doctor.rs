//! `postern doctor`: what in the database leads around the gateway, or out of it. Each finding
//! comes with the line or the SQL that mends it; nothing is changed.

use std::path::Path;

use anyhow::Context as _;
use postern_gateway::ask;
use serde::Serialize;
use tokio_postgres::Client;

use self::look::Guarded;
use crate::{
    cli::DoctorArgs,
    config, init, serve,
    ui::{self, Outcome},
};

mod changes;
mod copy;
mod hba;
mod look;
mod roles;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// Somebody can read protected data around the gateway.
    Open,
    /// Protected data may get out this way, or what guards it is weaker than it could be.
    Leaks,
    /// It could not be looked at.
    Unknown,
}

/// Something to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    level: Level,
    /// What was looked at, in a word.
    check: &'static str,
    what: String,
    /// SQL or lines, one each.
    mend: Vec<String>,
}

impl Finding {
    fn new(level: Level, check: &'static str, what: String, mend: Vec<String>) -> Self {
        Self { level, check, what, mend }
    }
}

/// What `--json` prints; version 1.
#[derive(Debug, Serialize)]
struct Report<'a> {
    version: u32,
    sound: bool,
    findings: &'a [Finding],
}

pub(crate) fn run(config: &Path, args: &DoctorArgs) -> anyhow::Result<Outcome> {
    let settings = config::load(config)?.settings;
    let guarded = Guarded::of(&settings);
    let upstream = serve::upstream(&settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut findings = runtime.block_on(async {
        // Settings are those of the gateway's own sessions.
        let own = async |client: &Client| look::settings(client, &guarded).await;
        let mut findings = ask(&upstream, own).await?;
        let more = match &args.admin {
            Some(url) => {
                let client = init::connect_to(url).await?;
                // As on the gateway's own connections: names are told with their schemas.
                client.batch_execute("SET search_path = pg_catalog").await?;
                look::all(&client, &guarded).await.context("the database can't be asked")?
            }
            None => {
                ask(&upstream, async |client: &Client| look::all(client, &guarded).await).await?
            }
        };
        findings.extend(more);
        Ok::<_, anyhow::Error>(findings)
    })?;
    findings.extend(copy::look(&settings)?);
    findings.extend(not_enforced(&settings));
    findings.sort_by_key(|finding| finding.level);
    let sound = findings.is_empty();
    if args.json {
        ui::json(&Report { version: 1, sound, findings: &findings })?;
    } else if sound {
        ui::result("nothing leads around the gateway, as far as this can be seen from here")?;
    } else {
        let texts: Vec<String> = findings.iter().map(text).collect();
        ui::result(texts.join("\n"))?;
    }
    Ok(if sound { Outcome::Yes } else { Outcome::No })
}

/// Roles whose people see everything, because policy is not enforced for them.
fn not_enforced(settings: &config::Settings) -> Vec<Finding> {
    let found = settings.roles.iter().filter_map(|role| {
        let what = role.not_enforced()?;
        let mend = vec![format!("[roles.{}]", role.name), "enforcement = \"enforce\"".to_owned()];
        Some(Finding::new(Level::Open, "enforcement", what, mend))
    });
    found.collect()
}

fn text(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Open => "open",
        Level::Leaks => "leaks",
        Level::Unknown => "unknown",
    };
    let mut text = format!("{level:<8} {}", finding.what);
    for mend in &finding.mend {
        text += &format!("\n         {mend}");
    }
    text
}
