//! `postern demo`: the theft of 2019 on a throw-away database, and what Postern does about it.
//!
//! Everything is real: the server, the gateway (this binary, as a process of its own), the clients,
//! and what they are sent, which is kept byte by byte and searched for protected values. A check
//! that does not hold makes the demo fail.

use anyhow::Context as _;
use postern_model::Clock as _;

use self::{setting::Setting, stage::Stage, values::Values, world::World};
use crate::{
    cli::DemoArgs,
    clock::SystemClock,
    ui::{self, Outcome},
};

mod acts;
mod auditor;
mod chance;
mod observer;
mod person;
mod setting;
mod stage;
mod tee;
mod values;
mod world;

/// The account that is used for the theft.
const THIEF: &str = "agent17";

/// Another account whose password the thief knows.
const COLLEAGUE: &str = "agent29";

/// What the acts share.
struct Play<'a> {
    stage: Stage,
    setting: Setting,
    world: &'a World,
    values: Values<'a>,
    /// Customers that an account was shown in clear, by the bytes that its clients received.
    shown: std::collections::BTreeMap<String, values::Found>,
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<Outcome> {
    let stage = Stage::new(args.json);
    stage.act("A support database: 20,000 customers, 60,000 tickets, 40 agents")?;
    let world = World::new(SystemClock.now());
    let mut setting = Setting::new(&world)?;
    stage.step("a throw-away PostgreSQL runs and is filled")?;
    setting.configure(&world)?;
    setting.serve()?;
    stage.step(&format!("Postern guards it on {}", setting.address))?;
    stage.step("a witness, as another machine would run it, looks after the ledger")?;

    let values = Values::new(&world);
    let shown = std::collections::BTreeMap::new();
    let mut play = Play { stage, setting, world: &world, values, shown };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        acts::work::play(&mut play).await.context("the first act broke off")?;
        acts::grab::play(&mut play).await.context("the second act broke off")?;
        acts::ledger::copy(&play)?;
        acts::pretext::play(&mut play).await.context("the third act broke off")
    })?;
    acts::traced::play(&mut play).context("the fourth act broke off")?;
    acts::ledger::play(&mut play).context("the fifth act broke off")?;
    let kept = play.stage.end()?;
    if args.keep {
        keep(&mut play, args.json)?;
    }
    Ok(if kept { Outcome::Yes } else { Outcome::No })
}

/// Leaves everything running until somebody has seen enough.
fn keep(play: &mut Play<'_>, json: bool) -> anyhow::Result<()> {
    play.setting.serve()?;
    if !json {
        let port = play.setting.address.port();
        let psql = |actor: &str| {
            let password = person::password(actor);
            format!(
                "PGPASSWORD={} psql -h 127.0.0.1 -p {port} -U {actor} support",
                password.expose()
            )
        };
        ui::result(format!("\nas an agent           {}", psql("agent01")))?;
        ui::result(format!("as the thief          {}", psql(THIEF)))?;
        ui::result(format!("as an administrator   {}", psql("admin")))?;
        let configuration = play.setting.configuration();
        let postern = std::env::current_exe()?;
        let status = format!("{} -c {} status", postern.display(), configuration.display());
        ui::result(format!("the gateway           {status}"))?;
        ui::result("\nInput or Ctrl-D ends it and removes everything.")?;
    }
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
