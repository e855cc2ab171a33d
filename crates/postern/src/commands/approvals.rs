//! Access that another person approves, and access that is taken at once.

use std::{fs, path::Path};

use anyhow::Context as _;

use comfy_table::{Table as Grid, presets};

use super::gateway::{ask as tell, no};
use crate::{
    cli::{AccessArgs, ApprovalsArgs, ApproveArgs, AskQueryArgs, BreakGlassArgs, DecideArgs},
    control::{Approval, AskedQuery, Query, Reply, Request},
    ui::{self, Outcome},
};

pub(crate) fn ask(config: &Path, args: AccessArgs) -> anyhow::Result<Outcome> {
    let AccessArgs { actor, subject, why, lasts } = args;
    let (to, seconds) = (actor.clone(), lasts.as_secs());
    let reply = tell(config, &Request::Ask { actor, subject, seconds, why })?;
    let Reply::Done { number, until } = reply else { return no(reply) };
    ui::result(format!("asked, number {number}, for {to} until {until}"))?;
    ui::hint(format!("somebody else lets them in with `postern approve {number}`"));
    Ok(Outcome::Yes)
}

pub(crate) fn ask_query(config: &Path, args: AskQueryArgs) -> anyhow::Result<Outcome> {
    let AskQueryArgs { actor, file, fields, rows, why, lasts } = args;
    let sql = fs::read_to_string(&file)
        .with_context(|| format!("can't read the statement in `{}`", file.display()))?;
    let (who, seconds) = (actor.clone(), lasts.as_secs());
    let asked = AskedQuery { actor, sql, fields, rows, seconds, why };
    let reply = tell(config, &Request::AskQuery(asked))?;
    let Reply::Done { number, until } = reply else { return no(reply) };
    ui::result(format!("asked, number {number}, for {who} until {until}"))?;
    ui::hint(format!(
        "{who} runs it, which shows nothing yet: psql \"user={who} \
         options='-c postern.approved={number}' …\" -f {}",
        file.display()
    ));
    ui::hint(format!("then somebody else sees what it gave with `postern approvals {number}`"));
    Ok(Outcome::Yes)
}

pub(crate) fn break_glass(config: &Path, args: BreakGlassArgs) -> anyhow::Result<Outcome> {
    let BreakGlassArgs { actor, subject, why } = args;
    let to = actor.clone();
    let reply = tell(config, &Request::BreakGlass { actor, subject, why })?;
    let Reply::Done { number, until } = reply else { return no(reply) };
    ui::result(format!("{to} is let in until {until}, number {number}; it is a finding"))?;
    ui::hint(format!("somebody else has to look at it: `postern review {number} --why TEXT`"));
    Ok(Outcome::Yes)
}

pub(crate) fn approve(config: &Path, args: ApproveArgs) -> anyhow::Result<Outcome> {
    decide_having_seen(config, "approved", args.decide, args.sha256)
}

/// Reviews or revokes.
pub(crate) fn decide(config: &Path, act: &str, args: DecideArgs) -> anyhow::Result<Outcome> {
    decide_having_seen(config, act, args, None)
}

fn decide_having_seen(
    config: &Path,
    act: &str,
    args: DecideArgs,
    seen: Option<String>,
) -> anyhow::Result<Outcome> {
    let DecideArgs { number, why } = args;
    let (act, why) = (act.to_owned(), why.unwrap_or_default());
    let request = Request::Decide { act: act.clone(), number, why, seen };
    let reply = tell(config, &request)?;
    let Reply::Done { number, .. } = reply else { return no(reply) };
    ui::result(format!("number {number} is {act}"))?;
    Ok(Outcome::Yes)
}

pub(crate) fn list(config: &Path, args: &ApprovalsArgs) -> anyhow::Result<Outcome> {
    let reply = tell(config, &Request::Approvals {})?;
    let Reply::Approvals { mut all } = reply else { return no(reply) };
    if let Some(number) = args.number {
        all.retain(|one| one.number == number);
        if all.is_empty() {
            ui::result(format!("there is no number {number}"))?;
            return Ok(Outcome::No);
        }
    }
    if args.json {
        for one in &all {
            ui::json(one)?;
        }
        return Ok(Outcome::Yes);
    }
    let mut grid = Grid::new();
    let header = ["number", "account", "customer", "state", "until", "by", "second", "why"];
    grid.load_style(presets::NOTHING).set_header(header);
    grid.add_rows(all.iter().map(row));
    for column in grid.column_iter_mut() {
        column.set_padding((0, 3));
    }
    ui::result(grid.trim_fmt())?;
    if args.number.is_some()
        && let Some(query) = all.first().and_then(|one| one.query.as_ref())
    {
        ui::result(in_full(query))?;
    }
    Ok(Outcome::Yes)
}

/// What is to be approved.
fn in_full(query: &Query) -> String {
    let Query { sql, fields, rows_max, tried } = query;
    let gave = match tried {
        Some(tried) => format!("gave      {tried}"),
        None => "gave      nobody knows yet: it was not tried".to_owned(),
    };
    format!("\n{sql}\n\nmay show  {}\nrows      {rows_max} at most\n{gave}", fields.join(", "))
}

/// A statement is named by the beginning of its hash.
fn named(subject: &str) -> String {
    match subject.strip_prefix("query:").and_then(|hash| hash.get(..12)) {
        Some(hash) => format!("query:{hash}…"),
        None => subject.to_owned(),
    }
}

fn row(one: &Approval) -> [String; 8] {
    let review = match (one.needs_review, one.overdue) {
        (_, true) => ", review overdue",
        (true, false) => ", not reviewed",
        (false, false) => "",
    };
    [
        one.number.to_string(),
        one.actor.clone(),
        named(&one.subject),
        format!("{}{review}", one.state),
        one.until.clone(),
        one.asked_by.clone(),
        one.second.clone().unwrap_or_default(),
        one.why.clone(),
    ]
}
