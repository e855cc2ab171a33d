//! Who may log in: `people.toml`, which holds no password but what checks one.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use comfy_table::{Table as Grid, presets};
use postern_model::{Actor, Clock as _, Secret};
use postern_people::{Account, DEFAULT_ITERATIONS, Date, People, Verifier};
use serde::Serialize;

use crate::{
    cli::{JsonArgs, PersonAddArgs, PersonCommand, PersonEndArgs},
    clock::SystemClock,
    config::{self, Settings},
    control::{Client, ControlError, Reply, Request},
    files,
    ui::{self, Outcome},
};

/// The length of a salt, PostgreSQL's.
const SALT_BYTES: usize = 16;

const DAY: Duration = Duration::from_secs(86_400);

/// Of a moment, as in `2026-12-31T…`.
const DATE_LENGTH: usize = 10;

/// The shortest password that is taken.
const PASSWORD_CHARACTERS_MIN: usize = 8;

pub(crate) fn run(config: &Path, command: PersonCommand) -> anyhow::Result<Outcome> {
    let settings = config::load(config)?.settings;
    match command {
        PersonCommand::Add(args) => add(&settings, args),
        PersonCommand::List(args) => list(&settings, &args),
        PersonCommand::End(args) => end(&settings, &args),
        PersonCommand::Role { actor, role } => change_role(&settings, &actor, &role),
        PersonCommand::Remove { actor } => remove(&settings, &actor),
    }
}

/// Reads `people.toml`.
pub(crate) fn people(settings: &Settings) -> anyhow::Result<People> {
    let path = settings.data.people();
    let text = fs::read_to_string(&path)
        .with_context(|| format!("can't read `{}`; `postern init` makes it", path.display()))?;
    People::parse(&text).with_context(|| format!("`{}` can't be used", path.display()))
}

fn add(settings: &Settings, args: PersonAddArgs) -> anyhow::Result<Outcome> {
    let actor = args.actor;
    let is_new = |people: &People| {
        ensure!(people.account(&actor).is_none(), "there is an account `{actor}` already");
        Ok(())
    };
    is_new(&people(settings)?)?;
    known_role(settings, &args.role)?;
    let ends = args.ends.as_deref().map(date).transpose()?;
    let verifier = match (args.no_password, args.password_stdin) {
        (true, _) => None,
        (false, true) => Some(verifier(&first_line()?)?),
        (false, false) => Some(verifier(&asked(&actor)?)?),
    };
    let logs_in = verifier.is_some();
    // Not before the password is there: nobody else can change the list meanwhile.
    let _alone = alone(settings)?;
    let mut people = people(settings)?;
    is_new(&people)?;
    let account = Account {
        role: args.role.into(),
        employer: args.employer.as_deref().unwrap_or("own").into(),
        verifier,
        ends,
        active: true,
    };
    people.insert(Actor::new(actor.as_str()), account)?;
    write(settings, &people)?;
    let may = if logs_in { "may log in" } else { "may be named by an application" };
    ui::result(format!("{actor} {may}"))?;
    Ok(Outcome::Yes)
}

fn verifier(password: &Secret<String>) -> anyhow::Result<Verifier> {
    ensure!(
        password.expose().chars().count() >= PASSWORD_CHARACTERS_MIN,
        "the password has fewer than {PASSWORD_CHARACTERS_MIN} characters"
    );
    let salt: [u8; SALT_BYTES] = rand::random();
    Ok(Verifier::derive(password.expose(), &salt, DEFAULT_ITERATIONS))
}

fn remove(settings: &Settings, actor: &str) -> anyhow::Result<Outcome> {
    let _alone = alone(settings)?;
    let mut people = people(settings)?;
    if !people.remove(actor) {
        return nobody(actor);
    }
    write(settings, &people)?;
    ui::result(format!("{actor} can no longer log in"))?;
    Ok(Outcome::Yes)
}

fn end(settings: &Settings, args: &PersonEndArgs) -> anyhow::Result<Outcome> {
    let _alone = alone(settings)?;
    let mut people = people(settings)?;
    let PersonEndArgs { actor, on } = args;
    let Some(account) = people.account(actor) else { return nobody(actor) };
    let now = SystemClock.now();
    let ends = match on {
        Some(text) => date(text)?,
        None => date(&now.before(DAY).to_string().chars().take(DATE_LENGTH).collect::<String>())?,
    };
    let account = Account { ends: Some(ends), ..account.clone() };
    let works = account.works_at(now);
    people.insert(Actor::new(actor.as_str()), account)?;
    write(settings, &people)?;
    if works {
        ui::result(format!("{actor} can log in up to the end of {ends}, in UTC"))?;
    } else {
        ui::result(format!("{actor} can no longer log in"))?;
    }
    Ok(Outcome::Yes)
}

