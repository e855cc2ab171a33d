//! What was computed, from what, and who did it: `analysis.json` and `custody.jsonl`.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use postern_model::{Actor, Clock as _, Subject};
use postern_trace::{Likelihood, LikelihoodTrack};
use serde::Serialize;

use super::{Case, bundle::sha256, read};
use crate::{cli::ExportArgs, clock::SystemClock};

/// `analysis.json`, version 2. It names no customer.
#[derive(Debug, Serialize)]
struct Analysis<'a> {
    version: u32,
    code: Code,
    /// What has to be run over the ledger to have all of it anew.
    command: String,
    seed: u64,
    innocent_leaks: usize,
    leak_sha256: String,
    values_sha256: Option<String>,
    /// Entries of the ledger that were looked at: those that its checkpoint covered.
    entries: u64,
    since: Option<i64>,
    until: i64,
    verdict: &'static str,
    accounts: Vec<Account<'a>>,
}

#[derive(Debug, Serialize)]
struct Code {
    postern: &'static str,
    executable_sha256: String,
}

#[derive(Debug, Serialize)]
struct Account<'a> {
    account: &'a str,
    proof: String,
    likelihood: Option<Weighed<'a>>,
}

#[derive(Debug, Serialize)]
struct Weighed<'a> {
    customers: f64,
    readings: f64,
    field_error: f64,
    field_chance: f64,
    graded: bool,
    windows: (i64, i64, u32),
    strangers: usize,
    rows: Vec<Row<'a>>,
    tracks: Vec<Track>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    /// As the proofs call a customer whom they do not name.
    subject: String,
    readers: u32,
    before: Option<i64>,
    fields: Vec<Field<'a>>,
}

#[derive(Debug, Serialize)]
struct Field<'a> {
    name: &'a str,
    versions: f64,
    valid: Option<&'a [(i64, i64)]>,
}

#[derive(Debug, Serialize)]
struct Track {
    level: u32,
    moved: bool,
    number: usize,
    unexplained: bool,
    matched: usize,
    log_ratio: f64,
}

/// What the customers of the list are called in the analysis, so that nobody's name is in it: by
/// the number that stands for them in the proofs; who is in no proof by their place in the list.
#[derive(Debug)]
pub(super) struct Numbers<'a>(BTreeMap<&'a Subject, String>);

impl<'a> Numbers<'a> {
    pub(super) fn of(case: &'a Case, proved: &BTreeMap<Subject, u32>) -> Self {
        let likelihoods = case.accounts.iter().filter_map(|(.., likelihood)| likelihood.as_ref());
        let mut names = BTreeMap::new();
        for row in likelihoods.flat_map(|likelihood| &likelihood.rows) {
            let next = names.len();
            names.entry(&row.subject).or_insert_with(|| match proved.get(&row.subject) {
                Some(number) => format!("subject {number}"),
                None => format!("other {next}"),
            });
        }
        Self(names)
    }

    fn call(&self, subject: &Subject) -> String {
        self.0.get(subject).cloned().unwrap_or_default()
    }
}

pub(super) fn of(
    case: &Case,
    args: &ExportArgs,
    values_sha256: Option<String>,
    numbers: &Numbers<'_>,
) -> anyhow::Result<Vec<u8>> {
    let executable = std::env::current_exe().context("can't tell which program this is")?;
    let accounts =
        case.accounts.iter().enumerate().map(|(number, (account, _, likelihood))| Account {
            account: account.as_str(),
            proof: format!("proofs/{number}"),
            likelihood: likelihood.as_ref().map(|likelihood| weighed(likelihood, numbers)),
        });
    let analysis = Analysis {
        version: 2,
        code: Code {
            postern: env!("CARGO_PKG_VERSION"),
            executable_sha256: sha256(&read(&executable)?),
        },
        command: command(case, values_sha256.is_some()),
        seed: case.config.seed,
        innocent_leaks: case.config.innocent_leaks,
        leak_sha256: sha256(&read(&args.leak)?),
        values_sha256,
        entries: case.entries,
        since: case.since.map(|time| time.0),
        until: case.until.0,
        verdict: case.trace.verdict.as_str(),
        accounts: accounts.collect(),
    };
    Ok(serde_json::to_vec_pretty(&analysis)?)
}

fn command(case: &Case, values: bool) -> String {
    let mut command = "postern trace --leak leak.csv".to_owned();
    if values {
        command.push_str(" --values VALUES");
    }
    if let Some(since) = case.since {
        command.push_str(&format!(" --since {since}"));
    }
    command.push_str(&format!(" --until {}", case.until));
    if let Some(customers) = case.config.customers {
        command.push_str(&format!(" --customers {customers}"));
    }
    command + " --json"
}

fn weighed<'a>(likelihood: &'a Likelihood, numbers: &Numbers<'_>) -> Weighed<'a> {
    let rows = likelihood.rows.iter().map(|row| Row {
        subject: numbers.call(&row.subject),
        readers: row.readers,
        before: row.before,
        fields: row.fields.iter().map(field).collect(),
    });
    Weighed {
        customers: likelihood.customers,
        readings: likelihood.readings,
        field_error: likelihood.field_error,
        field_chance: likelihood.field_chance,
        graded: likelihood.graded,
        windows: likelihood.windows,
        strangers: likelihood.strangers,
        rows: rows.collect(),
        tracks: likelihood.tracks.iter().map(track).collect(),
    }
}

fn field(field: &postern_trace::LikelihoodField) -> Field<'_> {
    Field { name: field.name, versions: field.versions, valid: field.valid.as_deref() }
}

fn track(track: &LikelihoodTrack) -> Track {
    let (level, moved, number) = track.window;
    let LikelihoodTrack { unexplained, matched, log_ratio, .. } = *track;
    Track { level, moved, number, unexplained, matched, log_ratio }
}

/// Who did what with the evidence, in order.
#[derive(Debug)]
pub(super) struct Custody<'a> {
    by: &'a str,
    acts: Vec<Act>,
}

/// A line of `custody.jsonl`, version 1.
#[derive(Debug, Serialize)]
struct Act {
    ts: String,
    by: String,
    act: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The entry of the ledger that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
}

impl<'a> Custody<'a> {
    pub(super) fn of(by: &'a str) -> Self {
        Self { by, acts: Vec::new() }
    }

    fn act(&mut self, act: &'static str, what: String) -> &mut Act {
        let ts = SystemClock.now().to_string();
        let by = self.by.to_owned();
        self.acts.push(Act { ts, by, act, what, sha256: None, entry: None });
        let last = self.acts.len() - 1;
        &mut self.acts[last]
    }

    pub(super) fn read(&mut self, path: &Path, bytes: &[u8]) {
        self.act("read", path.display().to_string()).sha256 = Some(sha256(bytes));
    }

    pub(super) fn asked(&mut self, account: &Actor, entry: u64) {
        self.act("asked the ledger about", account.to_string()).entry = Some(entry);
    }

    pub(super) fn exported(&mut self, to: &Path) {
        self.act("exported", to.display().to_string());
    }

    pub(super) fn by(&self) -> &str {
        self.by
    }

    /// When, what and of what, in the order in which it was done.
    pub(super) fn acts(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.acts.iter().map(|act| (&*act.ts, act.act, &*act.what))
    }

    pub(super) fn lines(&self) -> anyhow::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for act in &self.acts {
            serde_json::to_writer(&mut lines, act)?;
            lines.push(b'\n');
        }
        Ok(lines)
    }
}
