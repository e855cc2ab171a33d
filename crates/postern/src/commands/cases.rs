//! Findings under investigation: what there is to look at, and what people do with it.
//!
//! Accounts have pseudonyms until two persons have decided that they are named. A look is recorded
//! before anything is shown.

use std::path::Path;

use anyhow::Context as _;
use comfy_table::{Table as Grid, presets};
use postern_cases::{Act, Case, Cases, Outcome as Found, Status};
use postern_ledger::Reader;
use postern_model::Actor;
use serde::Serialize;

use super::ledger::recorded;
use crate::{
    cases::{NoteOf, Pseudonyms, take},
    cli::{CaseActArgs, CaseCloseArgs, CaseOutcome, CasesCommand, CasesListArgs},
    config::{self, Settings},
    control::{Request, os_user},
    serve,
    ui::{self, Outcome},
};

mod show;

pub(crate) fn run(config: &Path, command: CasesCommand) -> anyhow::Result<Outcome> {
    match command {
        CasesCommand::List(args) => list(config, &args),
        CasesCommand::Show(args) => show::run(config, &args),
        CasesCommand::Review(args) => {
            let act = if args.suspicious { Act::Suspicious } else { Act::Reviewed };
            done(config, act, args.act)
        }
        CasesCommand::Close(CaseCloseArgs { act, outcome }) => {
            let outcome = match outcome {
                CaseOutcome::Benign => Found::Benign,
                CaseOutcome::Misuse => Found::Misuse,
                CaseOutcome::Unclear => Found::Unclear,
            };
            done(config, Act::Closed(outcome), act)
        }
        CasesCommand::Reopen(args) => done(config, Act::Reopened, args),
        CasesCommand::Reveal(args) => done(config, Act::RevealAsked, args),
    }
}

/// What the ledger says of cases, and how its accounts are called.
struct Files {
    settings: Settings,
    cases: Cases,
    names: Pseudonyms,
}

impl Files {
    fn read(config: &Path) -> anyhow::Result<Self> {
        let settings = config::load(config)?.settings;
        let mut cases = Cases::default();
        for entry in Reader::open(&settings.data.ledger())? {
            take(&mut cases, &entry.context("the ledger is damaged")?);
        }
        let key = serve::secret(&settings.data.folder.join("pseudonym.key"))?;
        Ok(Self { settings, cases, names: Pseudonyms::under(key) })
    }

    /// The look is an entry before anything is shown.
    fn looked(&self, config: &Path, what: String) -> anyhow::Result<()> {
        recorded::look(config, &self.settings, &what).map(|_| ())
    }

    fn accounts(&self, case: &Case) -> Vec<String> {
        let named = case.revealed.is_some();
        let name = |actor| if named { Actor::to_string(actor) } else { self.names.of(actor) };
        case.actors.iter().map(name).collect()
    }
}

/// A case in `cases list --json`; version 1.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    version: u32,
    case: u64,
    status: &'static str,
    severity: &'static str,
    /// Pseudonyms, or names where two persons have decided so.
    accounts: Vec<String>,
    named: bool,
    judged_suspicious: bool,
    findings: usize,
    causes: Vec<String>,
    last: String,
    closed_because: Option<&'a str>,
}

fn list(config: &Path, args: &CasesListArgs) -> anyhow::Result<Outcome> {
    let files = Files::read(config)?;
    files.looked(config, "cases".to_owned())?;
    let mut grid = Grid::new();
    let header = ["case", "status", "severity", "accounts", "findings", "unexplained", "last"];
    grid.load_style(presets::NOTHING).set_header(header);
    let closed = |case: &&Case| matches!(case.status, Status::Closed(_));
    let cases = files.cases.iter().filter(|case| args.all || case.is_shown() && !closed(case));
    for case in cases {
        let listed = listed(&files, case);
        if args.json {
            ui::json(&listed)?;
            continue;
        }
        let judged = if listed.judged_suspicious { ", suspicious" } else { "" };
        grid.add_row([
            listed.case.to_string(),
            format!("{}{judged}", listed.status),
            listed.severity.to_owned(),
            listed.accounts.join("+"),
            listed.findings.to_string(),
            listed.causes.join(" "),
            listed.last,
        ]);
    }
    if !args.json {
        grid.column_iter_mut().for_each(|column| {
            column.set_padding((0, 3));
        });
        ui::result(grid.trim_fmt())?;
    }
    Ok(Outcome::Yes)
}

fn listed<'a>(files: &Files, case: &'a Case) -> Listed<'a> {
    let closing = case.history.iter().rev().find(|done| matches!(done.act, Act::Closed(_)));
    let closing = closing.filter(|_| matches!(case.status, Status::Closed(_)));
    Listed {
        version: 1,
        case: case.number,
        status: case.status.as_str(),
        severity: case.severity().as_str(),
        accounts: files.accounts(case),
        named: case.revealed.is_some(),
        judged_suspicious: case.suspicious.is_some(),
        findings: case.findings.len(),
        causes: case.causes().into_iter().map(|cause| cause.kind.to_string()).collect(),
        last: case.times().map_or_else(String::new, |(_, last)| last.to_string()),
        closed_because: closing.map(|done| &*done.why),
    }
}

/// Does something with a case, through the running gateway if there is one.
fn done(config: &Path, act: Act, args: CaseActArgs) -> anyhow::Result<Outcome> {
    let CaseActArgs { number, why } = args;
    let why = why.unwrap_or_default();
    let files = Files::read(config)?;
    let by = Actor::new(os_user());
    let deed = match files.cases.decide(act, number, (by, why.as_str().into())) {
        Ok(deed) => deed,
        Err(error) => {
            ui::failure(&error.into());
            return Ok(Outcome::No);
        }
    };
    let act = deed.act;
    let request = Request::Case { act: act.as_str().to_owned(), number, why };
    recorded::put(config, &files.settings, &request, NoteOf::from(deed).0)?;
    let (said, hint) = match act {
        Act::Reviewed => ("is under review", None),
        Act::Suspicious => ("is under review, judged suspicious", None),
        Act::Closed(Found::Benign) => (
            "is closed as benign; its causes count less for accounts of these roles from now on",
            None,
        ),
        Act::Closed(Found::Misuse) => ("is closed as misuse", None),
        Act::Closed(Found::Unclear) => ("is closed, and it is not clear what it was", None),
        Act::Reopened => {
            ("is under review again; what its end said to the detectors is void", None)
        }
        Act::RevealAsked => (
            "keeps its pseudonyms until somebody else agrees",
            Some(format!("another person agrees by `postern cases reveal {number} --why TEXT`")),
        ),
        Act::Revealed => ("has names now", Some(format!("`postern cases show {number}`"))),
    };
    ui::result(format!("case {number} {said}"))?;
    hint.iter().for_each(ui::hint);
    Ok(Outcome::Yes)
}