fn change_role(settings: &Settings, actor: &str, role: &str) -> anyhow::Result<Outcome> {
    let _alone = alone(settings)?;
    let mut people = people(settings)?;
    let Some(account) = people.account(actor) else { return nobody(actor) };
    known_role(settings, role)?;
    let account = Account { role: role.into(), ..account.clone() };
    people.insert(Actor::new(actor), account)?;
    write(settings, &people)?;
    ui::result(format!("{actor} has the role {role}"))?;
    Ok(Outcome::Yes)
}

/// Keeps others from changing the list at the same time, as long as it is held.
fn alone(settings: &Settings) -> anyhow::Result<fs::File> {
    let path = settings.data.people();
    files::lock(&path).with_context(|| format!("can't lock `{}`", path.display()))
}

fn nobody(actor: &str) -> anyhow::Result<Outcome> {
    ui::result(format!("there is no account `{actor}`"))?;
    Ok(Outcome::No)
}

fn known_role(settings: &Settings, role: &str) -> anyhow::Result<()> {
    let known: Vec<&str> = settings.roles.iter().map(|role| role.name.as_ref()).collect();
    ensure!(
        known.contains(&role),
        "`{}` has no role `{role}`; it has: {}",
        settings.path.display(),
        known.join(", ")
    );
    Ok(())
}

/// One person in `person list --json`; version 1.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    version: u32,
    actor: &'a str,
    role: &'a str,
    employer: &'a str,
    ends: Option<String>,
    password: bool,
    active: bool,
}

fn list(settings: &Settings, args: &JsonArgs) -> anyhow::Result<Outcome> {
    let people = people(settings)?;
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING).set_header(["actor", "role", "employer", "last day"]);
    for (actor, account) in people.iter() {
        let listed = Listed {
            version: 1,
            actor: actor.as_str(),
            role: &account.role,
            employer: &account.employer,
            ends: account.ends.map(|date| date.to_string()),
            password: account.verifier.is_some(),
            active: account.active,
        };
        if args.json {
            ui::json(&listed)?;
        } else {
            let ends = if listed.active { listed.ends } else { Some("not active".to_owned()) };
            let ends = ends.unwrap_or_default();
            grid.add_row([listed.actor, listed.role, listed.employer, &ends]);
        }
    }
    if !args.json {
        grid.column_iter_mut().for_each(|column| {
            column.set_padding((0, 3));
        });
        ui::result(grid.trim_fmt())?;
    }
    Ok(Outcome::Yes)
}

/// Replaces `people.toml`. A running gateway is told before, so that it knows whose change it is,
/// and after, so that the change is in force when this returns.
fn write(settings: &Settings, people: &People) -> anyhow::Result<()> {
    let path = settings.data.people();
    let mut gateway = match Client::connect(&settings.data.control_socket()) {
        Ok(gateway) => Some(gateway),
        Err(ControlError::NotRunning { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    // A list that can't be read is the reason for a change often enough.
    told(gateway.as_mut(), false)?;
    files::replace_private(&path, &people.to_toml())
        .with_context(|| format!("can't write `{}`", path.display()))?;
    if let Some(why) = told(gateway.as_mut(), true)? {
        bail!("it is written, but {why}");
    }
    Ok(())
}

/// Has the running gateway look at the list; what keeps it from that.
fn told(gateway: Option<&mut Client>, changed: bool) -> anyhow::Result<Option<String>> {
    match gateway.map(|gateway| gateway.ask(&Request::People { changed })).transpose()? {
        Some(Reply::Refused { why }) => Ok(Some(why)),
        Some(_) | None => Ok(None),
    }
}

fn date(text: &str) -> anyhow::Result<Date> {
    text.parse().map_err(|_| anyhow::anyhow!("`{text}` is not a date; write it like 2026-12-31"))
}

fn first_line() -> anyhow::Result<Secret<String>> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("can't read the password")?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn asked(actor: &str) -> anyhow::Result<Secret<String>> {
    if !io::stdin().is_terminal() {
        bail!("nobody to ask for the password; give it with --password-stdin");
    }
    let password = rpassword::prompt_password(format!("password for {actor}: "))?;
    let again = rpassword::prompt_password("again: ")?;
    ensure!(password == again, "the two passwords differ");
    Ok(Secret::new(password))
}
