//! What customers tell of calls and letters by people who should not know of them.

use std::path::Path;

use anyhow::ensure;
use comfy_table::{Table as Grid, presets};
use postern_ledger::{Body, Complained, Note, Reader};
use postern_model::{Actor, Clock as _, Complaint, Subject, Timestamp};
use serde::Serialize;

use super::ledger::recorded;
use crate::{
    cli::{ComplaintAddArgs, ComplaintCommand, ComplaintKind, ComplaintWithdrawArgs, JsonArgs},
    clock::SystemClock,
    config,
    control::{Request, os_user},
    events::{Complaints, WITHDRAWN},
    ui::{self, Outcome},
};

/// The fields that a tracer knows.
const FIELDS: [&str; 4] = ["name", "email", "phone", "ticket"];

pub(crate) fn run(config: &Path, command: ComplaintCommand) -> anyhow::Result<Outcome> {
    match command {
        ComplaintCommand::Add(args) => add(config, args),
        ComplaintCommand::Withdraw(args) => withdraw(config, args),
        ComplaintCommand::List(args) => list(config, &args),
    }
}

fn add(config: &Path, args: ComplaintAddArgs) -> anyhow::Result<Outcome> {
    let ComplaintAddArgs { subject, at, caller, kind, fields, force } = args;
    let now = SystemClock.now();
    let at = at.unwrap_or(now);
    ensure!(at <= now, "nobody can have called at {at}, which is to come");
    ensure!(
        !caller.trim().is_empty(),
        "`--caller` is empty: give the number or the name that the customer tells, or `unknown`"
    );
    for field in &fields {
        ensure!(
            FIELDS.contains(&field.as_str()),
            "there is no field `{field}`; what the caller knew is any of {}",
            FIELDS.join(", ")
        );
    }
    ensure!(
        force || names(config, &subject)?,
        "the ledger names no customer `{subject}`: give the key that the customer has in the \
         database, or `--force` if it is right and nobody was ever shown this customer"
    );
    let kind = match kind {
        ComplaintKind::ScamCall => "scam_call",
        ComplaintKind::Phishing => "phishing",
        ComplaintKind::Other => "other",
    };
    let entry = record(config, &subject, (at, kind), fields, caller)?;
    ui::result(format!("recorded as entry {entry}"))?;
    let all = told(config)?.len();
    ui::hint(format!(
        "{all} customers have complained; `postern trace --warn next.csv` weighs after each of \
         them where it comes from, and lists who may be called next"
    ));
    Ok(Outcome::Yes)
}

fn withdraw(config: &Path, args: ComplaintWithdrawArgs) -> anyhow::Result<Outcome> {
    let ComplaintWithdrawArgs { subject, why } = args;
    if !told(config)?.iter().any(|complaint| complaint.subject.as_str() == subject) {
        ui::failure(&anyhow::anyhow!("there is no complaint of customer {subject}"));
        return Ok(Outcome::No);
    }
    let at = SystemClock.now();
    let entry = record(config, &subject, (at, WITHDRAWN), Vec::new(), why)?;
    ui::result(format!("withdrawn by entry {entry}"))?;
    Ok(Outcome::Yes)
}

fn record(
    config: &Path,
    subject: &str,
    (at, kind): (Timestamp, &str),
    fields: Vec<String>,
    caller: String,
) -> anyhow::Result<u64> {
    let settings = config::load(config)?.settings;
    let note = Note::Complained(Complained {
        by: Actor::new(os_user()),
        subject: Subject::new(subject),
        at,
        kind: kind.into(),
        fields: fields.iter().map(|field| field.as_str().into()).collect(),
        caller: caller.as_str().into(),
    });
    let (subject, kind) = (subject.to_owned(), kind.to_owned());
    let request = Request::Complaint { subject, at: at.0, kind, fields, caller };
    recorded::put(config, &settings, &request, note)
}

fn told(config: &Path) -> anyhow::Result<Vec<Complaint>> {
    let mut told = Complaints::default();
    for entry in Reader::open(&config::load(config)?.settings.data.ledger())? {
        told.take(&entry?);
    }
    Ok(told.in_order())
}

/// Whether any entry names that customer.
fn names(config: &Path, subject: &str) -> anyhow::Result<bool> {
    for entry in Reader::open(&config::load(config)?.settings.data.ledger())? {
        let named = match entry?.body {
            Body::Disclosed(disclosed) => {
                let mut subjects = disclosed.groups.iter().flat_map(|group| &group.subjects);
                subjects.any(|named| named.as_str() == subject)
            }
            Body::Noted(Note::Complained(complained)) => complained.subject.as_str() == subject,
            Body::Noted(_) => false,
        };
        if named {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A complaint in `complaint list --json`; version 1.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    version: u32,
    at: String,
    subject: &'a str,
    kind: &'a str,
    fields: Vec<&'a str>,
}

fn list(config: &Path, args: &JsonArgs) -> anyhow::Result<Outcome> {
    let settings = config::load(config)?.settings;
    let told = told(config)?;
    recorded::look(config, &settings, "complaints")?;
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING).set_header(["at", "customer", "kind", "what was known"]);
    for complaint in &told {
        let listed = Listed {
            version: 1,
            at: complaint.ts.to_string(),
            subject: complaint.subject.as_str(),
            kind: &complaint.kind,
            fields: complaint.fields.iter().map(|field| &**field).collect(),
        };
        if args.json {
            ui::json(&listed)?;
        } else {
            let fields = listed.fields.join(" ");
            grid.add_row([&listed.at, listed.subject, listed.kind, &fields]);
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
